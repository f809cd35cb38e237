//! The HTTP server: listeners, bodies with a size cap, responses, and access control.
//!
//! Routes are warp filters in files of their own. Except for the routes, nothing here depends on KYC.

mod access;
mod activity;
pub mod admin;
mod body;
pub mod callback;
mod connection;
mod connections;
mod framing;
mod limits;
mod listener;
mod query;
mod reply;
mod scan;
mod tls;
mod token;
mod tracked_io;

pub use access::{AddressFilter, Peer};
pub use body::{BodyError, capped_body, read_capped};
pub use limits::ListenerLimits;
pub use listener::{ListenError, Listener};
pub use reply::{ErrorKind, ProblemDetails, answer, fixed_json, json, refused};
pub use tls::{TlsConfig, TlsError};
pub use token::{AdminToken, AllowedHosts};
