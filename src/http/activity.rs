//! The state of one connection, and the time since which it has been in that state. The listener looks at nothing else.
//!
//! The connection's own task updates this state. The listener's sweep reads it and sets flags that end the connection,
//! so that a request needs no timer. Times are milliseconds since the listener's start, with the resolution of its
//! sweeps. [`connections`](super::connections) applies the timeouts.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;

use super::scan::SeenRequest;

/// The clock of one listener; each sweep updates it.
#[derive(Debug, Default)]
pub(super) struct SweepClock(AtomicU64);

impl SweepClock {
    pub(super) fn now_ms(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(super) fn set_ms(&self, now: u64) {
        self.0.store(now, Relaxed);
    }
}

/// The phases of a connection. In all of them except [`ConnectionPhase::Work`], the connection waits for the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionPhase {
    /// Accepted; no HTTP data has been read yet. Includes the TLS handshake.
    Fresh,
    /// A part of a request's head has been read. For the first request, the time counts from the accept.
    Head,
    /// A handler has the request, and the body is not complete.
    Body,
    /// The request is complete, and the response is not.
    Work,
    /// The response is complete; the connection waits for the next request.
    Idle,
    /// The write side is closed. Data from the peer is discarded, so that the peer can still read the response.
    Linger,
    Gone,
}

const PHASES: [ConnectionPhase; 7] = [
    ConnectionPhase::Fresh,
    ConnectionPhase::Head,
    ConnectionPhase::Body,
    ConnectionPhase::Work,
    ConnectionPhase::Idle,
    ConnectionPhase::Linger,
    ConnectionPhase::Gone,
];

/// The request's body has exceeded its timeout.
const BODY_LATE: u8 = 1;
/// Finish the current request, then close.
const DRAIN: u8 = 2;
/// A head has exceeded its timeout.
const LATE: u8 = 4;
/// Close now.
const CLOSE: u8 = 8;
/// A body was not read to its end.
const UNREAD: u8 = 16;

#[derive(Debug)]
pub(super) struct ConnectionActivity {
    /// `since << 3 | phase`, so that both change atomically.
    state: AtomicU64,
    flags: AtomicU8,
    /// The time since which the peer has accepted no data; 0 if no write is blocked.
    stalled: AtomicU64,
    /// The number of requests that have begun since the connection was last idle.
    begun: AtomicU8,
    /// For the first of these requests: the sum of its announced chunk sizes, in bytes, and whether its head had a
    /// `Content-Length`.
    announced: AtomicU64,
    has_length: AtomicBool,
    task: AtomicWaker,
    ticks: Arc<SweepClock>,
    /// The address by which the cap for each peer is counted.
    pub(super) peer: IpAddr,
}

impl ConnectionActivity {
    pub(super) fn new(ticks: Arc<SweepClock>, peer: IpAddr) -> Self {
        Self {
            state: AtomicU64::new(ticks.now_ms() << 3),
            flags: AtomicU8::new(0),
            stalled: AtomicU64::new(0),
            begun: AtomicU8::new(0),
            announced: AtomicU64::new(0),
            has_length: AtomicBool::new(false),
            task: AtomicWaker::new(),
            ticks,
            peer,
        }
    }

    pub(super) fn now(&self) -> (ConnectionPhase, u64) {
        let state = self.state.load(Relaxed);
        (PHASES[(state & 7) as usize % PHASES.len()], state >> 3)
    }

    pub(super) fn phase(&self) -> ConnectionPhase {
        self.now().0
    }

    pub(super) fn enter(&self, phase: ConnectionPhase) {
        self.store_phase(phase, self.ticks.now_ms());
    }

    fn store_phase(&self, phase: ConnectionPhase, since: u64) {
        self.state.store(since << 3 | phase as u64, Relaxed);
    }

    /// Records that the peer sent data. Returns whether the data starts a request after an idle period.
    pub(super) fn bytes_read(&self) -> bool {
        match self.now() {
            (ConnectionPhase::Fresh, since) => self.store_phase(ConnectionPhase::Head, since),
            (ConnectionPhase::Idle, _) => self.enter(ConnectionPhase::Head),
            _ => return false,
        }
        self.begun.store(0, Relaxed);
        self.bytes_written(SeenRequest::default());
        true
    }

    /// Stores the facts from the raw bytes of the first request after an idle period.
    pub(super) fn bytes_written(&self, seen: SeenRequest) {
        self.announced.store(seen.announced, Relaxed);
        self.has_length.store(seen.has_length, Relaxed);
    }

    /// Returns these facts if they are about the current request.
    pub(super) fn seen(&self) -> Option<SeenRequest> {
        (self.begun.load(Relaxed) == 1)
            .then(|| SeenRequest { announced: self.announced.load(Relaxed), has_length: self.has_length.load(Relaxed) })
    }

    /// The head of a request is complete. `whole`: the request has no body.
    pub(super) fn begin(&self, whole: bool) {
        if self.is_signalled(BODY_LATE) {
            self.flags.fetch_and(!BODY_LATE, Relaxed);
        }
        self.begun.store(self.begun.load(Relaxed).saturating_add(1), Relaxed);
        self.enter(if whole { ConnectionPhase::Work } else { ConnectionPhase::Body });
    }

    /// No more of the request's body is expected. Has no effect if the handler drops the body after its response.
    pub(super) fn complete(&self) {
        if self.phase() == ConnectionPhase::Body {
            self.enter(ConnectionPhase::Work);
        }
    }

    pub(super) fn stalled(&self) {
        if self.stalled.load(Relaxed) == 0 {
            self.stalled.store(self.ticks.now_ms().max(1), Relaxed);
        }
    }

    pub(super) fn unstalled(&self) {
        if self.stalled.load(Relaxed) != 0 {
            self.stalled.store(0, Relaxed);
        }
    }

    pub(super) fn stalled_since(&self) -> Option<u64> {
        Some(self.stalled.load(Relaxed)).filter(|since| *since != 0)
    }

    fn is_signalled(&self, flag: u8) -> bool {
        self.flags.load(Relaxed) & flag != 0
    }

    fn signal(&self, flags: u8) {
        self.flags.fetch_or(flags, Relaxed);
        // The waker's own ordering publishes the flag to the task that it wakes.
        self.task.wake();
    }

    pub(super) fn signal_body_late(&self) {
        self.signal(BODY_LATE);
    }

    pub(super) fn signal_drain(&self) {
        self.signal(DRAIN);
    }

    pub(super) fn signal_late(&self) {
        self.signal(LATE | CLOSE);
    }

    pub(super) fn signal_close(&self) {
        self.signal(CLOSE);
    }

    pub(super) fn leave_unread(&self) {
        self.flags.fetch_or(UNREAD, Relaxed);
    }

    pub(super) fn is_body_late(&self) -> bool {
        self.is_signalled(BODY_LATE)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_signalled(DRAIN)
    }

    pub(super) fn is_late(&self) -> bool {
        self.is_signalled(LATE)
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_signalled(CLOSE)
    }

    pub(super) fn has_unread(&self) -> bool {
        self.is_signalled(UNREAD)
    }

    /// Registers the calling task as the one that `tell_…` wakes.
    pub(super) fn signalled(&self, cx: &Context<'_>) {
        self.task.register(cx.waker());
    }

    /// Drives a future that precedes HTTP. Returns `None` if the listener ends the connection first.
    pub(super) async fn unless_closed<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| {
            self.signalled(cx);
            match future.as_mut().poll(cx) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending if self.is_closing() || self.is_draining() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

/// Marks the connection as gone when it is dropped, however its task ends.
pub(super) struct ConnectionGuard(pub(super) Arc<ConnectionActivity>);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.enter(ConnectionPhase::Gone);
    }
}
