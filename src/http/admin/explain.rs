//! Explanations: for a customer, each event with the result of every rule; for a hypothetical event, what the current
//! rules would do.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use warp::{Filter, Rejection, reply::Response};

use super::{
    AdminContext, AdminResult, MAX_BODY_BYTES, PAGE, customer_id, malformed, sorted, unprocessable, unreadable,
};
use crate::{
    api::{
        explain::{EventInfo, ExplainedCustomer, ExplainedEvent, ExplainedRule},
        jobs::JobResponse,
    },
    domain::Customer,
    explain::{EventInput, RuleExplanation, ask, event_in_words, of_event},
    http::{
        body::capped_body,
        query::query,
        reply::{ErrorKind, ProblemDetails},
    },
    store::{TimelineEntry, settled},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainQuery {
    customer: String,
    before: Option<u64>,
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
        Ok(sorted(&ExplainedCustomer { customer: id.to_string(), events, next: page.next }))
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
            source: entry.kind.name().to_owned(),
            verdict: entry.verdict().map(|verdict| verdict.name().to_owned()),
            event,
            note: entry.effects.note.as_deref().map(str::to_owned),
            rule_set: entry.effects.set.as_deref().map(str::to_owned),
            rules: rules.unwrap_or_default().into_iter().map(ExplainedRule::new).collect(),
            jobs,
        })
    }

    async fn explain_event(&self, body: Bytes) -> AdminResult {
        let asked: EventInput = serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))?;
        let question = asked.question().map_err(unprocessable)?;
        let set = self.rulebook()?.current();
        let standing = self.global_state()?;
        let said = ask(&set, &self.policy, &standing, self.clock.now(), &question).map_err(unprocessable)?;
        let orders = said.jobs.iter().map(|job| job.order.action.to_string()).collect();
        Ok(sorted(&ExplainedEvent {
            event: said.event,
            rules: said.rules.into_iter().map(ExplainedRule::new).collect(),
            orders,
            tags: said.tags.map(|tags| tags.iter().map(str::to_owned).collect()),
            rule_set: set.hash().to_owned(),
        }))
    }
}

impl ExplainedRule {
    fn new(RuleExplanation { rule, outcome, why }: RuleExplanation) -> Self {
        Self { rule, outcome: outcome.to_owned(), why }
    }
}
