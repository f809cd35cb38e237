//! Mails to one domain leave with a space between them: mailbox providers put off or refuse whoever writes to them all at once.
//!
//! Who has to wait stands in a row, and is told when it would be their turn if all before them leave, so that they don't all ask at
//! once; others are not held up. Only what leaves takes a space: for those who have gone from the row without leaving, and for who
//! was let go and did not leave after all, the others move up. It is in memory only: what a restart forgets is a space of a moment.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    clock::Timestamp,
    decide::Case,
    outbox::{Job, JobId},
};

/// Past so many domains, those that nobody waits for are forgotten.
const MANY: usize = 4_096;

/// For so many domains at once it is looked whether those who come first still wait.
const LOOKED_AT: usize = 256;

#[derive(Debug)]
pub struct Domains {
    between_ms: i64,
    rows: HashMap<Arc<str>, Row>,
    /// Those in which somebody waits, by when the next may leave.
    waited_for: BTreeSet<(Timestamp, Arc<str>)>,
    places: HashMap<JobId, (Arc<str>, u64)>,
    /// Who may leave, and has not begun yet.
    let_go: Vec<(JobId, Arc<str>)>,
    /// How many domains there were when it was last looked what is over.
    many: usize,
}

/// Who waits for a domain.
#[derive(Debug, Default)]
struct Row {
    /// From when on the next mail may leave.
    free_at: Timestamp,
    next_place: u64,
    /// Each with when they come again.
    waiting: BTreeMap<u64, (JobId, Timestamp)>,
}

impl Row {
    /// At a place, or at the end. Returns the place, and when to come again; `None`: it leaves.
    fn turn(&mut self, job: JobId, place: Option<u64>, between_ms: i64, now: Timestamp) -> Option<(u64, Timestamp)> {
        // Never further off than that; if it is, the clock was set back.
        self.free_at = self.free_at.min(now.plus_ms(between_ms));
        let place = place.unwrap_or(self.next_place);
        let first = self.waiting.first_key_value().map_or(place, |(first, _)| *first);
        // Counted with those who have left the row from its midst; they are found when it is their turn.
        let before = i64::try_from(place.saturating_sub(first)).unwrap_or(i64::MAX);
        if before == 0 && self.free_at <= now {
            self.waiting.remove(&place);
            // In step, if it is not late by a whole space.
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

impl Domains {
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

    /// When this mail may leave, or is to ask again; `None`: now.
    pub fn not_before(&mut self, case: &Case, job: &Job, now: Timestamp) -> Option<Timestamp> {
        self.turn(job.id(), &domain_of(case, job)?, now)
    }

    /// Of those who were let go these have begun; the others have not left, and take no space.
    pub fn begun(&mut self, begun: &[JobId]) {
        let back = -self.between_ms;
        for (job, domain) in std::mem::take(&mut self.let_go) {
            if !begun.contains(&job) {
                self.change(&domain, |row| row.free_at = row.free_at.plus_ms(back));
            }
        }
    }

    /// Where the next may leave, whoever comes first is to come now. `brought` is asked to see to that: who, when they wanted to
    /// come, and when now; it says false of those who don't wait any more, and then those behind them come first.
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

    /// When somebody may leave who waits.
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
                // It has another address by now.
                self.change(&of, |row| row.waiting.remove(&at));
            }
        }
        let (domain, between_ms) = (Arc::from(domain), self.between_ms);
        let Some((place, at)) = self.change(&domain, |row| row.turn(job, place, between_ms, now)) else {
            self.let_go.push((job, domain));
            return None;
        };
        self.places.insert(job, (domain, place));
        Some(at)
    }

    fn change<T>(&mut self, domain: &Arc<str>, change: impl FnOnce(&mut Row) -> T) -> T {
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
        // Not again before there are twice as many: they may all still be good.
        self.many = MANY.max(2 * self.rows.len());
    }
}

fn domain_of(case: &Case, job: &Job) -> Option<String> {
    address_of(case, job)?.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase())
}

/// Where a mail would go by what is known now; `None`: the address is not known yet.
pub(super) fn address_of<'a>(case: &'a Case, job: &'a Job) -> Option<&'a str> {
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

    /// Whoever is let go also leaves.
    fn turn(domains: &mut Domains, nth: u8, domain: &str, now: i64) -> Option<i64> {
        let at = domains.turn(job(nth), domain, Timestamp(now));
        domains.begun(&[job(nth)]);
        at.map(Timestamp::millis)
    }

    #[test]
    fn mails_to_one_domain_leave_one_by_one_and_others_are_not_held_up() {
        let domains = &mut Domains::new(100);
        assert_eq!(turn(domains, 1, "a.example", 1_000), None);
        assert_eq!(turn(domains, 2, "a.example", 1_000), Some(1_100));
        assert_eq!(turn(domains, 3, "a.example", 1_000), Some(1_200));
        assert_eq!(turn(domains, 4, "b.example", 1_000), None);
        assert_eq!(turn(domains, 3, "a.example", 1_150), Some(1_200), "it keeps its place");
        assert_eq!(turn(domains, 2, "a.example", 1_150), None);
        assert_eq!(turn(domains, 5, "a.example", 1_150), Some(1_300), "behind the others");
        assert_eq!(turn(domains, 3, "a.example", 1_210), None);
        assert_eq!(domains.next_at(), Some(Timestamp(1_300)));
        assert_eq!(turn(domains, 5, "b.example", 1_210), None, "it has another address by now");
        assert_eq!(domains.next_at(), None);
    }

    #[test]
    fn who_has_missed_their_time_does_not_come_all_at_once() {
        let domains = &mut Domains::new(100);
        for nth in 0..5 {
            turn(domains, nth, "a.example", 0);
        }
        let late: Vec<_> = (1..5).map(|nth| turn(domains, nth, "a.example", 60_000)).collect();
        assert_eq!(late, [None, Some(60_100), Some(60_200), Some(60_300)]);
    }

    #[test]
    fn who_does_not_leave_takes_no_space() {
        let domains = &mut Domains::new(4_000);
        for nth in 0..8 {
            turn(domains, nth, "a.example", 0);
        }
        // All but the first, who has left, and the last one are cancelled.
        let waits = |id: JobId, _, _| id == job(7);
        domains.move_up(Timestamp(3_999), waits);
        assert_eq!(turn(domains, 7, "a.example", 3_999), Some(28_000), "it is not looked before it matters");
        domains.move_up(Timestamp(4_000), |id, from, to| {
            assert!(id != job(7) || (from, to) == (Timestamp(28_000), Timestamp(4_000)), "it is brought forward");
            waits(id, from, to)
        });
        assert_eq!(turn(domains, 7, "a.example", 4_000), None);
        assert_eq!((turn(domains, 9, "a.example", 4_001), domains.places.len()), (Some(8_000), 1));
        // Let go, and found to be cancelled when it should begin.
        assert_eq!(domains.turn(job(9), "a.example", Timestamp(8_000)), None);
        domains.begun(&[]);
        assert_eq!(turn(domains, 10, "a.example", 8_001), None);
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nobody() {
        let domains = &mut Domains::new(100);
        turn(domains, 1, "a.example", 1_000_000);
        assert_eq!(turn(domains, 2, "a.example", 1_000), Some(1_100));
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let domains = &mut Domains::new(1);
        for nth in 0..20_000_i64 {
            turn(domains, 1, &format!("{nth}.example"), nth * 10);
        }
        assert!(domains.rows.len() <= MANY, "{}", domains.rows.len());
    }
}
