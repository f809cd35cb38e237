//! Code that the integration tests share: simulated external systems, one file each.
#![allow(clippy::print_stderr, reason = "a skipped test prints a notice")]
#![allow(dead_code, reason = "each test binary uses only a part of this module")]

pub mod dns;
pub mod hooks;
pub mod postfix;
pub mod provider;
pub mod service;
pub mod smtp;
