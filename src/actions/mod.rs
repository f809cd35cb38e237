//! What leaves this program: one folder or file for each kind of action.
//!
//! An action gets a finished message, does its I/O once, and says how it went. It knows neither rules nor customers, and
//! does not try again by itself: that is the outbox's.

pub mod email;
