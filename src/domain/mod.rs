//! The provider's data about customers, and the state that is remembered of it.
//!
//! Bytes are parsed into a [`Claim`]; a claim with a right hash becomes a `Verified<Claim>`, then an [`Observation`];
//! the comparison with the remembered [`Customer`] is a [`Change`]. Callbacks of the provider's other types become an
//! [`OtherClaim`] and end as `Verified<OtherClaim>`. This module does no I/O and does not depend on rules.

mod answer;
mod claim;
mod codes;
mod contact;
mod customer;
mod customer_id;
mod lenient;
mod malformed;
mod nesting;
mod observation;
mod other;
mod received;
mod status;
mod transition;
mod verify;

pub use answer::{ApiError, read_answer, read_error};
pub use claim::Claim;
pub use codes::{Codes, CodesError, MAX_TAG_BYTES, is_known_doc, is_known_label, is_tag, known_docs, known_labels};
pub use contact::{Contact, ContactError, mail_address};
pub use customer::{Customer, Visits};
pub use customer_id::{CustomerId, CustomerIdError};
pub use lenient::is_signed;
pub use malformed::Malformed;
pub use observation::{MESSAGE_CHARS, Observation, Source, double_option};
pub use other::{OtherClaim, OtherType};
pub use received::{MAX_BODY_BYTES, ReceivedCallback, Unreadable};
pub use status::{NameError, Processing, Status};
pub use transition::{CallbackOutcome, Change, Detail, Details, Edge, Moved};
pub use verify::{Secret, Verified, hash_of, hash_of_fields};
