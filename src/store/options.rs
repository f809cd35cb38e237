//! The options of a store, and the functions that it calls.

use std::{fmt, sync::Arc, time::Duration};

use super::{CommitStep, Disk, SegmentSizes, record};
use crate::{
    clock::Clock,
    decide::{Brake, Changes, Policy},
    outbox::Channel,
};

/// The options of a store.
#[derive(Clone)]
pub struct StoreOptions {
    pub clock: Clock,
    pub policy: Policy,
    /// The brake of each channel that has one.
    pub brakes: Vec<(Channel, Brake)>,
    /// With less free space on the disk than this, in bytes, callbacks are refused.
    pub min_free_bytes: u64,
    /// The limit of sled's cache, in bytes.
    pub view_cache_bytes: u64,
    /// The deadline for sled to open an empty view. A large view gets more time, a flush four times as much.
    pub view_patience: Duration,
    /// The sizes of the journal's segments.
    pub segments: SegmentSizes,
    /// The disk that the journal writes to. A test can record every operation, and make any of them fail.
    pub disk: Disk,
    /// Called between the steps of a commit. For tests that stop or fail there.
    pub interrupt: Option<FaultHook>,
    /// Called for each durable record, in order, on the thread that writes; it must return quickly.
    pub recorder: Option<Recorder>,
}

/// A function that is called with each durable record.
pub type Recorder = Arc<dyn Fn(&record::RecordHeader, &Changes) + Send + Sync>;

/// A function of a test that runs at each step; `Err` simulates an error of the disk.
pub type FaultHook = Arc<dyn Fn(CommitStep) -> std::io::Result<()> + Send + Sync>;

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            clock: Clock::default(),
            policy: Policy::default(),
            brakes: Vec::new(),
            min_free_bytes: 256 << 20,
            view_cache_bytes: 32 << 20,
            view_patience: Duration::from_secs(30),
            segments: SegmentSizes::default(),
            disk: Disk::default(),
            interrupt: None,
            recorder: None,
        }
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("min_free_bytes", &self.min_free_bytes).finish_non_exhaustive()
    }
}
