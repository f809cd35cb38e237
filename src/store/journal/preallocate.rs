//! The thread that writes the next segment in advance, while the disk has free space for it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    disk::{Disk, is_no_room},
    disk_space::DiskSpace,
    segment::Prepared,
};

/// Names that no segment has. They alternate: one file may still wait for its rename while the other is written.
const NAMES: [&str; 2] = ["next-0.tmp", "next-1.tmp"];

/// The interval between checks of the free space.
const PATIENCE: Duration = Duration::from_secs(1);

pub struct Preallocator {
    disk: Disk,
    dir: PathBuf,
    space: DiskSpace,
    slot: Mutex<PreparedSlot>,
    changed: Condvar,
}

struct PreparedSlot {
    wanted_bytes: u64,
    ready: Option<Prepared>,
    /// The store is being closed: nothing waits for space any more.
    closing: bool,
    closed: bool,
}

impl Preallocator {
    pub fn new(disk: &Disk, dir: &Path, min_free_bytes: u64, first_bytes: u64) -> Self {
        Self {
            disk: disk.clone(),
            dir: dir.to_owned(),
            space: DiskSpace::new(dir, min_free_bytes),
            slot: Mutex::new(PreparedSlot { wanted_bytes: first_bytes, ready: None, closing: false, closed: false }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, PreparedSlot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is too little free space on the disk.
    pub fn is_short_of_space(&self) -> bool {
        self.space.is_short()
    }

    /// Repeats work that the writer cannot continue without, while the disk has no space for it; callbacks are refused
    /// meanwhile. Returns any other error, and the last one when the store is closed.
    pub fn prepare_until_space(&self, mut work: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        loop {
            match work() {
                Err(error) if is_no_room(&error) => {
                    self.space.writer_begins_to_wait(&error);
                    let slot = self.lock();
                    if slot.closing || slot.closed {
                        return Err(error);
                    }
                    drop(self.changed.wait_timeout(slot, PATIENCE));
                }
                done => {
                    self.space.writer_ends_waiting(done.is_ok());
                    return done;
                }
            }
        }
    }

    /// Runs until the store is closed or the disk fails.
    pub fn run(&self) -> io::Result<()> {
        let mut names = NAMES.iter().cycle();
        loop {
            let (wanted, missing) = {
                let slot = self.lock();
                if slot.closed {
                    return Ok(());
                }
                (slot.wanted_bytes, slot.ready.is_none())
            };
            let mut short = self.space.is_below_minimum();
            if missing
                && !short
                && let Some(name) = names.next()
            {
                match Prepared::write(&self.disk, &self.dir, name, &[], wanted) {
                    Ok(prepared) => self.lock().ready = Some(prepared),
                    Err(error) if !is_no_room(&error) => return Err(error),
                    Err(error) => {
                        if !self.is_short_of_space() {
                            tracing::error!(%error, "the next segment of the journal cannot be prepared");
                        }
                        short = true;
                    }
                }
                self.changed.notify_all();
            }
            if self.space.set_short(short) {
                self.changed.notify_all();
            }
            let slot = self.lock();
            if !slot.closed && (slot.ready.is_some() || short) {
                drop(self.changed.wait_timeout(slot, PATIENCE));
            }
        }
    }

    /// Returns the prepared segment, and orders the next one with a size of `next_bytes`. Waits until a segment is
    /// ready; while the store is being closed, does not wait for free space.
    pub fn take(&self, next_bytes: u64) -> io::Result<Prepared> {
        let waits = |slot: &mut PreparedSlot| {
            slot.ready.is_none() && !slot.closed && !(slot.closing && self.space.is_too_short_to_prepare())
        };
        let mut slot = self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        slot.wanted_bytes = next_bytes;
        let ready = slot.ready.take().ok_or_else(|| io::Error::other("there is no free space for the next segment"));
        drop(slot);
        self.changed.notify_all();
        ready
    }

    /// The store is about to be closed: stops waiting for free space.
    pub fn closing(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}
