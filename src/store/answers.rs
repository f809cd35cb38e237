//! What a store answers beside what it was asked for: why not, a page at a time, and in figures.

use std::fmt;

/// Why a command was not taken. Nothing of it has happened, and it may come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Too much waits already.
    Busy,
    /// Too little room on the disk.
    NoSpace,
    /// The view is being made again.
    NotReady,
    /// The store is being closed.
    Closed,
    /// The decision panicked; the log says where.
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

/// One page of a list, and where the next one begins.
#[derive(Clone, Debug)]
pub struct Page<T, C> {
    pub rows: Vec<T>,
    pub next: Option<C>,
}

/// Figures for `status` and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub customers: u64,
    /// On the disk; 0 in memory.
    pub bytes: u64,
    pub queued: u64,
    pub held: u64,
    pub running: u64,
    pub problem: u64,
    /// Customers about whom the provider's API is to be asked.
    pub asked_about: u64,
    /// Those among them whose oldest callback has waited longer than `provider.patience`, where the caller has counted them.
    pub unanswered: u64,
    /// The number of the latest durable record.
    pub durable: u64,
    /// How many customers wait for the view.
    pub behind: u64,
    /// How many channels their brakes have paused.
    pub braked: u64,
}
