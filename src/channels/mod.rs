//! Actions on external systems: one folder or file for each kind.
//!
//! An action gets a finished message, does its I/O once, and returns the outcome. It knows neither rules nor
//! customers, and it does not retry: the outbox does.

pub mod answer;
pub mod chat;
pub mod domain_limiter;
pub mod email;
pub mod sender;
pub mod webhook;

use crate::untrusted::one_line;

/// The maximum length of a quoted server text, in characters.
const SAID_CHARS: usize = 200;
