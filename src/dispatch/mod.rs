//! Sends the due jobs of the outbox: workers claim them, run one attempt each, and record its outcome.
//!
//! Each channel has its own loop and its own workers, so that a channel that hangs does not delay another. The start
//! of an attempt is durable before the attempt runs, and its outcome is durable before anything else happens to the
//! job.

mod trials;

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::{Arc, PoisonError},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use self::trials::Trial;
use crate::{
    channels::{
        answer::AttemptEnd,
        email::{BreakerDecision, TrialPermit},
        sender::{OrderedRules, Requeue, SendRequest, Sender},
    },
    clock::Clock,
    decide::{Command, CustomerState, Receipt, StartedAttempt},
    outbox::{AttemptOutcome, Channel, Job},
    stack::literal,
    store::{self, Refused, Store},
    telemetry::Metrics,
};

/// The limit for one attempt. A successful conversation with a mail server is always shorter.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(300);

/// How long running attempts may take after a request to stop.
const DRAIN: Duration = Duration::from_secs(20);

/// The delay before the next try after the store refused to start an attempt or to record its outcome.
const REFUSED: Duration = Duration::from_secs(1);

/// The loop of one channel and its workers.
pub struct Dispatcher {
    pub channel: Channel,
    pub workers: usize,
    pub sender: Box<dyn Sender>,
    pub store: Store,
    pub rules: Arc<dyn OrderedRules>,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
}

impl Dispatcher {
    /// Runs until `stop` is true, then waits for the running attempts, at most 20 seconds.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let this = Arc::new(self);
        let free = Arc::new(Semaphore::new(this.workers));
        let mut changed = this.store.jobs_changed();
        let mut under_way = JoinSet::new();
        // Connections without a mail that test whether the relay is back. The loop does not wait for them when it
        // stops.
        let mut trials = JoinSet::new();
        while !*stop.borrow() {
            changed.mark_unchanged();
            let refused = this.begin(&free, &mut under_way, &mut trials).await;
            let wait = if refused { REFUSED } else { this.pause() };
            let wait = this.close_idle().map_or(wait, |idle| wait.min(idle));
            let busy = free.available_permits() == 0;
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                // Without a free worker no attempt can start, so that only the end of an attempt wakes the loop.
                _ = changed.changed(), if !busy && !refused => {}
                () = sleep(wait), if !busy => {}
                Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
                Some(_) = trials.join_next(), if !trials.is_empty() => {}
                () = this.operator_trial() => {}
            }
            while under_way.try_join_next().is_some() {}
        }
        let drained = timeout(DRAIN, async { while under_way.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            tracing::warn!(
                channel = %this.channel, attempts = under_way.len(),
                "attempts aborted at shutdown; their outcome is unknown"
            );
        }
    }

    /// Starts attempts at due jobs, at most as many as there are free workers and the circuit breaker admits. Returns
    /// whether the store refused.
    async fn begin(
        self: &Arc<Self>,
        free: &Arc<Semaphore>,
        under_way: &mut JoinSet<()>,
        trials: &mut JoinSet<()>,
    ) -> bool {
        let workers = free.available_permits();
        if workers == 0 {
            return false;
        }
        let mut trial = None;
        if let Some(breaker) = self.sender.breaker() {
            match breaker.admit() {
                BreakerDecision::Mails => {}
                BreakerDecision::OneMail(permit) => trial = Some((breaker, permit, Trial::Any)),
                BreakerDecision::NewMail(permit) => trial = Some((breaker, permit, Trial::New)),
                BreakerDecision::Connection(permit) => {
                    let this = Arc::clone(self);
                    trials.spawn(async move { this.sender.try_connection(permit, &this.clock).await });
                    return false;
                }
                BreakerDecision::Nothing => return false,
            }
        }
        let (mut permit, claimed) = match trial {
            Some((breaker, permit, trial)) => (Some(permit), self.claim_trial(breaker, trial).await),
            None => (None, self.claim(workers).await),
        };
        match claimed {
            Err(refused) => {
                tracing::warn!(channel = %self.channel, %refused, "cannot start attempts");
                true
            }
            Ok(attempts) => {
                for attempt in attempts {
                    let (this, worker) = (Arc::clone(self), Arc::clone(free).try_acquire_owned());
                    let permit = permit.take();
                    under_way.spawn(async move {
                        let _worker = worker;
                        this.attempt(attempt, permit).await;
                    });
                }
                false
            }
        }
    }

    /// The time for which no attempt can start.
    fn pause(&self) -> Duration {
        let Some(breaker) = self.sender.breaker() else { return self.until_due() };
        match breaker.paused_for_ms() {
            None => self.until_due(),
            Some(rests) if breaker.takes_new() => rests.min(self.until_due()),
            Some(rests) => rests,
        }
    }

    /// Resolves when an operator asks for a trial of a relay whose circuit breaker is open.
    async fn operator_trial(&self) {
        match self.sender.breaker() {
            Some(breaker) => breaker.changed().await,
            None => std::future::pending().await,
        }
    }

    async fn claim(&self, max: usize) -> Result<Vec<StartedAttempt>, Refused> {
        match self.sender.spacing() {
            Some(_) => self.claim_where(max, &|_, _| None).await,
            None => self.store.claim(&self.channel, max).await,
        }
    }

    /// Starts attempts at due jobs for which neither `not_before` nor the spacing of mails to a domain gives a later
    /// time.
    async fn claim_where(&self, max: usize, not_before: &store::NotBefore<'_>) -> Result<Vec<StartedAttempt>, Refused> {
        let Some(domains) = self.sender.spacing() else {
            return self.store.claim_when(&self.channel, max, Some(not_before)).await;
        };
        let domains = || domains.lock().unwrap_or_else(PoisonError::into_inner);
        domains().move_up(self.clock.now(), |job, from, to| self.store.bring_forward(job, from, to));
        let not_before = |case: &CustomerState, job: &Job| {
            not_before(case, job).or_else(|| domains().not_before(case, job, self.clock.now()))
        };
        let claimed = self.store.claim_when(&self.channel, max, Some(&not_before)).await;
        let begun: Vec<_> = claimed.iter().flatten().map(|attempt| attempt.job.id()).collect();
        domains().begun(&begun);
        claimed
    }

    fn until_due(&self) -> Duration {
        let longest = Duration::from_millis(if self.clock.is_moved_by_hand() { 50 } else { 60_000 });
        let Some(mut due_at) = self.store.next_due(&self.channel) else { return longest };
        if let Some(domains) = self.sender.spacing() {
            let next_at = domains.lock().unwrap_or_else(PoisonError::into_inner).next_at();
            due_at = next_at.map_or(due_at, |next_at| next_at.min(due_at));
        }
        let ms = u64::try_from(due_at.since_ms(self.clock.now())).unwrap_or(0);
        // At least 20 ms: a job that is due but was not started has a reason that lasts for a moment.
        Duration::from_millis(ms.max(20)).min(longest)
    }

    /// Closes connections that are no longer used. Returns the time until the next connection expires.
    fn close_idle(&self) -> Option<Duration> {
        // 20 ms later, so that the connection has expired by then.
        Some(self.sender.close_idle()? + Duration::from_millis(20))
    }

    async fn attempt(&self, attempt: StartedAttempt, trial: Option<TrialPermit>) {
        let request = SendRequest {
            customer: &attempt.customer,
            job: &attempt.job,
            permit: trial,
            rules: &*self.rules,
            clock: &self.clock,
        };
        let acting = AssertUnwindSafe(self.sender.send(request)).catch_unwind();
        let delivery = match timeout(LONGEST_ATTEMPT, acting).await {
            Ok(Ok(delivery)) => delivery,
            Ok(Err(panic)) => panicked(&*panic).into(),
            Err(_) => {
                let error = "the attempt took longer than 5 minutes".to_owned();
                AttemptEnd { log: error.clone(), outcome: AttemptOutcome::Retry { error, after_ms: None } }.into()
            }
        };
        let AttemptEnd { outcome, log } = delivery.ended.clone();
        // The message may have left, so its outcome must be recorded: this loop retries until it is, or until the
        // process ends and the outcome stays unknown.
        loop {
            match self.store.finish(&attempt, outcome.clone()).await {
                Ok(receipt) => {
                    self.log_end(&attempt, &outcome, &receipt, &log);
                    break;
                }
                Err(Refused::Closed) => return,
                Err(refused) => {
                    tracing::error!(
                        job = %attempt.job.id(), %refused,
                        "cannot record the outcome of an attempt; retrying"
                    );
                    sleep(REFUSED).await;
                }
            }
        }
        let requeued = self.sender.recorded(delivery, (attempt.customer.clone(), attempt.job.id()));
        self.take_back(requeued).await;
    }

    /// Queues jobs again whose refusals turned out to apply to every mail.
    async fn take_back(&self, jobs: Vec<Requeue>) {
        if !jobs.is_empty() {
            tracing::info!(
                channel = %self.channel, jobs = jobs.len(),
                "queued problems again: the relay rejects every mail"
            );
        }
        for (customer, job) in jobs {
            let command = Command::Recall { customer, job };
            while let Err(refused) = self.store.submit(command.clone()).await {
                if refused == Refused::Closed {
                    return;
                }
                tracing::error!(%job, %refused, "cannot queue a job again; retrying");
                sleep(REFUSED).await;
            }
        }
    }

    /// Logs and counts the outcome of an attempt.
    fn log_end(&self, attempt: &StartedAttempt, outcome: &AttemptOutcome, receipt: &Receipt, log: &str) {
        let (job, rule, channel) = (attempt.job.id(), &attempt.job.order.rule, &self.channel);
        let name = match (outcome, receipt) {
            (_, Receipt::Gone) => {
                tracing::warn!(%job, "an attempt ended, but its job is no longer running");
                "gone"
            }
            (AttemptOutcome::Done, _) => "done",
            // The circuit breaker logs this once for all mails.
            (AttemptOutcome::Deferred { .. }, _) => "deferred",
            (AttemptOutcome::Retry { .. }, Receipt::GaveUp) => {
                tracing::error!(
                    %job, %rule, %channel, error = log,
                    "a job has become a problem: it failed for 24 hours"
                );
                "exhausted"
            }
            (AttemptOutcome::Retry { .. }, _) => {
                tracing::warn!(%job, %rule, %channel, error = log, "an attempt failed and will be retried");
                "retry"
            }
            (AttemptOutcome::Failed { .. }, _) => {
                tracing::error!(%job, %rule, %channel, error = log, "a job has become a problem");
                "failed"
            }
        };
        self.metrics.attempted(&channel.to_string(), name);
    }
}

/// The outcome of an attempt that panicked. Whether the message has left is not known, so the job is retried under
/// the same id.
fn panicked(panic: &(dyn Any + Send)) -> AttemptEnd {
    let error = format!("the attempt panicked; this is a fault of this program: {}", literal(panic));
    AttemptEnd { log: error.clone(), outcome: AttemptOutcome::Retry { error, after_ms: None } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_attempt_that_panics_is_repeated() {
        let attempt = AssertUnwindSafe(async { panic!("boom") }).catch_unwind();
        let panic: Result<(), _> = attempt.await;
        let ended = panicked(&*panic.expect_err("panicked"));
        assert!(matches!(&ended.outcome, AttemptOutcome::Retry { error, after_ms: None } if error.ends_with(": boom")));
        assert_eq!(ended.log, "the attempt panicked; this is a fault of this program: boom");
    }
}
