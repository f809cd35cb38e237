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

/// Where `now` comes from: the machine, or a test's hand.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    #[default]
    System,
    /// Stands still until it is moved.
    Manual(Arc<AtomicI64>),
    /// The machine's, so many milliseconds ahead: for a demonstration in which days pass.
    Ahead(Arc<AtomicI64>),
}

impl Clock {
    pub fn manual(start: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(start.millis())))
    }

    /// The machine's time, but so far ahead as it is told to be.
    pub fn ahead() -> Self {
        Self::Ahead(Arc::default())
    }

    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => machine(),
            Self::Manual(millis) => Timestamp(millis.load(Ordering::SeqCst)),
            Self::Ahead(millis) => machine().plus_ms(millis.load(Ordering::SeqCst)),
        }
    }

    /// Whether time may pass at any moment, and not only as it does.
    pub const fn is_moved_by_hand(&self) -> bool {
        !matches!(self, Self::System)
    }

    /// Moves a clock on that is somebody's to move; the machine's own is nobody's.
    pub fn advance_ms(&self, ms: i64) {
        if let Self::Manual(millis) | Self::Ahead(millis) = self {
            millis.fetch_add(ms, Ordering::SeqCst);
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
}
