//! Decides whether the wall clock can be trusted, by comparison with the boot clock, which counts since the machine was
//! started and cannot be set.
//!
//! When the two drift apart by more than 5 minutes, the wall clock is in doubt until an operator accepts it, it is
//! corrected, or the drift has lasted 15 minutes. The last trusted difference outlives the process as a
//! [`TrustedClock`] in the store.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// The largest accepted drift, in milliseconds.
const MAX_DRIFT_MS: i64 = 5 * 60_000;

/// The age at which a drift is accepted as the new time, in milliseconds.
const ACCEPTED_AFTER_MS: i64 = 15 * 60_000;

/// The file in which Linux gives an id for the current boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The value of `apart_since_ms` without a drift.
const NEVER: i64 = i64::MIN;

/// The last trusted difference of the two clocks, and a drift that is not yet accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedClock {
    /// The id of the boot; the boot clock counts from there.
    boot: Box<str>,
    /// Wall clock minus boot clock, in milliseconds.
    offset_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drift: Option<OpenDrift>,
}

/// A drift during which timers and limits are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct OpenDrift {
    /// The start of the drift by the boot clock, in milliseconds.
    since_ms: i64,
    /// How far the wall clock was ahead of the trusted time, in milliseconds.
    ms: i64,
}

/// The clock that counts since the machine was started. Clones share it.
#[derive(Clone, Debug)]
pub(super) enum BootClock {
    Machine,
    /// A clock for tests. The id distinguishes one boot from another.
    Manual {
        id: Box<str>,
        millis: Arc<AtomicI64>,
    },
}

impl BootClock {
    pub fn manual() -> Self {
        static STARTS: AtomicU64 = AtomicU64::new(0);
        let id = format!("test-{}", STARTS.fetch_add(1, Ordering::Relaxed)).into();
        Self::Manual { id, millis: Arc::default() }
    }

    pub fn now_ms(&self) -> i64 {
        match self {
            Self::Machine => {
                let at = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
                at.tv_sec.saturating_mul(1_000).saturating_add(at.tv_nsec / 1_000_000)
            }
            Self::Manual { millis, .. } => millis.load(Ordering::SeqCst),
        }
    }

    /// Empty if the system gives no id.
    fn id(&self) -> Box<str> {
        match self {
            Self::Machine => fs::read_to_string(BOOT_ID).unwrap_or_default().trim().into(),
            Self::Manual { id, .. } => id.clone(),
        }
    }
}

/// The trust of one process in the wall clock.
#[derive(Debug)]
pub(super) struct Drift {
    pub boot: BootClock,
    boot_id: Box<str>,
    /// Wall clock minus boot clock at the last time it was trusted, in milliseconds.
    trusted_ms: AtomicI64,
    /// The time on the boot clock at which the drift was first seen, or [`NEVER`].
    apart_since_ms: AtomicI64,
}

impl Drift {
    /// Trusts the present time of the wall clock.
    pub fn new(boot: BootClock, wall: Timestamp) -> Self {
        let drift =
            Self { boot_id: boot.id(), boot, trusted_ms: AtomicI64::new(0), apart_since_ms: AtomicI64::new(NEVER) };
        drift.trust(wall);
        drift
    }

    fn offset_ms(&self, wall: Timestamp) -> i64 {
        wall.millis().saturating_sub(self.boot.now_ms())
    }

    pub fn trust(&self, wall: Timestamp) {
        self.trusted_ms.store(self.offset_ms(wall), Ordering::SeqCst);
        self.apart_since_ms.store(NEVER, Ordering::SeqCst);
    }

    /// How far the wall clock is ahead of the trusted time, in milliseconds.
    fn apart_ms(&self, wall: Timestamp) -> i64 {
        self.offset_ms(wall).saturating_sub(self.trusted_ms.load(Ordering::SeqCst))
    }

    pub fn is_in_doubt(&self, wall: Timestamp) -> bool {
        if self.apart_ms(wall).abs() <= MAX_DRIFT_MS {
            self.apart_since_ms.store(NEVER, Ordering::SeqCst);
            return false;
        }
        let boot_ms = self.boot.now_ms();
        let since = self.apart_since_ms.compare_exchange(NEVER, boot_ms, Ordering::SeqCst, Ordering::SeqCst);
        let since_ms = since.map_or_else(|since_ms| since_ms, |_| boot_ms);
        let is_accepted = boot_ms.saturating_sub(since_ms) >= ACCEPTED_AFTER_MS;
        if is_accepted {
            self.trust(wall);
        }
        !is_accepted
    }

    /// The state that a later process needs.
    pub fn trusted(&self, wall: Timestamp) -> TrustedClock {
        let is_apart = self.is_in_doubt(wall);
        let since_ms = self.apart_since_ms.load(Ordering::SeqCst);
        TrustedClock {
            boot: self.boot_id.clone(),
            offset_ms: self.trusted_ms.load(Ordering::SeqCst),
            drift: is_apart.then(|| OpenDrift { since_ms, ms: self.apart_ms(wall) }),
        }
    }

    /// Whether a later process would misjudge the clock with the recorded state.
    pub fn has_changed(&self, recorded: &TrustedClock, wall: Timestamp) -> bool {
        let is_apart = self.is_in_doubt(wall);
        recorded.drift.is_some() != is_apart
            || recorded.offset_ms != self.trusted_ms.load(Ordering::SeqCst)
            || recorded.boot != self.boot_id
    }

    /// Restores the state that an earlier process has recorded. `last_record_at`: the time of its latest record, by its
    /// wall clock.
    pub fn resume(&self, recorded: Option<&TrustedClock>, last_record_at: Option<Timestamp>, wall: Timestamp) {
        if let Some(recorded) = recorded.filter(|recorded| recorded.boot == self.boot_id && !self.boot_id.is_empty()) {
            self.trusted_ms.store(recorded.offset_ms, Ordering::SeqCst);
            self.apart_since_ms.store(recorded.drift.map_or(NEVER, |drift| drift.since_ms), Ordering::SeqCst);
            return;
        }
        // The boot clock has restarted, so the latest record is the only reference.
        let Some(last_record_at) = last_record_at else { return };
        let drift_ms = recorded.and_then(|recorded| recorded.drift).map_or(0, |drift| drift.ms);
        let lost_ms = last_record_at.millis().saturating_sub(wall.millis());
        let trusted = if lost_ms <= MAX_DRIFT_MS {
            // Time has advanced. If the wall clock was in doubt, it still is, by the same drift.
            wall.plus_ms(drift_ms.saturating_neg())
        } else if lost_ms <= drift_ms.saturating_add(MAX_DRIFT_MS) {
            // The wall clock was ahead, and has been corrected.
            wall
        } else {
            last_record_at.plus_ms(drift_ms.saturating_neg())
        };
        self.trust(trusted);
    }
}
