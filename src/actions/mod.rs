//! What leaves this program: one folder or file for each kind of action.
//!
//! An action gets a finished message, does its I/O once, and says how it went. It knows neither rules nor customers, and
//! does not try again by itself: that is the outbox's.

pub mod answer;
pub mod chat;
pub mod email;
pub mod webhook;

use crate::untrusted::one_line;

/// Servers say a lot; a person reads so much, in characters.
const SAID_CHARS: usize = 200;
