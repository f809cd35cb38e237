//! Spaces mails to one domain in time: mailbox providers delay or reject a client that sends many mails at once.
//!
//! Each domain has a queue. A waiting mail gets the time of its turn, assuming that all mails before it leave, so
//! that the mails of a domain do not become due at the same time; other domains are not delayed. Only a mail that
//! leaves uses a slot: when a mail is removed from the queue, or was admitted and then not sent, the mails behind it
//! move up. The state is in memory only: a restart loses at most one interval per domain.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    clock::Timestamp,
    decide::CustomerState,
    outbox::{Job, JobId},
};

/// Above this number of domains, domains without waiting mails are forgotten.
const MANY: usize = 4_096;

/// The number of domains per pass for which the first mail of the queue is checked.
const LOOKED_AT: usize = 256;

#[derive(Debug)]
pub struct DomainLimiter {
    between_ms: i64,
    rows: HashMap<Arc<str>, DomainQueue>,
    /// The domains with waiting mails, ordered by the time at which their next mail may leave.
    waited_for: BTreeSet<(Timestamp, Arc<str>)>,
    places: HashMap<JobId, (Arc<str>, u64)>,
    /// Mails that were admitted and whose attempts have not started yet.
    let_go: Vec<(JobId, Arc<str>)>,
    /// The number of domains at which idle domains are forgotten next.
    many: usize,
}

/// The queue of one domain.
#[derive(Debug, Default)]
struct DomainQueue {
    /// The earliest time for the next mail.
    free_at: Timestamp,
    next_place: u64,
    /// By place: the job and the time at which it asks again.
    waiting: BTreeMap<u64, (JobId, Timestamp)>,
}

impl DomainQueue {
    /// Asks for a turn at `place`, or at the end of the queue. Returns the place and the time to ask again; `None`:
    /// the mail leaves now.
    fn acquire(&mut self, job: JobId, place: Option<u64>, between_ms: i64, now: Timestamp) -> Option<(u64, Timestamp)> {
        // `free_at` is never more than one interval ahead, except after the clock was set back.
        self.free_at = self.free_at.min(now.plus_ms(between_ms));
        let place = place.unwrap_or(self.next_place);
        let first = self.waiting.first_key_value().map_or(place, |(first, _)| *first);
        // Includes places inside the queue that are empty by now; `move_up` removes them when they become first.
        let before = i64::try_from(place.saturating_sub(first)).unwrap_or(i64::MAX);
        if before == 0 && self.free_at <= now {
            self.waiting.remove(&place);
            // Keeps the schedule unless the mail is late by a whole interval or more.
            let began = if now.since_ms(self.free_at) < between_ms { self.free_at } else { now };
            self.free_at = began.plus_ms(between_ms);
            return None;
        }
        let turn = self.free_at.plus_ms(between_ms.saturating_mul(before));
        let turn = if turn > now { turn } else { now.plus_ms(between_ms.max(1)) };
        self.waiting.insert(place, (job, turn));
        self.next_place = self.next_place.max(place + 1);
        Some((place, turn))
    }
}

impl DomainLimiter {
    pub fn new(between_ms: i64) -> Self {
        Self {
            between_ms,
            rows: HashMap::new(),
            waited_for: BTreeSet::new(),
            places: HashMap::new(),
            let_go: Vec::new(),
            many: MANY,
        }
    }

    /// The time at which this mail may leave or must ask again; `None`: now.
    pub fn not_before(&mut self, case: &CustomerState, job: &Job, now: Timestamp) -> Option<Timestamp> {
        self.turn(job.id(), &domain_of(case, job)?, now)
    }

    /// Reports which of the admitted mails have started. The others have not left, and their slots are freed.
    pub fn begun(&mut self, begun: &[JobId]) {
        let back = -self.between_ms;
        for (job, domain) in std::mem::take(&mut self.let_go) {
            if !begun.contains(&job) {
                self.change(&domain, |row| row.free_at = row.free_at.plus_ms(back));
            }
        }
    }

    /// In each domain that has a free slot, makes the first waiting mail due now. `brought` is called with the job,
    /// its previous time and its new time; it returns `false` if the job does not wait any more, and then the next
    /// mail is first.
    pub fn move_up(&mut self, now: Timestamp, brought: impl Fn(JobId, Timestamp, Timestamp) -> bool) {
        let free = self.waited_for.iter().take_while(|(at, _)| *at <= now).take(LOOKED_AT);
        let free: Vec<Arc<str>> = free.map(|(_, domain)| Arc::clone(domain)).collect();
        for domain in free {
            let mut gone = Vec::new();
            self.change(&domain, |row| {
                while let Some(mut first) = row.waiting.first_entry() {
                    let (job, at) = first.get_mut();
                    if brought(*job, *at, now) {
                        *at = now.min(*at);
                        break;
                    }
                    gone.push(*job);
                    first.remove();
                }
            });
            for job in gone {
                self.places.remove(&job);
            }
        }
    }

    /// The earliest time at which a waiting mail may leave.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.waited_for.first().map(|(at, _)| *at)
    }

    fn turn(&mut self, job: JobId, domain: &str, now: Timestamp) -> Option<Timestamp> {
        self.forget(now);
        let mut place = None;
        if let Some((of, at)) = self.places.remove(&job) {
            if &*of == domain {
                place = Some(at);
            } else {
                // The recipient's address has changed meanwhile.
                self.change(&of, |row| row.waiting.remove(&at));
            }
        }
        let (domain, between_ms) = (Arc::from(domain), self.between_ms);
        let Some((place, at)) = self.change(&domain, |row| row.acquire(job, place, between_ms, now)) else {
            self.let_go.push((job, domain));
            return None;
        };
        self.places.insert(job, (domain, place));
        Some(at)
    }

    fn change<T>(&mut self, domain: &Arc<str>, change: impl FnOnce(&mut DomainQueue) -> T) -> T {
        let row = self.rows.entry(Arc::clone(domain)).or_default();
        let before = row.free_at;
        let changed = change(row);
        self.waited_for.remove(&(before, Arc::clone(domain)));
        if !row.waiting.is_empty() {
            self.waited_for.insert((row.free_at, Arc::clone(domain)));
        }
        changed
    }

    fn forget(&mut self, now: Timestamp) {
        if self.rows.len() < self.many {
            return;
        }
        self.rows.retain(|_, row| row.free_at > now || !row.waiting.is_empty());
        // Not again until there are twice as many: all remaining domains may still be in use.
        self.many = MANY.max(2 * self.rows.len());
    }
}

fn domain_of(case: &CustomerState, job: &Job) -> Option<String> {
    address_of(case, job)?.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase())
}

/// The address to which a mail would go by the present facts; `None`: the address is not known yet.
pub fn address_of<'a>(case: &'a CustomerState, job: &'a Job) -> Option<&'a str> {
    match (&job.letter, job.order.action.fixed_address()) {
        (Some(letter), _) => Some(&letter.address),
        (None, Some(address)) => Some(address),
        (None, None) => Some(case.contact.as_ref()?.email.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(nth: u8) -> JobId {
        JobId::from_bytes([nth; 16])
    }

    /// A turn whose mail, if admitted, also leaves.
    fn turn(domains: &mut DomainLimiter, nth: u8, domain: &str, now: i64) -> Option<i64> {
        let at = domains.turn(job(nth), domain, Timestamp(now));
        domains.begun(&[job(nth)]);
        at.map(Timestamp::millis)
    }

    #[test]
    fn mails_to_one_domain_leave_one_by_one_and_others_are_not_held_up() {
        let domains = &mut DomainLimiter::new(100);
        assert_eq!(turn(domains, 1, "a.example", 1_000), None);
        assert_eq!(turn(domains, 2, "a.example", 1_000), Some(1_100));
        assert_eq!(turn(domains, 3, "a.example", 1_000), Some(1_200));
        assert_eq!(turn(domains, 4, "b.example", 1_000), None);
        assert_eq!(turn(domains, 3, "a.example", 1_150), Some(1_200), "it keeps its place");
        assert_eq!(turn(domains, 2, "a.example", 1_150), None);
        assert_eq!(turn(domains, 5, "a.example", 1_150), Some(1_300), "at the end of the queue");
        assert_eq!(turn(domains, 3, "a.example", 1_210), None);
        assert_eq!(domains.next_at(), Some(Timestamp(1_300)));
        assert_eq!(turn(domains, 5, "b.example", 1_210), None, "its address has changed");
        assert_eq!(domains.next_at(), None);
    }

    #[test]
    fn mails_that_missed_their_turn_do_not_leave_all_at_once() {
        let domains = &mut DomainLimiter::new(100);
        for nth in 0..5 {
            turn(domains, nth, "a.example", 0);
        }
        let late: Vec<_> = (1..5).map(|nth| turn(domains, nth, "a.example", 60_000)).collect();
        assert_eq!(late, [None, Some(60_100), Some(60_200), Some(60_300)]);
    }

    #[test]
    fn a_mail_that_does_not_leave_uses_no_slot() {
        let domains = &mut DomainLimiter::new(4_000);
        for nth in 0..8 {
            turn(domains, nth, "a.example", 0);
        }
        // All mails are cancelled except the first, which has left, and the last.
        let waits = |id: JobId, _, _| id == job(7);
        domains.move_up(Timestamp(3_999), waits);
        assert_eq!(turn(domains, 7, "a.example", 3_999), Some(28_000), "the queue is checked only once a slot is free");
        domains.move_up(Timestamp(4_000), |id, from, to| {
            assert!(id != job(7) || (from, to) == (Timestamp(28_000), Timestamp(4_000)), "it is brought forward");
            waits(id, from, to)
        });
        assert_eq!(turn(domains, 7, "a.example", 4_000), None);
        assert_eq!((turn(domains, 9, "a.example", 4_001), domains.places.len()), (Some(8_000), 1));
        // Admitted, and found to be cancelled before its attempt starts.
        assert_eq!(domains.turn(job(9), "a.example", Timestamp(8_000)), None);
        domains.begun(&[]);
        assert_eq!(turn(domains, 10, "a.example", 8_001), None);
    }

    #[test]
    fn a_clock_that_is_set_back_stops_no_mail() {
        let domains = &mut DomainLimiter::new(100);
        turn(domains, 1, "a.example", 1_000_000);
        assert_eq!(turn(domains, 2, "a.example", 1_000), Some(1_100));
    }

    #[test]
    fn idle_domains_are_forgotten() {
        let domains = &mut DomainLimiter::new(1);
        for nth in 0..20_000_i64 {
            turn(domains, 1, &format!("{nth}.example"), nth * 10);
        }
        assert!(domains.rows.len() <= MANY, "{}", domains.rows.len());
    }
}
