//! Encodes header texts that a mail program would read as encoded words.
//!
//! A subject comes from a template, and so from the provider's text. A subject with `=?utf-8?q?…?=` in it would be
//! shown in the mailbox as a different text. lettre encodes words that are not ASCII and leaves the others as they
//! are; a text that contains `=?` is encoded here as a whole.

use base64::{Engine, engine::general_purpose::STANDARD};

/// The number of bytes per encoded word: a line has at most 76 characters, including `Subject: `, `=?utf-8?b?` and
/// `?=`.
const WORD_BYTES: usize = 39;

/// Whether a mail program could read an encoded word in this text.
pub(super) fn looks_encoded(text: &str) -> bool {
    text.contains("=?")
}

/// Returns the text as encoded words, one per line, as the value of a header. Mail programs do not show the space
/// between two encoded words; the spaces of the text are inside the words.
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

    /// A header's value as a mail program shows it; supports only base64 words of RFC 2047.
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
    fn a_text_that_looks_encoded_is_shown_literally() {
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
        assert!(looks_encoded("a=?b") && !looks_encoded("a = ? b"));
    }
}
