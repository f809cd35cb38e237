//! Remembers refusals of mails, to tell a refusal of one mail from a refusal of every mail. In memory only.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{RefusalStreak, SendError};
use crate::{channels::sender::Requeue, outbox::JobId};

/// After this many contradictions of the relay, its replies are about one job.
const CONTRADICTIONS: u32 = 2;

/// How long a recipient counts as refused by itself.
const JUDGED_FOR: Duration = Duration::from_secs(600);

/// The maximum number of remembered jobs, texts and recipients.
const MAX_SUSPECTS: usize = 10_000;

/// What a reply that reads as if it were about every mail is about.
#[derive(PartialEq, Eq)]
pub(super) enum RefusalSubject {
    /// Every mail.
    Relay,
    /// Perhaps this job only: the relay accepts others.
    Doubtful,
    /// This job.
    Job,
}

#[derive(Default)]
pub(super) struct SharedRefusals {
    pub(super) refused: RefusalStreak<Requeue>,
    pub(super) unanswered: RefusalStreak<Requeue>,
    suspects: HashMap<JobId, Suspect>,
    /// The same, by the fingerprint of the reply.
    texts: HashMap<String, Suspect>,
    /// The recipients that were refused since the relay last accepted a mail, with the fingerprint of the refusal.
    told: HashMap<String, String>,
    /// Recipients that got the same refusal as all others, until the relay accepted a mail to another recipient.
    judged: HashMap<String, (String, Instant)>,
}

impl SharedRefusals {
    pub(super) fn accepted(&mut self, job: JobId, was_everyone: bool) {
        self.refused.end();
        self.unanswered.end();
        self.suspects.remove(&job);
        let told = std::mem::take(&mut self.told);
        if was_everyone {
            self.judged.retain(|_, (_, at)| at.elapsed() < JUDGED_FOR);
            self.judged.extend(told.into_iter().map(|(recipient, said)| (recipient, (said, Instant::now()))));
        }
    }

    /// Returns whether this recipient was refused with this text while the relay accepted others.
    pub(super) fn is_judged(&self, recipient: &str, fingerprint: &str) -> bool {
        let judged = self.judged.get(&recipient.to_ascii_lowercase());
        judged.is_some_and(|(said, at)| said == fingerprint && at.elapsed() < JUDGED_FOR)
    }

    pub(super) fn report(&mut self, recipient: &str, fingerprint: &str) {
        if self.told.len() >= MAX_SUSPECTS {
            self.told.clear();
        }
        self.told.insert(recipient.to_ascii_lowercase(), fingerprint.to_owned());
    }

    /// Counts a reply that reads as if it were about every mail, after `taken` accepted mails, and returns what it is
    /// about. The reply is about this job alone if the relay accepts other mails between such replies to it.
    pub(super) fn subject(&mut self, error: &SendError, taken: u64, job: JobId) -> RefusalSubject {
        let SharedRefusals { suspects, texts, .. } = self;
        if suspects.len() >= MAX_SUSPECTS {
            suspects.clear();
        }
        if texts.len() >= MAX_SUSPECTS {
            texts.clear();
        }
        let new = || Suspect { taken, contradictions: 0 };
        let text = texts.entry(error.fingerprint.clone()).or_insert_with(new);
        let is_doubtful = text.requeue(taken) && text.contradictions >= CONTRADICTIONS;
        let suspect = suspects.entry(job).or_insert_with(new);
        suspect.requeue(taken);
        if suspect.contradictions >= CONTRADICTIONS {
            suspects.remove(&job);
            return RefusalSubject::Job;
        }
        if is_doubtful { RefusalSubject::Doubtful } else { RefusalSubject::Relay }
    }
}

/// A job, or a text, with a reply that reads as if it were about every mail.
struct Suspect {
    /// The number of accepted mails at the time of that reply.
    taken: u64,
    contradictions: u32,
}

impl Suspect {
    /// Counts another such reply. Returns whether the relay has accepted a mail since the last one.
    fn requeue(&mut self, taken: u64) -> bool {
        let is_contradiction = taken > self.taken;
        if is_contradiction {
            *self = Self { taken, contradictions: self.contradictions + 1 };
        }
        is_contradiction
    }
}
