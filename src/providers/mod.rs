//! The payment providers whose callbacks the service accepts, each in a folder of its own.

pub mod xgateway;
