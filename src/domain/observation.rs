//! The statement of one source about a customer at one time.

use serde::{Deserialize, Serialize};

use super::{Codes, Processing, Status};
use crate::untrusted;

/// The maximum length of the stored message of the provider, in characters.
pub const MESSAGE_CHARS: usize = 500;

/// Returns the provider's message to the customer in the form that is stored, the same for callbacks and API answers.
pub(crate) fn clean_message(message: &str) -> Box<str> {
    untrusted::lines(message, MESSAGE_CHARS).into()
}

/// The source of an observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Callback,
    /// The provider's status API.
    Api,
    /// The merchant's own records, imported when going live.
    Import,
}

/// A status and its details. `None`: the source gives no information about the field, which changes nothing; this
/// differs from an empty value. An absent message in a callback is an empty text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    pub source: Source,
    pub status: Status,
    #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
    pub processing: Option<Processing>,
    #[serde(default, rename = "docs", skip_serializing_if = "Option::is_none")]
    pub missing_docs: Option<Codes>,
    #[serde(default, rename = "labels", skip_serializing_if = "Option::is_none")]
    pub reject_labels: Option<Codes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<str>>,
}

/// Serialization in which a JSON `null` is a value (`none`) and only an absent field is `None`.
pub mod double_option {
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
    fn absent_and_null_stay_distinct_through_json() {
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
