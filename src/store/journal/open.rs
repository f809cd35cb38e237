//! Opening a data directory: the lock, the rules of opening, the tail written anew, the view brought up to date.

use std::{
    fmt, fs,
    fs::{File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use tokio::sync::watch;

use super::{
    Journal, Shared,
    ahead::Ahead,
    applier::{self, Signals},
    private::tighten,
    queue::Queue,
    reader::Reader,
    replay::{ReplayError, replay},
    scan::{Damage, Scanned, scan},
    segment::{self, Prepared, SMALLEST_BYTES, Segment, create, make_dir, next_size, sync_dir},
    writer::Writer,
};
use crate::{
    clock::Timestamp,
    decide::{Kind, Standing},
    outbox::{JobKey, State},
    source::Files,
    store::{
        Options,
        decider::Decider,
        hot::Hot,
        view::{View, ViewError},
    },
};

/// Why a data directory can't be used.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it.
    Locked(PathBuf),
    Io {
        doing: String,
        error: io::Error,
    },
    /// Something acknowledged can't be read any more.
    Damage(Damage),
    /// The view knows records that the journal does not have: acknowledged records are gone.
    Ahead {
        view: u64,
        journal: u64,
    },
    /// The view can't be made, not even again.
    View(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked(path) => {
                write!(f, "{} is in use by another process; one data directory serves one process", path.display())
            }
            Self::Io { doing, error } => write!(f, "{doing}: {error}"),
            Self::Damage(damage) => {
                write!(f, "{damage}. Restore the file from a backup, or ask the disk for its health")
            }
            Self::Ahead { view, journal } => write!(
                f,
                "the journal ends with record {journal}, but the view knows record {view}: acknowledged records are gone. \
                 Restore the missing part of the journal; to go on without it, remove the view directory, and know that \
                 records {} to {view} are lost",
                journal + 1
            ),
            Self::View(error) => write!(f, "the view can't be made: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}

fn io_error(doing: impl fmt::Display) -> impl FnOnce(io::Error) -> OpenError {
    let doing = doing.to_string();
    move |error| OpenError::Io { doing, error }
}

/// How far opening has come, in records applied to the view.
#[derive(Debug, Default)]
pub struct Progress {
    pub done: AtomicU64,
    pub of: AtomicU64,
}

impl Journal {
    /// Opens a data directory, or makes one. Blocks, for long when the view has to be made again.
    pub fn open(path: &Path, options: &Options, progress: &Progress) -> Result<Arc<Self>, OpenError> {
        let journal_dir = path.join("journal");
        for dir in [path, &journal_dir, &path.join("rule-sets")] {
            make_dir(dir).map_err(io_error(format_args!("making {}", dir.display())))?;
        }
        let lock = lock(path)?;
        match tighten(path) {
            Ok(0) => {}
            Ok(count) => tracing::warn!(count, "others could read the data directory; now it is its owner's alone"),
            // Somebody else's files, perhaps, or a disk without rights.
            Err(error) => tracing::warn!(%error, "the data directory can't be made its owner's alone"),
        }
        let key = job_key(&path.join("job.key")).map_err(io_error("reading job.key"))?;
        let (segment, scanned) = open_segments(&journal_dir)?;
        let last = scanned.last().map_or(0, |one| one.next - 1);
        progress.of.store(last, Ordering::Relaxed);
        let (view, hot) = open_view(path, &journal_dir, last, options, progress)?;
        let reader = Reader::open(&scanned).map_err(io_error("opening the journal"))?;
        let standing = read_standing(&reader, hot.standing())?;
        options.clock.resume(standing.clock(), latest_record_at(&reader, last)?);
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(|error| io_error("asking for random bytes")(io::Error::other(error)))?;
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            process: format!("process {} {:08x}", std::process::id(), u32::from_be_bytes(random)),
            clock: options.clock.clone(),
            interrupt: options.interrupt.clone(),
            recorder: options.recorder.clone(),
            view_cache_bytes: options.view_cache_bytes,
            queue: Queue::default(),
            ahead: Ahead::new(&journal_dir, options.min_free_bytes, next_size(segment.size())),
            reader,
            hot: RwLock::new(hot),
            view: RwLock::new(Some(Arc::new(view))),
            signals: Signals::default(),
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
        let writer = Writer::new(Arc::clone(&shared), decider, segment);
        let threads = start(&shared, writer).map_err(io_error("starting a thread"))?;
        Ok(Arc::new(Self { shared, threads: Mutex::new(threads), lock: Mutex::new(Some(lock)) }))
    }
}

/// What was ordered lately counts for the brakes, also when the process is a new one.
fn recount(shared: &Shared, decider: &mut Decider) -> Result<(), ViewError> {
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

/// What holds for all customers, from the record that says so.
fn read_standing(reader: &Reader, number: u64) -> Result<Arc<Standing>, OpenError> {
    if number == 0 {
        return Ok(Arc::default());
    }
    let record = reader.read(number).map_err(io_error("reading what holds for all customers"))?;
    Ok(record.and_then(|record| record.effects.standing).unwrap_or_default())
}

/// When the latest record was written, by the wall clock of then.
fn latest_record_at(reader: &Reader, last: u64) -> Result<Option<Timestamp>, OpenError> {
    if last == 0 {
        return Ok(None);
    }
    let record = reader.read(last).map_err(io_error("reading the latest record"))?;
    Ok(record.map(|record| record.header.at))
}

fn start(shared: &Arc<Shared>, writer: Writer) -> io::Result<Vec<JoinHandle<()>>> {
    let named = |name: &str| thread::Builder::new().name(name.to_owned());
    let (ahead, applied, written) = (Arc::clone(shared), Arc::clone(shared), Arc::clone(shared));
    Ok(vec![
        named("journal-ahead").spawn(move || ahead.ahead.run())?,
        named("journal-view").spawn(move || applier::run(&applied))?,
        named("journal-writer").spawn(move || {
            if let Err(fatal) = writer.run() {
                if written.interrupt.is_none() {
                    // Nobody knows what is on the disk now. The next start finds out; nothing else may be done before.
                    tracing::error!("{fatal}; the process ends, so that nothing is built on what may not be durable");
                    std::process::exit(74);
                }
                written.signals.kill();
                written.ahead.close();
            }
            written.queue.abandon();
        })?,
    ])
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let path = path.join("LOCK");
    let file = create(&path).map_err(io_error(format_args!("opening {}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(path)),
        Err(TryLockError::Error(error)) => Err(io_error(format_args!("locking {}", path.display()))(error)),
    }
}

/// Whether a process writes to this data directory just now. Nothing is made or changed for the look.
pub fn is_in_use(path: &Path) -> bool {
    File::open(path.join("LOCK")).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The key that makes the ids of jobs; made once for each store.
fn job_key(path: &Path) -> io::Result<JobKey> {
    let mut key = [0; 32];
    match File::open(path) {
        Ok(mut file) => file.read_exact(&mut key)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            getrandom::fill(&mut key).map_err(io::Error::other)?;
            replace(path, &key)?;
        }
        Err(error) => return Err(error),
    }
    Ok(JobKey::new(&key))
}

/// Puts a whole file in its place, durably.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// The segment to go on in, and what each holds.
fn open_segments(dir: &Path) -> Result<(Segment, Vec<Scanned>), OpenError> {
    let reading = || io_error(format!("reading {}", dir.display()));
    segment::remove_unfinished(dir).map_err(reading())?;
    let scanned = scan(dir, &mut |_, _| Ok(())).map_err(reading())?.map_err(OpenError::Damage)?;
    let next = scanned.last().map_or(1, |one| one.next);
    let begin = |size| {
        Prepared::write(dir, "first.tmp", &[], size)
            .and_then(|prepared| prepared.join(dir, next, 0))
            .map_err(io_error("beginning a segment of the journal"))
    };
    let segment = match scanned.last() {
        Some(one) if one.last_kind == Some(Kind::Closed) && !one.sealed && one.torn == 0 => {
            let segment = Segment::resume(&one.path, one.end).map_err(reading())?;
            return Ok((segment, scanned));
        }
        None => begin(SMALLEST_BYTES)?,
        Some(one) if one.sealed && one.torn == 0 => begin(next_size(one.end))?,
        Some(one) => write_anew(dir, one).map_err(io_error(format!("writing {} anew", one.path.display())))?,
    };
    let again = scan(dir, &mut |_, _| Ok(())).map_err(reading())?.map_err(OpenError::Damage)?;
    Ok((segment, again))
}

/// After an unclean end: bytes seen in the page cache are no proof that they are on the disk, and what was never acknowledged
/// is cut.
fn write_anew(dir: &Path, one: &Scanned) -> io::Result<Segment> {
    let bytes = fs::read(&one.path)?;
    let end = usize::try_from(one.end).map_err(io::Error::other)?;
    if one.torn > 0 {
        tracing::warn!(
            file = %one.path.display(), offset = one.end, bytes = one.torn,
            "the journal ends in what was never acknowledged; it is cut"
        );
    }
    let size = (bytes.len() as u64).max(SMALLEST_BYTES);
    Prepared::write(dir, "anew.tmp", &bytes[..end], size)?.join(dir, one.first, one.end)
}

/// The view, complete up to the journal's end, and the jobs that are not final.
fn open_view(
    path: &Path,
    journal_dir: &Path,
    last: u64,
    options: &Options,
    progress: &Progress,
) -> Result<(View, Hot), OpenError> {
    let path = path.join("view");
    let attempt = || -> Result<(View, Hot), ReplayError> {
        let view = View::open(&path, options.view_cache_bytes)?;
        let mark = view.mark()?;
        if mark.applied > last {
            return Err(ReplayError::Ahead { view: mark.applied });
        }
        progress.done.store(mark.applied, Ordering::Relaxed);
        let began = Instant::now();
        let mut hot = replay(journal_dir, &view, last, &|number| progress.done.store(number, Ordering::Relaxed))?;
        if mark.applied == 0 && last > 0 {
            let seconds = began.elapsed().as_secs_f32();
            tracing::info!(records = last, seconds, "the view was made again from the journal");
        }
        for state in State::ALL.iter().filter(|state| !state.is_final()) {
            for row in view.jobs(Some(*state), None) {
                let (who, job) = row?;
                hot.index(&who, &job);
            }
        }
        for id in view.asked_about() {
            let id = id?;
            if let Some(case) = view.case(&id)? {
                hot.index_question(&id, &case);
            }
        }
        Ok((view, hot))
    };
    let failed = |error| match error {
        ReplayError::View(ViewError(error)) => OpenError::View(error),
        ReplayError::Io(error) => io_error("reading the journal")(error),
        ReplayError::Damage(damage) => OpenError::Damage(damage),
        ReplayError::Ahead { view } => OpenError::Ahead { view, journal: last },
    };
    match attempt() {
        Err(ReplayError::View(ViewError(error))) => {
            tracing::warn!(error, "the view can't be used; it is made again from the journal");
            View::throw_away(&path).map_err(io_error("throwing the view away"))?;
            attempt().map_err(failed)
        }
        other => other.map_err(failed),
    }
}

/// Keeps a rule set's texts under its hash.
pub fn keep_rule_set(dir: &Path, hash: &str, files: &Files) -> io::Result<()> {
    let path = dir.join(format!("{hash}.json"));
    if path.exists() {
        return Ok(());
    }
    replace(&path, &serde_json::to_vec(files)?)
}

pub fn read_rule_set(dir: &Path, hash: &str) -> io::Result<Option<Files>> {
    if !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    match fs::read(dir.join(format!("{hash}.json"))) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
