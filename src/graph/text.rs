//! Escapes merchants' names and texts for each format, and estimates their width.

/// Shortens a text to at most `most` characters; `…` replaces the rest.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Replaces a line break or tab with a space, and an invisible or direction-changing character with U+FFFD.
fn visible(c: char) -> char {
    match c {
        '\n' | '\r' | '\t' => ' ',
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => {
            '\u{fffd}'
        }
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// Escapes a text for XML content and attributes.
pub(super) fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars().map(visible) {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Escapes a text for a quoted string of Graphviz, which interprets backslashes and HTML entities.
pub(super) fn dot(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars().map(visible) {
        match c {
            '&' => escaped.push_str("&amp;"),
            '"' | '\\' => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Escapes a text for Mermaid: special characters of Mermaid, Markdown or HTML become codes such as `#35;`.
pub(super) fn mermaid(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.chars().map(visible).peekable();
    while let Some(c) = rest.next() {
        // `_` inside a word is not emphasis.
        let within = c == '_' && before.is_alphanumeric() && rest.peek().is_some_and(|next| next.is_alphanumeric());
        before = c;
        if within || c.is_alphanumeric() || matches!(c, ' ' | '-' | '.' | ',' | '(' | ')' | '…') {
            escaped.push(c);
        } else {
            escaped.push_str(&format!("#{};", u32::from(c)));
        }
    }
    escaped
}

/// Upper bound of a text's width in common proportional fonts, for font size 1.
pub(super) fn width(text: &str) -> f64 {
    text.chars().map(char_width).sum()
}

/// The same for monospace fonts.
pub(super) fn mono_width(text: &str) -> f64 {
    text.chars().map(|c| if is_wide(c) { 1.1 } else { 0.615 }).sum()
}

fn char_width(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '\'' => 0.29,
        ' ' | '.' | ',' | '·' | '|' | ':' | ';' | '/' | '-' => 0.36,
        'f' | 'r' | 't' | '(' | ')' | '[' | ']' => 0.42,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 0.99,
        'A'..='Z' | '_' => 0.72,
        '=' | '<' | '>' | '+' => 0.84,
        c if is_wide(c) => 1.1,
        _ => 0.635,
    }
}

fn is_wide(c: char) -> bool {
    c >= '\u{1100}'
}

/// Cuts a text to this width.
pub(super) fn fitted(text: &str, most: f64, width_of: fn(&str) -> f64) -> String {
    if width_of(text) <= most {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        if width_of(&kept) + 1.0 > most {
            kept.pop();
            break;
        }
    }
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_merchants_are_escaped_in_each_format() {
        let hostile = "a\"<b>&amp;]]>\\N{x};#35;\u{202e}\u{7}\n`%%";
        assert_eq!(xml(hostile), "a&quot;&lt;b&gt;&amp;amp;]]&gt;\\N{x};#35;\u{fffd}\u{fffd} `%%");
        assert_eq!(dot(hostile), "a\\\"<b>&amp;amp;]]>\\\\N{x};#35;\u{fffd}\u{fffd} `%%");
        assert_eq!(
            mermaid(hostile),
            "a#34;#60;b#62;#38;amp#59;#93;#93;#62;#92;N#123;x#125;#59;#35;35#59;#65533;#65533; #96;#37;#37;"
        );
    }

    #[test]
    fn names_stay_readable_in_mermaid() {
        assert_eq!(mermaid("SOFT_KYC_FAILED _x_"), "SOFT_KYC_FAILED #95;x#95;");
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!((shortened("äbcd", 4), shortened("äbcde", 4)), ("äbcd".to_owned(), "äbc…".to_owned()));
        assert_eq!(fitted("iiii", 2.0, width), "iiii");
        assert_eq!(fitted("some words", 4.0, width), "some…");
    }
}
