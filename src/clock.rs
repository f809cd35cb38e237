//! The time, and the only place that asks for it.
//!
//! A [`Timestamp`] is whole milliseconds since 1970-01-01T00:00:00Z, the unit of every record and every decision.
//! What decides gets its `now` as an argument; only the edges of the program hold a [`Clock`].

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC. Shown as RFC 3339, kept as a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Later by so many milliseconds; at the ends of time it stays there.
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// How long ago `earlier` was, in milliseconds; 0 where it lies ahead (a clock may have been set back).
    pub fn since_ms(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0).max(0)
    }

    /// The same moment for calendars and time zones.
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(at: jiff::Timestamp) -> Self {
        Self(at.as_millisecond())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_jiff(), f)
    }
}

/// How far wall clock and boot clock may drift apart before nobody believes the wall clock.
const MAX_DRIFT_MS: i64 = 5 * 60_000;

/// A drift that has lasted so long is the new time.
const ACCEPTED_AFTER_MS: i64 = 15 * 60_000;

/// Where `now` comes from: the machine, or a test's hand. Copies share one clock.
#[derive(Clone, Debug)]
pub struct Clock {
    wall: Wall,
    drift: Arc<Drift>,
}

#[derive(Clone, Debug)]
enum Wall {
    Machine,
    /// Stands still until it is moved.
    Manual(Arc<AtomicI64>),
    /// The machine's, so many milliseconds ahead: for a demonstration in which days pass.
    Ahead(Arc<AtomicI64>),
}

/// The wall clock held against the clock that counts since the machine was started, which nobody sets.
#[derive(Debug)]
struct Drift {
    boot: Boot,
    /// Wall clock minus boot clock, as it was believed last.
    believed_ms: AtomicI64,
    /// By the boot clock, when they were seen to have drifted apart; `NEVER`: they have not.
    apart_since_ms: AtomicI64,
}

#[derive(Debug)]
enum Boot {
    Machine,
    Manual(AtomicI64),
}

const NEVER: i64 = i64::MIN;

impl Default for Clock {
    fn default() -> Self {
        Self::new(Wall::Machine, Boot::Machine)
    }
}

impl Clock {
    fn new(wall: Wall, boot: Boot) -> Self {
        let drift = Drift { boot, believed_ms: AtomicI64::new(0), apart_since_ms: AtomicI64::new(NEVER) };
        let clock = Self { wall, drift: Arc::new(drift) };
        clock.believe();
        clock
    }

    pub fn manual(start: Timestamp) -> Self {
        Self::new(Wall::Manual(Arc::new(AtomicI64::new(start.millis()))), Boot::Manual(AtomicI64::new(0)))
    }

    /// The machine's time, but so far ahead as it is told to be.
    pub fn ahead() -> Self {
        Self::new(Wall::Ahead(Arc::default()), Boot::Machine)
    }

    pub fn now(&self) -> Timestamp {
        match &self.wall {
            Wall::Machine => machine(),
            Wall::Manual(millis) => Timestamp(millis.load(Ordering::SeqCst)),
            Wall::Ahead(millis) => machine().plus_ms(millis.load(Ordering::SeqCst)),
        }
    }

    /// Whether time may pass at any moment, and not only as it does.
    pub const fn is_moved_by_hand(&self) -> bool {
        !matches!(self.wall, Wall::Machine)
    }

    /// Moves a clock on that is somebody's to move; the machine's own is nobody's.
    pub fn advance_ms(&self, ms: i64) {
        if let Boot::Manual(millis) = &self.drift.boot {
            millis.fetch_add(ms, Ordering::SeqCst);
        }
        self.jump_ms(ms);
    }

    /// Sets a clock that is somebody's to set, forward or back: no time passes.
    pub fn jump_ms(&self, ms: i64) {
        if let Wall::Manual(millis) | Wall::Ahead(millis) = &self.wall {
            millis.fetch_add(ms, Ordering::SeqCst);
        }
    }

    /// Whether the wall clock has jumped by more than five minutes, for less than a quarter of an hour, and nobody has accepted
    /// it. What hangs on how much time has passed should wait.
    pub fn is_in_doubt(&self) -> bool {
        let drift = &self.drift;
        let boot_ms = drift.boot.now_ms();
        let apart_ms = (self.offset_ms(boot_ms) - drift.believed_ms.load(Ordering::SeqCst)).abs();
        if apart_ms <= MAX_DRIFT_MS {
            drift.apart_since_ms.store(NEVER, Ordering::SeqCst);
            return false;
        }
        let since_ms = match drift.apart_since_ms.compare_exchange(NEVER, boot_ms, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => boot_ms,
            Err(since_ms) => since_ms,
        };
        let accepted = boot_ms.saturating_sub(since_ms) >= ACCEPTED_AFTER_MS;
        if accepted {
            self.believe();
        }
        !accepted
    }

    /// The wall clock is right as it stands.
    pub fn believe(&self) {
        let boot_ms = self.drift.boot.now_ms();
        self.drift.believed_ms.store(self.offset_ms(boot_ms), Ordering::SeqCst);
        self.drift.apart_since_ms.store(NEVER, Ordering::SeqCst);
    }

    fn offset_ms(&self, boot_ms: i64) -> i64 {
        let wall = match &self.wall {
            // What it is ahead is meant.
            Wall::Machine | Wall::Ahead(_) => machine(),
            Wall::Manual(millis) => Timestamp(millis.load(Ordering::SeqCst)),
        };
        wall.millis().saturating_sub(boot_ms)
    }
}

impl Boot {
    fn now_ms(&self) -> i64 {
        match self {
            Self::Machine => {
                let at = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
                at.tv_sec.saturating_mul(1_000).saturating_add(at.tv_nsec / 1_000_000)
            }
            Self::Manual(millis) => millis.load(Ordering::SeqCst),
        }
    }
}

#[allow(clippy::disallowed_methods)]
fn machine() -> Timestamp {
    jiff::Timestamp::now().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_reads_as_rfc_3339() {
        assert_eq!(Timestamp(1_795_419_000_123).to_string(), "2026-11-23T07:30:00.123Z");
        assert_eq!(Timestamp(i64::MAX).to_jiff(), jiff::Timestamp::MAX);
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_negative_age() {
        assert_eq!(Timestamp(5).since_ms(Timestamp(9)), 0);
    }

    #[test]
    fn a_clock_that_jumps_is_in_doubt_until_it_is_believed_or_has_lasted() {
        let clock = Clock::manual(Timestamp(1_795_419_000_000));
        clock.advance_ms(86_400_000);
        assert!(!clock.is_in_doubt(), "a day has passed by both clocks");
        for jump_ms in [3_600_000, -3_600_000] {
            clock.jump_ms(jump_ms);
            assert!(clock.is_in_doubt());
            clock.advance_ms(14 * 60_000);
            assert!(clock.is_in_doubt());
            clock.advance_ms(60_000);
            assert!(!clock.is_in_doubt(), "it has lasted");
        }
        clock.jump_ms(3_600_000);
        assert!(clock.is_in_doubt());
        clock.jump_ms(-3_590_000);
        assert!(!clock.is_in_doubt(), "it was set right again");
        clock.jump_ms(3_600_000);
        assert!(clock.is_in_doubt());
        clock.believe();
        assert!(!clock.is_in_doubt());
    }

    #[test]
    fn the_machine_counts_on_both_clocks() {
        let clock = Clock::default();
        assert!(!clock.is_in_doubt());
        let ahead = Clock::ahead();
        ahead.advance_ms(86_400_000);
        assert!(!ahead.is_in_doubt(), "what it is ahead is meant");
    }
}
