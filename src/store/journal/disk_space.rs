//! The free space on the disk: whether it is enough for the next segment and for the writer.

use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

/// Whether there is enough free space. The thread that prepares segments measures it; the writer reports when it waits.
pub struct DiskSpace {
    dir: PathBuf,
    min_free_bytes: u64,
    /// There is too little for the next segment.
    no_space: AtomicBool,
    /// Whether the writer itself waits for space.
    writer_waits: AtomicBool,
}

impl DiskSpace {
    pub fn new(dir: &Path, min_free_bytes: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            min_free_bytes,
            no_space: AtomicBool::new(false),
            writer_waits: AtomicBool::new(false),
        }
    }

    /// Whether there is too little free space for the next segment or for the writer.
    pub fn is_short(&self) -> bool {
        self.is_too_short_to_prepare() || self.writer_waits.load(Ordering::Relaxed)
    }

    /// Whether there was too little free space for the next segment at the last measurement.
    pub fn is_too_short_to_prepare(&self) -> bool {
        self.no_space.load(Ordering::Relaxed)
    }

    /// Measures whether there is less free space than the configured minimum.
    pub fn is_below_minimum(&self) -> bool {
        free_bytes(&self.dir).is_ok_and(|free| free < self.min_free_bytes)
    }

    /// Stores whether there is too little space for the next segment. Returns whether this has changed, and logs it.
    pub fn set_short(&self, short: bool) -> bool {
        let has_changed = short != self.no_space.swap(short, Ordering::Relaxed);
        if has_changed && short {
            tracing::error!(
                min_free_bytes = self.min_free_bytes,
                "there is too little free space on the disk: callbacks are refused until there is more"
            );
        } else if has_changed {
            tracing::info!("there is enough free space on the disk again");
        }
        has_changed
    }

    /// The writer has failed for lack of space and tries again.
    pub fn writer_begins_to_wait(&self, error: &io::Error) {
        if !self.writer_waits.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the disk has no free space: callbacks are refused until it has");
        }
    }

    pub fn writer_ends_waiting(&self, has_succeeded: bool) {
        if self.writer_waits.swap(false, Ordering::Relaxed) && has_succeeded {
            tracing::info!("the disk has free space again");
        }
    }
}

/// The free space for this program on the disk that contains the path, in bytes.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
