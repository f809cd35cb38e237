//! The listener against real sockets: who is answered, who is sent away, and that nobody keeps the others out.
//!
//! Times are compared against generous bounds only: the machine that runs this may be busy.

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
