//! The wire format of XGateway: callbacks, their hashes, and answers of the status API. Nothing here does I/O.
//!
//! Bytes are parsed into a [`Claim`]; a claim with a right hash becomes a `Verified<Claim>`, then an
//! [`Observation`](crate::domain::Observation). Callbacks of the provider's other types become an [`OtherClaim`] and end
//! as `Verified<OtherClaim>`.

mod answer;
mod claim;
mod lenient;
mod malformed;
mod nesting;
mod other;
mod received;
mod verify;

pub use answer::{ApiError, read_answer, read_error};
pub use claim::Claim;
pub use lenient::is_signed;
pub use malformed::Malformed;
pub use other::{OtherClaim, OtherType};
pub use received::{MAX_BODY_BYTES, ReceivedCallback, Unreadable};
pub use verify::{Secret, Verified, hash_of, hash_of_fields};
