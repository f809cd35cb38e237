//! The error of the view. Each error makes the view unusable.

use std::io;

/// A view that cannot be used; it is deleted and rebuilt.
#[derive(Debug)]
pub struct ViewError(pub String);

impl From<sled::Error> for ViewError {
    fn from(error: sled::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<io::Error> for ViewError {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<serde_json::Error> for ViewError {
    fn from(error: serde_json::Error) -> Self {
        Self(format!("a row cannot be read: {error}"))
    }
}

pub(super) type Result<T> = std::result::Result<T, ViewError>;
