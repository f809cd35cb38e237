//! What is said to a relay and what it says, line by line.
//!
//! Servers answer in the alphabet of their house and without end; a text that nobody needs must not turn a yes into silence, or
//! the same mail goes again. So what is kept of a reply is ASCII and bounded, whatever came, and its code is what counts. Nothing
//! is taken for an answer that came before it was asked for: neither to the next command, nor, above all, from before TLS to what
//! is asked within it.
//!
//! What is *not* here: how long anything may take, and what an answer means.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

/// So much of a line is kept.
const MAX_LINE_BYTES: usize = 900;
/// So many lines of a reply are kept, and so much is read of it in all.
const MAX_LINES: usize = 100;
const MAX_REPLY_BYTES: usize = 1024 * 1024;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Why there is no reply.
#[derive(Debug)]
pub(super) enum Broken {
    Io(io::Error),
    /// Something came that is no reply.
    NoSmtp,
    /// More came than was asked for.
    Unasked,
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Printable ASCII throughout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub code: u16,
    pub lines: Vec<String>,
}

impl Reply {
    /// All of it as one text; an enhanced code that stands in front of every line is said once.
    pub fn text(&self) -> String {
        let first = self.lines.first().map_or("", |line| line.split(' ').next().unwrap_or_default());
        let is_code = first.contains('.') && first.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let bare = |(nth, line): (usize, &String)| match line.strip_prefix(first) {
            Some(rest) if nth > 0 && is_code && rest.starts_with(' ') => rest.trim_start().to_owned(),
            _ => line.clone(),
        };
        self.lines.iter().enumerate().map(bare).collect::<Vec<_>>().join(" ")
    }
}

pub(super) struct Conversation {
    stream: BufReader<Box<dyn Stream>>,
}

impl Conversation {
    pub fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// What it is held over, to go on in another way; not if something came that would be taken for a part of that.
    pub fn into_stream(self) -> Result<Box<dyn Stream>, Broken> {
        self.is_quiet()?;
        Ok(self.stream.into_inner())
    }

    /// Nothing has come that was not asked for.
    pub fn is_quiet(&self) -> Result<(), Broken> {
        if self.stream.buffer().is_empty() { Ok(()) } else { Err(Broken::Unasked) }
    }

    /// Says a command, and hears what the server has to say to it.
    pub async fn say(&mut self, command: &str) -> Result<Reply, Broken> {
        self.is_quiet()?;
        self.stream.write_all(format!("{command}\r\n").as_bytes()).await?;
        self.stream.flush().await?;
        self.reply().await
    }

    /// Says a whole mail, and the dot behind it.
    pub async fn say_content(&mut self, content: &[u8]) -> Result<Reply, Broken> {
        self.is_quiet()?;
        self.stream.write_all(&with_dots(content)).await?;
        self.stream.flush().await?;
        self.reply().await
    }

    pub async fn reply(&mut self) -> Result<Reply, Broken> {
        let mut reply: Option<Reply> = None;
        let mut left = MAX_REPLY_BYTES;
        loop {
            let line = self.line(&mut left).await?;
            let (code, is_last, text) = parsed(&line).ok_or(Broken::NoSmtp)?;
            let reply = reply.get_or_insert_with(|| Reply { code, lines: Vec::new() });
            if reply.code != code {
                return Err(Broken::NoSmtp);
            }
            if reply.lines.len() < MAX_LINES {
                reply.lines.push(text.to_owned());
            }
            if is_last {
                return Ok(reply.clone());
            }
        }
    }

    /// The next line without its end, cut where it is too long.
    async fn line(&mut self, left: &mut usize) -> Result<String, Broken> {
        let (mut line, mut is_whole) = (Vec::new(), true);
        loop {
            let read = self.stream.fill_buf().await?;
            if read.is_empty() {
                return Err(Broken::Io(io::ErrorKind::UnexpectedEof.into()));
            }
            let end = read.iter().position(|byte| *byte == b'\n');
            let length = end.map_or(read.len(), |end| end + 1);
            let kept = length.min(MAX_LINE_BYTES - line.len());
            line.extend_from_slice(&read[..kept]);
            is_whole &= kept == length;
            self.stream.consume(length);
            *left = left.checked_sub(length).ok_or(Broken::NoSmtp)?;
            if end.is_some() {
                break;
            }
        }
        Ok(tidy(&line, is_whole))
    }
}

/// A line as it is kept. Of one that was cut the last word goes, too: half a word is not recognised by whoever looks for secrets.
fn tidy(line: &[u8], is_whole: bool) -> String {
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
    text
}

/// The code, whether it is the last line, and the text.
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

/// The lines with their ends, a dot more where one begins with a dot, and the dot that ends them.
fn with_dots(content: &[u8]) -> Vec<u8> {
    let mut dotted = Vec::with_capacity(content.len() + content.len() / 50 + 8);
    for line in content.strip_suffix(b"\n").unwrap_or(content).split(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            dotted.push(b'.');
        }
        dotted.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        dotted.extend_from_slice(b"\r\n");
    }
    dotted.extend_from_slice(b".\r\n");
    dotted
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    /// What is read where a server says this, so many bytes at a time.
    async fn read(said: &[u8], at_a_time: usize) -> Result<Reply, Broken> {
        let (mut server, client) = duplex(at_a_time);
        let said = said.to_vec();
        tokio::spawn(async move { server.write_all(&said).await });
        Conversation::new(Box::new(client)).reply().await
    }

    #[tokio::test]
    async fn a_reply_is_read_whatever_its_text_and_however_it_comes() {
        let long = [b"250-".as_slice(), &[b'x'; 5_000], b"\r\n250 end\r\n"].concat();
        let at_the_edge = [b"250-".as_slice(), &[b'x'; 895], b"\r\n250 end\r\n"].concat();
        for at_a_time in [1, 2, 7, 100_000] {
            for (said, code, text) in [
                (b"250 ok\r\n".as_slice(), 250, "ok"),
                (b"250\r\n", 250, ""),
                (b"250 ok\n", 250, "ok"),
                (b"250 angenommen f\xfcr \xe4\r\n", 250, "angenommen f?r ?"),
                (b"550-5.7.1 spam\r\n550 5.7.1 surely\r\n", 550, "5.7.1 spam surely"),
                (b"550-5.7.1 spam\r\n550 5.7.10 surely\r\n", 550, "5.7.1 spam 5.7.10 surely"),
                (b"421 a\x1b[31m\tb\r\n", 421, "a [31m b"),
                (&long, 250, &format!("{} end", "x".repeat(896))),
                (&at_the_edge, 250, &format!("{} end", "x".repeat(895))),
            ] {
                let reply = read(said, at_a_time).await.expect("a reply");
                assert_eq!((reply.code, &*reply.text()), (code, text), "{at_a_time}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_reply_is_none() {
        for said in [
            b"HTTP/1.1 400\r\n".as_slice(),
            b"25\r\n",
            b"2500 x\r\n",
            b"+25 x\r\n",
            b"150 x\r\n",
            b"250-a\r\n354 b\r\n",
        ] {
            assert!(matches!(read(said, 100).await, Err(Broken::NoSmtp)), "{said:?}");
        }
        assert!(matches!(read(b"250-a\r\n250", 100).await, Err(Broken::Io(_))));
        assert!(matches!(read(&b"250-a\r\n".repeat(200_000), 10_000).await, Err(Broken::NoSmtp)));
        assert_eq!(
            read(&[b"250-a\r\n".repeat(2_000), b"250 b\r\n".to_vec()].concat(), 10_000).await.expect("it").code,
            250
        );
    }

    #[tokio::test]
    async fn what_came_before_it_was_asked_for_answers_nothing() {
        let (mut server, client) = duplex(1_000);
        server.write_all(b"220 hello\r\n250 ok\r\n").await.expect("written");
        let mut conversation = Conversation::new(Box::new(client));
        assert_eq!(conversation.reply().await.expect("a greeting").code, 220);
        assert!(matches!(conversation.say("EHLO x").await, Err(Broken::Unasked)));
        assert!(matches!(conversation.into_stream(), Err(Broken::Unasked)));
        let mut said = Vec::new();
        server.read_to_end(&mut said).await.expect("closed");
        assert_eq!(said, b"", "and nothing was said into it");
    }

    #[test]
    fn a_word_that_was_cut_is_not_shown() {
        let mut line = b"535 you sent".to_vec();
        line.resize(MAX_LINE_BYTES - 4, b' ');
        line.extend_from_slice(b"AHVz");
        assert_eq!(tidy(&line, false).trim_end(), "535 you sent");
    }

    #[test]
    fn a_mail_can_not_end_itself() {
        for (content, dotted) in [
            ("a\r\n", "a\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            ("a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n"),
            (".a\r\n..\r\n", "..a\r\n...\r\n.\r\n"),
            ("a\n.\nb", "a\r\n..\r\nb\r\n.\r\n"),
            ("a\r\n\r\n", "a\r\n\r\n.\r\n"),
        ] {
            assert_eq!(String::from_utf8(with_dots(content.as_bytes())).expect("text"), dotted);
        }
    }
}
