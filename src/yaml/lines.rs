//! The offsets of the lines of a text.

/// An index of the line breaks of a text, for looking up line numbers.
#[derive(Debug)]
pub struct LineIndex(Vec<usize>);

impl LineIndex {
    pub fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect())
    }

    /// The line that contains this byte offset; lines count from 1.
    pub fn line(&self, at: usize) -> u32 {
        u32::try_from(self.0.partition_point(|end| *end < at) + 1).unwrap_or(u32::MAX)
    }

    /// The span of a line, without the white space around its text; lines count from 1.
    pub fn span(&self, text: &str, line: u32) -> Option<std::ops::Range<usize>> {
        let nth = usize::try_from(line).ok()?.checked_sub(1)?;
        let start = match nth.checked_sub(1) {
            None => 0,
            Some(before) => self.0.get(before)? + 1,
        };
        let written = text.get(start..self.0.get(nth).copied().unwrap_or(text.len()))?;
        let start = start + written.len() - written.trim_start().len();
        Some(start..start + written.trim().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_its_line_break() {
        let lines = LineIndex::of("a\nb\n\nc");
        assert_eq!([0, 1, 2, 3, 4, 5, 99].map(|at| lines.line(at)), [1, 1, 2, 2, 3, 4, 4]);
        let text = "a\n  b \n\nc";
        let spans = [0, 1, 2, 3, 4, 5].map(|line| LineIndex::of(text).span(text, line).map(|span| &text[span]));
        assert_eq!(spans, [None, Some("a"), Some("b"), Some(""), Some("c"), None]);
    }
}
