//! What comes from outside, as text of a room: nothing in it is markup any more.
//!
//! Only what could mean something is escaped, so that an id or a status reads, and is found, as it is.

/// Not seen, and no part of a word: what stands on both sides of it does not belong together.
const APART: char = '\u{200B}';

/// For Slack, whose markup of links and mentions stands between `<` and `>`.
pub(super) fn slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// For rooms that read Markdown. Mentions begin with an `@`, which no backslash takes away everywhere.
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
            // Within a word it is a letter, as in the names of statuses.
            '_' => !(in_word(before) && in_word(next)),
            '#' => !in_word(before),
            // A list, or a line below a heading.
            '-' | '+' | '=' => before.is_none(),
            '.' | ')' => only_digits && before.is_some() && next.is_none_or(char::is_whitespace),
            _ => false,
        };
        if is_markup {
            escaped.push('\\');
        }
        escaped.push(c);
        let is_mention = c == '@' && !in_word(before);
        // `{{DATE(…)}}` is a date to Teams.
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
    fn what_is_no_markup_stays_as_it_is() {
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
    fn what_could_be_markup_is_text() {
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
