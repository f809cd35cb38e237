//! The tokenizer of `when`: words and signs with their byte ranges.

use std::ops::Range;

/// A byte range in the trigger's text.
pub(in crate::rules) type ByteSpan = Range<usize>;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::rules) enum TriggerToken<'w> {
    Word(&'w str),
    Arrow,
    Bar,
    Comma,
    /// A wrong arrow: `=>`, `→` or `-->`.
    OddArrow,
}

pub(in crate::rules) fn tokens(text: &str) -> Vec<(TriggerToken<'_>, ByteSpan)> {
    const SIGNS: &[(&str, TriggerToken<'static>)] = &[
        ("->", TriggerToken::Arrow),
        ("|", TriggerToken::Bar),
        (",", TriggerToken::Comma),
        ("=>", TriggerToken::OddArrow),
        ("→", TriggerToken::OddArrow),
        ("-->", TriggerToken::OddArrow),
    ];
    let sign = |rest: &str| SIGNS.iter().find(|(sign, _)| rest.starts_with(sign));
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
        } else if let Some((written, token)) = sign(&text[at..]) {
            found.push((*token, at..at + written.len()));
            at += written.len();
        } else {
            let ends = |(n, c): &(usize, char)| c.is_whitespace() || sign(&text[at + n..]).is_some();
            let end = text[at..].char_indices().find(ends).map_or(text.len(), |(n, _)| at + n);
            found.push((TriggerToken::Word(&text[at..end]), at..end));
            at = end;
        }
    }
    found
}
