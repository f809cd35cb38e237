//! Limits text from outside (a provider's message, a server's response) before it is stored or shown: its length, and
//! control characters.
//!
//! All text from other systems that is stored, logged or shown goes through one of these functions. Escapes for a
//! terminal or a page (direction marks, HTML) are added where the text is printed.

use std::borrow::Cow;

/// Truncates to `max` characters. Line ends and tabs are kept; any other control character becomes a space, because
/// each would take six bytes in JSON.
pub fn lines(text: &str, max: usize) -> Cow<'_, str> {
    let cut = match text.char_indices().nth(max) {
        Some((at, _)) => &text[..at],
        None => text,
    };
    let harmful = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if cut.contains(harmful) { cut.replace(harmful, " ").into() } else { cut.into() }
}

/// Like [`lines`], and appends `…` to truncated text.
pub fn excerpt(text: &str, max: usize) -> String {
    let cut = lines(text, max);
    if cut.chars().count() < text.chars().count() { format!("{cut}…") } else { cut.into_owned() }
}

/// One line of at most `max` characters, with `…` after truncated text. Each run of white space and control characters
/// becomes one space.
pub fn one_line(text: &str, max: usize) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let tidy = words.collect::<Vec<_>>().join(" ");
    match tidy.char_indices().nth(max) {
        Some((cut, _)) => format!("{}…", &tidy[..cut]),
        None => tidy,
    }
}

/// Returns an error code: at most `max` characters; a character that is not allowed in an identifier becomes `_`.
/// `None`: the text is empty.
pub fn code(text: &str, max: usize) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    let code: String = text.trim().chars().take(max).map(|c| if fits(c) { c } else { '_' }).collect();
    Some(code).filter(|code| !code.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_replaced_and_line_ends_are_kept() {
        assert_eq!(lines("a\u{1b}[2J\r\n\tb\u{7f}\u{85}", 100), "a [2J\r\n\tb  ");
        assert!(matches!(lines("Grüße, 漢字\n", 100), Cow::Borrowed(_)));
        assert_eq!(lines(&"ä".repeat(10), 3), "äää", "characters are not split");
        assert_eq!(excerpt("a\u{7}bc", 2), "a …");
        assert_eq!(excerpt("a\u{7}b", 3), "a b");
        assert_eq!(one_line("a\r\n  b\u{7}c", 100), "a b c");
        assert_eq!(one_line("äöü", 2), "äö…");
    }

    #[test]
    fn an_error_code_is_an_identifier() {
        assert_eq!(code(" db_violation\n", 64).as_deref(), Some("db_violation"));
        assert_eq!(code("a b\u{1b}[2Jé", 64).as_deref(), Some("a_b__2J_"));
        assert_eq!(code(&"x".repeat(100), 64).map(|code| code.len()), Some(64));
        assert_eq!(code(" \n", 64), None);
    }
}
