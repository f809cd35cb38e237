//! A circuit breaker for a relay that is down or rejects every mail.
//!
//! After a failure that is about every mail, no mail is sent for a second, then one trial runs. After each failed
//! trial the pause doubles, up to a minute. If the relay could not be reached, the trial is a connection and a login
//! without a mail; otherwise it is one mail. A mail that the relay accepts closes the circuit. Meanwhile mails wait
//! in the outbox, and no attempts are counted.
//!
//! A reply to the recipient or to the text may be about that one mail, whatever its text. So for the first 40
//! recipients the pause stays one second, and a mail that the outage was not tried with is tried during a longer
//! pause.
//!
//! The breaker holds the [`RelayOutage`] that `status`, `problems` and the metrics show. The state is in memory only:
//! after a restart the first mails find the outage again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{
    sync::Notify,
    time::{Duration, Instant},
};

use super::{
    FailureClass, RelayCause, SendError,
    trials::{TrialOrder, TrialRank},
};
use crate::{clock::Timestamp, outbox::JobId, telemetry::LogThrottle};

const FIRST_PAUSE_MS: u64 = 1_000;
const LONGEST_PAUSE_MS: u64 = 60_000;

/// The number of different recipients that may be refused in an outage before its pauses grow.
const MAX_NEW_RECIPIENTS: u32 = 40;

/// An outage that begins within this time after the end of another is the same outage.
const SAME_OUTAGE: Duration = Duration::from_secs(60);

/// The present outage and its start. It contains no text of the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayOutage {
    pub cause: RelayCause,
    /// The relay, the step, and the code of its reply.
    pub said: String,
    pub since: Timestamp,
    /// Seconds until the next trial.
    pub again_in_s: u64,
}

impl RelayOutage {
    pub fn reason(&self) -> String {
        format!("{}; {}", self.said, self.cause.advice())
    }
}

/// What may start now.
#[derive(Debug)]
pub enum BreakerDecision {
    /// As many mails as there are free workers.
    Mails,
    /// A connection without a mail.
    Connection(TrialPermit),
    /// One mail.
    OneMail(TrialPermit),
    /// One mail that the outage was not tried with.
    NewMail(TrialPermit),
    Nothing,
}

#[derive(Debug, Default)]
pub struct CircuitBreaker {
    state: Mutex<BreakerState>,
    changed: Notify,
    refuses: LogThrottle,
    takes_none: LogThrottle,
}

#[derive(Debug, Default)]
struct BreakerState {
    outage: Option<OpenBreaker>,
    /// The number of counted failures. Failures of attempts that ran at the same time count as one.
    failures: u32,
    /// The number of mails that the relay has accepted.
    taken: u64,
    /// The mails that the present or the previous outage was tried with.
    trials: TrialOrder,
    /// The start and the end of the last outage.
    last: Option<(Timestamp, Instant)>,
}

impl BreakerState {
    fn last_since(&self) -> Option<Timestamp> {
        self.last.filter(|(_, ended_at)| ended_at.elapsed() < SAME_OUTAGE).map(|(since, _)| since)
    }
}

#[derive(Debug)]
struct OpenBreaker {
    outage: RelayOutage,
    /// The common text of the refusals, if the cause is [`RelayCause::Everyone`].
    fingerprint: Option<String>,
    /// Only a trial with a mail can show that the outage is over.
    needs_mail: bool,
    until: Instant,
    /// From this time on a mail that the outage was not tried with may be the trial; `None`: such a mail waits like
    /// the others.
    new_from: Option<Instant>,
    new_recipients: u32,
    pauses: u32,
    is_tried: bool,
    /// The log contains that the relay accepts no mails. If the throttle suppressed that line, the next failed trial
    /// logs it.
    is_logged: bool,
    /// The log contains that the relay rejects mails.
    is_refusal_logged: bool,
}

/// The right to try the relay once. A permit that is dropped without a result does not change the breaker.
#[derive(Debug)]
pub struct TrialPermit {
    breaker: Arc<CircuitBreaker>,
    failures: u32,
    /// A trial in an outage; no other permit exists.
    is_trial: bool,
}

impl CircuitBreaker {
    fn state(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn admit(self: &Arc<Self>) -> BreakerDecision {
        let mut state = self.state();
        let failures = state.failures;
        let Some(open) = &mut state.outage else { return BreakerDecision::Mails };
        let is_resting = Instant::now() < open.until;
        if open.is_tried || (is_resting && !open.takes_new()) {
            return BreakerDecision::Nothing;
        }
        open.is_tried = true;
        let permit = TrialPermit { breaker: Arc::clone(self), failures, is_trial: true };
        match open.needs_mail {
            _ if is_resting => BreakerDecision::NewMail(permit),
            true => BreakerDecision::OneMail(permit),
            false => BreakerDecision::Connection(permit),
        }
    }

    /// Returns the permit for a mail that [`BreakerDecision::Mails`] admitted.
    pub fn permit(self: &Arc<Self>) -> TrialPermit {
        TrialPermit { breaker: Arc::clone(self), failures: self.state().failures, is_trial: false }
    }

    /// The time for which nothing may start; `None` while mails may.
    pub fn paused_for_ms(&self) -> Option<Duration> {
        let state = self.state();
        let open = state.outage.as_ref()?;
        let now = Instant::now();
        let wakes_at = open.new_from.filter(|at| *at > now).map_or(open.until, |at| at.min(open.until));
        let left = wakes_at.saturating_duration_since(now);
        // The end of the trial wakes the dispatcher.
        if open.is_tried {
            Some(Duration::from_millis(LONGEST_PAUSE_MS))
        } else {
            Some(left).filter(|left| !left.is_zero())
        }
    }

    /// Whether a mail that the outage was not tried with may start during the pause.
    pub fn takes_new(&self) -> bool {
        self.state().outage.as_ref().is_some_and(|open| !open.is_tried && open.takes_new())
    }

    /// How well a mail is suited as the next trial.
    pub fn rank(&self, job: JobId, recipient: Option<&str>) -> TrialRank {
        self.state().trials.rank(job, recipient)
    }

    pub fn outage(&self) -> Option<RelayOutage> {
        let state = self.state();
        let open = state.outage.as_ref()?;
        let left = open.until.saturating_duration_since(Instant::now());
        Some(RelayOutage { again_in_s: left.as_secs(), ..open.outage.clone() })
    }

    /// Makes the next trial due now, at an operator's request. Returns whether there is an outage.
    pub fn try_now(&self) -> bool {
        let mut state = self.state();
        let Some(open) = &mut state.outage else { return false };
        (open.until, open.pauses) = (Instant::now(), 0);
        drop(state);
        self.changed.notify_one();
        true
    }

    /// Resolves when an operator has called [`CircuitBreaker::try_now`].
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether the relay currently gives this reply to every mail.
    pub fn is_known(&self, fingerprint: &str) -> bool {
        self.state().outage.as_ref().is_some_and(|open| open.fingerprint.as_deref() == Some(fingerprint))
    }

    /// The number of mails that the relay has accepted.
    pub fn mail_accepted(&self) -> u64 {
        self.state().taken
    }
}

impl OpenBreaker {
    fn takes_new(&self) -> bool {
        self.new_from.is_some_and(|at| at <= Instant::now())
    }
}

impl TrialPermit {
    /// Whether this permit is for a trial in an outage.
    pub fn is_trial(&self) -> bool {
        self.is_trial
    }

    /// Reports that the relay accepted a mail.
    pub fn taken(self) {
        self.breaker.state().taken += 1;
        self.relay_reached();
    }

    /// Reports that a trial without a mail succeeded.
    pub fn relay_reached(self) {
        let mut state = self.breaker.state();
        if let Some(open) = state.outage.take() {
            state.last = Some((open.outage.since, Instant::now()));
            let cause = open.outage.cause.name();
            // Logged only if the outage was logged.
            if open.is_logged {
                tracing::info!(cause, since = %open.outage.since, "the mail relay accepts mails again");
            }
        }
    }

    /// Reports a failure that is about every mail. `mail`: the job and its recipient, if the attempt was a mail.
    pub fn trial_failed(
        self,
        cause: RelayCause,
        error: &SendError,
        fingerprint: Option<String>,
        mail: Option<(JobId, &str)>,
        now: Timestamp,
    ) {
        let mut state = self.breaker.state();
        let last_since = state.last_since();
        if state.outage.is_none() && last_since.is_none() {
            state.trials = TrialOrder::default();
        }
        let is_new = mail.is_some_and(|(job, recipient)| state.trials.refused(job, recipient));
        if self.failures != state.failures {
            return;
        }
        state.failures = state.failures.wrapping_add(1);
        let before = state.outage.take();
        let (mut pauses, mut new_recipients) =
            before.as_ref().map_or((0, 0), |open| (open.pauses, open.new_recipients));
        let may_be_one = mail.is_some() && error.is_after_sender() && new_recipients < MAX_NEW_RECIPIENTS;
        if may_be_one && is_new {
            (pauses, new_recipients) = (0, new_recipients + 1);
        }
        let pause_ms = (FIRST_PAUSE_MS << pauses.min(16)).min(LONGEST_PAUSE_MS);
        let since = before.as_ref().map(|open| open.outage.since).or(last_since).unwrap_or(now);
        let refuses = error.class == FailureClass::Permanent;
        let outage = RelayOutage { cause, said: error.coded_log(), since, again_in_s: 0 };
        let (mut is_logged, mut is_refusal_logged) =
            before.as_ref().map_or((false, false), |open| (open.is_logged, open.is_refusal_logged));
        if refuses && !is_refusal_logged {
            if let Some(left_out) = self.breaker.refuses.pass() {
                let (error, advice) = (&outage.said, cause.advice());
                tracing::error!(error, advice, left_out, "the mail relay rejects this client; mails stay queued");
                (is_logged, is_refusal_logged) = (true, true);
            }
        } else if !is_logged && let Some(left_out) = self.breaker.takes_none.pass() {
            tracing::warn!(error = outage.said, left_out, "the mail relay accepts no mails; they stay queued");
            is_logged = true;
        }
        state.outage = Some(OpenBreaker {
            outage,
            fingerprint,
            needs_mail: !error.is_before_mails(),
            until: Instant::now() + Duration::from_millis(pause_ms),
            new_from: may_be_one.then(|| Instant::now() + Duration::from_millis(FIRST_PAUSE_MS)),
            new_recipients,
            pauses: pauses.saturating_add(1),
            is_tried: false,
            is_logged,
            is_refusal_logged,
        });
    }
}

impl Drop for TrialPermit {
    fn drop(&mut self) {
        if self.is_trial
            && let Some(open) = &mut self.breaker.state().outage
        {
            open.is_tried = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::email::FailureScope;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn mail(breaker: &Arc<CircuitBreaker>) -> TrialPermit {
        match breaker.admit() {
            BreakerDecision::Mails => breaker.permit(),
            BreakerDecision::OneMail(permit) => permit,
            other => panic!("{other:?}"),
        }
    }

    fn refused() -> SendError {
        let said = "relay:25 replied to RCPT TO: 554";
        SendError::for_test(FailureClass::Permanent, FailureScope::Relay(RelayCause::Client), None, said)
    }

    fn rests(breaker: &Arc<CircuitBreaker>) -> bool {
        matches!(breaker.admit(), BreakerDecision::Nothing)
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_nothing_starts_until_one_trial_does() {
        let breaker = Arc::new(CircuitBreaker::default());
        let together = [mail(&breaker), mail(&breaker), mail(&breaker)];
        for permit in together {
            permit.trial_failed(RelayCause::Client, &refused(), None, None, NOW);
        }
        for pause_ms in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            assert_eq!(breaker.paused_for_ms(), Some(Duration::from_millis(pause_ms)));
            tokio::time::sleep(Duration::from_millis(pause_ms - 1)).await;
            assert!(rests(&breaker));
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!(breaker.paused_for_ms(), None);
            drop(mail(&breaker));
            let trial = mail(&breaker);
            assert!(rests(&breaker), "one trial at a time; after a dropped trial the next one starts at once");
            trial.trial_failed(RelayCause::Client, &refused(), None, None, NOW.plus_ms(5));
        }
        assert_eq!(breaker.outage().map(|outage| (outage.since, outage.again_in_s)), Some((NOW, 60)));
        assert!(breaker.try_now());
        assert!(!rests(&breaker), "an operator does not wait");
        tokio::time::timeout(Duration::from_secs(1), breaker.changed()).await.expect("the dispatcher is woken");
        mail(&breaker).taken();
        assert!(breaker.outage().is_none() && !breaker.try_now() && breaker.paused_for_ms().is_none());
        mail(&breaker).trial_failed(RelayCause::Client, &refused(), None, None, NOW);
        assert_eq!(breaker.paused_for_ms(), Some(Duration::from_secs(1)), "the first pause is one second again");
    }

    #[tokio::test(start_paused = true)]
    async fn an_unreachable_relay_is_tried_without_a_mail() {
        for cause in [RelayCause::Unreachable, RelayCause::Login] {
            let breaker = Arc::new(CircuitBreaker::default());
            mail(&breaker).trial_failed(
                cause,
                &SendError::retry("relay:25: nothing answers on this port"),
                None,
                None,
                NOW,
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
            let BreakerDecision::Connection(permit) = breaker.admit() else { panic!("a connection") };
            assert!(rests(&breaker));
            permit.relay_reached();
            assert!(matches!(breaker.admit(), BreakerDecision::Mails));
            assert_eq!(breaker.mail_accepted(), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_common_refusal_is_known_during_the_outage() {
        let breaker = Arc::new(CircuitBreaker::default());
        mail(&breaker).trial_failed(RelayCause::Everyone, &refused(), Some("554 no".to_owned()), None, NOW);
        assert!(breaker.is_known("554 no") && !breaker.is_known("554 never"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        mail(&breaker).taken();
        assert!(!breaker.is_known("554 no"));
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_of_new_recipients_do_not_extend_the_pause_and_a_new_mail_does_not_wait_for_a_long_one() {
        let breaker = Arc::new(CircuitBreaker::default());
        let job = JobId::from_bytes([7; 16]);
        for nth in 0..MAX_NEW_RECIPIENTS {
            let to = format!("c{nth}@customer.example");
            mail(&breaker).trial_failed(RelayCause::Everyone, &refused(), None, Some((job, &to)), NOW);
            assert_eq!(breaker.paused_for_ms(), Some(Duration::from_secs(1)), "{nth}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        mail(&breaker).trial_failed(RelayCause::Everyone, &refused(), None, Some((job, "more@customer.example")), NOW);
        assert_eq!(breaker.paused_for_ms(), Some(Duration::from_secs(2)), "after 40 recipients it is the relay");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(rests(&breaker));

        let breaker = Arc::new(CircuitBreaker::default());
        for pause_s in [1, 2, 4, 8] {
            mail(&breaker).trial_failed(RelayCause::Client, &refused(), None, Some((job, "a@customer.example")), NOW);
            tokio::time::sleep(Duration::from_millis(999)).await;
            assert!(rests(&breaker), "one per second");
            assert_eq!(breaker.paused_for_ms(), Some(Duration::from_millis(1)));
            tokio::time::sleep(Duration::from_millis(1)).await;
            let (BreakerDecision::NewMail(permit) | BreakerDecision::OneMail(permit)) = breaker.admit() else {
                panic!("{pause_s}")
            };
            assert!(rests(&breaker), "one at a time");
            drop(permit);
            tokio::time::sleep(Duration::from_secs(pause_s - 1)).await;
        }
        assert_eq!(breaker.rank(job, None), TrialRank::Tried(4));
        mail(&breaker).taken();
        assert!(breaker.outage().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_that_returns_within_a_minute_is_the_same() {
        let breaker = Arc::new(CircuitBreaker::default());
        let since = || breaker.outage().map(|outage| outage.since);
        mail(&breaker).trial_failed(RelayCause::Client, &refused(), None, None, NOW);
        for nth in 1..4 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            mail(&breaker).taken();
            tokio::time::sleep(Duration::from_secs(59)).await;
            mail(&breaker).trial_failed(RelayCause::Client, &refused(), None, None, NOW.plus_ms(60_000 * nth));
            assert_eq!(since(), Some(NOW));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        mail(&breaker).taken();
        tokio::time::sleep(Duration::from_secs(60)).await;
        mail(&breaker).trial_failed(RelayCause::Client, &refused(), None, None, NOW.plus_ms(300_000));
        assert_eq!(since(), Some(NOW.plus_ms(300_000)));
    }
}
