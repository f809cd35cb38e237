//! Why a callback's body has not the shape that the provider documents: which field, and what is wrong with it.
//!
//! The field and the reason are words of this program, so that a log can have them; the detail may repeat what the sender
//! wrote, and goes back to the sender alone.

use super::CustomerId;

/// The fields of a callback. A name that is not among them came from the sender.
const FIELDS: &[&str] = &[
    "callbackType",
    "customerId",
    "hash",
    "status",
    "kycProcessingStatus",
    "docsMissing",
    "kycRejectLabel",
    "kycEndUserErrorMessage",
    "id",
    "amount",
    "currency",
];

/// What is wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// One of the documented fields, or `body`.
    pub field: &'static str,
    /// A few words that begin with a verb: `is missing`.
    pub reason: &'static str,
    /// The same for the sender, with more words.
    pub detail: String,
}

impl Malformed {
    pub(super) fn new(field: &'static str, reason: &'static str, detail: impl Into<String>) -> Self {
        Self { field, reason, detail: detail.into() }
    }

    /// What a parser has said.
    pub(super) fn parsed(error: serde_path_to_error::Error<serde_json::Error>) -> Self {
        let path = error.path().to_string();
        let error = error.into_inner();
        let detail = error.to_string();
        let known = |name: &str| FIELDS.iter().find(|field| **field == name).copied();
        // Of a field that is missing or comes twice only the message has the name; of others the path begins with it.
        let quoted = detail.split('`').nth(1).and_then(known);
        let beginning = known(path.split(['.', '[']).next().unwrap_or_default());
        let (field, reason) = if error.is_eof() {
            (None, "ends too early")
        } else if error.is_syntax() {
            (None, "is not JSON")
        } else if detail.starts_with("missing field") {
            (beginning.or(quoted), "is missing")
        } else if detail.starts_with("duplicate field") {
            (beginning.or(quoted), "occurs twice")
        } else if detail.starts_with("invalid type") {
            (beginning, "has the wrong type")
        } else {
            (beginning, "has a wrong value")
        };
        Self { field: field.unwrap_or("body"), reason, detail }
    }
}

/// A customer's id as it stands in a body.
pub(super) fn customer_id(text: &str) -> Result<CustomerId, Malformed> {
    let reason = "is empty, longer than 256 bytes, or has control characters";
    CustomerId::new(text).map_err(|error| Malformed::new("customerId", reason, format!("customerId: {error}")))
}
