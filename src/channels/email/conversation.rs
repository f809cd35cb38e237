//! Sends commands to a relay and reads its replies.
//!
//! [`Greeting`] is the part before the login: the greeting, and STARTTLS where it is used. [`SmtpSession`] is the
//! rest, the login and the mails, over lettre's connection. Both read through [`ReplyLines`]: lettre itself fails on a
//! reply that is not UTF-8, and would accept data from before TLS as a reply within TLS.
//!
//! What is *not* here: timeouts, and the meaning of a reply. lettre accepts any 2xx or 3xx as success; `steps.rs`
//! does not.

use std::{error::Error as _, fmt, io};

use lettre::transport::smtp::{
    Error,
    authentication::{Credentials, Mechanism},
    client::AsyncSmtpConnection,
    extension::ClientId,
    response::Response,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::lines::{ConnectionClosed, ReplyLines, Stream, UnsolicitedData};

/// The number of lines of a reply that are kept, and that are read.
const MAX_LINES: usize = 100;
const MAX_LINES_READ: usize = 10_000;

/// The reason a reply could not be read.
#[derive(Debug)]
pub(super) enum NoReply {
    Io(io::Error),
    /// The received data is no reply.
    NoSmtp,
    /// More was received than was requested.
    Unasked,
    /// The server had closed the connection before the command was sent.
    HungUp,
}

impl From<io::Error> for NoReply {
    fn from(error: io::Error) -> Self {
        match error.get_ref() {
            Some(inner) if inner.is::<UnsolicitedData>() => Self::Unasked,
            Some(inner) if inner.is::<ConnectionClosed>() => Self::HungUp,
            _ => Self::Io(error),
        }
    }
}

/// Printable ASCII; lines are joined by a line break or a space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SmtpReply {
    pub code: u16,
    pub text: String,
}

/// The unencrypted beginning of a connection.
pub(super) struct Greeting(BufReader<ReplyLines>);

impl Greeting {
    pub fn over(stream: Box<dyn Stream>) -> Self {
        // One line is read at a time, so that this buffer holds nothing of what follows it.
        Self(BufReader::new(ReplyLines::new(stream)))
    }

    /// Returns the stream; fails if data was received that was not requested.
    pub fn into_stream(self) -> Result<Box<dyn Stream>, NoReply> {
        Ok(self.0.into_inner().into_stream()?)
    }

    pub async fn command(&mut self, command: &str) -> Result<SmtpReply, NoReply> {
        self.0.write_all(format!("{command}\r\n").as_bytes()).await?;
        self.0.flush().await?;
        self.read_reply().await
    }

    pub async fn read_reply(&mut self) -> Result<SmtpReply, NoReply> {
        let mut reply: Option<(u16, Vec<String>)> = None;
        for _ in 0..MAX_LINES_READ {
            let mut line = String::new();
            if self.0.read_line(&mut line).await? == 0 {
                return Err(NoReply::Io(io::ErrorKind::UnexpectedEof.into()));
            }
            let (code, is_last, text) = parsed(line.trim_end_matches(['\r', '\n'])).ok_or(NoReply::NoSmtp)?;
            let (first, lines) = reply.get_or_insert_with(|| (code, Vec::new()));
            if *first != code {
                return Err(NoReply::NoSmtp);
            }
            if lines.len() < MAX_LINES {
                lines.push(text.to_owned());
            }
            if is_last {
                return Ok(SmtpReply { code, text: lines.join("\n") });
            }
        }
        Err(NoReply::NoSmtp)
    }
}

/// Parses a line into its code, whether it is the last line, and its text.
fn parsed(line: &str) -> Option<(u16, bool, &str)> {
    let (code, rest) = line.split_at_checked(3)?;
    if !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let code = code.parse().ok().filter(|code| (200..600).contains(code))?;
    match rest.split_at_checked(1) {
        None => Some((code, true, "")),
        Some((" ", text)) => Some((code, true, text)),
        Some(("-", text)) => Some((code, false, text)),
        Some(_) => None,
    }
}

/// A conversation with a server after EHLO.
pub(super) struct SmtpSession {
    smtp: AsyncSmtpConnection,
    /// The name in EHLO.
    pub hello: String,
}

impl SmtpSession {
    /// Continues after the greeting with EHLO. Returns the server's reply instead if it rejects EHLO.
    pub async fn greet(stream: Box<dyn Stream>, hello: &ClientId) -> Result<Result<Self, SmtpReply>, NoReply> {
        // lettre waits for a greeting, which has been read already.
        let lines = ReplyLines::after("220 heard", stream);
        match AsyncSmtpConnection::connect_with_transport(Box::new(lines), hello).await {
            Ok(smtp) => Ok(Ok(Self { smtp, hello: hello.to_string() })),
            Err(error) => replied(Err(error)).map(Err),
        }
    }

    pub async fn say(&mut self, command: impl fmt::Display) -> Result<SmtpReply, NoReply> {
        replied(self.smtp.command(command).await)
    }

    /// Sends the content of a mail and the final dot.
    pub async fn send_content(&mut self, content: &[u8]) -> Result<SmtpReply, NoReply> {
        replied(self.smtp.message(content).await)
    }

    /// Returns the server's last reply; `None`: the server offers no supported mechanism.
    pub async fn log_in(&mut self, user: &str, password: &str) -> Result<Option<SmtpReply>, NoReply> {
        const KNOWN: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];
        if self.smtp.server_info().get_auth_mechanism(&KNOWN).is_none() {
            return Ok(None);
        }
        let credentials = Credentials::new(user.to_owned(), password.to_owned());
        replied(self.smtp.auth(&KNOWN, &credentials).await).map(Some)
    }
}

/// A refusal is a reply, too.
fn replied(result: Result<Response, Error>) -> Result<SmtpReply, NoReply> {
    match result {
        Ok(response) => {
            let text = response.message().take(MAX_LINES).collect::<Vec<_>>().join(" ");
            Ok(SmtpReply { code: response.code().into(), text })
        }
        Err(error) => match error.status() {
            Some(code) => {
                let text = error.source().map(ToString::to_string).unwrap_or_default();
                Ok(SmtpReply { code: code.into(), text })
            }
            None => Err(broken(&error)),
        },
    }
}

fn broken(error: &Error) -> NoReply {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if error.is::<UnsolicitedData>() {
            return NoReply::Unasked;
        }
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return match io.get_ref() {
                Some(inner) if inner.is::<UnsolicitedData>() => NoReply::Unasked,
                Some(inner) if inner.is::<ConnectionClosed>() => NoReply::HungUp,
                _ => NoReply::Io(io::Error::new(io.kind(), io.to_string())),
            };
        }
        next = error.source();
    }
    // lettre also reports `incomplete` if the other side closed the connection in the middle of a reply.
    match error.source().is_some_and(|source| source.to_string().contains("incomplete")) {
        true => NoReply::Io(io::ErrorKind::UnexpectedEof.into()),
        false => NoReply::NoSmtp,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    /// Reads a reply from a server that sends these bytes.
    async fn read(said: &[u8]) -> Result<SmtpReply, NoReply> {
        let (mut server, client) = duplex(10_000);
        let said = said.to_vec();
        tokio::spawn(async move { server.write_all(&said).await });
        Greeting::over(Box::new(client)).read_reply().await
    }

    #[tokio::test]
    async fn a_reply_has_a_code_and_other_data_is_rejected() {
        for (said, code, text) in [
            (b"220 ok\r\n".as_slice(), 220, "ok"),
            (b"220\r\n", 220, ""),
            (b"550-5.7.1 spam\r\n550 5.7.1 surely\r\n", 550, "5.7.1 spam\n5.7.1 surely"),
        ] {
            let reply = read(said).await.expect("a reply");
            assert_eq!((reply.code, &*reply.text), (code, text));
        }
        for said in [
            b"HTTP/1.1 400\r\n".as_slice(),
            b"25\r\n",
            b"2500 x\r\n",
            b"+25 x\r\n",
            b"150 x\r\n",
            b"250-a\r\n354 b\r\n",
        ] {
            assert!(matches!(read(said).await, Err(NoReply::NoSmtp)), "{said:?}");
        }
        assert!(matches!(read(b"250-a\r\n250").await, Err(NoReply::Io(_))));
        assert!(matches!(read(&b"250-a\r\n".repeat(20_000)).await, Err(NoReply::NoSmtp)));
        assert_eq!(read(&[b"250-a\r\n".repeat(2_000), b"250 b\r\n".to_vec()].concat()).await.expect("it").code, 250);
    }
}
