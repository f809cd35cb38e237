//! Mails to one domain leave with a space between them: mailbox providers put off or refuse whoever writes to them all at once.
//!
//! A mail that has to wait gets a time of its own, so that the one behind it does not ask for the same; others are not held up. It
//! is in memory only: what a restart forgets is a space of a moment.

use std::collections::HashMap;

use crate::{
    clock::Timestamp,
    decide::Case,
    outbox::{Job, JobId},
    rules::{Action, Recipient},
};

/// Who comes later than this after their time (the channel was paused, all workers were busy) asks for another.
const MISSED_MS: i64 = 1_000;

/// Past so many, what is over is forgotten.
const MANY: usize = 4_096;

#[derive(Debug)]
pub struct Domains {
    between_ms: i64,
    /// From when on the next mail to a domain may leave.
    free_at: HashMap<String, Timestamp>,
    promised: HashMap<JobId, Timestamp>,
    /// How many there were when it was last looked what is over.
    many: usize,
}

impl Domains {
    pub fn new(between_ms: i64) -> Self {
        Self { between_ms, free_at: HashMap::new(), promised: HashMap::new(), many: MANY }
    }

    /// When this mail may leave; `None`: now.
    pub fn not_before(&mut self, case: &Case, job: &Job, now: Timestamp) -> Option<Timestamp> {
        self.turn(job.id(), &domain_of(case, job)?, now)
    }

    fn turn(&mut self, job: JobId, domain: &str, now: Timestamp) -> Option<Timestamp> {
        if let Some(at) = self.promised.remove(&job) {
            if at > now {
                self.promised.insert(job, at);
                return Some(at);
            }
            if now.since_ms(at) < MISSED_MS {
                return None;
            }
        }
        self.forget(now);
        let at = self.free_at.get(domain).copied().unwrap_or(now).max(now);
        self.free_at.insert(domain.to_owned(), at.plus_ms(self.between_ms));
        if at == now {
            return None;
        }
        self.promised.insert(job, at);
        Some(at)
    }

    fn forget(&mut self, now: Timestamp) {
        if self.promised.len() + self.free_at.len() < self.many {
            return;
        }
        self.promised.retain(|_, at| now.since_ms(*at) < MISSED_MS);
        self.free_at.retain(|_, at| *at > now);
        // Not again before there are twice as many: they may all still be good.
        self.many = MANY.max(2 * (self.promised.len() + self.free_at.len()));
    }
}

/// Where a mail would go by what is known now; `None`: nobody knows.
fn domain_of(case: &Case, job: &Job) -> Option<String> {
    let address = match (&job.letter, &job.order.action) {
        (Some(letter), _) => &letter.address,
        (None, Action::Email { to: Recipient::Address(address), .. }) => &**address,
        (None, _) => case.contact.as_ref()?.email.as_str(),
    };
    address.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(nth: u8) -> JobId {
        JobId::from_bytes([nth; 16])
    }

    #[test]
    fn mails_to_one_domain_leave_one_by_one_and_others_are_not_held_up() {
        let mut domains = Domains::new(100);
        let now = Timestamp(1_000);
        assert_eq!(domains.turn(job(1), "a.example", now), None);
        assert_eq!(domains.turn(job(2), "a.example", now), Some(Timestamp(1_100)));
        assert_eq!(domains.turn(job(3), "a.example", now), Some(Timestamp(1_200)));
        assert_eq!(domains.turn(job(4), "b.example", now), None);
        assert_eq!(domains.turn(job(3), "a.example", Timestamp(1_150)), Some(Timestamp(1_200)), "it keeps its time");
        assert_eq!(domains.turn(job(2), "a.example", Timestamp(1_150)), None);
        assert_eq!(domains.turn(job(5), "a.example", Timestamp(1_150)), Some(Timestamp(1_300)), "behind the others");
        assert_eq!(domains.turn(job(3), "a.example", Timestamp(1_210)), None);
    }

    #[test]
    fn who_has_missed_their_time_does_not_come_all_at_once() {
        let mut domains = Domains::new(100);
        for nth in 0..5 {
            domains.turn(job(nth), "a.example", Timestamp(0));
        }
        let late: Vec<_> = (1..5).map(|nth| domains.turn(job(nth), "a.example", Timestamp(60_000))).collect();
        let expected = [None, Some(Timestamp(60_100)), Some(Timestamp(60_200)), Some(Timestamp(60_300))];
        assert_eq!(late, expected);
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let mut domains = Domains::new(1);
        for nth in 0..20_000_i64 {
            domains.turn(job(1), &format!("{nth}.example"), Timestamp(nth * 10));
        }
        assert!(domains.free_at.len() <= MANY, "{}", domains.free_at.len());
    }
}
