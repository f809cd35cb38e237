//! Jobs: listing them, and the operations on one job or on all matching problems.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use http::StatusCode;
use serde::Deserialize;
use warp::{Filter, Rejection, reply::Response};

use super::{
    AdminContext, AdminResult, MAX_BODY_BYTES, MAX_PAGE, PAGE, PathPart, customer_id, malformed, object, refused,
    sorted, unprocessable, unreadable,
};
use crate::{
    api::jobs::{BesideJobs, JobList, JobResponse, ProblemSelection, SelectedProblems},
    clock::Timestamp,
    decide::{Command, MAX_OPEN_JOBS, Receipt},
    domain::CustomerId,
    http::{
        body::capped_body,
        query::query,
        reply::{ErrorKind, ProblemDetails, json},
    },
    outbox::{Channel, JobId, JobState},
    rules::RuleId,
    store::{JobFilter, JobPosition, Page, Since, Store},
};

/// The number of problems that are read and acted on at once.
const AT_ONCE: usize = 500;

/// The maximum number of examples in the response.
const EXAMPLES: usize = 5;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JobsQuery {
    state: Option<String>,
    customer: Option<String>,
    rule: Option<String>,
    channel: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

impl JobsQuery {
    /// Returns the requested customer and the number of rows; `None` if the query filters by rule or channel, or
    /// continues a list.
    pub(super) fn of_customers(&self) -> Result<Option<(Option<CustomerId>, usize)>, ProblemDetails> {
        if self.rule.is_some() || self.channel.is_some() || self.cursor.is_some() {
            return Ok(None);
        }
        let customer = self.customer.as_deref().map(customer_id).transpose()?;
        Ok(Some((customer, self.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE))))
    }

    pub(super) fn of_problems(self) -> Self {
        Self { state: Some(JobState::Problem.name().to_owned()), ..self }
    }
}

type JobAction = fn(CustomerId, JobId) -> Command;

const RETRY: JobAction = |customer, job| Command::Retry { customer, job };
const RETRIED: &str = "retried";
const DROP: JobAction = |customer, job| Command::Drop { customer, job };

pub fn routes(admin: &Arc<AdminContext>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    let list = warp::path!("jobs")
        .and(warp::get())
        .and(query())
        .then(answered!(admin, |this, query: JobsQuery| this.jobs(query)));
    let retry = warp::path!("jobs" / PathPart / "retry")
        .and(warp::post())
        .then(answered!(admin, |this, id: PathPart| this.act_on_job(id, RETRY)));
    let drop = warp::path!("jobs" / PathPart / "drop")
        .and(warp::post())
        .then(answered!(admin, |this, id: PathPart| this.act_on_job(id, DROP)));
    let retry_all = warp::path!("jobs" / "retry")
        .and(warp::post())
        .and(capped_body(MAX_BODY_BYTES))
        .then(answered!(admin, |this, body: Bytes| this.act_on_problems(body, RETRIED, RETRY)));
    let drop_all = warp::path!("jobs" / "drop")
        .and(warp::post())
        .and(capped_body(MAX_BODY_BYTES))
        .then(answered!(admin, |this, body: Bytes| this.act_on_problems(body, "dropped", DROP)));
    list.or(retry).unify().or(drop).unify().or(retry_all).unify().or(drop_all).unify()
}

impl AdminContext {
    async fn jobs(&self, query: JobsQuery) -> AdminResult {
        Ok(sorted(&self.list(query, BesideJobs {}).await?))
    }

    pub(super) async fn list<Beside>(
        &self,
        query: JobsQuery,
        beside: Beside,
    ) -> Result<JobList<JobResponse, Beside>, ProblemDetails> {
        let filter = JobFilter {
            state: query.state.as_deref().map(state).transpose()?,
            customer: query.customer.as_deref().map(customer_id).transpose()?,
            rule: query.rule.as_deref().map(rule).transpose()?,
            channel: query.channel.as_deref().map(channel).transpose()?,
            ..JobFilter::default()
        };
        let before = query.cursor.as_deref().map(place).transpose()?;
        let is_first = before.is_none();
        let max = query.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
        let Page { rows, next } = self.store()?.jobs(&filter, before, max).await.map_err(unreadable)?;
        let waiting = self.waiting().await?;
        let jobs: Vec<JobResponse> = rows.iter().map(|(who, job)| waiting.shape(who, job)).collect();
        let next = next.map(|(number, index)| format!("{number}.{index}"));
        let hint = if jobs.is_empty() && is_first { self.did_you_mean(&filter)? } else { None };
        Ok(JobList { jobs, next, hint, beside })
    }

    async fn act_on_job(&self, PathPart(id): PathPart, command: JobAction) -> AdminResult {
        let gone = |detail: &str| ProblemDetails::new(ErrorKind::NotFound).detail(detail);
        let id = JobId::parse(&id).ok_or_else(|| gone("no such job"))?;
        let store = self.store()?;
        let (customer, job) = store.job(id).await.map_err(unreadable)?.ok_or_else(|| gone("no such job"))?;
        let command = command(customer.clone(), id);
        let is_retry = matches!(command, Command::Retry { .. });
        match store.submit(command).await.map_err(refused)? {
            Receipt::Gone => Err(ProblemDetails::new(ErrorKind::Conflict).detail("the job has already ended")),
            Receipt::NotNow if job.is_flood() => {
                let detail =
                    format!("the customer still has {MAX_OPEN_JOBS} open jobs; retry this job when some have ended");
                Err(ProblemDetails::new(ErrorKind::Conflict).detail(detail))
            }
            Receipt::NotNow => Err(ProblemDetails::new(ErrorKind::Conflict).detail("an attempt is running")),
            _ => {
                let (customer, job) = store.job(id).await.map_err(unreadable)?.ok_or_else(|| gone("no such job"))?;
                if is_retry {
                    self.try_relay(&job.order.channel());
                }
                Ok(json(StatusCode::OK, &self.waiting().await?.shape(&customer, &job)))
            }
        }
    }

    /// Acts on all problems that match. Problems that arise meanwhile are not included.
    async fn act_on_problems(&self, body: Bytes, done: &'static str, command: JobAction) -> AdminResult {
        let chosen: ProblemSelection = object(&body, r#"{"channel": "email", "since": "2h", "dry": true}"#)?;
        let filter = filter(&chosen, self.clock.now())?;
        let store = self.store()?;
        let (mut count, mut acted, mut examples, mut before) = (0_u64, 0_u64, Vec::new(), None);
        loop {
            let Page { rows, next } = store.jobs(&filter, before, AT_ONCE).await.map_err(unreadable)?;
            count += rows.len() as u64;
            let shown = EXAMPLES.saturating_sub(examples.len());
            examples.extend(rows.iter().take(shown).map(|(who, job)| JobResponse::new(who, job)));
            if !chosen.dry {
                acted += act(store, rows.into_iter().map(|(who, job)| command(who, job.id()))).await?;
            }
            before = next;
            if before.is_none() {
                break;
            }
        }
        if !chosen.dry && done == RETRIED {
            // Does not try the relays of channels that the filter excludes.
            let tried = |channel: &Channel| filter.channel.as_ref().is_none_or(|only| only == channel);
            let _ = self.channels.iter().filter(|channel| tried(channel)).filter(|one| self.try_relay(one)).count();
        }
        if acted > 0 {
            tracing::info!(jobs = acted, "problems {done} by an operator");
        }
        let hint = if count == 0 { self.did_you_mean(&filter)? } else { None };
        Ok(sorted(&SelectedProblems { count, done: acted, dry: chosen.dry, examples, hint }))
    }
}

async fn act(store: &Store, commands: impl Iterator<Item = Command>) -> Result<u64, ProblemDetails> {
    let mut acted = 0;
    for answer in join_all(commands.map(|command| store.submit(command))).await {
        acted += u64::from(answer.map_err(refused)? == Receipt::Recorded);
    }
    Ok(acted)
}

fn filter(chosen: &ProblemSelection, now: Timestamp) -> Result<JobFilter, ProblemDetails> {
    if [&chosen.rule, &chosen.channel, &chosen.error, &chosen.since].into_iter().all(Option::is_none) {
        return Err(unprocessable("select problems by rule, channel, error or since".to_owned()));
    }
    if chosen.error.as_ref().is_some_and(|error| error.trim().is_empty()) {
        return Err(unprocessable("error: is empty and would match every problem".to_owned()));
    }
    Ok(JobFilter {
        state: Some(JobState::Problem),
        customer: None,
        rule: chosen.rule.as_deref().map(rule).transpose()?,
        channel: chosen.channel.as_deref().map(channel).transpose()?,
        error: chosen.error.clone(),
        since: chosen.since.as_deref().map(since).transpose()?.map(|since| since.moment(now)),
    })
}

fn state(name: &str) -> Result<JobState, ProblemDetails> {
    let known = || JobState::ALL.iter().map(|state| state.name()).collect::<Vec<_>>().join(", ");
    JobState::parse(name).ok_or_else(|| malformed(format!("there is no state {name:?}; the states are {}", known())))
}

/// Also accepts the id of a rule that no longer exists.
pub(super) fn rule(id: &str) -> Result<RuleId, ProblemDetails> {
    RuleId::new(id).ok_or_else(|| malformed(format!("{id:?} is not a valid rule id")))
}

/// Also accepts a channel that is no longer configured.
fn channel(name: &str) -> Result<Channel, ProblemDetails> {
    let form = || malformed(format!("there is no channel {name:?}; write {}", Channel::forms()));
    Channel::parse(name).ok_or_else(form)
}

fn since(text: &str) -> Result<Since, ProblemDetails> {
    text.parse().map_err(|why| malformed(format!("since: {why}")))
}

fn place(cursor: &str) -> Result<JobPosition, ProblemDetails> {
    let parts = cursor.split_once('.').and_then(|(number, index)| Some((number.parse().ok()?, index.parse().ok()?)));
    parts.ok_or_else(|| malformed("the cursor is invalid".to_owned()))
}
