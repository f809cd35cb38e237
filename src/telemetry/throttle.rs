//! Limits how often the same line is logged, where clients on the network control how often its cause occurs.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// The minimum time between two equal lines.
const INTERVAL: Duration = Duration::from_secs(60);

/// Lets the first line pass at once, then one line per interval, and counts the lines in between. Uses no lock and no
/// allocation.
#[derive(Debug)]
pub struct LogThrottle {
    start: Instant,
    interval_ms: u64,
    /// The time from which the next line may pass, in milliseconds after `start`.
    next_ms: AtomicU64,
    left_out: AtomicU64,
}

impl Default for LogThrottle {
    fn default() -> Self {
        Self::every(INTERVAL)
    }
}

impl LogThrottle {
    pub fn every(interval: Duration) -> Self {
        let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        Self { start: Instant::now(), interval_ms, next_ms: AtomicU64::new(0), left_out: AtomicU64::new(0) }
    }

    /// Returns the number of lines left out before this one if the line may be written; otherwise `None`.
    pub fn pass(&self) -> Option<u64> {
        self.pass_at(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn pass_at(&self, now_ms: u64) -> Option<u64> {
        let next = self.next_ms.load(Relaxed);
        let after = now_ms.saturating_add(self.interval_ms);
        if now_ms >= next && self.next_ms.compare_exchange(next, after, Relaxed, Relaxed).is_ok() {
            return Some(self.left_out.swap(0, Relaxed));
        }
        self.left_out.fetch_add(1, Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_passes_and_then_one_per_interval_with_a_count() {
        let throttle = LogThrottle::every(Duration::from_secs(60));
        assert_eq!(throttle.pass_at(0), Some(0));
        for ms in [0, 1, 30_000, 59_999] {
            assert_eq!(throttle.pass_at(ms), None);
        }
        assert_eq!(throttle.pass_at(60_000), Some(4));
        assert_eq!(throttle.pass_at(60_001), None);
        assert_eq!(throttle.pass_at(500_000), Some(1));
        assert_eq!(throttle.pass_at(560_000), Some(0));
    }

    #[test]
    fn only_one_of_many_threads_writes_and_the_others_are_counted() {
        let throttle = LogThrottle::default();
        let passed: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..1_000).filter_map(|_| throttle.pass_at(7)).collect::<Vec<_>>()))
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("ends")).collect()
        });
        assert_eq!(passed.len(), 1);
        assert_eq!(passed[0] + throttle.left_out.load(Relaxed), 7_999);
    }
}
