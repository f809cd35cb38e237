//! Opens the view: before the journal is changed, sled is opened and its latest record checked; afterwards the view is
//! updated.
//!
//! A view with any error is deleted and rebuilt. There is one exception: if it contains records that the journal does
//! not have, then acknowledged records are missing. sled may hang on a failing disk, so it runs on a thread with a
//! deadline.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{
    disk::DiskOperation,
    disk_space::free_bytes,
    open_error::{OpenError, io_error},
    open_progress::OpenProgress,
    replay::{ReplayError, replay},
    watchdog::Watchdog,
};
use crate::{
    outbox::JobState,
    store::{
        StoreOptions,
        overlay::Overlay,
        view::{View, ViewError},
    },
};

/// With less free space than this, in bytes, an error of the view is treated as a lack of space. sled grows its file by
/// this amount at once.
const VIEW_ROOM_BYTES: u64 = 8 << 20;

/// The inputs for opening the view.
pub struct ViewOpening<'a> {
    pub data: &'a Path,
    /// The number of the journal's last record.
    pub last: u64,
    pub options: &'a StoreOptions,
    pub progress: &'a Arc<OpenProgress>,
    pub watchdog: &'a Arc<Watchdog>,
}

impl ViewOpening<'_> {
    /// Opens the view on the disk, or an empty one. [`OpenError::Ahead`]: it has records that the journal does not
    /// have.
    pub fn open(&self) -> Result<View, OpenError> {
        match self.try_open()? {
            Err(ReplayError::View(ViewError(error))) => {
                self.throw_away(&error)?;
                self.try_open()?.map_err(|error| self.failed(error))
            }
            other => other.map_err(|error| self.failed(error)),
        }
    }

    /// Returns the view, complete up to the end of the journal, and the jobs that are not final.
    pub fn fill(&self, view: View) -> Result<(View, Overlay), OpenError> {
        match self.try_fill(view)? {
            Err(ReplayError::View(ViewError(error))) => {
                self.throw_away(&error)?;
                let view = self.try_open()?.map_err(|error| self.failed(error))?;
                self.try_fill(view)?.map_err(|error| self.failed(error))
            }
            other => other.map_err(|error| self.failed(error)),
        }
    }

    fn path(&self) -> PathBuf {
        self.data.join("view")
    }

    fn failed(&self, error: ReplayError) -> OpenError {
        match error {
            ReplayError::View(ViewError(error)) => OpenError::View(error),
            ReplayError::Io(error) => OpenError::io("reading the journal", error),
            ReplayError::Damage(damage) => OpenError::Damage(damage),
            ReplayError::Ahead { view } => OpenError::Ahead { view, journal: self.last },
        }
    }

    /// Runs the work with a deadline for each call into sled.
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Watchdog) -> Result<T, ReplayError> + Send + 'static,
    ) -> Result<Result<T, ReplayError>, OpenError> {
        let late = |after: Duration| OpenError::Late { path: self.path(), after };
        self.watchdog.run(work).map_err(io_error("starting a thread"))?.map_err(late)
    }

    fn try_open(&self) -> Result<Result<View, ReplayError>, OpenError> {
        let (path, options, last) = (self.path(), self.options.clone(), self.last);
        self.run(move |watchdog| {
            let _opens = watchdog.opens(&path);
            options.disk.before(DiskOperation::OpenView)?;
            let view = View::open(&path, options.view_cache_bytes)?;
            let applied = view.mark()?.applied;
            if applied > last { Err(ReplayError::Ahead { view: applied }) } else { Ok(view) }
        })
    }

    fn try_fill(&self, view: View) -> Result<Result<(View, Overlay), ReplayError>, OpenError> {
        let (options, journal_dir, last) = (self.options.clone(), self.data.join("journal"), self.last);
        let progress = Arc::clone(self.progress);
        self.run(move |watchdog| fill(view, &journal_dir, last, &options, &progress, watchdog))
    }

    fn throw_away(&self, error: &str) -> Result<(), OpenError> {
        // On a full disk sled cannot open any view, so a new one would fail too.
        let needed_bytes = self.options.min_free_bytes.max(VIEW_ROOM_BYTES);
        if free_bytes(self.data).is_ok_and(|free| free < needed_bytes) {
            tracing::error!(error, "the view cannot be used");
            let doing = format!("opening the view in {}", self.path().display());
            return Err(OpenError::NoRoom { doing, needed_bytes });
        }
        tracing::warn!(error, "the view cannot be used; it is rebuilt from the journal");
        View::throw_away(&self.path()).map_err(io_error("deleting the view"))
    }
}

fn fill(
    view: View,
    journal_dir: &Path,
    last: u64,
    options: &StoreOptions,
    progress: &OpenProgress,
    watchdog: &Watchdog,
) -> Result<(View, Overlay), ReplayError> {
    let _works = watchdog.works();
    let mark = view.mark()?;
    progress.done.store(mark.applied, Ordering::Relaxed);
    let began = Instant::now();
    let mut hot = replay(&options.disk, journal_dir, &view, last, &|number| {
        progress.done.store(number, Ordering::Relaxed);
        watchdog.goes_on();
    })?;
    if mark.applied == 0 && last > 0 {
        let seconds = began.elapsed().as_secs_f32();
        tracing::info!(records = last, seconds, "the view was rebuilt from the journal");
    }
    for state in JobState::ALL.iter().filter(|state| !state.is_final()) {
        for row in view.jobs(Some(*state), None) {
            let (who, job) = row?;
            hot.index(&who, &job);
            watchdog.goes_on();
        }
    }
    for id in view.asked_about() {
        let id = id?;
        if let Some(case) = view.state(&id)? {
            hot.index_question(&id, &case);
        }
        watchdog.goes_on();
    }
    Ok((view, hot))
}
