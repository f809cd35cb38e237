//! Splits the code of a template into tokens, in the same way as minijinja's lexer.
//!
//! `bounds.rs` counts the tokens before the parser reads the text, and `guard.rs` finds the ends of operands. A
//! character that minijinja does not accept ends the block here: minijinja rejects the template at the same place.

use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Name,
    /// A string or a number.
    Literal,
    Sign,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TemplateToken<'t> {
    pub kind: TokenKind,
    pub text: &'t str,
    /// Offset in bytes of the template.
    pub at: usize,
}

impl TemplateToken<'_> {
    pub fn end(&self) -> usize {
        self.at + self.text.len()
    }

    pub fn span(&self) -> Range<usize> {
        self.at..self.end()
    }
}

/// `{{ … }}` or `{% … %}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TemplateBlock<'t> {
    pub is_statement: bool,
    pub tokens: Vec<TemplateToken<'t>>,
}

impl TemplateBlock<'_> {
    /// The keyword after `{%`.
    pub fn tag(&self) -> Option<&str> {
        self.tokens.first().filter(|token| self.is_statement && token.kind == TokenKind::Name).map(|token| token.text)
    }
}

/// Returns every block in order, without comments and without the content of `raw`.
pub(super) fn blocks(text: &str) -> Vec<TemplateBlock<'_>> {
    let mut lexer = Lexer { text, at: 0, open: 0 };
    let mut blocks = Vec::new();
    while let Some(marker) = lexer.next_marker() {
        match marker {
            b'#' => match text[lexer.at..].find("#}") {
                Some(end) => lexer.at += end + 2,
                None => break,
            },
            b'%' if lexer.skip_raw() => {}
            marker => {
                let (tokens, is_whole) = lexer.block(if marker == b'%' { "%}" } else { "}}" });
                blocks.push(TemplateBlock { is_statement: marker == b'%', tokens });
                if !is_whole {
                    break;
                }
            }
        }
    }
    blocks
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    /// The number of open brackets; minijinja does not look for a block's end inside brackets.
    open: i64,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// Moves after the next `{{`, `{%` or `{#` and its optional whitespace sign; returns its second character.
    fn next_marker(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(found) = self.rest().find('{') {
            let marker = bytes.get(self.at + found + 1).copied();
            if let Some(marker @ (b'{' | b'%' | b'#')) = marker {
                self.at += found + 2;
                // A comment may be `{#-#}`, whose end uses the same sign.
                if marker != b'#' && matches!(bytes.get(self.at), Some(b'-' | b'+')) {
                    self.at += 1;
                }
                return Some(marker);
            }
            self.at += found + 1;
        }
        None
    }

    /// After `{%`: skips a whole `raw … endraw`.
    fn skip_raw(&mut self) -> bool {
        let Some(inner) = basic_tag(self.rest(), "raw", false) else { return false };
        let mut at = self.at + inner;
        while let Some(found) = self.text[at..].find("{%") {
            at += found + 2;
            if let Some(end) = basic_tag(&self.text[at..], "endraw", true) {
                self.at = at + end;
                return true;
            }
        }
        self.at = self.text.len();
        true
    }

    /// Returns the tokens up to the block's end, and whether the end was found.
    fn block(&mut self, close: &str) -> (Vec<TemplateToken<'t>>, bool) {
        let mut tokens = Vec::new();
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_whitespace()).len();
            let rest = self.rest();
            let Some(first) = rest.chars().next() else { return (tokens, false) };
            if self.open == 0 {
                let end = rest.strip_prefix(['-', '+']).unwrap_or(rest);
                for end in [rest, end] {
                    if end.starts_with(close) {
                        self.at = self.text.len() - end.len() + close.len();
                        return (tokens, true);
                    }
                }
            }
            let (kind, length) = match first {
                '"' | '\'' => match string(rest, first) {
                    Some(length) => (TokenKind::Literal, length),
                    None => return (tokens, false),
                },
                '0'..='9' => (TokenKind::Literal, number(rest, self.text.as_bytes()[..self.at].last() == Some(&b'.'))),
                'a'..='z' | 'A'..='Z' | '_' => (TokenKind::Name, name(rest)),
                _ => match sign(rest) {
                    Some(length) => (TokenKind::Sign, length),
                    None => return (tokens, false),
                },
            };
            self.open += match first {
                '(' | '[' | '{' => 1,
                ')' | ']' | '}' => -1,
                _ => 0,
            };
            tokens.push(TemplateToken { kind, text: &rest[..length], at: self.at });
            self.at += length;
        }
    }
}

/// The length of `NAME %}` with the spaces and signs that it may contain.
fn basic_tag(text: &str, name: &str, may_begin_with_sign: bool) -> Option<usize> {
    let rest = if may_begin_with_sign { text.strip_prefix(['-', '+']).unwrap_or(text) } else { text };
    let spaces = |text: &'_ str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_whitespace()).len();
    let rest = rest[spaces(rest)..].strip_prefix(name)?;
    let rest = &rest[spaces(rest)..];
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest).strip_prefix("%}")?;
    Some(text.len() - rest.len())
}

fn name(text: &str) -> usize {
    text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count()
}

fn string(text: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Accepts integers with a radix, fractions and exponents; after a dot only an index.
fn number(text: &str, is_index: bool) -> usize {
    #[derive(Clone, Copy)]
    enum TextPart {
        Radix,
        Whole,
        Fraction,
        Exponent,
        ExponentDigits,
    }
    let bytes = text.as_bytes();
    let (mut part, mut at, is_hex) = match bytes.get(..2) {
        Some(b"0x" | b"0X") => (TextPart::Radix, 2, true),
        Some(b"0b" | b"0B" | b"0o" | b"0O") => (TextPart::Radix, 2, false),
        _ => (TextPart::Whole, 0, false),
    };
    while let Some(byte) = bytes.get(at) {
        part = match (byte, part) {
            (b'0'..=b'9', TextPart::Exponent) => TextPart::ExponentDigits,
            (b'0'..=b'9' | b'_', part) => part,
            (b'a'..=b'f' | b'A'..=b'F', TextPart::Radix) if is_hex => part,
            (b'.', TextPart::Whole) if !is_index => {
                let is_exponent = matches!(bytes.get(at + 1), Some(b'e' | b'E'))
                    && matches!(bytes.get(at + 2), Some(b'+' | b'-' | b'0'..=b'9'));
                let is_name = matches!(bytes.get(at + 1), Some(b'a'..=b'z' | b'A'..=b'Z' | b'_'));
                if is_name && !is_exponent {
                    break;
                }
                TextPart::Fraction
            }
            (b'e' | b'E', TextPart::Whole | TextPart::Fraction) => TextPart::Exponent,
            (b'+' | b'-', TextPart::Exponent) => TextPart::ExponentDigits,
            _ => break,
        };
        at += 1;
    }
    at
}

fn sign(text: &str) -> Option<usize> {
    const TWO: [&str; 6] = ["//", "**", "==", "!=", ">=", "<="];
    if TWO.iter().any(|two| text.starts_with(two)) {
        return Some(2);
    }
    text.starts_with(['+', '-', '*', '/', '%', '.', ',', ':', '~', '|', '=', '>', '<', '(', ')', '[', ']', '{', '}'])
        .then_some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<Vec<&str>> {
        blocks(text).into_iter().map(|block| block.tokens.into_iter().map(|token| token.text).collect()).collect()
    }

    #[test]
    fn a_template_is_split_as_minijinja_splits_it() {
        for (text, expected) in [
            (
                "a {{ b.c|d('}}')-}} {%+ if x //2 >= 1_0.5e-3+%}",
                vec![vec!["b", ".", "c", "|", "d", "(", "'}}'", ")"], vec!["if", "x", "//", "2", ">=", "1_0.5e-3"]],
            ),
            ("{{ {'a': {'b': 1}}}}", vec![vec!["{", "'a'", ":", "{", "'b'", ":", "1", "}", "}"]]),
            ("{# {{ no }} #}{% raw %}{{ no }}{%- endraw -%}{{ yes }}", vec![vec!["yes"]]),
            ("{{ x.0.1 ~ 1.5 }}{{ 1.e }}", vec![vec!["x", ".", "0", ".", "1", "~", "1.5"], vec!["1", ".", "e"]]),
            ("{{ \"a\\\"b\" }}", vec![vec!["\"a\\\"b\""]]),
            ("{ { {{- a -}} é {% é %}", vec![vec!["a"], vec![]]),
            ("{{", vec![vec![]]),
            ("{{ 'a", vec![vec![]]),
        ] {
            assert_eq!(texts(text), expected, "{text}");
        }
        for token in blocks("é {{ 'ü' ~ b }}").iter().flat_map(|block| &block.tokens) {
            assert_eq!(&"é {{ 'ü' ~ b }}"[token.span()], token.text);
        }
    }
}
