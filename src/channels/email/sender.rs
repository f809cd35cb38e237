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
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;

use super::{
    CircuitBreaker, FailureClass, FailureScope, MailAddress, Mailer, OutgoingMail, RelayCause, SendError, TrialPermit,
    refusals::{RefusalSubject, SharedRefusals},
};
use crate::{
    channels::{
        answer::AttemptEnd,
        domain_limiter::DomainLimiter,
        sender::{DeliveryResult, Requeue, SendRequest, Sender},
    },
    clock::Clock,
    outbox::{AttemptOutcome, Job, JobId, MailSnapshot, ProblemKind},
    rules::Action,
};

/// Everything that sending mails needs.
pub struct MailSender {
    pub mailer: Mailer,
    pub from: MailAddress,
    pub reply_to: Option<MailAddress>,
    /// `None`: mails to one domain are not spaced.
    pub domains: Option<Mutex<DomainLimiter>>,
    pub breaker: Arc<CircuitBreaker>,
    refusals: Mutex<SharedRefusals>,
}

impl MailSender {
    pub fn new(
        mailer: Mailer,
        from: MailAddress,
        reply_to: Option<MailAddress>,
        domains: Option<DomainLimiter>,
    ) -> Self {
        let (breaker, refusals) = (Arc::default(), Mutex::default());
        Self { mailer, from, reply_to, domains: domains.map(Mutex::new), breaker, refusals }
    }

    fn refusals(&self) -> MutexGuard<'_, SharedRefusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn deliver(&self, envelope: &OutgoingMail, job: JobId, permit: TrialPermit, clock: &Clock) -> DeliveryResult {
        if permit.is_trial() {
            self.mailer.close_kept();
        }
        match self.mailer.send(envelope).await {
            Ok(_) => {
                let was_everyone = self.breaker.outage().is_some_and(|outage| outage.cause == RelayCause::Everyone);
                permit.taken();
                self.refusals().accepted(job, was_everyone);
                AttemptEnd::done().into()
            }
            Err(error) => self.judged(error, &envelope.to.email, job, permit, clock),
        }
    }

    fn judged(
        &self,
        error: SendError,
        recipient: &str,
        job: JobId,
        permit: TrialPermit,
        clock: &Clock,
    ) -> DeliveryResult {
        let rest = |permit: TrialPermit, cause: RelayCause, fingerprint: Option<String>| {
            permit.trial_failed(cause, &error, fingerprint, Some((job, recipient)), clock.now());
        };
        match error.scope {
            FailureScope::Relay(cause) => match self.verdict(&error, cause, job) {
                RefusalSubject::Relay => {
                    rest(permit, cause, None);
                    deferred(error).into()
                }
                RefusalSubject::Doubtful => deferred(error).into(),
                RefusalSubject::Job => ended(error).into(),
            },
            FailureScope::Message if error.class == FailureClass::Permanent && error.code.is_some() => {
                let fingerprint = error.fingerprint.clone();
                let mut refusals = self.refusals();
                if refusals.is_judged(recipient, &fingerprint) {
                    return ended(error).into();
                }
                refusals.report(recipient, &fingerprint);
                let is_complete = refusals.refused.refused(&fingerprint, recipient);
                if !is_complete && !self.breaker.is_known(&fingerprint) {
                    return DeliveryResult { refusal: Some(fingerprint), ..ended(error).into() };
                }
                let recalled = refusals.refused.removed();
                drop(refusals);
                rest(permit, RelayCause::Everyone, Some(fingerprint));
                DeliveryResult { recalled, ..deferred(error).into() }
            }
            FailureScope::Message if error.is_unanswered() => {
                if self.refusals().unanswered.refused("", recipient) {
                    rest(permit, RelayCause::Unavailable, None);
                }
                ended(error).into()
            }
            FailureScope::Recipient => {
                // The relay judges each recipient separately.
                self.refusals().refused.end();
                ended(error).into()
            }
            FailureScope::Message => ended(error).into(),
        }
    }

    /// Decides whether a refusal of every mail is about this job alone, because the relay accepts other mails between
    /// such replies to it. Limits do not count, because they come and go. A text after which mails were accepted
    /// repeatedly does not stop all mails.
    fn verdict(&self, error: &SendError, cause: RelayCause, job: JobId) -> RefusalSubject {
        let may_be_one = match cause {
            RelayCause::Hello | RelayCause::LoginMissing | RelayCause::Client | RelayCause::Sender => true,
            RelayCause::Unavailable => error.class == FailureClass::Retry,
            RelayCause::Unreachable | RelayCause::Login | RelayCause::Limit | RelayCause::Everyone => false,
        };
        if !may_be_one || !error.is_after_sender() {
            return RefusalSubject::Relay;
        }
        self.refusals().subject(error, self.breaker.mail_accepted(), job)
    }

    fn envelope(
        &self,
        request: &SendRequest<'_>,
        template: &str,
        letter: &MailSnapshot,
    ) -> Result<OutgoingMail, String> {
        let set = request.rules.ordered_under(&letter.set)?;
        let mail = set
            .templates()
            .render_mail(template, letter.locale.as_deref(), &letter.facts)
            .map_err(|error| error.to_string())?;
        let domain = self.from.email.rsplit('@').next().unwrap_or("localhost");
        Ok(OutgoingMail {
            from: self.from.clone(),
            to: MailAddress::new(letter.name.as_deref(), &letter.address),
            reply_to: self.reply_to.clone(),
            subject: mail.subject,
            text: mail.text,
            html: mail.html,
            message_id: format!("<{}@{domain}>", request.job.id()),
            date: request.clock.now(),
        })
    }

    async fn send_mail(&self, request: SendRequest<'_>) -> DeliveryResult {
        let job: &Job = request.job;
        let (Action::Email { template, .. }, Some(letter)) = (&job.order.action, &job.letter) else {
            return DeliveryResult::unfit(&job.order.action, "its recipient is not known");
        };
        match self.envelope(&request, template, letter) {
            Ok(envelope) => {
                let permit = request.permit.unwrap_or_else(|| self.breaker.permit());
                self.deliver(&envelope, job.id(), permit, request.clock).await
            }
            Err(error) => AttemptEnd::failed(ProblemKind::Unrenderable, error).into(),
        }
    }
}

impl Sender for MailSender {
    fn send<'a>(&'a self, request: SendRequest<'a>) -> BoxFuture<'a, DeliveryResult> {
        Box::pin(self.send_mail(request))
    }

    fn recorded(&self, delivery: DeliveryResult, job: Requeue) -> Vec<Requeue> {
        let DeliveryResult { refusal, mut recalled, .. } = delivery;
        if let Some(fingerprint) = refusal {
            let mut refusals = self.refusals();
            refusals.refused.recorded(&fingerprint, job);
            recalled.append(&mut refusals.refused.removed());
        }
        recalled
    }

    fn breaker(&self) -> Option<&Arc<CircuitBreaker>> {
        Some(&self.breaker)
    }

    fn try_connection<'a>(&'a self, permit: TrialPermit, clock: &'a Clock) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            match self.mailer.connect().await {
                Ok(()) => permit.relay_reached(),
                Err(error) => {
                    if let FailureScope::Relay(cause) = error.scope {
                        permit.trial_failed(cause, &error, None, None, clock.now());
                    }
                }
            }
        })
    }

    fn spacing(&self) -> Option<&Mutex<DomainLimiter>> {
        self.domains.as_ref()
    }

    fn close_idle(&self) -> Option<Duration> {
        self.mailer.close_idle()
    }
}

fn text(error: &SendError) -> String {
    match error.is_in_doubt {
        true => format!("{error}; it is sent again under the same Message-ID"),
        false => error.to_string(),
    }
}

fn ended(error: SendError) -> AttemptEnd {
    let text = text(&error);
    let outcome = match error.class {
        FailureClass::Permanent => AttemptOutcome::Failed { trouble: ProblemKind::Refused, error: text },
        FailureClass::Retry => AttemptOutcome::Retry { error: text, after_ms: None },
    };
    AttemptEnd { outcome, log: error.log }
}

fn deferred(error: SendError) -> AttemptEnd {
    AttemptEnd { outcome: AttemptOutcome::Deferred { error: text(&error) }, log: error.log }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        channels::email::{BreakerDecision, MailerConfig, ReplyCode, Transport},
        domain::CustomerId,
    };

    fn post() -> MailSender {
        let transport = Transport::parse("smtp://127.0.0.1:1?tls=none").expect("a transport");
        let mailer = Mailer::new(MailerConfig::new(transport)).expect("a mailer");
        MailSender::new(mailer, MailAddress::new(None, "kyc@shop.example"), None, None)
    }

    fn permit(post: &MailSender) -> TrialPermit {
        match post.breaker.admit() {
            BreakerDecision::OneMail(permit)
            | BreakerDecision::NewMail(permit)
            | BreakerDecision::Connection(permit) => permit,
            BreakerDecision::Mails | BreakerDecision::Nothing => post.breaker.permit(),
        }
    }

    fn id(nth: u8) -> JobId {
        JobId::from_bytes([nth; 16])
    }

    fn customer() -> CustomerId {
        CustomerId::new("C-1").expect("an id")
    }

    fn refusal(scope: FailureScope) -> SendError {
        let code = Some(ReplyCode { basic: 554, enhanced: Some((5, 7, 1)) });
        SendError::for_test(FailureClass::Permanent, scope, code, "554 5.7.1 no")
    }

    fn judged(post: &MailSender, error: SendError, nth: u8) -> DeliveryResult {
        post.judged(error, &format!("c{nth}@customer.example"), id(nth), permit(post), &Clock::default())
    }

    #[tokio::test]
    async fn the_fifth_refusal_in_a_row_recalls_the_jobs_before_it_also_one_recorded_later() {
        let post = post();
        let mut last = None;
        for nth in 0..4 {
            let delivery = judged(&post, refusal(FailureScope::Message), nth);
            assert!(matches!(delivery.ended.outcome, AttemptOutcome::Failed { .. }), "{nth}");
            assert!(post.breaker.outage().is_none());
            match nth {
                3 => last = Some(delivery),
                _ => assert_eq!(post.recorded(delivery, (customer(), id(nth))), []),
            }
        }
        let fifth = judged(&post, refusal(FailureScope::Message), 4);
        assert!(matches!(fifth.ended.outcome, AttemptOutcome::Deferred { .. }));
        assert_eq!(post.breaker.outage().map(|outage| outage.cause), Some(RelayCause::Everyone));
        let three: Vec<Requeue> = (0..3).map(|nth| (customer(), id(nth))).collect();
        assert_eq!(post.recorded(fifth, (customer(), id(4))), three);
        assert_eq!(post.recorded(last.expect("the fourth"), (customer(), id(3))), [(customer(), id(3))]);
    }

    #[tokio::test]
    async fn recipients_that_do_not_exist_make_no_streak_and_neither_do_refusals_with_a_success_between() {
        let post = post();
        for nth in 0..20 {
            let delivery = judged(&post, refusal(FailureScope::Recipient), nth);
            assert!(matches!(delivery.ended.outcome, AttemptOutcome::Failed { .. }));
        }
        for nth in 0..20 {
            judged(&post, refusal(FailureScope::Message), nth);
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
            let scope = if nth % 2 == 0 { FailureScope::Message } else { FailureScope::Recipient };
            let delivery = judged(&post, refusal(scope), nth);
            assert!(matches!(delivery.ended.outcome, AttemptOutcome::Failed { .. }), "{nth}");
        }
        assert!(post.breaker.outage().is_none());
    }

    #[tokio::test]
    async fn recipients_with_the_common_refusal_are_problems_once_the_relay_accepts_another() {
        let post = post();
        (0..5).for_each(|nth| drop(judged(&post, refusal(FailureScope::Message), nth)));
        assert_eq!(post.breaker.outage().map(|outage| outage.cause), Some(RelayCause::Everyone));
        permit(&post).taken();
        post.refusals().accepted(id(9), true);
        for nth in 0..5 {
            let delivery = judged(&post, refusal(FailureScope::Message), nth);
            assert!(matches!(delivery.ended.outcome, AttemptOutcome::Failed { .. }), "{nth}");
            assert!(delivery.recalled.is_empty());
        }
        assert!(post.breaker.outage().is_none());
    }

    #[tokio::test]
    async fn a_text_after_which_mails_were_accepted_opens_no_circuit_until_none_is_accepted() {
        let post = post();
        for nth in 0..2 {
            judged(&post, refusal(FailureScope::Relay(RelayCause::Client)), nth);
            assert!(post.breaker.outage().is_some());
            permit(&post).taken();
        }
        let delivery = judged(&post, refusal(FailureScope::Relay(RelayCause::Client)), 2);
        assert!(matches!(delivery.ended.outcome, AttemptOutcome::Deferred { .. }));
        assert!(post.breaker.outage().is_none());
        judged(&post, refusal(FailureScope::Relay(RelayCause::Client)), 3);
        assert!(post.breaker.outage().is_some(), "no mail was accepted since the last one");
    }

    #[tokio::test]
    async fn a_job_that_alone_gets_a_refusal_of_every_mail_becomes_a_problem() {
        let post = post();
        for (taken_before, is_problem) in [(0, false), (0, false), (1, false), (0, false), (3, true)] {
            (0..taken_before).for_each(|_| permit(&post).taken());
            let delivery = judged(&post, refusal(FailureScope::Relay(RelayCause::Client)), 1);
            assert_eq!(matches!(delivery.ended.outcome, AttemptOutcome::Failed { .. }), is_problem);
        }
        for _ in 0..9 {
            permit(&post).taken();
            let delivery = judged(&post, refusal(FailureScope::Relay(RelayCause::Limit)), 2);
            assert!(matches!(delivery.ended.outcome, AttemptOutcome::Deferred { .. }), "a limit comes and goes");
        }
    }

    #[tokio::test]
    async fn a_relay_that_answers_none_of_five_mails_opens_the_circuit_and_each_mail_is_retried() {
        let post = post();
        for nth in 0..5 {
            assert!(post.breaker.outage().is_none());
            let delivery =
                judged(&post, SendError::for_test(FailureClass::Retry, FailureScope::Message, None, "no answer"), nth);
            assert!(matches!(delivery.ended.outcome, AttemptOutcome::Retry { .. }));
        }
        assert_eq!(post.breaker.outage().map(|outage| outage.cause), Some(RelayCause::Unavailable));
    }
}
