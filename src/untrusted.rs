//! Text from outside (a provider's message, a server's answer) before it is kept or shown: bounded, and without control characters.
//!
//! Every text of another system that is stored, logged or shown passes one of these functions. What a terminal or a page needs on
//! top of that (marks of direction, HTML) is escaped where it is printed.

use std::borrow::Cow;

/// At most `max` characters. Line ends and tabs stay; every other control character becomes a space, because in JSON each would take
/// six bytes.
pub fn lines(text: &str, max: usize) -> Cow<'_, str> {
    let cut = match text.char_indices().nth(max) {
        Some((at, _)) => &text[..at],
        None => text,
    };
    let harmful = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if cut.contains(harmful) { cut.replace(harmful, " ").into() } else { cut.into() }
}

/// As [`lines`], and `…` where text was cut.
pub fn excerpt(text: &str, max: usize) -> String {
    let cut = lines(text, max);
    if cut.chars().count() < text.chars().count() { format!("{cut}…") } else { cut.into_owned() }
}

/// One line of at most `max` characters, and `…` where something was cut: white space and control characters become single spaces.
pub fn one_line(text: &str, max: usize) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let tidy = words.collect::<Vec<_>>().join(" ");
    match tidy.char_indices().nth(max) {
        Some((cut, _)) => format!("{}…", &tidy[..cut]),
        None => tidy,
    }
}

/// An error code: at most `max` characters that an identifier may have; others become `_`. `None`: nothing is left.
pub fn code(text: &str, max: usize) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    let code: String = text.trim().chars().take(max).map(|c| if fits(c) { c } else { '_' }).collect();
    Some(code).filter(|code| !code.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_go_and_lines_stay() {
        assert_eq!(lines("a\u{1b}[2J\r\n\tb\u{7f}\u{85}", 100), "a [2J\r\n\tb  ");
        assert!(matches!(lines("Grüße, 漢字\n", 100), Cow::Borrowed(_)));
        assert_eq!(lines(&"ä".repeat(10), 3), "äää", "never half a character");
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
