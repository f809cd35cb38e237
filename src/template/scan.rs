//! The words in `{{ }}` and `{% %}` with their places, which minijinja's parser does not return.
//!
//! They are used only to find names that do not exist, also in branches that no sample customer reaches. Other
//! characters are skipped, and syntax errors are left to minijinja.

use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScanKind {
    /// `customer.name`
    Path,
    /// `words` in `| words`
    Filter,
    /// `defined` in `is not defined`
    Test,
    /// `if` in `{% if`
    Tag,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScanWord<'t> {
    pub kind: ScanKind,
    /// Without spaces around a dot.
    pub text: &'t str,
    /// In bytes of the scanned text.
    pub span: Range<usize>,
}

/// Returns every word of every expression and statement, in order.
pub(super) fn words(text: &str) -> Vec<ScanWord<'_>> {
    let mut words = Vec::new();
    let mut at = 0;
    let mut raw = false;
    while let Some((open, close)) = next_block(text, at) {
        let end = match close {
            "#}" => text[open + 2..].find(close).map_or(text.len(), |found| open + 2 + found),
            _ => end_of_code(text, open + 2, close),
        };
        if close != "#}" {
            let before = words.len();
            scan(text, open + 2..end, close == "%}", &mut words);
            let tag = words.get(before).filter(|word| word.kind == ScanKind::Tag).map(|word| word.text);
            match tag {
                Some("endraw") => raw = false,
                _ if raw => words.truncate(before),
                Some("raw") => raw = true,
                _ => {}
            }
        }
        at = (end + 2).min(text.len());
    }
    words
}

/// Returns the start of the next block, and the text that closes it.
fn next_block(text: &str, from: usize) -> Option<(usize, &'static str)> {
    text.get(from..)?.match_indices('{').find_map(|(at, _)| {
        let close = match text.as_bytes().get(from + at + 1)? {
            b'{' => "}}",
            b'%' => "%}",
            b'#' => "#}",
            _ => return None,
        };
        Some((from + at, close))
    })
}

/// Returns the end of a block; a closing text in quotes does not count.
fn end_of_code(text: &str, from: usize, close: &str) -> usize {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text[from..].char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if text[from + at..].starts_with(close) => return from + at,
            None => {}
        }
    }
    text.len()
}

fn scan<'t>(text: &'t str, block: Range<usize>, statement: bool, words: &mut Vec<ScanWord<'t>>) {
    let code = &text[block.clone()];
    let is_word = |c: char| c == '_' || c.is_alphanumeric();
    let mut next = if statement { ScanKind::Tag } else { ScanKind::Path };
    let mut at = 0;
    while let Some(c) = code[at..].chars().next() {
        let start = at;
        if c == '"' || c == '\'' {
            at = end_of_string(code, at, c);
            next = ScanKind::Path;
        } else if c.is_ascii_digit() {
            at += code[at..].find(|c: char| !(is_word(c) || c == '.')).unwrap_or(code.len() - at);
            next = ScanKind::Path;
        } else if is_word(c) {
            let dotted = next == ScanKind::Path;
            at += code[at..].find(|c: char| !(is_word(c) || dotted && c == '.')).unwrap_or(code.len() - at);
            let text = code[start..at].trim_end_matches('.');
            match (next, text) {
                (ScanKind::Test, "not") => continue,
                (ScanKind::Path, "is") => next = ScanKind::Test,
                (ScanKind::Path, "and" | "or" | "not" | "in" | "if" | "else") => {}
                (kind, text) => {
                    let start = block.start + start;
                    words.push(ScanWord { kind, text, span: start..start + text.len() });
                    next = if kind == ScanKind::Tag && text == "filter" { ScanKind::Filter } else { ScanKind::Path };
                }
            }
        } else {
            at += c.len_utf8();
            match c {
                '|' => next = ScanKind::Filter,
                // `a["b"].c` and `f(x).c`: the name after the dot belongs to a value that has no name.
                '.' => at += code[at..].find(|c: char| !is_word(c)).unwrap_or(code.len() - at),
                ' ' | '\t' | '\n' | '\r' | '-' | '+' if start == 0 || next != ScanKind::Path => {}
                _ => next = ScanKind::Path,
            }
        }
    }
}

fn end_of_string(code: &str, open: usize, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in code[open + 1..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return open + 2 + at,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_with_their_kind_and_place() {
        let text = "Hi {{ customer.name or \"a | b\" | upper }}, {%- if step is not odd and x|length > 2 %}{# no.thing #}{% endif %}";
        let found: Vec<_> = words(text).into_iter().map(|word| (word.kind, word.text)).collect();
        assert_eq!(
            found,
            [
                (ScanKind::Path, "customer.name"),
                (ScanKind::Filter, "upper"),
                (ScanKind::Tag, "if"),
                (ScanKind::Path, "step"),
                (ScanKind::Test, "odd"),
                (ScanKind::Path, "x"),
                (ScanKind::Filter, "length"),
                (ScanKind::Tag, "endif"),
            ]
        );
        for word in words(text) {
            assert_eq!(&text[word.span], word.text);
        }
    }

    #[test]
    fn raw_quoted_and_unclosed_text_is_handled() {
        assert_eq!(words("{% raw %}{{ a }}{% endraw %}").len(), 2);
        assert_eq!(words("{{ '}}' ~ a }}")[0].text, "a");
        assert_eq!(words("{{ é.ü")[0].text, "é.ü");
        assert_eq!(words("{{").len(), 0);
        assert_eq!(words("{# {{ a }}").len(), 0);
        assert_eq!(words("{{ \"\\\" }}").len(), 0);
    }
}
