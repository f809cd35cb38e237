//! Opens a data directory: takes the lock, scans the journal, writes the witness, and updates the view.
//!
//! The order matters. Nothing is changed before everything has been read. The records are durable before the witness
//! names them, the witness is durable before the journal is marked as format 2, and both before the first record is
//! written.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{
        Arc, Condvar, Mutex, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use tokio::sync::watch;

use super::{
    Journal,
    applier::{self, ApplierSignals},
    disk::remove_unfinished,
    key, marker,
    open_error::{OpenError, io_error},
    open_progress::OpenProgress,
    open_view::ViewOpening,
    preallocate::Preallocator,
    private::tighten,
    queue::CommitQueue,
    reader::JournalReader,
    shared::JournalShared,
    tail,
    watchdog::Watchdog,
    witness::Witness,
    writer::Writer,
};
use crate::{
    clock::Timestamp,
    decide::GlobalState,
    store::{StoreOptions, decider::Decider, view::ViewError},
};

impl Journal {
    /// Opens a data directory, or creates one. Blocks; if the view must be rebuilt, for a long time.
    pub fn open(path: &Path, options: &StoreOptions, progress: &Arc<OpenProgress>) -> Result<Arc<Self>, OpenError> {
        let (disk, journal_dir, sets_dir) = (&options.disk, path.join("journal"), path.join("rule-sets"));
        for dir in [path, &journal_dir, &sets_dir] {
            disk.make_dirs(dir).map_err(io_error(format_args!("making {}", dir.display())))?;
        }
        let lock = lock(path)?;
        match tighten(path) {
            Ok(0) => {}
            Ok(count) => tracing::warn!(count, "other users could read the data directory; it is now owner-only"),
            // The files may belong to another user, or the file system may have no permissions.
            Err(error) => tracing::warn!(%error, "the permissions of the data directory cannot be set to owner-only"),
        }
        for dir in [&journal_dir, &sets_dir] {
            remove_unfinished(disk, dir).map_err(io_error(format_args!("reading {}", dir.display())))?;
        }
        let mut found = tail::look(disk, path, &journal_dir)?;
        let last = found.last();
        let (key, fingerprint) = key::open(disk, path, found.witness.as_ref(), last)?;
        progress.of.store(last, Ordering::Relaxed);
        let watchdog = Arc::new(Watchdog::new(options.view_patience));
        let opening = ViewOpening { data: path, last, options, progress, watchdog: &watchdog };
        // The view may contain records that the journal has lost; until that is excluded, the journal is not changed.
        let view = opening.open()?;
        let segment = tail::go_on(disk, &journal_dir, &mut found, &options.segments, options.min_free_bytes)?;
        let witness = Witness {
            format: marker::FORMAT,
            first: 1,
            base: None,
            active: segment.first(),
            last,
            job_key: fingerprint,
        };
        witness.write(disk, path).map_err(io_error("writing the journal's witness"))?;
        marker::ensure(disk, &journal_dir).map_err(io_error("marking the journal's format"))?;
        let (view, hot) = opening.fill(view)?;
        let reader = JournalReader::open(&found.scanned).map_err(io_error("opening the journal"))?;
        let standing = read_global_state(&reader, hot.global_state())?;
        options.clock.resume(standing.clock(), latest_record_at(&reader, last)?);
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(|error| io_error("reading random bytes")(io::Error::other(error)))?;
        let shared = Arc::new(JournalShared {
            path: path.to_owned(),
            process: format!("process {} {:08x}", std::process::id(), u32::from_be_bytes(random)),
            clock: options.clock.clone(),
            disk: disk.clone(),
            interrupt: options.interrupt.clone(),
            recorder: options.recorder.clone(),
            view_cache_bytes: options.view_cache_bytes,
            queue: CommitQueue::default(),
            ahead: Preallocator::new(disk, &journal_dir, options.min_free_bytes, options.segments.next(segment.size())),
            reader,
            hot: RwLock::new(hot),
            view: RwLock::new(Some(Arc::new(view))),
            signals: ApplierSignals::default(),
            watchdog,
            applied: watch::Sender::new(last),
            jobs: watch::Sender::new(0),
            standing: watch::Sender::new(Arc::clone(&standing)),
            pouring: AtomicUsize::new(0),
            committed_ms: AtomicU64::new(0),
            opened: Instant::now(),
            room: (Mutex::new(()), Condvar::new()),
            journal_dir,
        });
        let mut decider = Decider::new(options, key, last + 1, standing);
        recount(&shared, &mut decider).map_err(|ViewError(error)| OpenError::View(error))?;
        let writer = Writer::new(Arc::clone(&shared), decider, segment, witness, options.segments);
        let threads = start(&shared, writer).map_err(io_error("starting a thread"))?;
        Ok(Arc::new(Self { shared, threads: Mutex::new(threads), lock: Mutex::new(Some(lock)) }))
    }
}

/// Counts recent orders for the brakes, so that a restart does not reset them.
fn recount(shared: &JournalShared, decider: &mut Decider) -> Result<(), ViewError> {
    let (Some(view), Some(since)) = (shared.view(), decider.counts_since()) else { return Ok(()) };
    for row in view.jobs(None, None) {
        let (_, job) = row?;
        if job.order.at < since {
            break;
        }
        decider.recount(&job.order);
    }
    Ok(())
}

/// Reads the state that applies to all customers from its record.
fn read_global_state(reader: &JournalReader, number: u64) -> Result<Arc<GlobalState>, OpenError> {
    if number == 0 {
        return Ok(Arc::default());
    }
    let record = reader.read(number).map_err(io_error("reading the state for all customers"))?;
    Ok(record.and_then(|record| record.effects.standing).unwrap_or_default())
}

/// The time in the latest record, by the wall clock at that time.
fn latest_record_at(reader: &JournalReader, last: u64) -> Result<Option<Timestamp>, OpenError> {
    if last == 0 {
        return Ok(None);
    }
    let record = reader.read(last).map_err(io_error("reading the latest record"))?;
    Ok(record.map(|record| record.header.at))
}

fn start(shared: &Arc<JournalShared>, writer: Writer) -> io::Result<Vec<JoinHandle<()>>> {
    let named = |name: &str| thread::Builder::new().name(name.to_owned());
    let (ahead, applied) = (Arc::clone(shared), Arc::clone(shared));
    let (written, watched) = (Arc::clone(shared), Arc::clone(shared));
    Ok(vec![
        named("journal-ahead").spawn(move || {
            if let Err(error) = ahead.ahead.run() {
                ahead.end(&format!("preparing the journal's next segment failed: {error}"));
            }
        })?,
        named("journal-view").spawn(move || applier::run(&applied))?,
        named("journal-writer").spawn(move || {
            if let Err(fatal) = writer.run() {
                written.end(&fatal.to_string());
            }
            written.queue.abandon();
        })?,
        named("view-watchdog").spawn(move || {
            if let Some(limit) = watched.watchdog.look() {
                let seconds = limit.as_secs();
                watched.end(&format!("an operation on the view did not finish within {seconds} seconds"));
            }
        })?,
    ])
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let path = path.join("LOCK");
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&path);
    let file = file.map_err(io_error(format_args!("opening {}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(path)),
        Err(TryLockError::Error(error)) => Err(io_error(format_args!("locking {}", path.display()))(error)),
    }
}

/// Whether a process has this data directory open. Creates and changes nothing.
pub fn is_in_use(path: &Path) -> bool {
    File::open(path.join("LOCK")).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}
