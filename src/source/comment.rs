//! A `#` that was meant as text and began a comment, which took the end of a bracket with it: `{to: #room, text: hi}`.
//!
//! The parser notices some lines on, where something does not fit into the bracket any more. From there it is looked back, a
//! few lines and no further.

use super::Report;

const LINES_LOOKED_AT: usize = 50;

/// Reports such a `#` if the parser's error at this byte comes from one.
pub(super) fn explain(at: usize, report: &mut Report<'_>) -> bool {
    let text = report.text();
    let Some(hash) = swallowing(text, at) else { return false };
    let rest = &text[hash..];
    let word = &rest[..rest.find([' ', '\t', '\r', '\n', ',', ']', '}']).unwrap_or(rest.len())];
    let spaced = text[..hash].ends_with([' ', '\t']);
    let message = match spaced {
        true => "an unquoted `#` after a space begins a comment, and the bracket is not closed",
        false => "an unquoted `#` begins a comment, and is no text",
    };
    report.error("yaml", hash..hash + word.len(), message).label(format!("write \"{word}\", in quotes"));
    true
}

/// The `#`, on the nearest line at or before the place, whose comment has closing brackets in it that are missing there.
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

/// Where in this line a comment begins inside a bracket that was opened in it and is closed behind the `#`.
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

/// How many brackets are open at the end of these lines.
fn depth(lines: &str) -> isize {
    let signs =
        lines.lines().flat_map(|line| outside_quotes(line).map(|(_, sign)| sign).take_while(|sign| *sign != b'#'));
    signs.map(|sign| if matches!(sign, b'[' | b'{') { 1 } else { -1 }).sum()
}

/// The brackets of a line, and the signs that begin a comment, with their places; nothing that stands in quotes.
fn outside_quotes(line: &str) -> impl Iterator<Item = (usize, u8)> {
    let bytes = line.as_bytes();
    let mut quote = None;
    let mut before = b' ';
    let mut escaped = false;
    bytes.iter().copied().enumerate().filter(move |(_, byte)| {
        let begins = matches!(before, b' ' | b'\t' | b'[' | b'{' | b',');
        // In single quotes two of them are one, so what has just been closed goes on.
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
    fn a_comment_counts_where_it_takes_a_brackets_end() {
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
    fn only_a_bracket_that_is_still_open_is_blamed() {
        let closed = "a: [x, # see [1]\n  y]\nb: @\n";
        assert_eq!(swallowing(closed, closed.find('@').expect("there")), None);
        let open = "a: {to: #room, text: hi}\nb: 1\n";
        assert_eq!(swallowing(open, open.find("b:").expect("there")), open.find('#'));
    }
}
