//! Callbacks that have waited longer than `provider.patience` for a decision: the problem `unanswered`, and the
//! operation that decides all of them.
//!
//! Only the arrival time of a customer's oldest waiting callback decides whether it counts, not the reason of the
//! delay: an API that is down, rejects the key, asks for a pause or gives no usable answer, or a shop that returns no
//! contact.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::time::{Duration, timeout};
use warp::{Filter, Rejection, reply::Response};

use super::{
    AdminContext, AdminResult, MAX_BODY_BYTES, confirm::asker, customer_id, jobs::JobsQuery, malformed, object, sorted,
};
use crate::{
    api::{
        customers::PendingInfo,
        jobs::{ServiceProblem, UnansweredCustomer},
        refresh::{RefreshAllPage, RefreshAllPreview, RefreshAllRequest, StillWaiting},
    },
    clock::Timestamp,
    decide::{Command, CustomerState, Receipt},
    domain::CustomerId,
    http::{body::capped_body, reply::ProblemDetails},
    provider::{self, AnswerFailure, AskOutcome, ConfirmationWorker},
    store::Store,
    yaml,
};

/// The number of customers that one request handles, and how many of them in parallel.
const PAGE: usize = 50;
const AT_ONCE: usize = 16;

/// The maximum number of examples in the response.
const EXAMPLES: usize = 5;

/// The maximum time for one customer, because the rate limit of the API may delay the request.
const LONGEST: Duration = Duration::from_secs(30);

/// The outcome for one customer.
enum RefreshOutcome {
    Decided,
    /// The callbacks were decided in the meantime, because the service itself also retries.
    Meanwhile,
    Waits(CustomerId, AnswerFailure),
    /// Not tried, because requests to the API are paused.
    Stopped(AnswerFailure),
}

pub fn routes(admin: &Arc<AdminContext>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    warp::path!("customers" / "refresh")
        .and(warp::post())
        .and(capped_body(MAX_BODY_BYTES))
        .then(answered!(admin, |this, body: Bytes| this.refresh_all(body)))
}

impl AdminContext {
    /// Callbacks that arrived at this time or earlier have waited too long.
    fn impatient_at(&self) -> Timestamp {
        self.clock.now().plus_ms(-self.patience_ms)
    }

    pub(super) fn count_unanswered(&self, store: &Store) -> u64 {
        store.count_waiting_since(self.impatient_at())
    }

    /// Returns the number of customers whose due timers have waited longer than `provider.patience` for the provider's
    /// API.
    pub(super) fn count_late_timers(&self) -> u64 {
        let late = self.services.asker().and_then(|asker| asker.late_timers.since(self.impatient_at()));
        late.map_or(0, |(count, _)| count)
    }

    /// Returns the unanswered customers that a query for problems selects.
    pub(super) fn unanswered(&self, query: &JobsQuery) -> Result<Vec<UnansweredCustomer>, ProblemDetails> {
        let Some((customer, max)) = query.of_customers()? else { return Ok(Vec::new()) };
        let (store, until) = (self.store()?, self.impatient_at());
        let Some(customer) = customer else { return Ok(self.shapes(store, until, max)) };
        let case = store.customer(&customer).map_err(super::unreadable)?;
        let since = case.as_ref().and_then(|case| case.question.as_ref()).map(|question| question.since());
        let late = since.filter(|since| *since <= until);
        Ok(late.map(|since| self.shape(store, since, customer)).into_iter().collect())
    }

    /// Returns one problem that summarizes all unanswered customers, if there are any.
    pub(super) fn unanswered_in_all(&self) -> Result<Option<ServiceProblem>, ProblemDetails> {
        let store = self.store()?;
        let count = self.count_unanswered(store);
        let Some(oldest) = self.shapes(store, self.impatient_at(), 1).pop() else { return Ok(None) };
        let whose = if count == 1 { "1 customer".to_owned() } else { format!("{count} customers") };
        let reason = format!(
            "callbacks of {whose} have waited longer than {} and are not decided: {}. `kyc-rules refresh --all` asks the provider \
             again, `--believe` accepts the callbacks as correct",
            yaml::Duration::text_of(self.patience_ms),
            oldest.reason
        );
        Ok(Some(ServiceProblem {
            problem: "unanswered".to_owned(),
            reason,
            since: Some(oldest.since),
            count: Some(count),
            code: Some(oldest.code),
            ..ServiceProblem::default()
        }))
    }

    /// Returns one problem that summarizes the due timers that wait for the provider's API, if there are any.
    pub(super) fn unanswered_timers(&self) -> Option<ServiceProblem> {
        let asker = self.services.asker()?;
        let (count, oldest) = asker.late_timers.since(self.impatient_at())?;
        let whose = if count == 1 { "1 customer".to_owned() } else { format!("{count} customers") };
        let cause = self.cause(&oldest, None);
        let reason = format!(
            "timers of {whose} are due and wait longer than {} for an answer of the provider's API: {}",
            yaml::Duration::text_of(self.patience_ms),
            cause.full()
        );
        Some(ServiceProblem {
            problem: "unanswered_timers".to_owned(),
            reason,
            count: Some(count),
            code: Some(cause.code.map(Into::into)),
            ..ServiceProblem::default()
        })
    }

    /// Returns what a customer's callbacks wait for, if any callback waits.
    pub(super) fn pending(&self, customer: &CustomerId, case: &CustomerState) -> Option<PendingInfo> {
        let question = case.question.as_ref()?;
        let cause = self.cause(customer, Some(case));
        Some(PendingInfo {
            callbacks: question.waiting.len(),
            reason: cause.full(),
            code: cause.code.map(Into::into),
            since: question.since().to_string(),
            unanswered: question.since() <= self.impatient_at(),
        })
    }

    fn shapes(&self, store: &Store, until: Timestamp, max: usize) -> Vec<UnansweredCustomer> {
        let rows = store.waiting_since(until, None, max).into_iter();
        rows.map(|(since, customer)| self.shape(store, since, customer)).collect()
    }

    fn shape(&self, store: &Store, since: Timestamp, customer: CustomerId) -> UnansweredCustomer {
        let case = store.customer(&customer).ok().flatten();
        let waiting =
            case.as_ref().and_then(|case| case.question.as_ref()).map_or(0, |question| question.waiting.len());
        let cause = self.cause(&customer, case.as_deref());
        UnansweredCustomer {
            problem: "unanswered".to_owned(),
            customer: customer.to_string(),
            since: since.to_string(),
            waiting,
            reason: cause.full(),
            code: cause.code.map(Into::into),
        }
    }

    /// Returns the reason why a customer's callbacks wait.
    fn cause(&self, customer: &CustomerId, case: Option<&CustomerState>) -> AnswerFailure {
        provider::cause(
            self.services.asker().map(Arc::as_ref),
            self.services.lookups().map(Arc::as_ref),
            customer,
            case,
        )
    }

    async fn refresh_all(&self, body: Bytes) -> AdminResult {
        let how: RefreshAllRequest = object(&body, r#"{"believe": false, "dry": true}"#)?;
        let store = self.store()?;
        if !how.believe {
            asker(self.services.asker())?;
        }
        let until = how.until.as_deref().map_or(Ok(self.impatient_at()), moment)?.min(self.impatient_at());
        if how.dry {
            return Ok(sorted(&RefreshAllPreview {
                count: store.count_waiting_since(until),
                done: 0,
                dry: true,
                until: until.to_string(),
                patience: yaml::Duration::text_of(self.patience_ms),
                examples: self.shapes(store, until, EXAMPLES),
            }));
        }
        let after = how.cursor.as_deref().map(place).transpose()?;
        let page = store.waiting_since(until, after.as_ref(), PAGE);
        let next = page.get(PAGE - 1).map(|(since, customer)| format!("{}.{customer}", since.millis()));
        let count = page.len() as u64;
        let acted = self.act_on(store, page, how.believe, until, after.is_none()).await?;
        let (mut done, mut meanwhile, mut examples, mut stopped) = (0, 0, Vec::new(), None);
        for one in acted {
            match one {
                RefreshOutcome::Decided => done += 1,
                RefreshOutcome::Meanwhile => meanwhile += 1,
                RefreshOutcome::Waits(customer, cause) if examples.len() < EXAMPLES => {
                    let (customer, reason) = (customer.to_string(), cause.full());
                    examples.push(StillWaiting { customer, reason, code: cause.code.map(Into::into) });
                }
                RefreshOutcome::Waits(..) => {}
                RefreshOutcome::Stopped(cause) => stopped = Some(cause.full()),
            }
        }
        if done > 0 {
            tracing::info!(customers = done, believed = how.believe, "an operator decided waiting callbacks");
        }
        let next = next.filter(|_| stopped.is_none());
        Ok(sorted(&RefreshAllPage { count, done, meanwhile, dry: false, next, stopped, examples }))
    }

    async fn act_on(
        &self,
        store: &Store,
        page: Vec<(Timestamp, CustomerId)>,
        believe: bool,
        until: Timestamp,
        is_first: bool,
    ) -> Result<Vec<RefreshOutcome>, ProblemDetails> {
        let mut customers = page.into_iter().map(|(_, customer)| customer);
        let mut acted = Vec::new();
        if is_first
            && !believe
            && let Some(first) = customers.next()
        {
            // An operator's request does not wait for the end of a pause. If it succeeds, the pause also ends for the
            // other customers.
            let asked = asker(self.services.asker())?.ask_at_once(&first).await;
            acted.push(self.outcome(store, first, Some(asked), until));
        }
        let rest = stream::iter(customers).map(|customer| async move {
            if believe {
                let believed = store.submit(Command::Believe { customer: customer.clone() }).await;
                return match believed {
                    Ok(Receipt::Seen(_)) => RefreshOutcome::Decided,
                    Ok(Receipt::Unchanged) => RefreshOutcome::Meanwhile,
                    Ok(_) => self.outcome(store, customer, None, until),
                    Err(refused) => RefreshOutcome::Stopped(refused.to_string().into()),
                };
            }
            let Some(asker) = self.services.asker() else { return self.outcome(store, customer, None, until) };
            if asker.rests_for_ms().is_some() {
                return RefreshOutcome::Stopped(resting(asker));
            }
            let asked = timeout(LONGEST, asker.ask_paced(&customer)).await.ok();
            self.outcome(store, customer, asked, until)
        });
        acted.extend(rest.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await);
        Ok(acted)
    }

    /// Returns whether the callbacks are decided, and if not, why.
    fn outcome(
        &self,
        store: &Store,
        customer: CustomerId,
        asked: Option<AskOutcome>,
        until: Timestamp,
    ) -> RefreshOutcome {
        let case = store.customer(&customer).ok().flatten();
        let waits =
            case.as_ref().and_then(|case| case.question.as_ref()).is_some_and(|question| question.since() <= until);
        let cause = match asked {
            Some(AskOutcome::Failed { error, .. }) => error.cause().clone(),
            Some(AskOutcome::Refused(refused)) => refused.to_string().into(),
            _ if waits => self.cause(&customer, case.as_deref()),
            _ => return RefreshOutcome::Decided,
        };
        if waits { RefreshOutcome::Waits(customer, cause) } else { RefreshOutcome::Meanwhile }
    }
}

/// Returns why requests to the API are paused.
fn resting(asker: &ConfirmationWorker) -> AnswerFailure {
    asker.trouble().map_or_else(|| "requests to the provider's API are paused".to_owned().into(), AnswerFailure::from)
}

fn moment(text: &str) -> Result<Timestamp, ProblemDetails> {
    let moment = text.parse::<jiff::Timestamp>().map(Timestamp::from);
    moment.map_err(|_| malformed(format!("until: {text:?} is not a time; write it as 2026-03-03T21:30:00Z")))
}

fn place(cursor: &str) -> Result<(Timestamp, CustomerId), ProblemDetails> {
    let unknown = || malformed("the cursor is invalid".to_owned());
    let (since, customer) = cursor.split_once('.').ok_or_else(unknown)?;
    Ok((Timestamp(since.parse().map_err(|_| unknown())?), customer_id(customer)?))
}
