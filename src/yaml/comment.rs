//! Explains a `#` that was meant as text but begins a comment, and so hides the end of a bracket:
//! `{to: #room, text: hi}`.
//!
//! The parser reports the error some lines later, where the text does not fit into the open bracket. From that line,
//! this module searches at most [`LINES_LOOKED_AT`] lines backwards.

use super::Report;

const LINES_LOOKED_AT: usize = 50;

/// Reports such a `#` if it caused the parser's error at this offset, in bytes.
pub(super) fn explain(at: usize, report: &mut Report<'_>) -> bool {
    let text = report.text();
    let Some(hash) = swallowing(text, at) else { return false };
    let rest = &text[hash..];
    let word = &rest[..rest.find([' ', '\t', '\r', '\n', ',', ']', '}']).unwrap_or(rest.len())];
    let spaced = text[..hash].ends_with([' ', '\t']);
    let message = match spaced {
        true => "an unquoted `#` after a space begins a comment, and the bracket is not closed",
        false => "an unquoted `#` begins a comment, and is not text",
    };
    report.error("yaml", hash..hash + word.len(), message).label(format!("write \"{word}\", in quotes"));
    true
}

/// Returns the offset of the `#`, on the nearest line at or before `at`, whose comment contains closing brackets that
/// are missing at `at`.
fn swallowing(text: &str, at: usize) -> Option<usize> {
    let mut end = text[at..].find('\n').map_or(text.len(), |end| at + end);
    for _ in 0..LINES_LOOKED_AT {
        let start = text[..end].rfind('\n').map_or(0, |end| end + 1);
        if let Some(hash) = comment_in_brackets(&text[start..end]).map(|hash| start + hash)
            && hash <= at
            && depth(&text[start..at.max(hash)]) > 0
        {
            return Some(hash);
        }
        end = start.checked_sub(1)?;
    }
    None
}

/// Returns the offset in this line at which a comment begins inside a bracket that was opened in the line and is closed
/// in the comment.
fn comment_in_brackets(line: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let (hash, _) = outside_quotes(line).find(|(_, sign)| {
        match sign {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        *sign == b'#'
    })?;
    (depth > 0 && line[hash..].contains([']', '}'])).then_some(hash)
}

/// The number of brackets that are open at the end of these lines.
fn depth(lines: &str) -> isize {
    let signs =
        lines.lines().flat_map(|line| outside_quotes(line).map(|(_, sign)| sign).take_while(|sign| *sign != b'#'));
    signs.map(|sign| if matches!(sign, b'[' | b'{') { 1 } else { -1 }).sum()
}

/// Returns the brackets of a line and each `#` that begins a comment, with their offsets, without those in quotes.
fn outside_quotes(line: &str) -> impl Iterator<Item = (usize, u8)> {
    let bytes = line.as_bytes();
    let mut quote = None;
    let mut before = b' ';
    let mut escaped = false;
    bytes.iter().copied().enumerate().filter(move |(_, byte)| {
        let begins = matches!(before, b' ' | b'\t' | b'[' | b'{' | b',');
        // In single quotes, two quotes stand for one, so the quoted text continues after them.
        let doubled = before == b'\'' && *byte == b'\'';
        before = *byte;
        match (quote, byte) {
            (Some(b'"'), _) if escaped => escaped = false,
            (Some(b'"'), b'\\') => escaped = true,
            (Some(open), byte) if open == *byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') if begins || doubled => quote = Some(*byte),
            (None, b'#') => return begins,
            (None, byte) => return matches!(byte, b'[' | b']' | b'{' | b'}'),
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_that_hides_a_closing_bracket_is_found() {
        let at = |line: &'static str| comment_in_brackets(line).map(|at| &line[at..at + 2]);
        for line in
            ["- chat: {to: #r, text: hi}", "if: {tags: [#r]}", "x: [\"#a\", 'it''s #b', #r]", "{a: it's, b: #r}"]
        {
            assert_eq!(at(line), Some("#r"), "{line}");
        }
        for line in ["x: [a] #r]", "x: [a, #r", "x: [\"#r\"]", "x: [a#r]", "#r [ #r ]", "x: #r"] {
            assert_eq!(at(line), None, "{line}");
        }
    }

    #[test]
    fn only_a_bracket_that_is_still_open_is_reported() {
        let closed = "a: [x, # see [1]\n  y]\nb: @\n";
        assert_eq!(swallowing(closed, closed.find('@').expect("there")), None);
        let open = "a: {to: #room, text: hi}\nb: 1\n";
        assert_eq!(swallowing(open, open.find("b:").expect("there")), open.find('#'));
    }
}
