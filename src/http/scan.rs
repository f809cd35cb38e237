//! Scans the raw bytes of a request in parallel to hyper, for two facts that hyper does not expose: whether the head
//! had a `Content-Length` next to a `Transfer-Encoding`, and the announced sizes of chunks before their data arrives.
//!
//! The result is only used to refuse requests, never to accept one; hyper alone decides which bytes belong to which
//! request. Only the first request after an idle period is scanned. For requests that are pipelined behind it, hyper
//! reads only the `Transfer-Encoding` and closes the connection after the response, as RFC 9112 requires; their chunks
//! count when they arrive.

const LENGTH: &[u8] = b"content-length:";

/// The facts found in the request so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SeenRequest {
    pub has_length: bool,
    /// The sum of the announced chunk sizes, in bytes.
    pub announced: u64,
}

#[derive(Debug)]
pub(super) struct HeadScan {
    at: ScanState,
    seen: SeenRequest,
}

#[derive(Clone, Copy, Debug)]
enum ScanState {
    /// In the request line, or in empty lines before it.
    Start { empty: bool },
    /// In a header line whose first `matched` bytes are those of [`LENGTH`].
    Header { matched: usize },
    /// In a header line with another name, or in the rest of a header line.
    Rest { empty: bool },
    /// In the size line of a chunk. `None`: no digit yet.
    Size(Option<u64>),
    /// After the size, in the rest of the size line.
    Extension(u64),
    /// In the data of a chunk. The number of bytes left includes the line break.
    Chunk(u64),
    /// The rest of the request is not scanned.
    End,
}

impl Default for HeadScan {
    fn default() -> Self {
        Self { at: ScanState::Start { empty: true }, seen: SeenRequest::default() }
    }
}

impl HeadScan {
    /// Scans the next bytes. Returns the facts if they have changed.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Option<SeenRequest> {
        let before = self.seen;
        while !bytes.is_empty() {
            bytes = match self.at {
                ScanState::End => break,
                ScanState::Start { .. } | ScanState::Rest { .. } => self.skip_line(bytes),
                ScanState::Chunk(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    let left = left - here as u64;
                    self.at = if left == 0 { ScanState::Size(None) } else { ScanState::Chunk(left) };
                    &bytes[here..]
                }
                ScanState::Header { matched } => {
                    self.header(bytes[0], matched);
                    &bytes[1..]
                }
                ScanState::Size(size) => {
                    self.size(bytes[0], size);
                    &bytes[1..]
                }
                ScanState::Extension(size) => match bytes.iter().position(|byte| *byte == b'\n') {
                    None => break,
                    Some(end) => {
                        self.seen.announced = self.seen.announced.saturating_add(size);
                        self.at = if size == 0 { ScanState::End } else { ScanState::Chunk(size.saturating_add(2)) };
                        &bytes[end + 1..]
                    }
                },
            };
        }
        (self.seen != before).then_some(self.seen)
    }

    /// Skips to the end of a line and only records whether the line is empty.
    fn skip_line<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let here = &bytes[..end.unwrap_or(bytes.len())];
        let nothing = here.iter().all(|byte| *byte == b'\r');
        self.at = match (self.at, end) {
            (ScanState::Start { empty }, None) => ScanState::Start { empty: empty && nothing },
            // Empty lines before a request are skipped.
            (ScanState::Start { empty }, Some(_)) if empty && nothing => ScanState::Start { empty },
            (ScanState::Rest { empty }, None) => ScanState::Rest { empty: empty && nothing },
            (ScanState::Rest { empty }, Some(_)) if empty && nothing => ScanState::Size(None),
            _ => ScanState::Header { matched: 0 },
        };
        end.map_or(&[], |end| &bytes[end + 1..])
    }

    fn header(&mut self, byte: u8, matched: usize) {
        self.at = match byte {
            b'\n' if matched == 0 => ScanState::Size(None),
            b'\n' => ScanState::Header { matched: 0 },
            b'\r' if matched == 0 => ScanState::Rest { empty: true },
            byte if LENGTH.get(matched) == Some(&byte.to_ascii_lowercase()) => {
                self.seen.has_length |= matched + 1 == LENGTH.len();
                ScanState::Header { matched: matched + 1 }
            }
            _ => ScanState::Rest { empty: false },
        };
    }

    fn size(&mut self, byte: u8, size: Option<u64>) {
        let digit = char::from(byte).to_digit(16).map(u64::from);
        self.at = match (digit, size) {
            (Some(digit), size) => {
                ScanState::Size(Some(size.unwrap_or_default().saturating_mul(16).saturating_add(digit)))
            }
            (None, Some(size)) if matches!(byte, b';' | b' ' | b'\t' | b'\r') => ScanState::Extension(size),
            _ => ScanState::End,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the facts found in `text`, and checks that they do not depend on how the bytes are split.
    fn seen(text: &str) -> SeenRequest {
        let whole = {
            let mut scan = HeadScan::default();
            scan.read(text.as_bytes());
            scan.seen
        };
        for piece in [1, 2, 3, 7] {
            let mut scan = HeadScan::default();
            let mut last = SeenRequest::default();
            for bytes in text.as_bytes().chunks(piece) {
                last = scan.read(bytes).unwrap_or(last);
            }
            assert_eq!(last, whole, "in pieces of {piece}: {text:?}");
        }
        whole
    }

    #[test]
    fn a_length_is_found_only_in_the_head() {
        for (text, has_length) in [
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", true),
            ("\r\n\r\nPOST / HTTP/1.1\r\ncontent-LENGTH:5\r\n\r\n", true),
            ("POST / HTTP/1.1\nHost: x\nContent-Length: 5\n\n", true),
            ("POST / HTTP/1.1\r\nHost: x\r\n\r\nContent-Length: 5\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nX-Content-Length: 5\r\nContent-Lengthy: 5\r\nContent-: 1\r\n\r\n", false),
            ("POST /content-length: HTTP/1.1\r\nHost: content-length:5\r\n\r\n", false),
            ("", false),
        ] {
            assert_eq!(seen(text).has_length, has_length, "{text:?}");
        }
    }

    #[test]
    fn chunks_are_counted_before_their_data_arrives() {
        let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (body, announced) in [
            ("", 0),
            ("5", 0),
            ("5\r\n", 5),
            ("5\r\nabcde\r\nFf;name=value\r\nabc", 260),
            ("5 \r\nabcde\r\n0\r\n\r\nffffff\r\n", 5),
            ("ffffffffffffffffffffffff\r\n", u64::MAX),
            ("{\"a\":1}\r\nff\r\n", 0),
            ("\r\nff\r\n", 0),
            ("5\r\nff\r\nx\r\nff\r\n", 260),
        ] {
            assert_eq!(seen(&format!("{head}{body}")).announced, announced, "{body:?}");
        }
    }
}
