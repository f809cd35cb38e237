//! Timestamps, and the clock: the only code that reads the current time.
//!
//! A [`Timestamp`] is a number of milliseconds since 1970-01-01T00:00:00Z, the unit of all records and decisions. A
//! decision gets `now` as an argument; only the outer parts of the program hold a [`Clock`].

mod drift;
mod timestamp;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use self::drift::{BootClock, Drift};
pub use self::{drift::TrustedClock, timestamp::Timestamp};

/// The source of the current time: the machine, or a test. Clones share one clock.
#[derive(Clone, Debug)]
pub struct Clock {
    wall: Wall,
    drift: Arc<Drift>,
}

#[derive(Clone, Debug)]
enum Wall {
    Machine,
    /// Does not advance by itself.
    Manual(Arc<AtomicI64>),
    /// The machine's time plus these milliseconds, for a demonstration in which days pass.
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

    /// The machine's time, plus the milliseconds added later with `advance_ms` or `jump_ms`.
    pub fn ahead() -> Self {
        Self::new(Wall::Ahead(Arc::default()), BootClock::Machine)
    }

    /// The same time as seen by a new process on the same machine: the state of a drift is not copied.
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

    /// Whether a caller can move this clock.
    pub const fn is_moved_by_hand(&self) -> bool {
        !matches!(self.wall, Wall::Machine)
    }

    /// Lets time pass on a clock that can be moved; has no effect on the machine's clock.
    pub fn advance_ms(&self, ms: i64) {
        if let BootClock::Manual { millis, .. } = &self.drift.boot {
            millis.fetch_add(ms, Ordering::SeqCst);
        }
        self.jump_ms(ms);
    }

    /// Sets a clock that can be moved forward or back, without time passing; has no effect on the machine's clock.
    pub fn jump_ms(&self, ms: i64) {
        if let Wall::Manual(millis) | Wall::Ahead(millis) = &self.wall {
            millis.fetch_add(ms, Ordering::SeqCst);
        }
    }

    /// Whether the wall clock is in doubt: it has drifted from the boot clock by more than 5 minutes, for less than
    /// 15 minutes, and no operator has accepted it. Code that depends on elapsed time should wait.
    pub fn is_in_doubt(&self) -> bool {
        self.drift.is_in_doubt(self.wall.unmoved())
    }

    /// Accepts the present time of the wall clock as correct.
    pub fn trust(&self) {
        self.drift.trust(self.wall.unmoved());
    }

    /// The state that the store keeps for a later process.
    pub fn trusted(&self) -> TrustedClock {
        self.drift.trusted(self.wall.unmoved())
    }

    /// Whether the store must record [`Clock::trusted`] again.
    pub fn has_changed(&self, recorded: &TrustedClock) -> bool {
        self.drift.has_changed(recorded, self.wall.unmoved())
    }

    /// Restores the state that an earlier process has recorded. `last_record_at` is the time of its latest record.
    pub fn resume(&self, recorded: Option<&TrustedClock>, last_record_at: Option<Timestamp>) {
        // A demonstration moves its clock ahead, so the time of the latest record proves nothing.
        let last_record_at = last_record_at.filter(|_| !matches!(self.wall, Wall::Ahead(_)));
        self.drift.resume(recorded, last_record_at, self.wall.unmoved());
    }
}

impl Wall {
    /// The time without the offset of a demonstration, which is intended.
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
    fn a_timestamp_is_displayed_as_rfc_3339() {
        assert_eq!(Timestamp(1_795_419_000_123).to_string(), "2026-11-23T07:30:00.123Z");
        assert_eq!(Timestamp(i64::MAX).to_jiff(), jiff::Timestamp::MAX);
    }

    #[test]
    fn a_clock_that_was_set_back_gives_no_negative_age() {
        assert_eq!(Timestamp(5).since_ms(Timestamp(9)), 0);
    }

    #[test]
    fn a_clock_that_jumps_is_in_doubt_until_it_is_accepted_or_15_minutes_have_passed() {
        let clock = Clock::manual(Timestamp(1_795_419_000_000));
        clock.advance_ms(86_400_000);
        assert!(!clock.is_in_doubt(), "a day has passed on both clocks");
        for jump_ms in [3_600_000, -3_600_000] {
            clock.jump_ms(jump_ms);
            assert!(clock.is_in_doubt());
            clock.advance_ms(14 * 60_000);
            assert!(clock.is_in_doubt());
            clock.advance_ms(60_000);
            assert!(!clock.is_in_doubt(), "the drift has lasted 15 minutes");
        }
        clock.jump_ms(3_600_000);
        assert!(clock.is_in_doubt());
        clock.jump_ms(-3_590_000);
        assert!(!clock.is_in_doubt(), "the clock was corrected");
        clock.jump_ms(3_600_000);
        assert!(clock.is_in_doubt());
        clock.trust();
        assert!(!clock.is_in_doubt());
    }

    /// Starts a process with the state that the previous one has recorded.
    fn restart(clock: &Clock, recorded: &TrustedClock, last_record_at: Timestamp) -> Clock {
        let clock = clock.in_new_process();
        clock.resume(Some(recorded), Some(last_record_at));
        clock
    }

    #[test]
    fn a_restart_keeps_the_drift_and_its_start_time() {
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
    fn after_a_reboot_the_wall_clock_is_compared_with_the_latest_record() {
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
    fn the_machine_clock_and_the_demonstration_clock_are_not_in_doubt() {
        let clock = Clock::default();
        assert!(!clock.is_in_doubt());
        let ahead = Clock::ahead();
        ahead.advance_ms(86_400_000);
        assert!(!ahead.is_in_doubt(), "the offset of a demonstration is intended");
    }
}
