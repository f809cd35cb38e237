//! What the integration tests share: stand-ins for the world outside, one file each.
#![allow(clippy::print_stderr, reason = "a test that is skipped says so loudly")]
#![allow(dead_code, reason = "each test binary uses its own part of it")]

pub mod dns;
pub mod hooks;
pub mod postfix;
pub mod provider;
pub mod service;
pub mod smtp;
