//! Mails: what a relay's reply means for the job, and what it means for all mails.
//!
//! | the reply is about | the job | all mails |
//! | --- | --- | --- |
//! | this mail or its recipient | retried (4xx), or a problem (5xx) | continue |
//! | every mail | queued as before; the attempt does not count | wait until the relay accepts a mail |
//! | unclear | as if about this mail | after the fifth such refusal in a row: as if about every mail |
//!
//! The refusals in a row must have the same text; with the fifth, the four problems before it are queued again.
//!
//! A phrase can mislead: a reply about the content of one mail may read like a reply about every mail. A job that
//! gets such a reply repeatedly, while the relay accepts other mails, becomes a problem of its own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::Domains;
use crate::{
    actions::{
        answer::Ended,
        email::{Cause, CircuitBreaker, Class, Envelope, Mailer, Party, Permit, Scope, SendError, Streak},
    },
    clock::Clock,
    kyc::CustomerId,
    outbox::{JobId, Outcome, Trouble},
};

/// After this many contradictions of the relay, its replies are about one job.
const CONTRADICTIONS: u32 = 2;

/// How long a recipient counts as refused by itself.
const JUDGED_FOR: Duration = Duration::from_secs(600);

/// The maximum number of remembered jobs, texts and recipients.
const MAX_SUSPECTS: usize = 10_000;

/// Identifies a job, so that it can be queued again.
pub(super) type Refused = (CustomerId, JobId);

/// Everything that sending mails needs.
pub struct Post {
    pub mailer: Mailer,
    pub from: Party,
    pub reply_to: Option<Party>,
    /// `None`: mails to one domain are not spaced.
    pub domains: Option<Mutex<Domains>>,
    pub breaker: Arc<CircuitBreaker>,
    refusals: Mutex<Refusals>,
}

#[derive(Default)]
struct Refusals {
    refused: Streak<Refused>,
    unanswered: Streak<Refused>,
    suspects: HashMap<JobId, Suspect>,
    /// The same, by the fingerprint of the reply.
    texts: HashMap<String, Suspect>,
    /// The recipients that were refused since the relay last accepted a mail, with the fingerprint of the refusal.
    told: HashMap<String, String>,
    /// Recipients that got the same refusal as all others, until the relay accepted a mail to another recipient.
    judged: HashMap<String, (String, Instant)>,
}

impl Refusals {
    fn taken(&mut self, job: JobId, was_everyone: bool) {
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
    fn is_judged(&self, recipient: &str, fingerprint: &str) -> bool {
        let judged = self.judged.get(&recipient.to_ascii_lowercase());
        judged.is_some_and(|(said, at)| said == fingerprint && at.elapsed() < JUDGED_FOR)
    }

    fn tell(&mut self, recipient: &str, fingerprint: &str) {
        if self.told.len() >= MAX_SUSPECTS {
            self.told.clear();
        }
        self.told.insert(recipient.to_ascii_lowercase(), fingerprint.to_owned());
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
    fn again(&mut self, taken: u64) -> bool {
        let is_contradiction = taken > self.taken;
        if is_contradiction {
            *self = Self { taken, contradictions: self.contradictions + 1 };
        }
        is_contradiction
    }
}

/// What a reply that reads as if it were about every mail is about.
#[derive(PartialEq, Eq)]
enum Verdict {
    /// Every mail.
    Relay,
    /// Perhaps this job only: the relay accepts others.
    Doubtful,
    /// This job.
    Job,
}

/// How an attempt ended, and what remains to do once that is recorded.
pub(super) struct Delivery {
    pub ended: Ended,
    /// The fingerprint of a refusal that makes the job a problem and may turn out to be about every mail.
    refusal: Option<String>,
    recalled: Vec<Refused>,
}

impl From<Ended> for Delivery {
    fn from(ended: Ended) -> Self {
        Self { ended, refusal: None, recalled: Vec::new() }
    }
}

impl Post {
    pub fn new(mailer: Mailer, from: Party, reply_to: Option<Party>, domains: Option<Domains>) -> Self {
        let (breaker, refusals) = (Arc::default(), Mutex::default());
        Self { mailer, from, reply_to, domains: domains.map(Mutex::new), breaker, refusals }
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn deliver(&self, envelope: &Envelope, job: JobId, permit: Permit, clock: &Clock) -> Delivery {
        if permit.is_trial() {
            self.mailer.close_kept();
        }
        match self.mailer.send(envelope).await {
            Ok(_) => {
                let was_everyone = self.breaker.outage().is_some_and(|outage| outage.cause == Cause::Everyone);
                permit.taken();
                self.refusals().taken(job, was_everyone);
                Ended::done().into()
            }
            Err(error) => self.judged(error, &envelope.to.email, job, permit, clock),
        }
    }

    fn judged(&self, error: SendError, recipient: &str, job: JobId, permit: Permit, clock: &Clock) -> Delivery {
        let rest = |permit: Permit, cause: Cause, fingerprint: Option<String>| {
            permit.failed(cause, &error, fingerprint, Some((job, recipient)), clock.now());
        };
        match error.scope {
            Scope::Relay(cause) => match self.verdict(&error, cause, job) {
                Verdict::Relay => {
                    rest(permit, cause, None);
                    deferred(error).into()
                }
                Verdict::Doubtful => deferred(error).into(),
                Verdict::Job => ended(error).into(),
            },
            Scope::Message if error.class == Class::Permanent && error.code.is_some() => {
                let fingerprint = error.fingerprint.clone();
                let mut refusals = self.refusals();
                if refusals.is_judged(recipient, &fingerprint) {
                    return ended(error).into();
                }
                refusals.tell(recipient, &fingerprint);
                let is_complete = refusals.refused.refused(&fingerprint, recipient);
                if !is_complete && !self.breaker.is_known(&fingerprint) {
                    return Delivery { refusal: Some(fingerprint), ..ended(error).into() };
                }
                let recalled = refusals.refused.recalled();
                drop(refusals);
                rest(permit, Cause::Everyone, Some(fingerprint));
                Delivery { recalled, ..deferred(error).into() }
            }
            Scope::Message if error.is_unanswered() => {
                if self.refusals().unanswered.refused("", recipient) {
                    rest(permit, Cause::Unavailable, None);
                }
                ended(error).into()
            }
            Scope::Recipient => {
                // The relay judges each recipient separately.
                self.refusals().refused.end();
                ended(error).into()
            }
            Scope::Message => ended(error).into(),
        }
    }

    /// Decides whether a refusal of every mail is about this job alone, because the relay accepts other mails between
    /// such replies to it. Limits do not count, because they come and go. A text after which mails were accepted
    /// repeatedly does not stop all mails.
    fn verdict(&self, error: &SendError, cause: Cause, job: JobId) -> Verdict {
        let may_be_one = match cause {
            Cause::Hello | Cause::LoginMissing | Cause::Client | Cause::Sender => true,
            Cause::Unavailable => error.class == Class::Retry,
            Cause::Unreachable | Cause::Login | Cause::Limit | Cause::Everyone => false,
        };
        if !may_be_one || !error.is_after_sender() {
            return Verdict::Relay;
        }
        let taken = self.breaker.taken();
        let mut refusals = self.refusals();
        let Refusals { suspects, texts, .. } = &mut *refusals;
        if suspects.len() >= MAX_SUSPECTS {
            suspects.clear();
        }
        if texts.len() >= MAX_SUSPECTS {
            texts.clear();
        }
        let new = || Suspect { taken, contradictions: 0 };
        let text = texts.entry(error.fingerprint.clone()).or_insert_with(new);
        let is_doubtful = text.again(taken) && text.contradictions >= CONTRADICTIONS;
        let suspect = suspects.entry(job).or_insert_with(new);
        suspect.again(taken);
        if suspect.contradictions >= CONTRADICTIONS {
            suspects.remove(&job);
            return Verdict::Job;
        }
        if is_doubtful { Verdict::Doubtful } else { Verdict::Relay }
    }

    /// Called once the outcome of an attempt is recorded. Returns the jobs to queue again, because their refusals
    /// were about every mail.
    pub(super) fn recorded(&self, delivery: Delivery, job: Refused) -> Vec<Refused> {
        let Delivery { refusal, mut recalled, .. } = delivery;
        if let Some(fingerprint) = refusal {
            let mut refusals = self.refusals();
            refusals.refused.recorded(&fingerprint, job);
            recalled.append(&mut refusals.refused.recalled());
        }
        recalled
    }
}

fn text(error: &SendError) -> String {
    match error.is_in_doubt {
        true => format!("{error}; it is sent again under the same Message-ID"),
        false => error.to_string(),
    }
}

fn ended(error: SendError) -> Ended {
    let text = text(&error);
    let outcome = match error.class {
        Class::Permanent => Outcome::Failed { trouble: Trouble::Refused, error: text },
        Class::Retry => Outcome::Retry { error: text, after_ms: None },
    };
    Ended { outcome, log: error.log }
}

fn deferred(error: SendError) -> Ended {
    Ended { outcome: Outcome::Deferred { error: text(&error) }, log: error.log }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::email::{Admission, MailerConfig, ReplyCode, Transport};

    fn post() -> Post {
        let transport = Transport::parse("smtp://127.0.0.1:1?tls=none").expect("a transport");
        let mailer = Mailer::new(MailerConfig::new(transport)).expect("a mailer");
        Post::new(mailer, Party::new(None, "kyc@shop.example"), None, None)
    }

    fn permit(post: &Post) -> Permit {
        match post.breaker.admit() {
            Admission::OneMail(permit) | Admission::NewMail(permit) | Admission::Connection(permit) => permit,
            Admission::Mails | Admission::Nothing => post.breaker.permit(),
        }
    }

    fn id(nth: u8) -> JobId {
        JobId::from_bytes([nth; 16])
    }

    fn customer() -> CustomerId {
        CustomerId::new("C-1").expect("an id")
    }

    fn refusal(scope: Scope) -> SendError {
        let code = Some(ReplyCode { basic: 554, enhanced: Some((5, 7, 1)) });
        SendError::made_up(Class::Permanent, scope, code, "554 5.7.1 no")
    }

    fn judged(post: &Post, error: SendError, nth: u8) -> Delivery {
        post.judged(error, &format!("c{nth}@customer.example"), id(nth), permit(post), &Clock::default())
    }

    #[tokio::test]
    async fn the_fifth_refusal_in_a_row_recalls_the_jobs_before_it_also_one_recorded_later() {
        let post = post();
        let mut last = None;
        for nth in 0..4 {
            let delivery = judged(&post, refusal(Scope::Message), nth);
            assert!(matches!(delivery.ended.outcome, Outcome::Failed { .. }), "{nth}");
            assert!(post.breaker.outage().is_none());
            match nth {
                3 => last = Some(delivery),
                _ => assert_eq!(post.recorded(delivery, (customer(), id(nth))), []),
            }
        }
        let fifth = judged(&post, refusal(Scope::Message), 4);
        assert!(matches!(fifth.ended.outcome, Outcome::Deferred { .. }));
        assert_eq!(post.breaker.outage().map(|outage| outage.cause), Some(Cause::Everyone));
        let three: Vec<Refused> = (0..3).map(|nth| (customer(), id(nth))).collect();
        assert_eq!(post.recorded(fifth, (customer(), id(4))), three);
        assert_eq!(post.recorded(last.expect("the fourth"), (customer(), id(3))), [(customer(), id(3))]);
    }

    #[tokio::test]
    async fn recipients_that_do_not_exist_make_no_streak_and_neither_do_refusals_with_a_success_between() {
        let post = post();
        for nth in 0..20 {
            let delivery = judged(&post, refusal(Scope::Recipient), nth);
            assert!(matches!(delivery.ended.outcome, Outcome::Failed { .. }));
        }
        for nth in 0..20 {
            judged(&post, refusal(Scope::Message), nth);
            if nth % 4 == 3 {
                post.refusals().refused.end();
            }
        }
        assert!(post.breaker.outage().is_none());
    }

    #[tokio::test]
    async fn an_unknown_recipient_between_refusals_ends_the_streak() {
        let post = post();
        for nth in 0..20 {
            let scope = if nth % 2 == 0 { Scope::Message } else { Scope::Recipient };
            let delivery = judged(&post, refusal(scope), nth);
            assert!(matches!(delivery.ended.outcome, Outcome::Failed { .. }), "{nth}");
        }
        assert!(post.breaker.outage().is_none());
    }

    #[tokio::test]
    async fn recipients_with_the_common_refusal_are_problems_once_the_relay_accepts_another() {
        let post = post();
        (0..5).for_each(|nth| drop(judged(&post, refusal(Scope::Message), nth)));
        assert_eq!(post.breaker.outage().map(|outage| outage.cause), Some(Cause::Everyone));
        permit(&post).taken();
        post.refusals().taken(id(9), true);
        for nth in 0..5 {
            let delivery = judged(&post, refusal(Scope::Message), nth);
            assert!(matches!(delivery.ended.outcome, Outcome::Failed { .. }), "{nth}");
            assert!(delivery.recalled.is_empty());
        }
        assert!(post.breaker.outage().is_none());
    }

    #[tokio::test]
    async fn a_text_after_which_mails_were_accepted_opens_no_circuit_until_none_is_accepted() {
        let post = post();
        for nth in 0..2 {
            judged(&post, refusal(Scope::Relay(Cause::Client)), nth);
            assert!(post.breaker.outage().is_some());
            permit(&post).taken();
        }
        let delivery = judged(&post, refusal(Scope::Relay(Cause::Client)), 2);
        assert!(matches!(delivery.ended.outcome, Outcome::Deferred { .. }));
        assert!(post.breaker.outage().is_none());
        judged(&post, refusal(Scope::Relay(Cause::Client)), 3);
        assert!(post.breaker.outage().is_some(), "no mail was accepted since the last one");
    }

    #[tokio::test]
    async fn a_job_that_alone_gets_a_refusal_of_every_mail_becomes_a_problem() {
        let post = post();
        for (taken_before, is_problem) in [(0, false), (0, false), (1, false), (0, false), (3, true)] {
            (0..taken_before).for_each(|_| permit(&post).taken());
            let delivery = judged(&post, refusal(Scope::Relay(Cause::Client)), 1);
            assert_eq!(matches!(delivery.ended.outcome, Outcome::Failed { .. }), is_problem);
        }
        for _ in 0..9 {
            permit(&post).taken();
            let delivery = judged(&post, refusal(Scope::Relay(Cause::Limit)), 2);
            assert!(matches!(delivery.ended.outcome, Outcome::Deferred { .. }), "a limit comes and goes");
        }
    }

    #[tokio::test]
    async fn a_relay_that_answers_none_of_five_mails_opens_the_circuit_and_each_mail_is_retried() {
        let post = post();
        for nth in 0..5 {
            assert!(post.breaker.outage().is_none());
            let delivery = judged(&post, SendError::made_up(Class::Retry, Scope::Message, None, "no answer"), nth);
            assert!(matches!(delivery.ended.outcome, Outcome::Retry { .. }));
        }
        assert_eq!(post.breaker.outage().map(|outage| outage.cause), Some(Cause::Unavailable));
    }
}
