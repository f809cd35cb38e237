//! What the integration tests share: stand-ins for the world outside, one file each.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

pub mod service;
pub mod smtp;
