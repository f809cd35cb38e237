//! The provider's API is the truth: callbacks are confirmed with it, and customers are asked about who have not been heard of.
//!
//! [`Api`] asks one question; the [`Asker`] brings answers to the callbacks that wait for them, and to timers before they are
//! decided; [`Reconcile`] asks about everybody from time to time. All of them share one pace, and one look at whether the API is
//! in trouble.

mod api;
mod asker;
mod last_errors;
mod late_timers;
mod patience;
mod reconcile;
mod waits;

pub use api::{Api, AskError, Cause};
pub use asker::{Asked, Asker};
pub use patience::PatienceWatch;
pub use reconcile::{Reconcile, Round};
pub use waits::cause;
