//! Code that the tests share: simulated external systems, files of the repository, and random choices, one file each.
#![allow(clippy::print_stderr, reason = "a skipped test prints a notice")]

pub mod dns;
pub mod hooks;
pub mod postfix;
pub mod provider;
pub mod repository;
pub mod seed;
pub mod service;
pub mod smtp;
