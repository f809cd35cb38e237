//! The texts that merchants write, and how they are told what is wrong with them.
//!
//! A [`Files`] is a directory's worth of text, read by somebody else; a [`Diagnostic`] points into one of them.

mod diagnostic;
mod files;

pub use diagnostic::{Diagnostic, Severity};
pub use files::Files;
