//! How a store is kept, and who is told of what it does.

use std::{fmt, sync::Arc, time::Duration};

use super::{Disk, SegmentSizes, Step, record};
use crate::{
    clock::Clock,
    decide::{Brake, Effects, Policy},
    outbox::Channel,
};

/// How a store is kept.
#[derive(Clone)]
pub struct Options {
    pub clock: Clock,
    pub policy: Policy,
    /// Of the channels that have one.
    pub brakes: Vec<(Channel, Brake)>,
    /// Below so much free space on the disk callbacks are refused, in bytes.
    pub min_free_bytes: u64,
    /// What sled may keep in memory, in bytes.
    pub view_cache_bytes: u64,
    /// The deadline for sled to open an empty view. A large view gets more, a flush four times as much.
    pub view_patience: Duration,
    /// How large the journal's segments are.
    pub segments: SegmentSizes,
    /// What the journal is written through. A test can record every operation, and let any fail.
    pub disk: Disk,
    /// Called between the steps of a commit. For tests that stop or fail there.
    pub interrupt: Option<Interrupt>,
    /// Called for each record that has become durable, in their order, by the thread that writes: it has to be quick.
    pub recorder: Option<Recorder>,
}

/// Somebody who is told of each durable record.
pub type Recorder = Arc<dyn Fn(&record::Header, &Effects) + Send + Sync>;

/// What a test does at a step: `Err` is what the disk would have said.
pub type Interrupt = Arc<dyn Fn(Step) -> std::io::Result<()> + Send + Sync>;

impl Default for Options {
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

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("min_free_bytes", &self.min_free_bytes).finish_non_exhaustive()
    }
}
