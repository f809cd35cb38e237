//! Fetches answers for waiting callbacks: one request per customer at a time, shared by several callbacks.
//!
//! A request that is lost with the process is sent again: the waiting callbacks are in the store, and no other state
//! must persist.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Duration, sleep},
};

use super::{AnswerFailure, AskError, ProviderApi, ReconcileRound, last_errors::LastErrors, late_timers::LateTimers};
use crate::{
    clock::Clock,
    decide::{ApiAnswer, Command, ImportedState, Receipt},
    directory::ContactFetcher,
    domain::CustomerId,
    store::{Refused, Store},
    telemetry::{self, LogThrottle, Metrics, QuestionTarget},
    throttle::{Outage, Permit, RequestFailure, RequestThrottle},
};

/// The maximum number of concurrent requests, and the minimum time between two: 20 per second.
const UNDER_WAY: usize = 16;
const BETWEEN: Duration = Duration::from_millis(50);

/// The maximum number of customers that are processed concurrently.
const AT_ONCE: usize = 32;

/// Delay before a customer is asked about again whose answer the store rejected, in milliseconds.
const AGAIN_MS: i64 = 1_000;

/// Delay before checking again whether a running request about the customer has ended, in milliseconds.
const MEANWHILE_MS: i64 = 100;

/// Delay before a customer is asked about again whose answer could not be used, in milliseconds.
const ODD_AGAIN_MS: i64 = 60_000;

/// The result of asking about one customer.
#[derive(Clone, Debug, PartialEq)]
pub enum AskOutcome {
    Answered {
        receipt: Receipt,
        /// Whether the provider knows the customer.
        known: bool,
    },
    /// There is no usable answer; the customer is not asked about again for `again_ms` milliseconds.
    Failed {
        error: AskError,
        again_ms: i64,
    },
    Refused(Refused),
}

/// Sends requests to the API, and submits the answers to the store.
pub struct ConfirmationWorker {
    api: ProviderApi,
    store: Store,
    clock: Clock,
    metrics: Arc<Metrics>,
    pace: RequestThrottle,
    /// Asked before the API, for questions that need the contact.
    lookups: Option<Arc<ContactFetcher>>,
    /// Customers with a running request: at most one for each.
    under_way: Mutex<HashSet<CustomerId>>,
    last_errors: LastErrors,
    /// Limits the log lines about unusable answers.
    odd: LogThrottle,
    /// Customers whose due timers wait for an answer.
    pub late_timers: LateTimers,
    /// The latest rounds of [`super::ReconcileIntervals`], by whether they covered final statuses.
    rounds: Mutex<BTreeMap<bool, ReconcileRound>>,
}

impl ConfirmationWorker {
    pub fn new(
        api: ProviderApi,
        lookups: Option<Arc<ContactFetcher>>,
        store: Store,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Self {
        let pace = RequestThrottle::new("the provider's API", UNDER_WAY, BETWEEN);
        Self {
            api,
            lookups,
            store,
            clock,
            metrics,
            pace,
            under_way: Mutex::default(),
            last_errors: LastErrors::default(),
            odd: LogThrottle::default(),
            late_timers: LateTimers::default(),
            rounds: Mutex::default(),
        }
    }

    /// Returns the present trouble of the API, if any.
    pub fn trouble(&self) -> Option<Outage> {
        self.pace.trouble()
    }

    /// Returns why the API's last answer about this customer was unusable; `None`: no request since the start, or a
    /// usable answer.
    pub fn last_error(&self, customer: &CustomerId) -> Option<AnswerFailure> {
        self.last_errors.of(customer)
    }

    /// Returns for how long the API is still paused, in milliseconds, after a failure or at its own request.
    pub fn rests_for_ms(&self) -> Option<i64> {
        self.pace.paused_for_ms()
    }

    /// Returns the latest round of each kind.
    pub fn rounds(&self) -> Vec<ReconcileRound> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(super) fn note_round(&self, round: ReconcileRound) {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner).insert(round.settled, round);
    }

    /// Asks about one customer, in turn with all others. After an unusable answer, a customer is asked about again only
    /// after a delay, whether a callback, a timer or `provider.reconcile` causes the request.
    pub async fn ask(&self, customer: &CustomerId) -> AskOutcome {
        let newest = self.newest_waiting(customer);
        if let Some((error, again_ms)) = self.last_errors.rests(customer, newest, self.clock.now()) {
            return AskOutcome::Failed { error, again_ms };
        }
        self.ask_paced(customer).await
    }

    /// Asks about one customer in turn with all others, without that delay: for an operator who asks about many.
    pub async fn ask_paced(&self, customer: &CustomerId) -> AskOutcome {
        match self.permit(customer).await {
            Ok(turn) => self.ask_in(turn, customer).await,
            Err(resting) => resting,
        }
    }

    /// Asks about one customer for an operator who waits for the result.
    pub async fn ask_at_once(&self, customer: &CustomerId) -> AskOutcome {
        self.ask_in(self.pace.try_acquire(), customer).await
    }

    async fn ask_in(&self, turn: Permit<'_>, customer: &CustomerId) -> AskOutcome {
        // Callbacks that arrive during the request cause another request.
        let up_to = match self.store.customer(customer) {
            Ok(case) => case.map_or(0, |case| case.last),
            Err(_) => return AskOutcome::Refused(Refused::NotReady),
        };
        match self.question(turn, customer).await {
            Ok(answer) => {
                let known = answer != ApiAnswer::Unknown;
                let command = Command::Answer { customer: customer.clone(), up_to, answer };
                self.submitted(command, known).await
            }
            Err(failed) => failed,
        }
    }

    /// Imports the API's status of a customer as memory if no observation exists, for going live. It returns at once
    /// while the API is paused: an import asks about many customers and reports the failure itself.
    pub async fn import(&self, customer: &CustomerId) -> AskOutcome {
        match self.store.customer(customer) {
            Ok(case) if case.as_ref().is_some_and(|case| case.customer.is_some()) => {
                return AskOutcome::Answered { receipt: Receipt::Unchanged, known: true };
            }
            Ok(_) => {}
            Err(_) => return AskOutcome::Refused(Refused::NotReady),
        }
        if let Some(again_ms) = self.pace.paused_for_ms() {
            return self.paused(again_ms);
        }
        let turn = match self.permit(customer).await {
            Ok(turn) => turn,
            Err(resting) => return resting,
        };
        let answer = match self.question(turn, customer).await {
            Ok(ApiAnswer::Known(said)) => Some(Box::new(ImportedState::from(said))),
            Ok(ApiAnswer::Unknown) => None,
            Err(failed) => return failed,
        };
        let known = answer.is_some();
        let command = Command::Import { customer: customer.clone(), contact: None, memory: answer };
        self.submitted(command, known).await
    }

    async fn submitted(&self, command: Command, known: bool) -> AskOutcome {
        let submitted = self.store.submit(command).await;
        submitted.map_or_else(AskOutcome::Refused, |receipt| AskOutcome::Answered { receipt, known })
    }

    async fn permit(&self, customer: &CustomerId) -> Result<Permit<'_>, AskOutcome> {
        self.pace.acquire(customer.as_str()).await.map_err(|again_ms| {
            let resting = self.paused(again_ms);
            if let AskOutcome::Failed { error, .. } = &resting {
                self.last_errors.note_resting(customer, error, self.clock.now());
            }
            resting
        })
    }

    /// Returns the record number of the customer's newest callback that waits for an answer.
    fn newest_waiting(&self, customer: &CustomerId) -> Option<u64> {
        let case = self.store.customer(customer).ok().flatten()?;
        case.question.as_ref()?.waiting.last().map(|pending| pending.number)
    }

    fn paused(&self, again_ms: i64) -> AskOutcome {
        let cause = self.trouble().map(AnswerFailure::from).unwrap_or_default();
        AskOutcome::Failed { error: AskError::Resting(cause), again_ms }
    }

    async fn question(&self, turn: Permit<'_>, customer: &CustomerId) -> Result<ApiAnswer, AskOutcome> {
        let newest = self.newest_waiting(customer);
        let (answer, about) = (self.api.ask(customer).await, customer.as_str());
        let outcome = match &answer {
            Ok(ApiAnswer::Known(_)) => telemetry::QuestionResult::answered,
            Ok(ApiAnswer::Unknown) => telemetry::QuestionResult::unknown,
            Err(AskError::Odd(_)) => telemetry::QuestionResult::odd,
            Err(AskError::Key(_) | AskError::Later { .. } | AskError::Resting(_)) => telemetry::QuestionResult::failed,
        };
        self.metrics.asked(QuestionTarget::provider, outcome);
        let again_ms = match &answer {
            Ok(_) => {
                turn.succeeded(about);
                self.last_errors.forget(customer);
                0
            }
            Err(error @ AskError::Odd(cause)) => {
                if let Some(left_out) = self.odd.pass() {
                    tracing::warn!(
                        %error,
                        left_out,
                        "the provider's API returned an answer about a customer that cannot be used"
                    );
                }
                turn.unexpected(about, &cause.text, cause.code.as_deref()).max(ODD_AGAIN_MS)
            }
            Err(AskError::Key(cause)) => turn.failed(about, failure(cause, true, None)),
            Err(AskError::Later { cause, after_ms }) => turn.failed(about, failure(cause, false, *after_ms)),
            Err(AskError::Resting(_)) => 0,
        };
        if let Err(error) = &answer {
            self.last_errors.note(customer, error, newest, self.clock.now().plus_ms(again_ms));
        }
        answer.map_err(|error| AskOutcome::Failed { error, again_ms })
    }

    /// Runs until `stop` is true.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut changed = self.store.jobs_changed();
        let mut under_way = JoinSet::new();
        while !*stop.borrow() {
            changed.mark_unchanged();
            for customer in self.store.take_confirmations(AT_ONCE.saturating_sub(under_way.len())) {
                if !self.in_progress().insert(customer.clone()) {
                    // A callback that arrived in the meantime is asked about after the running request.
                    self.store.retry_confirmation(&customer, MEANWHILE_MS);
                    continue;
                }
                let this = Arc::clone(&self);
                under_way.spawn(async move {
                    this.ask_for_callbacks(&customer).await;
                    this.in_progress().remove(&customer);
                });
            }
            let busy = under_way.len() >= AT_ONCE;
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                _ = changed.changed(), if !busy => {}
                () = sleep(self.until_due()), if !busy => {}
                Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
            }
            while under_way.try_join_next().is_some() {}
        }
        // Interrupted requests are sent again after a restart.
        under_way.shutdown().await;
    }

    fn in_progress(&self) -> MutexGuard<'_, HashSet<CustomerId>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks about a customer with waiting callbacks, and schedules the next request if they are still waiting.
    async fn ask_for_callbacks(&self, customer: &CustomerId) {
        if let Some(lookups) = &self.lookups {
            lookups.ask_for_callback(customer).await;
        }
        let again_ms = match self.ask(customer).await {
            AskOutcome::Answered { .. } => match self.store.customer(customer) {
                Ok(case) => {
                    let next_at = case.and_then(|case| case.question.as_ref().map(|question| question.next_at));
                    // The record has already scheduled it, unless the answer came too early to count.
                    next_at.map_or(AGAIN_MS, |next_at| next_at.since_ms(self.clock.now()).max(MEANWHILE_MS))
                }
                Err(_) => AGAIN_MS,
            },
            AskOutcome::Failed { again_ms, .. } => again_ms,
            AskOutcome::Refused(_) => AGAIN_MS,
        };
        self.store.retry_confirmation(customer, again_ms);
    }

    fn until_due(&self) -> Duration {
        let longest_ms = if self.clock.is_moved_by_hand() { 50 } else { 60_000 };
        let due_ms = self.store.next_confirmation().map(|at| at.since_ms(self.clock.now()));
        Duration::from_millis(due_ms.unwrap_or(longest_ms).clamp(20, longest_ms).unsigned_abs())
    }
}

fn failure(cause: &AnswerFailure, lasting: bool, after_ms: Option<i64>) -> RequestFailure {
    RequestFailure { text: cause.text.clone(), code: cause.code.clone(), lasting, after_ms }
}
