//! What one source says about a customer at one time.

use serde::{Deserialize, Serialize};

use super::{Claim, Codes, Processing, Status, Verified};
use crate::untrusted;

/// How much of the provider's message is kept, in characters; templates are bounded, and so is the store.
pub const MESSAGE_CHARS: usize = 500;

/// The provider's message to the customer as it is kept, from a callback and from the API alike.
pub(super) fn clean_message(message: &str) -> Box<str> {
    untrusted::lines(message, MESSAGE_CHARS).into()
}

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Callback,
    /// The provider's status API.
    Api,
    /// The merchant's own records, on going live.
    Import,
}

/// A status and its details. `None` is what the source does not speak of: *unsaid* is not *empty*, and changes nothing.
/// An absent message is an empty text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    pub source: Source,
    pub status: Status,
    #[serde(default, with = "said", skip_serializing_if = "Option::is_none")]
    pub processing: Option<Processing>,
    #[serde(default, rename = "docs", skip_serializing_if = "Option::is_none")]
    pub missing_docs: Option<Codes>,
    #[serde(default, rename = "labels", skip_serializing_if = "Option::is_none")]
    pub reject_labels: Option<Codes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<str>>,
}

impl From<Verified<Claim>> for Observation {
    fn from(claim: Verified<Claim>) -> Self {
        let claim = claim.into_inner();
        Self {
            source: Source::Callback,
            status: claim.status,
            processing: Some(claim.processing),
            missing_docs: Some(claim.missing_docs),
            reject_labels: Some(claim.reject_labels),
            message: Some(claim.message),
        }
    }
}

/// A processing status of JSON `null` is said (`none`); only an absent one is unsaid.
pub mod said {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<T: Serialize, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => value.serialize(to),
            None => to.serialize_none(),
        }
    }

    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
        T::deserialize(from).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsaid_and_none_stay_apart_on_the_way_through_json() {
        let said = Observation {
            source: Source::Callback,
            status: Status::None,
            processing: Some(Processing::None),
            missing_docs: Some(Codes::EMPTY),
            reject_labels: None,
            message: Some("".into()),
        };
        let json = serde_json::to_string(&said).expect("json");
        assert_eq!(json, r#"{"source":"callback","status":null,"processing":null,"docs":[],"message":""}"#);
        assert_eq!(serde_json::from_str::<Observation>(&json).expect("back"), said);
        let unsaid = Observation { processing: None, ..said };
        let json = serde_json::to_string(&unsaid).expect("json");
        assert_eq!(serde_json::from_str::<Observation>(&json).expect("back"), unsaid);
    }
}
