//! The requests and responses of the admin API (`/api/v1/…`): plain data that the server writes and the command line
//! reads.
//!
//! Scripts depend on this JSON. Fields may be added; existing names and types stay. A reader ignores fields that it does
//! not know, so that the commands work with a newer server. The conversions from domain types are in `http/admin`.

pub mod controls;
pub mod customers;
pub mod explain;
pub mod history;
pub mod jobs;
pub mod refresh;
pub mod status;
