//! What one connection is doing, and since when: the only thing about it that its listener looks at.
//!
//! A connection's own task writes here as it goes, and the listener's sweep reads it and says "end", so a request needs no
//! timer. Times are milliseconds since the listener's start, as coarse as its sweeps. What is too long is said in
//! [`crowd`](super::crowd), not here.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;

use super::scan::Seen;

/// The time as the sweeps of one listener tell it.
#[derive(Debug, Default)]
pub(super) struct Ticks(AtomicU64);

impl Ticks {
    pub(super) fn now_ms(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(super) fn set_ms(&self, now: u64) {
        self.0.store(now, Relaxed);
    }
}

/// The stages of a connection; all but [`Phase::Work`] wait for the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Accepted, nothing of HTTP read yet; TLS shakes hands here.
    Fresh,
    /// Some of a request's head is there. For the first request the time counts from the accept on.
    Head,
    /// A handler has the request, and the body is not complete.
    Body,
    /// The whole request is there, and the answer is not yet.
    Work,
    /// Answered, and waiting for another request.
    Idle,
    /// Our side is closed, and what the peer still sends is thrown away, so that it gets to read the answer.
    Linger,
    Gone,
}

const PHASES: [Phase; 7] =
    [Phase::Fresh, Phase::Head, Phase::Body, Phase::Work, Phase::Idle, Phase::Linger, Phase::Gone];

/// The request's body took too long.
const BODY_LATE: u8 = 1;
/// Finish what is under way, then close.
const DRAIN: u8 = 2;
/// The peer took too long with a head.
const LATE: u8 = 4;
/// Close now.
const CLOSE: u8 = 8;
/// A body was not read to its end.
const UNREAD: u8 = 16;

#[derive(Debug)]
pub(super) struct Activity {
    /// `since << 3 | phase`, so that both change at once.
    state: AtomicU64,
    flags: AtomicU8,
    /// Since when the peer has not taken what was written; 0 while it does.
    stalled: AtomicU64,
    /// How many requests have begun since the connection was last silent.
    begun: AtomicU8,
    /// Of the first of them, how large its chunks say they are, in bytes, and whether its head had a length.
    announced: AtomicU64,
    has_length: AtomicBool,
    task: AtomicWaker,
    ticks: Arc<Ticks>,
    /// What the cap for one peer is counted by.
    pub(super) peer: IpAddr,
}

impl Activity {
    pub(super) fn new(ticks: Arc<Ticks>, peer: IpAddr) -> Self {
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

    pub(super) fn now(&self) -> (Phase, u64) {
        let state = self.state.load(Relaxed);
        (PHASES[(state & 7) as usize % PHASES.len()], state >> 3)
    }

    pub(super) fn phase(&self) -> Phase {
        self.now().0
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.put(phase, self.ticks.now_ms());
    }

    fn put(&self, phase: Phase, since: u64) {
        self.state.store(since << 3 | phase as u64, Relaxed);
    }

    /// The peer sent something. Says whether that begins a request after a silence.
    pub(super) fn heard(&self) -> bool {
        match self.now() {
            (Phase::Fresh, since) => self.put(Phase::Head, since),
            (Phase::Idle, _) => self.enter(Phase::Head),
            _ => return false,
        }
        self.begun.store(0, Relaxed);
        self.saw(Seen::default());
        true
    }

    /// What the raw bytes of the first request after a silence have shown.
    pub(super) fn saw(&self, seen: Seen) {
        self.announced.store(seen.announced, Relaxed);
        self.has_length.store(seen.has_length, Relaxed);
    }

    /// What is known in this way of the request that has begun last.
    pub(super) fn seen(&self) -> Option<Seen> {
        (self.begun.load(Relaxed) == 1)
            .then(|| Seen { announced: self.announced.load(Relaxed), has_length: self.has_length.load(Relaxed) })
    }

    /// A request's head is complete.
    pub(super) fn begin(&self, whole: bool) {
        if self.has(BODY_LATE) {
            self.flags.fetch_and(!BODY_LATE, Relaxed);
        }
        self.begun.store(self.begun.load(Relaxed).saturating_add(1), Relaxed);
        self.enter(if whole { Phase::Work } else { Phase::Body });
    }

    /// Nothing more of the request's body is awaited. A handler that keeps the body beyond its answer changes nothing.
    pub(super) fn complete(&self) {
        if self.phase() == Phase::Body {
            self.enter(Phase::Work);
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

    fn has(&self, flag: u8) -> bool {
        self.flags.load(Relaxed) & flag != 0
    }

    fn tell(&self, flags: u8) {
        self.flags.fetch_or(flags, Relaxed);
        // The waker's own ordering publishes the flag to the task that it wakes.
        self.task.wake();
    }

    pub(super) fn tell_body_late(&self) {
        self.tell(BODY_LATE);
    }

    pub(super) fn tell_drain(&self) {
        self.tell(DRAIN);
    }

    pub(super) fn tell_late(&self) {
        self.tell(LATE | CLOSE);
    }

    pub(super) fn tell_close(&self) {
        self.tell(CLOSE);
    }

    pub(super) fn leave_unread(&self) {
        self.flags.fetch_or(UNREAD, Relaxed);
    }

    pub(super) fn is_body_late(&self) -> bool {
        self.has(BODY_LATE)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.has(DRAIN)
    }

    pub(super) fn is_late(&self) -> bool {
        self.has(LATE)
    }

    pub(super) fn is_closing(&self) -> bool {
        self.has(CLOSE)
    }

    pub(super) fn has_unread(&self) -> bool {
        self.has(UNREAD)
    }

    /// Makes the task that polls this the one that `tell_…` wakes.
    pub(super) fn listen(&self, cx: &Context<'_>) {
        self.task.register(cx.waker());
    }

    /// Drives what comes before HTTP; `None` when the listener wants the connection to end first.
    pub(super) async fn unless_closed<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| {
            self.listen(cx);
            match future.as_mut().poll(cx) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending if self.is_closing() || self.is_draining() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

/// Says that a connection is gone, however its task ends.
pub(super) struct Presence(pub(super) Arc<Activity>);

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.enter(Phase::Gone);
    }
}
