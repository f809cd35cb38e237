//! The thread that writes the next segment ahead, and watches the free space on the disk.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    disk::{Disk, is_no_room},
    segment::Prepared,
};

/// No segment has such a name. Two take turns: the one may still wait for its rename while the other is being written.
const NAMES: [&str; 2] = ["next-0.tmp", "next-1.tmp"];

/// How often the room on the disk is looked at.
const PATIENCE: Duration = Duration::from_secs(1);

pub struct Ahead {
    disk: Disk,
    dir: PathBuf,
    min_free_bytes: u64,
    slot: Mutex<Slot>,
    changed: Condvar,
    no_space: AtomicBool,
    /// The writer itself waits for room.
    writer_waits: AtomicBool,
}

struct Slot {
    wanted_bytes: u64,
    ready: Option<Prepared>,
    /// The store is being closed: nothing waits for room any more.
    closing: bool,
    closed: bool,
}

impl Ahead {
    pub fn new(disk: &Disk, dir: &Path, min_free_bytes: u64, first_bytes: u64) -> Self {
        Self {
            disk: disk.clone(),
            dir: dir.to_owned(),
            min_free_bytes,
            slot: Mutex::new(Slot { wanted_bytes: first_bytes, ready: None, closing: false, closed: false }),
            changed: Condvar::new(),
            no_space: AtomicBool::new(false),
            writer_waits: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is too little room for what is to come.
    pub fn is_short_of_space(&self) -> bool {
        self.no_space.load(Ordering::Relaxed) || self.writer_waits.load(Ordering::Relaxed)
    }

    /// Repeats what the writer can't go on without while the disk has no room for it: callbacks are refused meanwhile. Any other
    /// error, and the store's end, end it.
    pub fn repeat_until_there_is_room(&self, mut work: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        loop {
            match work() {
                Err(error) if is_no_room(&error) => {
                    if !self.writer_waits.swap(true, Ordering::Relaxed) {
                        tracing::error!(%error, "there is no room on the disk: callbacks are refused until there is");
                    }
                    let slot = self.lock();
                    if slot.closing || slot.closed {
                        return Err(error);
                    }
                    drop(self.changed.wait_timeout(slot, PATIENCE));
                }
                done => {
                    if self.writer_waits.swap(false, Ordering::Relaxed) && done.is_ok() {
                        tracing::info!("there is room on the disk again");
                    }
                    return done;
                }
            }
        }
    }

    /// Until it is closed, or the disk fails.
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
            let mut short = free_bytes(&self.dir).is_ok_and(|free| free < self.min_free_bytes);
            if missing
                && !short
                && let Some(name) = names.next()
            {
                match Prepared::write(&self.disk, &self.dir, name, &[], wanted) {
                    Ok(prepared) => self.lock().ready = Some(prepared),
                    Err(error) if !is_no_room(&error) => return Err(error),
                    Err(error) => {
                        if !self.is_short_of_space() {
                            tracing::error!(%error, "the next segment of the journal can't be written ahead");
                        }
                        short = true;
                    }
                }
                self.changed.notify_all();
            }
            if short != self.no_space.swap(short, Ordering::Relaxed) {
                if short {
                    tracing::error!(
                        min_free_bytes = self.min_free_bytes,
                        "there is too little free space on the disk: callbacks are refused until there is more"
                    );
                } else {
                    tracing::info!("there is enough free space on the disk again");
                }
                self.changed.notify_all();
            }
            let slot = self.lock();
            if !slot.closed && (slot.ready.is_some() || short) {
                drop(self.changed.wait_timeout(slot, PATIENCE));
            }
        }
    }

    /// The segment that was written ahead; the one after it is to have `next_bytes`. Waits until there is one; while the store is
    /// being closed, not for room.
    pub fn take(&self, next_bytes: u64) -> io::Result<Prepared> {
        let waits = |slot: &mut Slot| {
            slot.ready.is_none() && !slot.closed && !(slot.closing && self.no_space.load(Ordering::Relaxed))
        };
        let mut slot = self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        slot.wanted_bytes = next_bytes;
        let ready = slot.ready.take().ok_or_else(|| io::Error::other("there is no room for the next segment"));
        drop(slot);
        self.changed.notify_all();
        ready
    }

    /// The store is about to be closed: what waits for room is given up.
    pub fn closing(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

/// What is free for this program on the disk that holds the path, in bytes.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
