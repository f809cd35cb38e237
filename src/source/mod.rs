//! The texts that merchants write, and how they are told what is wrong with them.
//!
//! A [`Files`] is a directory's worth of text, read by somebody else. [`Document::read`] turns one of its texts into a tree of
//! [`Node`]s that know where they stand; whoever reads that tree adds what is wrong to a [`Report`], all of it at once; and
//! [`render()`] shows the [`Diagnostic`]s with file, line, column and caret. Nothing in here knows a rule or does I/O.

mod comment;
mod conflict;
mod diagnostic;
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
mod yaml;

pub use conflict::conflicts;
pub use diagnostic::{Diagnostic, Severity, bounded};
pub use duration::{Duration, DurationError};
pub use fields::Fields;
pub use files::Files;
pub use lines::Lines;
pub use node::{Entry, Node, Value};
pub use render::{Sources, github, json, line_column, render};
pub use report::{Note, Report};
pub use suggest::{did_you_mean, one_of};
pub use yaml::{Document, MAX_FILE_BYTES};
