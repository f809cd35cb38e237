//! The data that the threads of an open journal share: reads of the durable state, and the publication of a commit.

use std::{
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    applier::{self, ApplierSignals},
    disk::{Disk, DiskOperation},
    preallocate::Preallocator,
    queue::CommitQueue,
    reader::JournalReader,
    replay::{self, ReplayError},
    watchdog::Watchdog,
};
use crate::{
    clock::Clock,
    decide::{CustomerState, GlobalState},
    domain::CustomerId,
    outbox::{Job, JobId},
    store::{
        FaultHook, Recorder,
        decider::Written,
        overlay::Overlay,
        view::{View, ViewError},
    },
};

pub(super) struct JournalShared {
    pub(super) path: PathBuf,
    pub(super) journal_dir: PathBuf,
    /// The name of the process in records, for operators who read the journal.
    pub(super) process: String,
    pub(super) clock: Clock,
    pub(super) disk: Disk,
    pub(super) interrupt: Option<FaultHook>,
    pub(super) recorder: Option<Recorder>,
    pub(super) view_cache_bytes: u64,
    pub(super) queue: CommitQueue,
    pub(super) ahead: Preallocator,
    pub(super) reader: JournalReader,
    pub(super) hot: RwLock<Overlay>,
    pub(super) view: RwLock<Option<Arc<View>>>,
    pub(super) signals: ApplierSignals,
    /// The deadline for calls into sled.
    pub(super) watchdog: Arc<Watchdog>,
    /// The number of the latest record in the view.
    pub(super) applied: watch::Sender<u64>,
    /// Incremented when jobs change.
    pub(super) jobs: watch::Sender<u64>,
    /// The state that applies to all customers.
    pub(super) standing: watch::Sender<Arc<GlobalState>>,
    /// The load: a sum of the records of the latest commits, halved with each commit.
    pub(super) pouring: AtomicUsize,
    /// The time of the latest commit, in milliseconds since `opened`.
    pub(super) committed_ms: AtomicU64,
    pub(super) opened: Instant,
    /// Notified when the view has taken changes.
    pub(super) room: (Mutex<()>, Condvar),
}

impl JournalShared {
    pub(super) fn overlay(&self) -> RwLockReadGuard<'_, Overlay> {
        self.hot.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn overlay_mut(&self) -> RwLockWriteGuard<'_, Overlay> {
        self.hot.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn view(&self) -> Option<Arc<View>> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_view(&self, view: Option<Arc<View>>) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
    }

    /// A customer's state, including all durable changes.
    pub(super) fn state(&self, id: &CustomerId) -> Result<Option<Arc<CustomerState>>, ViewError> {
        if let Some(case) = self.overlay().case(id) {
            return Ok(Some(Arc::clone(case)));
        }
        let view = self.view().ok_or_else(|| ViewError("the view is being rebuilt".to_owned()))?;
        let found = view.state(id);
        if found.is_err() {
            // The view's thread finds the same error, and rebuilds the view.
            self.signals.lag_ms();
        }
        Ok(found?.map(Arc::new))
    }

    /// A customer's job, including all durable changes.
    pub(super) fn job(&self, customer: &CustomerId, id: JobId) -> Result<Option<Arc<Job>>, ViewError> {
        if let Some(job) = self.overlay().job(customer, id) {
            return Ok(Some(Arc::clone(job)));
        }
        let view = self.view().ok_or_else(|| ViewError("the view is being rebuilt".to_owned()))?;
        let found = view.job(id)?.filter(|(owner, _)| owner == customer);
        Ok(found.map(|(_, job)| Arc::new(job)))
    }

    /// Whether callbacks arrive in quick succession now.
    pub(super) fn is_busy(&self) -> bool {
        let since_ms = self.elapsed_ms().saturating_sub(self.committed_ms.load(Ordering::Relaxed));
        self.pouring.load(Ordering::Relaxed) >= 8 && since_ms < 50
    }

    pub(super) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Makes the newly durable records visible.
    pub(super) fn publish(&self, written: impl Iterator<Item = Written>, durable: u64, activated: Option<String>) {
        let mut jobs_changed = activated.is_some();
        let mut standing = None;
        let written: Vec<Written> = written.collect();
        self.pouring.store(self.pouring.load(Ordering::Relaxed) / 2 + written.len(), Ordering::Relaxed);
        self.committed_ms.store(self.elapsed_ms(), Ordering::Relaxed);
        if let Some(recorder) = &self.recorder {
            written.iter().for_each(|one| recorder(&one.header, &one.effects));
        }
        let mut hot = self.overlay_mut();
        for one in written {
            if let Some((who, touched)) = one.touched {
                jobs_changed |= !touched.jobs.is_empty() || touched.case.question.is_some();
                hot.publish(&who, touched);
            } else if one.effects.standing.is_some() {
                standing = one.effects.standing;
                hot.set_global_state(one.header.n);
            }
        }
        hot.set_durable(durable);
        if let Some(hash) = activated {
            hot.set_active(&hash);
        }
        if let Some(standing) = standing {
            jobs_changed = true;
            hot.look_at_held(self.clock.now());
            self.standing.send_replace(standing);
        }
        drop(hot);
        self.signals.lag_ms();
        if jobs_changed {
            self.jobs.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Blocks the writer while the view is too far behind, for 30 seconds at most.
    pub(super) fn wait_for_room_in_memory(&self) {
        if self.overlay().waiting_bytes() < applier::MAX_WAITING_BYTES {
            return;
        }
        self.signals.apply_now();
        let guard = self.room.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |(): &mut ()| self.overlay().waiting_bytes() >= applier::MAX_WAITING_BYTES;
        drop(self.room.1.wait_timeout_while(guard, Duration::from_secs(30), full));
    }

    pub(super) fn made_room(&self) {
        drop(self.room.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.room.1.notify_all();
    }

    /// Deletes the view and rebuilds it from the journal; meanwhile there is no view, and nothing is decided.
    pub(super) fn rebuild_view(&self) -> Result<(), ReplayError> {
        let path = self.path.join("view");
        let opens = self.watchdog.opens(&path);
        if let Some(view) = self.view() {
            self.set_view(None);
            drop(view);
        }
        View::throw_away(&path)?;
        self.disk.before(DiskOperation::OpenView)?;
        let view = View::open(&path, self.view_cache_bytes)?;
        drop(opens);
        let _works = self.watchdog.works();
        let durable = self.overlay().durable();
        replay::replay(&self.disk, &self.journal_dir, &view, durable, &|_| self.watchdog.goes_on())?;
        self.set_view(Some(Arc::new(view)));
        tracing::info!(durable, "the view is complete again");
        Ok(())
    }

    /// After a failure of the disk: ends the process at once, without answers and without cleanup. The next start reads
    /// what is on the disk. In a test, only the threads of the store end.
    pub(super) fn end(&self, why: &str) {
        if self.interrupt.is_none() && !self.disk.is_observed() {
            tracing::error!("{why}; the process ends, because its latest writes may not be durable");
            std::process::exit(74);
        }
        self.signals.kill();
        self.ahead.close();
        self.watchdog.close();
        self.queue.abandon();
    }
}
