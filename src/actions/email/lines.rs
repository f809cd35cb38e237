//! What a relay says, as whoever reads it can bear it: line by line, in printable ASCII, each of a bounded length.
//!
//! Servers answer in the alphabet of their house and without end; a text that nobody needs must not turn a yes into silence, or the
//! same mail goes again. And nothing is taken for an answer that came before it was asked for: neither to the next command nor,
//! above all, from before TLS to what is asked within it. So one line at a time is handed on, and when something more has come
//! behind an answer, nothing is said into the connection any more.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader, ReadBuf};

/// So much of a line is kept.
const MAX_LINE_BYTES: usize = 900;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// More came than was asked for.
#[derive(Debug)]
pub(super) struct Unasked;

impl fmt::Display for Unasked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("more came than was asked for")
    }
}

impl std::error::Error for Unasked {}

/// The other side has closed the connection.
#[derive(Debug)]
pub(super) struct HungUp;

impl fmt::Display for HungUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is closed")
    }
}

impl std::error::Error for HungUp {}

pub(super) struct Lines {
    stream: BufReader<Box<dyn Stream>>,
    /// The beginning of a line whose end has not come yet, and whether all of it is kept.
    begun: Vec<u8>,
    is_whole: bool,
    /// A line that is being handed on, and how far it is.
    line: Vec<u8>,
    at: usize,
    /// Something was said since the last command.
    has_answered: bool,
    /// The next line answers EHLO, of which the reader does not look at the code.
    is_welcome: bool,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

impl Lines {
    /// With a first line that stands for the greeting that was heard before.
    pub fn after(first: &str, stream: Box<dyn Stream>) -> Self {
        Self { line: format!("{first}\r\n").into_bytes(), is_welcome: true, ..Self::new(stream) }
    }

    pub fn new(stream: Box<dyn Stream>) -> Self {
        let stream = BufReader::new(stream);
        let (begun, line) = (Vec::new(), Vec::new());
        Self { stream, begun, is_whole: true, line, at: 0, has_answered: false, is_welcome: false }
    }

    /// What it is held over, to go on in another way; not if something came that would be taken for a part of that.
    pub fn into_stream(self) -> io::Result<Box<dyn Stream>> {
        if self.is_quiet() { Ok(self.stream.into_inner()) } else { Err(io::Error::other(Unasked)) }
    }

    fn is_quiet(&self) -> bool {
        self.stream.buffer().is_empty() && self.begun.is_empty() && self.at == self.line.len()
    }

    /// Has the next line to hand on, or none where the other side has ended.
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
                self.line = format!("{}\r\n", tidy(&self.begun, self.is_whole)).into_bytes();
                self.begun.clear();
                (self.at, self.is_whole, self.has_answered) = (0, true, true);
                if std::mem::take(&mut self.is_welcome) && !self.line.starts_with(b"2") && !is_no(&self.line) {
                    return Poll::Ready(Err(io::Error::other("its answer to EHLO makes no sense there")));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Lines {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_line(cx))?;
        let length = into.remaining().min(self.line.len() - self.at);
        into.put_slice(&self.line[self.at..self.at + length]);
        self.at += length;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Lines {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, said: &[u8]) -> Poll<io::Result<usize>> {
        // A server may say no in the middle of a mail; behind an answer nothing has to come. A kept connection may have lain for a
        // while since then: what has come meanwhile, a goodbye or the end, is looked for now.
        if std::mem::take(&mut self.has_answered) {
            if !self.is_quiet() {
                return Poll::Ready(Err(io::Error::other(Unasked)));
            }
            match Pin::new(&mut self.stream).poll_fill_buf(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok([])) => return Poll::Ready(Err(io::Error::other(HungUp))),
                Poll::Ready(Ok(_)) => return Poll::Ready(Err(io::Error::other(Unasked))),
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

impl AsyncTokioStream for Lines {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn is_no(line: &[u8]) -> bool {
    line.starts_with(b"4") || line.starts_with(b"5")
}

/// A line as it is kept; a code without a text has a space behind it. Of one that was cut the last word goes, too: half a word is not recognised by whoever looks for secrets.
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
    async fn lines_are_ascii_and_bounded_however_they_come() {
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
                Lines::new(Box::new(client)).read_to_string(&mut read).await.expect("text");
                assert_eq!(read, lines, "{at_a_time}");
            }
        }
    }

    #[tokio::test]
    async fn what_came_before_it_was_asked_for_answers_nothing() {
        let (mut server, client) = duplex(1_000);
        server.write_all(b"220 hello\r\n250 ok\r\n").await.expect("written");
        let mut lines = Lines::new(Box::new(client));
        let mut heard = [0; 100];
        let length = lines.read(&mut heard).await.expect("a line");
        assert_eq!(&heard[..length], b"220 hello\r\n", "one line at a time");
        let error = lines.write_all(b"EHLO x\r\n").await.expect_err("nothing is said");
        assert!(error.get_ref().is_some_and(|error| error.is::<Unasked>()));
        assert!(lines.into_stream().is_err());
        let mut said = Vec::new();
        server.read_to_end(&mut said).await.expect("closed");
        assert_eq!(said, b"");
    }

    #[tokio::test]
    async fn what_has_come_since_the_last_answer_is_found_before_anything_is_said() {
        for said in [Some(b"221 bye\r\n".as_slice()), Some(b"250 ok\r\n"), None] {
            let (mut server, client) = duplex(1_000);
            server.write_all(b"250 ok\r\n").await.expect("written");
            let mut lines = Lines::new(Box::new(client));
            let mut heard = [0; 100];
            let length = lines.read(&mut heard).await.expect("a line");
            assert_eq!(&heard[..length], b"250 ok\r\n");
            match said {
                Some(said) => server.write_all(said).await.expect("written"),
                None => drop(server),
            }
            let error = lines.write_all(b"MAIL\r\n").await.expect_err("nothing is said");
            let inner = error.get_ref().expect("a cause");
            assert!(if said.is_some() { inner.is::<Unasked>() } else { inner.is::<HungUp>() }, "{said:?}: {error}");
        }
    }

    #[test]
    fn a_word_that_was_cut_is_not_shown() {
        let mut line = b"535 you sent".to_vec();
        line.resize(MAX_LINE_BYTES - 4, b' ');
        line.extend_from_slice(b"AHVz");
        assert_eq!(tidy(&line, false).trim_end(), "535 you sent");
    }
}
