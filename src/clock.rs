//! The time, and the only place that asks for it.
//!
//! A [`Timestamp`] is whole milliseconds since 1970-01-01T00:00:00Z, the unit of every record and every decision.
//! What decides gets its `now` as an argument; only the edges of the program hold a [`Clock`].

mod drift;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use serde::{Deserialize, Serialize};

pub use self::drift::TrustedClock;
use self::drift::{BootClock, Drift};

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

impl Default for Clock {
    fn default() -> Self {
        Self::new(Wall::Machine, BootClock::Machine)
    }
}

impl Clock {
    fn new(wall: Wall, boot: BootClock) -> Self {
        let drift = Arc::new(Drift::new(boot, wall.unmoved()));
        Self { wall, drift }
    }

    pub fn manual(start: Timestamp) -> Self {
        Self::new(Wall::Manual(Arc::new(AtomicI64::new(start.millis()))), BootClock::manual())
    }

    /// The machine's time, but so far ahead as it is told to be.
    pub fn ahead() -> Self {
        Self::new(Wall::Ahead(Arc::default()), BootClock::Machine)
    }

    /// The same time as a new process on the same machine sees it: nothing is remembered of a drift.
    #[must_use]
    pub fn in_new_process(&self) -> Self {
        Self::new(self.wall.clone(), self.drift.boot.clone())
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
        if let BootClock::Manual { millis, .. } = &self.drift.boot {
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

    /// The wall clock has drifted from the boot clock by more than 5 minutes, for less than 15 minutes, and no operator has accepted it.
    /// What depends on how much time has passed should wait.
    pub fn is_in_doubt(&self) -> bool {
        self.drift.is_in_doubt(self.wall.unmoved())
    }

    /// The wall clock is right as it stands.
    pub fn trust(&self) {
        self.drift.trust(self.wall.unmoved());
    }

    /// What a later process has to know, for the store to keep.
    pub fn trusted(&self) -> TrustedClock {
        self.drift.trusted(self.wall.unmoved())
    }

    /// Whether the store has to keep [`Clock::trusted`] anew.
    pub fn has_changed(&self, recorded: &TrustedClock) -> bool {
        self.drift.has_changed(recorded, self.wall.unmoved())
    }

    /// Goes on with what an earlier process has recorded, and the time of its latest record.
    pub fn resume(&self, recorded: Option<&TrustedClock>, last_record_at: Option<Timestamp>) {
        // A clock that a demonstration moves ahead is no witness.
        let last_record_at = last_record_at.filter(|_| !matches!(self.wall, Wall::Ahead(_)));
        self.drift.resume(recorded, last_record_at, self.wall.unmoved());
    }
}

impl Wall {
    /// Without the milliseconds that a demonstration is ahead, which are meant.
    fn unmoved(&self) -> Timestamp {
        match self {
            Self::Machine | Self::Ahead(_) => machine(),
            Self::Manual(millis) => Timestamp(millis.load(Ordering::SeqCst)),
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
        clock.trust();
        assert!(!clock.is_in_doubt());
    }

    /// A process begins, with what the one before it has left.
    fn restart(clock: &Clock, recorded: &TrustedClock, last_record_at: Timestamp) -> Clock {
        let clock = clock.in_new_process();
        clock.resume(Some(recorded), Some(last_record_at));
        clock
    }

    #[test]
    fn a_restart_forgets_neither_the_drift_nor_since_when_it_lasts() {
        let clock = Clock::manual(Timestamp(1_795_419_000_000));
        let before = clock.trusted();
        clock.jump_ms(2 * 3_600_000);
        assert!(clock.has_changed(&before));
        let unnoticed = restart(&clock, &before, clock.now());
        assert!(unnoticed.is_in_doubt(), "killed before the drift was recorded");
        clock.advance_ms(10 * 60_000);
        let noticed = clock.trusted();
        assert!(!clock.has_changed(&noticed));
        let after = restart(&clock, &noticed, clock.now());
        assert!(after.is_in_doubt());
        clock.advance_ms(5 * 60_000);
        assert!(!after.is_in_doubt(), "15 minutes have passed in two processes");
        assert!(after.has_changed(&noticed));
        let accepted = after.trusted();
        assert!(!restart(&clock, &accepted, clock.now()).is_in_doubt());
    }

    #[test]
    fn across_starts_of_the_machine_the_latest_record_is_the_witness() {
        const MINUTE_MS: i64 = 60_000;
        let last = Timestamp(1_795_419_000_000);
        let calm = Clock::manual(last).trusted();
        let ahead = Clock::manual(last.plus_ms(-120 * MINUTE_MS));
        ahead.jump_ms(120 * MINUTE_MS);
        let ahead = {
            assert!(ahead.is_in_doubt());
            ahead.trusted()
        };
        for (recorded, passed_minutes, in_doubt) in [
            (&calm, 1, false),
            (&calm, 60 * 24 * 30, false),
            (&calm, -4, false),
            (&calm, -6, true),
            (&calm, -600, true),
            (&ahead, 1, true),
            (&ahead, 600, true),
            (&ahead, -119, false),
            (&ahead, -124, false),
            (&ahead, -126, true),
        ] {
            let clock = Clock::manual(last.plus_ms(passed_minutes * MINUTE_MS));
            clock.resume(Some(recorded), Some(last));
            assert_eq!(clock.is_in_doubt(), in_doubt, "{recorded:?}, {passed_minutes} minutes later");
            if in_doubt {
                clock.advance_ms(15 * MINUTE_MS);
                assert!(!clock.is_in_doubt());
            }
        }
        let first = Clock::manual(last);
        first.resume(None, None);
        assert!(!first.is_in_doubt());
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
