//! Escapes text for a terminal.
//!
//! Customer ids, messages of the provider and replies of a mail relay are printed on an operator's terminal. A control
//! character in them could move the cursor or set the title. A direction mark could make one id look like another.

use std::borrow::Cow;

/// Replaces control and direction characters by escapes such as `\u{1b}`. Line ends and tabs stay.
pub fn escape_control(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| if is_control(c) { format!("\\u{{{:x}}}", u32::from(c)) } else { c.to_string() };
    Cow::Owned(text.chars().map(shown).collect())
}

/// Escapes a text and joins its lines: line ends and tabs become spaces.
pub fn in_one_line(text: &str) -> String {
    escape_control(&text.replace("\r\n", " ").replace(['\n', '\r', '\t'], " ")).into_owned()
}

fn is_control(c: char) -> bool {
    let control = c.is_control() && !matches!(c, '\n' | '\t');
    let direction =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    control || direction || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_direction_characters_are_escaped() {
        assert_eq!(escape_control("a\u{1b}[2Jb\u{9b}c\u{7}\r\n\td"), "a\\u{1b}[2Jb\\u{9b}c\\u{7}\\u{d}\n\td");
        assert_eq!(
            escape_control("\u{202e}\u{2066}\u{200f}\u{61c}\u{2028}\u{feff}"),
            "\\u{202e}\\u{2066}\\u{200f}\\u{61c}\\u{2028}\\u{feff}"
        );
        assert!(matches!(escape_control("Grüße, 漢字 👩‍💻"), Cow::Borrowed(_)));
        assert_eq!(in_one_line("one\r\ntwo\nthree\tfour\u{1b}"), "one two three four\\u{1b}");
    }
}
