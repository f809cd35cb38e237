//! Parses the texts that merchants write, and reports the errors in them.
//!
//! A [`Files`] holds the texts of a directory; another module reads them from the disk. [`Document::read`] parses one
//! text into a tree of [`Node`]s with their spans. The code that reads the tree adds all errors to a [`Report`]; and
//! [`render()`] shows the [`Diagnostic`]s with file, line, column and caret. This module knows no rules and does no
//! I/O.

mod comment;
mod conflict;
mod diagnostic;
mod document;
mod duration;
mod fields;
mod files;
mod lines;
mod node;
mod render;
mod report;
mod suggest;
mod syntax;
mod tree;
mod typed;

pub use conflict::conflicts;
pub use diagnostic::{Diagnostic, Severity, bounded};
pub use document::{Document, MAX_FILE_BYTES};
pub use duration::{Duration, DurationError};
pub use fields::MapFields;
pub use files::Files;
pub use lines::LineIndex;
pub use node::{MapEntry, Node, Value};
pub use render::{Sources, github, json, line_column, render};
pub use report::{Note, Report};
pub use suggest::{did_you_mean, one_of};
