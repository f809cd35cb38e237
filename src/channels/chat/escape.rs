//! Escapes text from outside for chat rooms, so that it contains no markup.
//!
//! Only characters that could be markup are escaped, so that an id or a status stays readable and searchable.

/// An invisible character that ends a word: the text before it and the text behind it are separate words.
const APART: char = '\u{200B}';

/// Escapes for Slack, whose links and mentions stand between `<` and `>`.
pub(super) fn slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Escapes for rooms that read Markdown. A mention begins with `@`, which a backslash does not escape everywhere.
pub(super) fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    let mut before: Option<char> = None;
    let mut rest = text.chars().peekable();
    let mut only_digits = true;
    while let Some(c) = rest.next() {
        let next = rest.peek().copied();
        let in_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let is_markup = match c {
            '\\' | '*' | '`' | '~' | '|' | '[' | ']' | '<' | '>' => true,
            // Inside a word it is no markup, as in the names of statuses.
            '_' => !(in_word(before) && in_word(next)),
            '#' => !in_word(before),
            // A list item, or the underline of a heading.
            '-' | '+' | '=' => before.is_none(),
            '.' | ')' => only_digits && before.is_some() && next.is_none_or(char::is_whitespace),
            _ => false,
        };
        if is_markup {
            escaped.push('\\');
        }
        escaped.push(c);
        let is_mention = c == '@' && !in_word(before);
        // Teams reads `{{DATE(…)}}` as a date.
        let is_brace = c == '{' && next == Some('{');
        if is_mention || is_brace {
            escaped.push(APART);
        }
        only_digits &= c.is_ascii_digit();
        before = Some(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_markup_is_not_changed() {
        for plain in [
            "C-77",
            "SOFT_KYC_FAILED",
            "ada@customer.example",
            "3.5",
            "a+b",
            "issue#7",
            "Größe: 漢字",
            "no. 7",
            "x = y",
        ] {
            assert_eq!(markdown(plain), plain);
            assert_eq!(slack(plain), plain);
        }
    }

    #[test]
    fn markup_is_escaped() {
        for (text, escaped) in [
            ("<!channel> <@U1> & co", "\\<!channel\\> \\<@\u{200B}U1\\> & co"),
            ("@everyone", "@\u{200B}everyone"),
            ("x.@channel", "x.@\u{200B}channel"),
            ("[bank](https://evil.example)", "\\[bank\\](https://evil.example)"),
            (
                "**bold** _it_ ~~no~~ `code` ||hidden||",
                "\\*\\*bold\\*\\* \\_it\\_ \\~\\~no\\~\\~ \\`code\\` \\|\\|hidden\\|\\|",
            ),
            ("# title #tag", "\\# title \\#tag"),
            ("- item", "\\- item"),
            ("12. item", "12\\. item"),
            ("a\\*b", "a\\\\\\*b"),
            ("{{DATE(2017-02-14)}}", "{\u{200B}{DATE(2017-02-14)}}"),
        ] {
            assert_eq!(markdown(text), escaped, "{text}");
        }
        assert_eq!(slack("<!channel> <@U1> & co"), "&lt;!channel&gt; &lt;@U1&gt; &amp; co");
    }
}
