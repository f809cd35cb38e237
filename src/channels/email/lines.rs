//! Reads a relay's replies line by line, as printable ASCII of bounded length.
//!
//! Servers reply in any character set and at any length. The text of a reply must not turn an acceptance into a
//! missing reply, because then the same mail would be sent again. Data that was received before a command was sent
//! must not count as the reply to it, above all not data from before TLS as a reply within TLS. So one line at a time
//! is passed on, and if more data follows a reply, nothing is written to the connection any more.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader, ReadBuf};

/// The number of bytes of a line that are kept.
const MAX_LINE_BYTES: usize = 900;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// More data was received than was requested.
#[derive(Debug)]
pub(super) struct UnsolicitedData;

impl fmt::Display for UnsolicitedData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server sent data that was not requested")
    }
}

impl std::error::Error for UnsolicitedData {}

/// The other side has closed the connection.
#[derive(Debug)]
pub(super) struct ConnectionClosed;

impl fmt::Display for ConnectionClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is closed")
    }
}

impl std::error::Error for ConnectionClosed {}

pub(super) struct ReplyLines {
    stream: BufReader<Box<dyn Stream>>,
    /// The beginning of a line without its end, and whether all of its bytes were kept.
    begun: Vec<u8>,
    is_whole: bool,
    /// The line that is being passed on, and the position of the next byte.
    line: Vec<u8>,
    at: usize,
    /// Data was received since the last command.
    has_answered: bool,
    /// The next line replies to EHLO; the reader (lettre) does not check its code.
    is_welcome: bool,
}

impl fmt::Debug for ReplyLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

impl ReplyLines {
    /// Starts with a line that stands for the greeting, which has been read already.
    pub fn after(first: &str, stream: Box<dyn Stream>) -> Self {
        Self { line: format!("{first}\r\n").into_bytes(), is_welcome: true, ..Self::new(stream) }
    }

    pub fn new(stream: Box<dyn Stream>) -> Self {
        let stream = BufReader::new(stream);
        let (begun, line) = (Vec::new(), Vec::new());
        Self { stream, begun, is_whole: true, line, at: 0, has_answered: false, is_welcome: false }
    }

    /// Returns the stream, to continue over it with TLS or lettre; fails if unread data is left.
    pub fn into_stream(self) -> io::Result<Box<dyn Stream>> {
        if self.is_quiet() { Ok(self.stream.into_inner()) } else { Err(io::Error::other(UnsolicitedData)) }
    }

    fn is_quiet(&self) -> bool {
        self.stream.buffer().is_empty() && self.begun.is_empty() && self.at == self.line.len()
    }

    /// Reads the next line to pass on; there is none after the end of the stream.
    fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.at == self.line.len() {
            let read = ready!(Pin::new(&mut self.stream).poll_fill_buf(cx))?;
            if read.is_empty() {
                break;
            }
            let end = read.iter().position(|byte| *byte == b'\n');
            let length = end.map_or(read.len(), |end| end + 1);
            let kept = length.min(MAX_LINE_BYTES.saturating_sub(self.begun.len()));
            self.begun.extend_from_slice(&read[..kept]);
            self.is_whole &= kept == length;
            Pin::new(&mut self.stream).consume(length);
            if end.is_some() {
                self.line = format!("{}\r\n", printable_ascii(&self.begun, self.is_whole)).into_bytes();
                self.begun.clear();
                (self.at, self.is_whole, self.has_answered) = (0, true, true);
                if std::mem::take(&mut self.is_welcome) && !self.line.starts_with(b"2") && !is_rejection(&self.line) {
                    return Poll::Ready(Err(io::Error::other("the reply to EHLO is not valid")));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for ReplyLines {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_line(cx))?;
        let length = into.remaining().min(self.line.len() - self.at);
        into.put_slice(&self.line[self.at..self.at + length]);
        self.at += length;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReplyLines {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, said: &[u8]) -> Poll<io::Result<usize>> {
        // A server may refuse in the middle of a mail, but nothing may follow its reply. A kept connection may have
        // been idle since then: a goodbye or the end of the stream that came meanwhile is detected here.
        if std::mem::take(&mut self.has_answered) {
            if !self.is_quiet() {
                return Poll::Ready(Err(io::Error::other(UnsolicitedData)));
            }
            match Pin::new(&mut self.stream).poll_fill_buf(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok([])) => return Poll::Ready(Err(io::Error::other(ConnectionClosed))),
                Poll::Ready(Ok(_)) => return Poll::Ready(Err(io::Error::other(UnsolicitedData))),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        Pin::new(self.stream.get_mut()).poll_write(cx, said)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_shutdown(cx)
    }
}

impl AsyncTokioStream for ReplyLines {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn is_rejection(line: &[u8]) -> bool {
    line.starts_with(b"4") || line.starts_with(b"5")
}

/// Makes a line printable; a code without a text gets a space behind it. A truncated line loses its last word,
/// because a part of a secret is not recognised as one.
fn printable_ascii(line: &[u8], is_whole: bool) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let shown = |byte: &u8| match byte {
        b' '..=b'~' => char::from(*byte),
        0x80.. => '?',
        _ => ' ',
    };
    let mut text: String = line.iter().map(shown).collect();
    if !is_whole && let Some(space) = text.rfind(' ').filter(|space| *space > 3) {
        text.truncate(space);
    }
    if text.len() == 3 {
        text.push(' ');
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn lines_are_ascii_and_bounded_for_any_chunk_size() {
        let long = [b"250-".as_slice(), &[b'x'; 5_000], b"\r\n250 end\r\n"].concat();
        let at_the_edge = [b"250-".as_slice(), &[b'x'; 895], b"\r\n250 end\r\n"].concat();
        for at_a_time in [1, 2, 7, 100_000] {
            for (said, lines) in [
                (b"250 ok\r\n".as_slice(), "250 ok\r\n".to_owned()),
                (b"250 ok\n", "250 ok\r\n".to_owned()),
                (b"250\r\n", "250 \r\n".to_owned()),
                (b"250 angenommen f\xfcr \xe4\r\n", "250 angenommen f?r ?\r\n".to_owned()),
                (b"421 a\x1b[31m\tb\r\n", "421 a [31m b\r\n".to_owned()),
                (&long, format!("250-{}\r\n250 end\r\n", "x".repeat(896))),
                (&at_the_edge, format!("250-{}\r\n250 end\r\n", "x".repeat(895))),
            ] {
                let (mut server, client) = duplex(at_a_time);
                let said = said.to_vec();
                tokio::spawn(async move { server.write_all(&said).await });
                let mut read = String::new();
                ReplyLines::new(Box::new(client)).read_to_string(&mut read).await.expect("text");
                assert_eq!(read, lines, "{at_a_time}");
            }
        }
    }

    #[tokio::test]
    async fn data_received_before_a_command_is_no_reply_to_it() {
        let (mut server, client) = duplex(1_000);
        server.write_all(b"220 hello\r\n250 ok\r\n").await.expect("written");
        let mut lines = ReplyLines::new(Box::new(client));
        let mut heard = [0; 100];
        let length = lines.read(&mut heard).await.expect("a line");
        assert_eq!(&heard[..length], b"220 hello\r\n", "one line at a time");
        let error = lines.write_all(b"EHLO x\r\n").await.expect_err("nothing is sent");
        assert!(error.get_ref().is_some_and(|error| error.is::<UnsolicitedData>()));
        assert!(lines.into_stream().is_err());
        let mut said = Vec::new();
        server.read_to_end(&mut said).await.expect("closed");
        assert_eq!(said, b"");
    }

    #[tokio::test]
    async fn data_received_since_the_last_reply_is_detected_before_a_command_is_sent() {
        for said in [Some(b"221 bye\r\n".as_slice()), Some(b"250 ok\r\n"), None] {
            let (mut server, client) = duplex(1_000);
            server.write_all(b"250 ok\r\n").await.expect("written");
            let mut lines = ReplyLines::new(Box::new(client));
            let mut heard = [0; 100];
            let length = lines.read(&mut heard).await.expect("a line");
            assert_eq!(&heard[..length], b"250 ok\r\n");
            match said {
                Some(said) => server.write_all(said).await.expect("written"),
                None => drop(server),
            }
            let error = lines.write_all(b"MAIL\r\n").await.expect_err("nothing is sent");
            let inner = error.get_ref().expect("a cause");
            assert!(
                if said.is_some() { inner.is::<UnsolicitedData>() } else { inner.is::<ConnectionClosed>() },
                "{said:?}: {error}"
            );
        }
    }

    #[test]
    fn a_truncated_word_is_not_shown() {
        let mut line = b"535 you sent".to_vec();
        line.resize(MAX_LINE_BYTES - 4, b' ');
        line.extend_from_slice(b"AHVz");
        assert_eq!(printable_ascii(&line, false).trim_end(), "535 you sent");
    }
}
