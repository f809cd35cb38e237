//! A text that keeps the merchant's text apart from values that came from outside.

use serde::{Deserialize, Serialize};

/// Alternating pieces: the merchant's text, a value, the merchant's text, … Chat services have different markup, so
/// values are escaped only when the target is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phrase(Vec<Box<str>>);

impl Phrase {
    /// The first piece is the merchant's text.
    pub fn of<'t>(pieces: impl IntoIterator<Item = &'t str>) -> Self {
        Self(pieces.into_iter().map(Into::into).collect())
    }

    /// The whole text, with the values unescaped.
    pub fn plain(&self) -> String {
        self.0.concat()
    }

    /// The whole text, with each value replaced by the result of `made`.
    pub fn with(&self, made: impl Fn(&str) -> String) -> String {
        let pieces = self.0.iter().enumerate();
        pieces.map(|(nth, piece)| if nth % 2 == 1 { made(piece) } else { piece.to_string() }).collect()
    }

    /// Shortens the text to at most this many bytes; a shortened text ends with `…`.
    #[must_use]
    pub fn cut(mut self, max_bytes: usize) -> Self {
        const DOTS: &str = "…";
        if self.0.iter().map(|piece| piece.len()).sum::<usize>() <= max_bytes {
            return self;
        }
        let mut room = max_bytes.saturating_sub(DOTS.len());
        for piece in &mut self.0 {
            if piece.len() > room {
                let end = (0..=room).rev().find(|at| piece.is_char_boundary(*at)).unwrap_or(0);
                *piece = piece[..end].into();
                // No piece after this one fits.
                room = 0;
            } else {
                room -= piece.len();
            }
        }
        while self.0.last().is_some_and(|piece| piece.is_empty()) {
            self.0.pop();
        }
        match self.0.last_mut() {
            Some(last) => *last = format!("{last}{DOTS}").into(),
            None => self.0.push(DOTS.into()),
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_that_is_too_long_is_cut_between_characters() {
        let phrase = Phrase::of(["ab ", "äöü", " cd ", "ef"]);
        assert_eq!(phrase.clone().cut(15), phrase);
        for (bytes, cut) in [(14, "ab äöü c…"), (10, "ab äö…"), (9, "ab ä…"), (4, "a…"), (3, "…"), (0, "…")]
        {
            assert_eq!(phrase.clone().cut(bytes).plain(), cut, "{bytes}");
        }
        let marked = phrase.cut(10).with(|value| format!("<{value}>"));
        assert_eq!(marked, "ab <äö…>", "a value stays one");
    }
}
