//! A customer as the service knows it: status, details, contact, and the change that an observation makes.
//!
//! The comparison of an [`Observation`] with the remembered [`Customer`] is a [`Change`]. This module does no I/O and
//! does not depend on rules or on one provider.

mod codes;
mod contact;
mod customer;
mod customer_id;
mod observation;
mod status;
mod transition;

pub use codes::{Codes, CodesError, MAX_TAG_BYTES, is_known_doc, is_known_label, is_tag, known_docs, known_labels};
pub use contact::{Contact, ContactError, mail_address};
pub use customer::{Customer, Visits};
pub use customer_id::{CustomerId, CustomerIdError};
pub(crate) use observation::clean_message;
pub use observation::{MESSAGE_CHARS, Observation, Source, double_option};
pub use status::{NameError, Processing, Status};
pub use transition::{CallbackOutcome, Change, Detail, Details, Edge, Moved};
