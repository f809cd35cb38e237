//! The thread that writes durable changes to the view. Callbacks do not wait for it, unless it is too far behind.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{disk::DiskOperation, replay::ReplayError, shared::JournalShared};
use crate::store::view::ViewError;

/// Changes within this time are written to the view together.
const COALESCE: Duration = Duration::from_millis(100);

/// Delay before a failed rebuild of the view is retried.
const AGAIN: Duration = Duration::from_secs(5);

/// When the customers that wait for the view take this much memory, the writer waits for the view. In bytes: about
/// 300,000 customers with one open job each, or 600 with a thousand.
pub const MAX_WAITING_BYTES: usize = 448 << 20;

/// Above this size, the thread does not pause for callbacks.
const FAR_BEHIND_BYTES: usize = MAX_WAITING_BYTES / 2;

/// The signals from the writer and the readers to the thread.
#[derive(Default)]
pub struct ApplierSignals {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    /// Durable changes are not in the view yet.
    behind: bool,
    /// A caller waits for the view.
    hurry: bool,
    closing: bool,
    /// The disk has failed; the thread must end.
    dead: bool,
}

impl ApplierSignals {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn lag_ms(&self) {
        let mut inner = self.lock();
        if !inner.behind {
            inner.behind = true;
            drop(inner);
            self.changed.notify_all();
        }
    }

    pub fn apply_now(&self) {
        self.lock().hurry = true;
        self.changed.notify_all();
    }

    /// Ends the thread when the view is complete.
    pub fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    /// Ends the thread at once, as if the process had ended.
    pub fn kill(&self) {
        self.lock().dead = true;
        self.changed.notify_all();
    }

    /// Waits until there is work; returns `false` if the thread must end.
    fn wait(&self) -> bool {
        let awake = |inner: &mut Inner| !(inner.behind || inner.closing || inner.dead);
        let inner = self.changed.wait_while(self.lock(), awake).unwrap_or_else(PoisonError::into_inner);
        let rushed = |inner: &mut Inner| !(inner.hurry || inner.closing || inner.dead);
        let mut inner =
            self.changed.wait_timeout_while(inner, COALESCE, rushed).unwrap_or_else(PoisonError::into_inner).0;
        let work = inner.behind;
        inner.behind = false;
        !inner.dead && (work || !inner.closing)
    }

    /// Under a load of callbacks, pauses 12 times as long as the work took, at most 100 ms, unless a caller waits for
    /// the view or the store is closing.
    fn yield_to_commits(&self, worked: Duration, busy: bool) {
        const REST: u32 = 12;
        if busy {
            let rest = (worked * REST).min(Duration::from_millis(100));
            let lazy = |inner: &mut Inner| !(inner.hurry || inner.closing || inner.dead);
            drop(self.changed.wait_timeout_while(self.lock(), rest, lazy));
        }
    }

    fn pause(&self, time: Duration) {
        let inner = self.lock();
        drop(self.changed.wait_timeout_while(inner, time, |inner| !(inner.closing || inner.dead)));
    }

    fn ends(&self) -> bool {
        let inner = self.lock();
        inner.closing || inner.dead
    }
}

/// Runs until the store is closed. Then it closes the view too, which makes sled write once more.
pub fn run(shared: &Arc<JournalShared>) {
    apply(shared);
    if !shared.signals.lock().dead {
        let _closes = shared.watchdog.works();
        shared.set_view(None);
    }
    shared.watchdog.close();
}

fn apply(shared: &Arc<JournalShared>) {
    while shared.signals.wait() {
        if let Err(ViewError(error)) = flush(shared) {
            tracing::error!(error, "the view has failed; it is deleted and rebuilt from the journal");
            while let Err(error) = shared.rebuild_view() {
                let error = match error {
                    ReplayError::View(ViewError(error)) => error,
                    ReplayError::Io(error) => error.to_string(),
                    ReplayError::Damage(damage) => damage.to_string(),
                    ReplayError::Ahead { view } => format!("the view has record {view}, which the journal lacks"),
                };
                tracing::error!(error, "the view could not be rebuilt; the next try is in 5 seconds");
                if shared.signals.ends() {
                    return;
                }
                shared.signals.pause(AGAIN);
            }
            shared.signals.lag_ms();
        }
    }
}

fn flush(shared: &JournalShared) -> Result<(), ViewError> {
    let view = shared.view().ok_or_else(|| ViewError("there is no view".to_owned()))?;
    let (touched, mark) = shared.overlay_mut().begin_flush();
    let works = shared.watchdog.works();
    shared.disk.before(DiskOperation::ApplyView).map_err(|error| ViewError(error.to_string()))?;
    view.apply(touched.iter(), &mark, &|worked| {
        shared.watchdog.goes_on();
        let gives_way = shared.is_busy() && shared.overlay().waiting_bytes() < FAR_BEHIND_BYTES;
        shared.signals.yield_to_commits(worked, gives_way);
    })?;
    drop(works);
    drop(touched);
    shared.overlay_mut().end_flush();
    shared.signals.lock().hurry = false;
    shared.applied.send_replace(mark.applied);
    shared.made_room();
    Ok(())
}
