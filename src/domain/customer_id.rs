//! A customer's id in the merchant's system: opaque text of 1 to 256 bytes without control characters.

use std::{borrow::Borrow, fmt, sync::Arc};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize};

const MAX_BYTES: usize = 256;

/// Cheap to clone; compared, hashed and ordered by its bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct CustomerId(Arc<str>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CustomerIdError {
    Empty,
    TooLong,
    Control,
}

impl fmt::Display for CustomerIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the customer id is empty"),
            Self::TooLong => write!(f, "the customer id is longer than {MAX_BYTES} bytes"),
            Self::Control => f.write_str("the customer id has control characters"),
        }
    }
}

impl std::error::Error for CustomerIdError {}

impl CustomerId {
    pub fn new(id: &str) -> Result<Self, CustomerIdError> {
        if id.is_empty() {
            Err(CustomerIdError::Empty)
        } else if id.len() > MAX_BYTES {
            Err(CustomerIdError::TooLong)
        } else if id.chars().any(char::is_control) {
            Err(CustomerIdError::Control)
        } else {
            Ok(Self(id.into()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the id as one segment of a URL path. `None`: the id is `.` or `..`, which clients and proxies treat as
    /// path navigation, also if it is percent-encoded.
    pub fn in_url(&self) -> Option<String> {
        const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
        (!matches!(self.as_str(), "." | "..")).then(|| utf8_percent_encode(&self.0, PLAIN).to_string())
    }
}

impl Borrow<str> for CustomerId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Formats with escapes, so that control characters for text direction cannot forge a log line.
impl fmt::Debug for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl<'de> Deserialize<'de> for CustomerId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let id = std::borrow::Cow::<'de, str>::deserialize(from)?;
        Self::new(&id).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_opaque_and_bounded_and_has_no_control_characters() {
        for id in ["42", "müller-漢字", "../../etc/passwd", "%2e", &"😀".repeat(64)] {
            assert_eq!(CustomerId::new(id).expect(id).as_str(), id);
        }
        assert_eq!(CustomerId::new(""), Err(CustomerIdError::Empty));
        assert_eq!(CustomerId::new(&"x".repeat(257)), Err(CustomerIdError::TooLong));
        assert_eq!(CustomerId::new("a\nb"), Err(CustomerIdError::Control));
        assert_eq!(CustomerId::new("a\u{85}b"), Err(CustomerIdError::Control));
    }
}
