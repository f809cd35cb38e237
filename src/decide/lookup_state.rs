//! What is known about a customer's entry in the merchant's directory.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// The last answer of the directory about a customer, or a contact that was set by hand in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupState {
    pub at: Timestamp,
    /// Why the directory returned no contact, for an operator.
    #[serde(default, rename = "why", skip_serializing_if = "Option::is_none")]
    pub missing: Option<Box<str>>,
}

impl LookupState {
    /// A contact was set by hand just now.
    pub(super) fn set_by_operator(now: Timestamp) -> Self {
        Self { at: now, missing: None }
    }

    /// The directory must be asked again, whatever its last answer was.
    pub(super) fn never_asked() -> Self {
        Self { at: Timestamp(i64::MIN), missing: None }
    }
}
