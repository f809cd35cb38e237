//! The progress of opening, which the listeners show meanwhile.

use std::sync::{Mutex, PoisonError, atomic::AtomicU64};

/// The progress of opening, in records applied to the view.
#[derive(Debug, Default)]
pub struct OpenProgress {
    pub done: AtomicU64,
    pub of: AtomicU64,
    /// The condition that opening waits for; opening is retried automatically.
    waits: Mutex<Option<String>>,
}

impl OpenProgress {
    /// The condition that opening waits for before it is retried; `None`: it is not waiting.
    pub fn waits(&self) -> Option<String> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn wait_for(&self, what: Option<String>) {
        *self.waits.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }
}
