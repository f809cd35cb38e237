//! The deadline for sled: on a failing disk, a call that opens or flushes the view may never return.
//!
//! A thread that calls sled registers the call, and reports progress; another thread checks the time since the last
//! report. The call itself cannot be ended. Past the deadline, opening returns an error, and a running process ends
//! with exit code 74.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// When it opens, sled reads everything written since its last snapshot; this is the assumed minimum speed.
const BYTES_PER_SECOND: u64 = 8 << 20;

/// A flush may take this many times as long as opening an empty view.
const FLUSH_FACTOR: u32 = 4;

/// The longest interval between two checks.
const LOOK: Duration = Duration::from_secs(1);

pub struct Watchdog {
    began: Instant,
    patience: Duration,
    /// The time of the last progress of the current call, in milliseconds since `began`, plus 1; 0: there is no call.
    since_ms: AtomicU64,
    limit_ms: AtomicU64,
    closed: Mutex<bool>,
    changed: Condvar,
}

/// A registered call into sled; it ends when this is dropped.
pub struct WatchedCall<'a>(&'a Watchdog);

impl Drop for WatchedCall<'_> {
    fn drop(&mut self) {
        self.0.since_ms.store(0, Ordering::SeqCst);
    }
}

impl Watchdog {
    pub fn new(patience: Duration) -> Self {
        Self {
            began: Instant::now(),
            patience,
            since_ms: AtomicU64::new(0),
            limit_ms: AtomicU64::new(0),
            closed: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    /// Registers a call that opens the view in this directory.
    pub fn opens(&self, view: &Path) -> WatchedCall<'_> {
        let bytes = view.join("db").metadata().map_or(0, |metadata| metadata.len());
        self.begin(self.patience + Duration::from_secs(bytes / BYTES_PER_SECOND))
    }

    /// Registers a longer read or write that reports its progress.
    pub fn works(&self) -> WatchedCall<'_> {
        self.begin(self.patience * FLUSH_FACTOR)
    }

    fn begin(&self, limit: Duration) -> WatchedCall<'_> {
        self.limit_ms.store(millis(limit), Ordering::SeqCst);
        self.since_ms.store(self.now_ms(), Ordering::SeqCst);
        WatchedCall(self)
    }

    /// Reports progress of the current call.
    pub fn goes_on(&self) {
        if self.since_ms.load(Ordering::Relaxed) != 0 {
            self.since_ms.store(self.now_ms(), Ordering::Relaxed);
        }
    }

    fn now_ms(&self) -> u64 {
        millis(self.began.elapsed()) + 1
    }

    /// The time limit of the current call, if the call has exceeded it.
    fn exceeded(&self) -> Option<Duration> {
        let (since_ms, limit_ms) = (self.since_ms.load(Ordering::SeqCst), self.limit_ms.load(Ordering::SeqCst));
        let late = since_ms != 0 && self.now_ms().saturating_sub(since_ms) > limit_ms;
        late.then(|| Duration::from_millis(limit_ms))
    }

    fn look_every(&self) -> Duration {
        (self.patience / 8).clamp(Duration::from_millis(10), LOOK)
    }

    /// Runs `work` on a thread of its own. `Err`: a call in it has exceeded its limit; the thread is left running.
    pub fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> io::Result<Result<T, Duration>> {
        let (done, ended) = mpsc::sync_channel(1);
        let this = Arc::clone(self);
        thread::Builder::new().name("view-open".to_owned()).spawn(move || {
            // The caller may have gone.
            let _ = done.send(work(&this));
        })?;
        loop {
            match ended.recv_timeout(self.look_every()) {
                Ok(result) => return Ok(Ok(result)),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(io::Error::other("the thread that opens the view has panicked"));
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if let Some(limit) = self.exceeded() {
                        return Ok(Err(limit));
                    }
                }
            }
        }
    }

    /// Checks until the watchdog is closed. `Some`: a call has exceeded this limit.
    pub fn look(&self) -> Option<Duration> {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        while !*closed {
            if let Some(limit) = self.exceeded() {
                return Some(limit);
            }
            closed = self.changed.wait_timeout(closed, self.look_every()).unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }

    pub fn close(&self) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_without_progress_times_out_and_one_with_progress_does_not() {
        let watchdog = Arc::new(Watchdog::new(Duration::from_millis(50)));
        let (release, released) = mpsc::channel::<()>();
        let hung = watchdog.run(move |watchdog| {
            let _call = watchdog.opens(Path::new("nowhere"));
            released.recv().is_ok()
        });
        assert_eq!(hung.expect("a thread"), Err(Duration::from_millis(50)));
        drop(release);

        let watchdog = Arc::new(Watchdog::new(Duration::from_secs(3_600)));
        let steady = watchdog.run(|watchdog| {
            let _call = watchdog.works();
            (0..1_000).for_each(|_| watchdog.goes_on());
            assert!(watchdog.exceeded().is_none());
            7
        });
        assert_eq!(steady.expect("a thread"), Ok(7));
        watchdog.close();
        assert_eq!(watchdog.look(), None);
    }
}
