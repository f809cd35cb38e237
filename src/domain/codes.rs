//! A set of codes: missing document types, reject labels, tags.
//!
//! A set is sorted and has no repetitions, so that equal sets compare equal. It is bounded, because the hash of a
//! callback does not cover its body, and the row of a customer must stay small (4 KB in the store's view).

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

/// The provider's document types, from its documentation and its status API.
const DOCS: &[&str] = &["PASSPORT", "ID_CARD", "DRIVERS", "RESIDENCE_PERMIT", "SELFIE"];

/// Reject labels in the provider's examples.
const LABELS: &[&str] = &["BAD_SELFIE", "BAD_PASSPORT"];

const MAX_CODES: usize = 32;
const MAX_CODE_BYTES: usize = 64;
const MAX_TOTAL_BYTES: usize = 1024;

/// The longest tag, in bytes.
pub const MAX_TAG_BYTES: usize = MAX_CODE_BYTES;

/// The maximum size of codes from outside, in bytes of JSON: two sets of this size and the longest message leave room
/// for the rest of a customer's row.
const MAX_HEARD_BYTES: usize = 640;

pub fn known_docs() -> &'static [&'static str] {
    DOCS
}

pub fn known_labels() -> &'static [&'static str] {
    LABELS
}

pub fn is_known_doc(code: &str) -> bool {
    DOCS.contains(&code)
}

pub fn is_known_label(code: &str) -> bool {
    LABELS.contains(&code)
}

/// Whether a rule could set a tag with this name.
pub fn is_tag(name: &str) -> bool {
    name.len() <= MAX_TAG_BYTES && !name.chars().any(|c| c.is_control() || c == ',')
}

/// A sorted set of codes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Codes(Vec<Box<str>>);

/// The reason why codes cannot be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodesError {
    TooMany,
    TooLong,
    Control,
}

impl fmt::Display for CodesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => write!(f, "has more than {MAX_CODES} entries or {MAX_TOTAL_BYTES} bytes"),
            Self::TooLong => write!(f, "has an entry longer than {MAX_CODE_BYTES} bytes"),
            Self::Control => f.write_str("has an entry with control characters"),
        }
    }
}

impl std::error::Error for CodesError {}

impl Codes {
    pub const EMPTY: Codes = Codes(Vec::new());

    /// Returns the set of these codes; surrounding white space and empty entries are dropped.
    pub fn new<'a>(codes: impl IntoIterator<Item = &'a str>) -> Result<Self, CodesError> {
        let mut kept: Vec<Box<str>> = Vec::new();
        let mut total = 0;
        for code in codes.into_iter().map(str::trim).filter(|code| !code.is_empty()) {
            if code.len() > MAX_CODE_BYTES {
                return Err(CodesError::TooLong);
            }
            if code.chars().any(char::is_control) {
                return Err(CodesError::Control);
            }
            if let Err(at) = kept.binary_search_by(|have| (**have).cmp(code)) {
                total += code.len();
                if kept.len() == MAX_CODES || total > MAX_TOTAL_BYTES {
                    return Err(CodesError::TooMany);
                }
                kept.insert(at, code.into());
            }
        }
        Ok(Self(kept))
    }

    /// Returns the set of these codes within its limits: control characters become spaces, long codes are cut, and
    /// codes above the limit are dropped. Codes are not rejected: the provider's labels may be free text, and a
    /// callback that is rejected because of a label would be lost.
    pub fn from_untrusted<'a>(codes: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all: Vec<Cow<'a, str>> = codes.into_iter().map(legible).filter(|code| !code.is_empty()).collect();
        // Sorting first makes the dropped codes independent of their order in the callback.
        all.sort_unstable();
        all.dedup();
        let mut bytes = 0;
        let fits = |code: &Cow<'_, str>| {
            let escaped = code.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count();
            bytes += code.len() + escaped + "\"\",".len();
            bytes <= MAX_HEARD_BYTES
        };
        Self(all.into_iter().take(MAX_CODES).take_while(fits).map(Into::into).collect())
    }

    pub fn contains(&self, code: &str) -> bool {
        self.0.binary_search_by(|have| (**have).cmp(code)).is_ok()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|code| &**code)
    }

    /// Returns this set with `code`; `None`: it already contains `code`.
    pub fn with(&self, code: &str) -> Result<Option<Self>, CodesError> {
        if self.contains(code) {
            return Ok(None);
        }
        Self::new(self.iter().chain([code])).map(Some)
    }

    /// Returns this set without `code`; `None`: it does not contain `code`.
    pub fn without(&self, code: &str) -> Option<Self> {
        let at = self.0.binary_search_by(|have| (**have).cmp(code)).ok()?;
        let mut rest = self.0.clone();
        rest.remove(at);
        Some(Self(rest))
    }
}

/// Returns one code that can be stored and displayed.
fn legible(code: &str) -> Cow<'_, str> {
    let code = code.trim();
    if code.len() <= MAX_CODE_BYTES && !code.chars().any(char::is_control) {
        return Cow::Borrowed(code);
    }
    let cut = &code[..code.floor_char_boundary(MAX_CODE_BYTES)];
    let spaced: String = cut.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Cow::Owned(spaced.trim().to_owned())
}

impl fmt::Display for Codes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, code) in self.iter().enumerate() {
            if nth > 0 {
                f.write_str(", ")?;
            }
            f.write_str(code)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_no_order_and_no_repetition() {
        let set = Codes::new(["SELFIE", " PASSPORT ", "", "SELFIE"]).expect("codes");
        assert_eq!(set, Codes::new(["PASSPORT", "SELFIE"]).expect("codes"));
        assert_eq!(set.to_string(), "PASSPORT, SELFIE");
        assert!(set.contains("SELFIE") && !set.contains("ID_CARD"));
        assert_eq!(set.with("SELFIE"), Ok(None));
        assert_eq!(set.without("SELFIE").expect("was there").to_string(), "PASSPORT");
    }

    #[test]
    fn codes_from_outside_are_cut_to_the_limits() {
        let heard = |code: &str| Codes::from_untrusted([code]).to_string();
        assert_eq!(heard("Your selfie\r\nis blurred\u{7}"), "Your selfie  is blurred");
        assert_eq!(heard(&"é".repeat(40)), "é".repeat(32));
        assert_eq!(heard(&format!("{}é", "x".repeat(63))), "x".repeat(63), "characters are not split");
        assert_eq!(Codes::from_untrusted(["\n", "", "B", "A", "B"]).to_string(), "A, B");
        let many: Vec<String> = (100..150).map(|n| format!("DOC_{n}")).collect();
        let forwards = Codes::from_untrusted(many.iter().map(String::as_str));
        assert_eq!(forwards.len(), 32);
        assert_eq!(forwards, Codes::from_untrusted(many.iter().rev().map(String::as_str)), "the order does not matter");
        let long: Vec<String> = (10..60).map(|n| format!("{n}{}", "\"".repeat(62))).collect();
        let kept = Codes::from_untrusted(long.iter().map(String::as_str));
        assert!(serde_json::to_string(&kept).expect("JSON").len() <= MAX_HEARD_BYTES + 2, "{kept:?}");
    }

    #[test]
    fn a_set_above_the_limits_is_rejected() {
        let many: Vec<String> = (0..33).map(|n| format!("DOC_{n}")).collect();
        assert_eq!(Codes::new(many.iter().map(String::as_str)), Err(CodesError::TooMany));
        assert_eq!(Codes::new([&*"X".repeat(65)]), Err(CodesError::TooLong));
        assert_eq!(Codes::new(["A\u{7}"]), Err(CodesError::Control));
    }
}
