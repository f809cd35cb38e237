//! Parses the files of tests: a file, its tests, their customers, steps, callbacks and expectations.

mod callback;
mod customer;
mod expectation;
pub(super) mod file;
mod step;
pub(super) mod test;
