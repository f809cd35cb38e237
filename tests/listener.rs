//! Tests the listener over real sockets: which connections are served, which are closed, and that no peer can block the
//! others.
//!
//! Times are compared with generous limits only, because the machine may be busy.

#[path = "listener/peer.rs"]
mod peer;

#[path = "listener/crowds.rs"]
mod crowds;
#[path = "listener/drain.rs"]
mod drain;
#[path = "listener/framing.rs"]
mod framing;
#[path = "listener/requests.rs"]
mod requests;
#[path = "listener/slow.rs"]
mod slow;
#[path = "listener/tls.rs"]
mod tls;
