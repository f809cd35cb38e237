//! The thread that writes the next segment ahead, and watches the room on the disk.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::segment::Prepared;

/// No segment has such a name. Two take turns: the one may still wait for its rename while the other is being written.
const NAMES: [&str; 2] = ["next-0.tmp", "next-1.tmp"];

/// How often the room on the disk is looked at.
const PATIENCE: Duration = Duration::from_secs(1);

pub struct Ahead {
    dir: PathBuf,
    min_free_bytes: u64,
    slot: Mutex<Slot>,
    changed: Condvar,
    no_space: AtomicBool,
}

struct Slot {
    wanted_bytes: u64,
    ready: Option<Prepared>,
    closed: bool,
}

impl Ahead {
    pub fn new(dir: &Path, min_free_bytes: u64, first_bytes: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            min_free_bytes,
            slot: Mutex::new(Slot { wanted_bytes: first_bytes, ready: None, closed: false }),
            changed: Condvar::new(),
            no_space: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is too little room for what is to come.
    pub fn is_short_of_space(&self) -> bool {
        self.no_space.load(Ordering::Relaxed)
    }

    /// Until it is closed.
    pub fn run(&self) {
        let mut names = NAMES.iter().cycle();
        loop {
            let (wanted, missing) = {
                let slot = self.lock();
                if slot.closed {
                    return;
                }
                (slot.wanted_bytes, slot.ready.is_none())
            };
            let mut short = free_bytes(&self.dir).is_ok_and(|free| free < self.min_free_bytes);
            if missing
                && !short
                && let Some(name) = names.next()
            {
                match Prepared::write(&self.dir, name, &[], wanted) {
                    Ok(prepared) => self.lock().ready = Some(prepared),
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
            }
            let slot = self.lock();
            if !slot.closed && (slot.ready.is_some() || short) {
                drop(self.changed.wait_timeout(slot, PATIENCE));
            }
        }
    }

    /// The segment that was written ahead; the one after it is to have `next_bytes`. Waits until there is one.
    pub fn take(&self, next_bytes: u64) -> io::Result<Prepared> {
        let mut slot = self
            .changed
            .wait_while(self.lock(), |slot| slot.ready.is_none() && !slot.closed)
            .unwrap_or_else(PoisonError::into_inner);
        slot.wanted_bytes = next_bytes;
        let ready = slot.ready.take().ok_or_else(|| io::Error::other("the store is being closed"));
        drop(slot);
        self.changed.notify_all();
        ready
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
