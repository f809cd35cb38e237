//! Tests the listener over real sockets: which connections are served, which are closed, and that no peer can block the
//! others.
//!
//! Times are compared with generous limits only, because the machine may be busy.

mod peer;

mod crowds;
mod drain;
mod framing;
mod requests;
mod slow;
mod tls;
