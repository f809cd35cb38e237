//! Opening the view beside a journal: sled is opened and asked how far it is before the journal is changed, and filled after.
//!
//! Whatever is wrong with a view, it is thrown away and made again. What it knows beyond the journal is the one thing that counts: then
//! acknowledged records are gone. sled may hang on a failing disk, so it works on a thread with a deadline.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{
    ahead::free_bytes,
    disk::Operation,
    open::{Progress, io_error},
    open_error::OpenError,
    replay::{ReplayError, replay},
    watchdog::Watchdog,
};
use crate::{
    outbox::State,
    store::{
        Options,
        hot::Hot,
        view::{View, ViewError},
    },
};

/// With less than this free, an error of the view is taken for one about room, in bytes. sled's file grows by this at once.
const VIEW_ROOM_BYTES: u64 = 8 << 20;

/// What opening the view needs to know.
pub struct ViewOpening<'a> {
    pub data: &'a Path,
    /// The number of the journal's last record.
    pub last: u64,
    pub options: &'a Options,
    pub progress: &'a Arc<Progress>,
    pub watchdog: &'a Arc<Watchdog>,
}

impl ViewOpening<'_> {
    /// The view as it is on the disk, or an empty one. [`OpenError::Ahead`]: it knows records that the journal lacks.
    pub fn open(&self) -> Result<View, OpenError> {
        match self.try_open()? {
            Err(ReplayError::View(ViewError(error))) => {
                self.throw_away(&error)?;
                self.try_open()?.map_err(|error| self.failed(error))
            }
            other => other.map_err(|error| self.failed(error)),
        }
    }

    /// The view, complete up to the journal's end, and the jobs that are not final.
    pub fn fill(&self, view: View) -> Result<(View, Hot), OpenError> {
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

    /// Does the work with a deadline for each call of sled.
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
            options.disk.before(Operation::OpenView)?;
            let view = View::open(&path, options.view_cache_bytes)?;
            let applied = view.mark()?.applied;
            if applied > last { Err(ReplayError::Ahead { view: applied }) } else { Ok(view) }
        })
    }

    fn try_fill(&self, view: View) -> Result<Result<(View, Hot), ReplayError>, OpenError> {
        let (options, journal_dir, last) = (self.options.clone(), self.data.join("journal"), self.last);
        let progress = Arc::clone(self.progress);
        self.run(move |watchdog| fill(view, &journal_dir, last, &options, &progress, watchdog))
    }

    fn throw_away(&self, error: &str) -> Result<(), OpenError> {
        // On a full disk sled can open no view, and another one would not fare better.
        let needed_bytes = self.options.min_free_bytes.max(VIEW_ROOM_BYTES);
        if free_bytes(self.data).is_ok_and(|free| free < needed_bytes) {
            tracing::error!(error, "the view can't be used");
            let doing = format!("opening the view in {}", self.path().display());
            return Err(OpenError::NoRoom { doing, needed_bytes });
        }
        tracing::warn!(error, "the view can't be used; it is made again from the journal");
        View::throw_away(&self.path()).map_err(io_error("throwing the view away"))
    }
}

fn fill(
    view: View,
    journal_dir: &Path,
    last: u64,
    options: &Options,
    progress: &Progress,
    watchdog: &Watchdog,
) -> Result<(View, Hot), ReplayError> {
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
        tracing::info!(records = last, seconds, "the view was made again from the journal");
    }
    for state in State::ALL.iter().filter(|state| !state.is_final()) {
        for row in view.jobs(Some(*state), None) {
            let (who, job) = row?;
            hot.index(&who, &job);
            watchdog.goes_on();
        }
    }
    for id in view.asked_about() {
        let id = id?;
        if let Some(case) = view.case(&id)? {
            hot.index_question(&id, &case);
        }
        watchdog.goes_on();
    }
    Ok((view, hot))
}
