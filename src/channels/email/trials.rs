//! Records which mails an outage was tried with, so that the next trial is a different mail.
//!
//! A reply about one recipient may read like a reply about every mail. So the next trial is a mail to another
//! recipient, to another domain if there is one; mails that were tried already are tried again in the same order.

use std::collections::{HashMap, HashSet};

use crate::outbox::JobId;

/// Above this number of jobs all are forgotten; an outage has fewer trials.
const MAX_TRIED: usize = 10_000;

/// How well a mail is suited as the next trial; the least rank is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrialRank {
    NewDomain,
    NewRecipient,
    /// The job or its recipient was refused; the number of trials before that.
    Tried(u64),
}

#[derive(Debug, Default)]
pub(super) struct TrialOrder {
    next: u64,
    jobs: HashMap<JobId, u64>,
    recipients: HashMap<String, u64>,
    domains: HashSet<String>,
}

impl TrialOrder {
    /// Records that a mail was refused. Returns whether its recipient had not been refused before.
    pub fn refused(&mut self, job: JobId, recipient: &str) -> bool {
        if self.jobs.len().max(self.recipients.len()) >= MAX_TRIED {
            *self = Self { next: self.next, ..Self::default() };
        }
        let recipient = recipient.to_ascii_lowercase();
        self.next += 1;
        self.jobs.insert(job, self.next);
        self.domains.insert(domain(&recipient).to_owned());
        self.recipients.insert(recipient, self.next).is_none()
    }

    /// `recipient`: `None` if it is not known yet.
    pub fn rank(&self, job: JobId, recipient: Option<&str>) -> TrialRank {
        let recipient = recipient.map(str::to_ascii_lowercase).unwrap_or_default();
        let tried = self.jobs.get(&job).max(self.recipients.get(&recipient));
        match tried {
            Some(nth) => TrialRank::Tried(*nth),
            None if self.domains.contains(domain(&recipient)) => TrialRank::NewRecipient,
            None => TrialRank::NewDomain,
        }
    }
}

fn domain(address: &str) -> &str {
    address.rsplit_once('@').map_or(address, |(_, domain)| domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_to_another_domain_ranks_best_and_tried_mails_rank_in_their_order() {
        let job = |nth| JobId::from_bytes([nth; 16]);
        let mut trials = TrialOrder::default();
        assert!(trials.refused(job(1), "ada@a.example"));
        assert!(trials.refused(job(2), "bob@a.example"));
        assert!(!trials.refused(job(3), "ADA@A.example"));
        let rank = |nth, recipient| trials.rank(job(nth), Some(recipient));
        assert_eq!(rank(9, "eve@b.example"), TrialRank::NewDomain);
        assert_eq!(rank(9, "eve@A.example"), TrialRank::NewRecipient);
        assert_eq!(rank(9, "Ada@a.example"), TrialRank::Tried(3));
        assert_eq!(rank(2, "eve@b.example"), TrialRank::Tried(2));
        assert_eq!(trials.rank(job(9), None), TrialRank::NewDomain);
        assert!(TrialRank::NewDomain < TrialRank::NewRecipient && TrialRank::NewRecipient < TrialRank::Tried(1));
    }
}
