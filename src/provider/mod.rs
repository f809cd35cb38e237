//! The provider's API is authoritative: callbacks are confirmed with it, and customers without callbacks are asked
//! about regularly.
//!
//! [`ProviderApi`] sends one request; the [`ConfirmationWorker`] fetches answers for waiting callbacks and for timers before they are
//! decided; [`ReconcileIntervals`] asks about all customers at intervals. They share one rate limit and one record of whether
//! the API is in trouble.

mod api;
mod asker;
mod last_errors;
mod late_timers;
mod patience;
mod reconcile;
mod waits;

pub use api::{AnswerFailure, AskError, ProviderApi};
pub use asker::{AskOutcome, ConfirmationWorker};
pub use patience::UnansweredWatch;
pub use reconcile::{ReconcileIntervals, ReconcileRound};
pub use waits::cause;
