//! Explanations: for a customer, each event with the result of every rule; for a hypothetical event, what the current
//! rules would do.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use warp::{Filter, Rejection, reply::Response};

use super::{
    AdminContext, AdminResult, ExplainQuery, MAX_BODY_BYTES, PAGE, customer_id, malformed, responses::JobResponse,
    unprocessable, unreadable,
};
use crate::{
    domain::{CallbackOutcome, Customer},
    explain::{EventInput, RuleExplanation, ask, event_in_words, of_event},
    http::{
        body::capped_body,
        query::query,
        reply::{ErrorKind, ProblemDetails, json as answer},
    },
    store::{TimelineEntry, settled},
};

/// One event of a customer's history.
#[derive(Serialize)]
struct EventInfo {
    number: u64,
    at: String,
    source: &'static str,
    verdict: Option<CallbackOutcome>,
    /// In the syntax of rules: `KYC_PENDING -> SOFT_KYC_FAILED`, `PENDING_KYC_DATA for 48h`.
    event: String,
    /// What an operator did: `believed by hand`.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    rule_set: Option<String>,
    rules: Vec<RuleExplanation>,
    jobs: Vec<JobResponse>,
}

pub fn routes(admin: &Arc<AdminContext>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    let customer = warp::path!("explain")
        .and(warp::get())
        .and(query())
        .then(answered!(admin, |this, query: ExplainQuery| this.explain_customer(query)));
    let made_up = warp::path!("explain")
        .and(warp::post())
        .and(capped_body(MAX_BODY_BYTES))
        .then(answered!(admin, |this, body: Bytes| this.explain_event(body)));
    customer.or(made_up).unify()
}

impl AdminContext {
    async fn explain_customer(&self, query: ExplainQuery) -> AdminResult {
        let (store, id) = (self.store()?, customer_id(&query.customer)?);
        if store.customer(&id).map_err(unreadable)?.is_none() {
            return Err(ProblemDetails::new(ErrorKind::NotFound).detail("this customer is unknown"));
        }
        let page = settled(store.timeline(&id, query.before, PAGE).map_err(unreadable)?);
        let jobs = store.jobs_of(&id).map_err(unreadable)?;
        let (mut events, waiting) = (Vec::new(), self.waiting().await?);
        for (nth, entry) in page.rows.iter().enumerate() {
            if entry.verdict().is_some() || entry.effects.came_due.is_some() {
                let ordered = jobs.iter().filter(|job| entry.ordered(job));
                let shapes = ordered.map(|job| waiting.shape(&id, job)).collect();
                let before = page.rows[nth + 1..].iter().find_map(|earlier| earlier.effects.now.as_ref());
                events.push(self.explained(entry, before, shapes)?);
            }
        }
        Ok(answer(StatusCode::OK, &json!({"customer": id, "events": events, "next": page.next})))
    }

    fn explained(
        &self,
        entry: &TimelineEntry,
        before: Option<&Customer>,
        jobs: Vec<JobResponse>,
    ) -> Result<EventInfo, ProblemDetails> {
        let event = event_in_words(&entry.effects);
        let set = match entry.effects.set.as_deref() {
            Some(hash) => self.rulebook()?.set(hash).map_err(unreadable)?,
            None => None,
        };
        // The record contains which rules were paused, in shadow mode or over their limit at that time. Their present
        // state does not count.
        let rules = set.map(|set| of_event(&set, &entry.effects, before));
        Ok(EventInfo {
            number: entry.number,
            at: entry.at.to_string(),
            source: entry.kind.name(),
            verdict: entry.verdict(),
            event,
            note: entry.effects.note.as_deref().map(str::to_owned),
            rule_set: entry.effects.set.as_deref().map(str::to_owned),
            rules: rules.unwrap_or_default(),
            jobs,
        })
    }

    async fn explain_event(&self, body: Bytes) -> AdminResult {
        let asked: EventInput = serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))?;
        let question = asked.question().map_err(unprocessable)?;
        let set = self.rulebook()?.current();
        let standing = self.global_state()?;
        let said = ask(&set, &self.policy, &standing, self.clock.now(), &question).map_err(unprocessable)?;
        let jobs: Vec<String> = said.jobs.iter().map(|job| job.order.action.to_string()).collect();
        let shape = json!({"event": said.event, "rules": said.rules, "orders": jobs, "tags": said.tags, "rule_set": set.hash()});
        Ok(answer(StatusCode::OK, &shape))
    }
}
