//! Texts of headers that would be taken for encoded words, encoded themselves.
//!
//! A subject comes from a template, and so from the provider's text. With `=?utf-8?q?…?=` in it, it would say something else in
//! the mailbox than it says here. lettre encodes words that are not ASCII and leaves the others as they are; where `=?` stands
//! in a text, all of it is encoded.

use base64::{Engine, engine::general_purpose::STANDARD};

/// A line with encoded words has at most 76 characters. With `Subject: `, `=?utf-8?b?` and `?=` so many bytes fit into one.
const WORD_BYTES: usize = 39;

/// Whether a mail program would look for encoded words in here.
pub(super) fn is_mistakable(text: &str) -> bool {
    text.contains("=?")
}

/// The text as encoded words, one a line, as a header's value. Space between two such words is not shown; that of the text
/// is inside of them.
pub(super) fn encode(text: &str) -> String {
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.floor_char_boundary(WORD_BYTES));
        words.push(format!("=?utf-8?b?{}?=", STANDARD.encode(word)));
        rest = after;
    }
    words.join("\r\n ")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A header's value as a mail program shows it, and nothing but what RFC 2047 says.
    pub fn decoded(value: &str) -> String {
        let mut shown = String::new();
        let mut after_word = false;
        for word in value.split_ascii_whitespace() {
            let inside = word.strip_prefix("=?utf-8?b?").and_then(|word| word.strip_suffix("?="));
            let joined = after_word && inside.is_some();
            if !shown.is_empty() && !joined {
                shown.push(' ');
            }
            match inside {
                Some(inside) => {
                    let bytes = STANDARD.decode(inside).expect("base64");
                    shown.push_str(&String::from_utf8(bytes).expect("whole characters"));
                }
                None => shown.push_str(word),
            }
            after_word = inside.is_some();
        }
        shown
    }

    #[test]
    fn what_looks_encoded_is_shown_as_it_stands() {
        for text in [
            "=?utf-8?q?You=20won?=",
            "Your document: =?utf-8?b?SGFoYQ==?= is missing",
            " =?  two  spaces and one at the end ",
            &format!("{} =?", "Prüfung 漢字 👩‍💻 ".repeat(20)),
        ] {
            let encoded = encode(text);
            assert_eq!(decoded(&encoded), text);
            assert!(
                encoded.is_ascii() && encoded.split("\r\n ").all(|line| line.len() <= 76 - "Reply-To: ".len()),
                "{encoded}"
            );
        }
        assert!(is_mistakable("a=?b") && !is_mistakable("a = ? b"));
    }
}
