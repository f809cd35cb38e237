//! The error of a callback body that does not have the provider's documented shape: which field is wrong, and why.
//!
//! The field and the reason are fixed texts of this program, so that they can be logged; the detail may repeat text of
//! the sender and is returned only to the sender.

use crate::domain::CustomerId;

/// The fields of a callback. Any other name came from the sender.
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

/// The error of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// One of the documented fields, or `body`.
    pub field: &'static str,
    /// A short predicate: `is missing`.
    pub reason: &'static str,
    /// The same error in more detail, for the sender.
    pub detail: String,
}

impl Malformed {
    pub(super) fn new(field: &'static str, reason: &'static str, detail: impl Into<String>) -> Self {
        Self { field, reason, detail: detail.into() }
    }

    /// Converts a parser error.
    pub(super) fn parsed(error: serde_path_to_error::Error<serde_json::Error>) -> Self {
        let path = error.path().to_string();
        let error = error.into_inner();
        let detail = error.to_string();
        let known = |name: &str| FIELDS.iter().find(|field| **field == name).copied();
        // For a missing or duplicate field only the message contains the name; for other errors the path begins with
        // it.
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

/// Parses the customer id of a body.
pub(super) fn customer_id(text: &str) -> Result<CustomerId, Malformed> {
    let reason = "is empty, longer than 256 bytes, or has control characters";
    CustomerId::new(text).map_err(|error| Malformed::new("customerId", reason, format!("customerId: {error}")))
}
