//! The results of a store: refusals, errors, pages and figures.

use std::fmt;

/// The reason why a command was refused. Nothing has changed, and the command may be submitted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Too many commands are waiting.
    Busy,
    /// There is too little free space on the disk.
    NoSpace,
    /// The view is being rebuilt.
    NotReady,
    /// The store is being closed.
    Closed,
    /// The decision panicked; the log has the details.
    Failed,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "too many callbacks are waiting to be stored",
            Self::NoSpace => "there is too little free space on the disk",
            Self::NotReady => "the store is not ready",
            Self::Closed => "the service is stopping",
            Self::Failed => "the decision failed; the log has the details",
        })
    }
}

impl std::error::Error for Refused {}

/// A read that failed.
#[derive(Clone, Debug)]
pub struct StoreError(pub String);

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}

/// One page of a list, and the place where the next page begins.
#[derive(Clone, Debug)]
pub struct Page<T, C> {
    pub rows: Vec<T>,
    pub next: Option<C>,
}

/// Figures for `status` and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreFigures {
    pub customers: u64,
    /// The size on the disk, in bytes; 0 in memory.
    pub bytes: u64,
    pub queued: u64,
    pub held: u64,
    pub running: u64,
    pub problem: u64,
    /// Customers about whom the provider's API must be asked.
    pub asked_about: u64,
    /// Those of them whose oldest callback has waited longer than `provider.patience`; set by a caller that counts
    /// them.
    pub unanswered: u64,
    /// The number of the latest durable record.
    pub durable: u64,
    /// How many changed customers are not in the view yet.
    pub behind: u64,
    /// How many channels are paused by their brakes.
    pub braked: u64,
}
