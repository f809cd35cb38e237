//! Operations on rules and the clock: pausing, resuming, and sending a backlog.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;
use warp::{Filter, Rejection, reply::Response};

use super::{AdminContext, AdminResult, PathPart, malformed, names::no_rule, refused, sorted, unreadable};
use crate::{
    api::controls::{BacklogEntry, BacklogResponse, BrakeAdvice, ControlResponse},
    clock::Timestamp,
    decide::{Command, Control, GlobalState, Receipt, backlog_of},
    domain::CustomerId,
    http::reply::{ErrorKind, ProblemDetails, json},
    outbox::Channel,
    rules::{Rule, RuleId, RuleSet, TimerState},
    store::{Overdue, StayPlace, Store},
};

/// The number of customers of a backlog that are read at once.
const PAGE: usize = 500;

/// The maximum number of customers that the response lists; the rest is only counted.
const NAMED: usize = 1_000;

#[derive(Serialize)]
struct RuleResponse {
    id: String,
    about: Option<String>,
    group: Option<String>,
    /// `live`, `shadow` or `paused`, as the file and the operators set it.
    mode: &'static str,
    /// The time since which operators have paused it.
    paused_since: Option<String>,
    when: Vec<String>,
    r#if: Option<String>,
    r#do: Vec<String>,
    file: String,
    line: u32,
}

pub fn routes(admin: &Arc<AdminContext>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    let rules = warp::path!("rules").and(warp::get()).then(answered!(admin, |this| this.rules()));
    let backlog = warp::path!("rules" / PathPart / "backlog")
        .and(warp::get())
        .then(answered!(admin, |this, id: PathPart| this.backlog(id, false)));
    let send = warp::path!("rules" / PathPart / "backlog")
        .and(warp::post())
        .then(answered!(admin, |this, id: PathPart| this.backlog(id, true)));
    let pause_rule = warp::path!("rules" / PathPart / "pause")
        .and(warp::post())
        .then(answered!(admin, |this, id: PathPart| this.pause_rule(id)));
    let resume_rule = warp::path!("rules" / PathPart / "resume")
        .and(warp::post())
        .then(answered!(admin, |this, id: PathPart| this.resume_rule(id)));
    let clock = warp::path!("clock" / "accept").and(warp::post()).then(answered!(admin, |this| this.accept_clock()));
    rules.or(backlog).unify().or(send).unify().or(pause_rule).unify().or(resume_rule).unify().or(clock).unify()
}

impl AdminContext {
    async fn rules(&self) -> AdminResult {
        let (set, standing) = (self.rulebook()?.current(), self.global_state()?);
        let rules: Vec<RuleResponse> = set.rules().iter().map(|rule| RuleResponse::new(rule, &standing)).collect();
        Ok(json(StatusCode::OK, &serde_json::json!({"hash": set.hash(), "rules": rules})))
    }

    pub(super) fn global_state(&self) -> Result<Arc<GlobalState>, ProblemDetails> {
        Ok(self.store()?.global_state().borrow().clone())
    }

    async fn pause_rule(&self, PathPart(id): PathPart) -> AdminResult {
        let set = self.rulebook()?.current();
        let rule = known(&set, &id)?;
        Ok(sorted(&self.post_control(Control::PauseRule(rule.id.clone())).await?))
    }

    /// Also accepts a rule that no longer exists, so that an operator can resume it before it is added again.
    async fn resume_rule(&self, PathPart(id): PathPart) -> AdminResult {
        let rule = RuleId::new(&id).ok_or_else(|| malformed(format!("{id:?} is not a valid rule id")))?;
        let is_paused = self.global_state()?.paused_rules().any(|(paused, _)| *paused == rule);
        if !is_paused {
            known(&self.rulebook()?.current(), &id)?;
        }
        Ok(sorted(&self.post_control(Control::ResumeRule(rule)).await?))
    }

    pub(super) async fn post_control(&self, act: Control) -> Result<ControlResponse, ProblemDetails> {
        let said = act.to_string();
        let receipt = self.store()?.control(act).await.map_err(refused)?;
        if receipt == Receipt::Recorded {
            tracing::info!("{said}");
        }
        Ok(ControlResponse {
            changed: receipt == Receipt::Recorded,
            said,
            now: None,
            relay_tried: None,
            dropped: None,
            released: None,
        })
    }

    async fn accept_clock(&self) -> AdminResult {
        let accepted = self.post_control(Control::AcceptClock).await?;
        Ok(sorted(&ControlResponse { now: Some(self.clock.now().to_string()), ..accepted }))
    }

    async fn backlog(&self, PathPart(id): PathPart, send: bool) -> AdminResult {
        let (store, set, standing) = (self.store()?, self.rulebook()?.current(), self.global_state()?);
        let known = known(&set, &id)?;
        let (rule, channels) = (known.id.clone(), channels_of(known));
        let (mut count, mut sent, mut named) = (0_u64, 0_u64, Vec::new());
        for (stay, after_ms) in shortest(&set, &rule) {
            let mut last: Option<StayPlace> = None;
            loop {
                let now = self.clock.now();
                let of = Overdue {
                    stay: stay.clone(),
                    after_ms: i64::MAX,
                    entered_after: Timestamp(i64::MIN),
                    entered_until: now.plus_ms(-after_ms),
                };
                let found = store.overdue(&of, last.as_ref(), PAGE).await.map_err(unreadable)?;
                for (_, customer) in &found {
                    let Some(left) = left(store, customer, &rule, &set, &standing, now)? else { continue };
                    count += 1;
                    if send {
                        let command = Command::Backlog { customer: customer.clone(), rule: rule.clone() };
                        let receipt = store.submit(command).await.map_err(refused)?;
                        sent += u64::from(receipt == Receipt::Recorded);
                    }
                    if named.len() < NAMED {
                        named.push(left);
                    }
                }
                last = found.last().cloned();
                if found.len() < PAGE {
                    break;
                }
            }
        }
        let (standing, most_waiting) = (self.global_state()?, self.most_waiting().await?);
        let braked = standing.braked_channels().filter(|(channel, ..)| channels.contains(channel));
        let brakes = braked
            .map(|(channel, _, braked)| {
                let hint = braked.advice(channel, most_waiting.get(channel));
                BrakeAdvice { channel: channel.to_string(), said: braked.to_string(), hint }
            })
            .collect();
        let rule = rule.to_string();
        Ok(sorted(&BacklogResponse { rule, count, sent, customers: named, brakes }))
    }
}

/// Returns the channels that the rule orders jobs for.
fn channels_of(rule: &Rule) -> Vec<Channel> {
    rule.actions.iter().filter_map(Channel::of).collect()
}

/// Returns the stays that the rule waits in, each with its shortest duration in milliseconds.
fn shortest(set: &RuleSet, rule: &RuleId) -> Vec<(TimerState, i64)> {
    let mut shortest: Vec<(TimerState, i64)> = Vec::new();
    // Timers of one stay are adjacent, the shortest first.
    for timer in set.timers().iter().filter(|timer| timer.rule == *rule) {
        if shortest.last().is_none_or(|(stay, _)| *stay != timer.stay) {
            shortest.push((timer.stay.clone(), timer.after.ms()));
        }
    }
    shortest
}

fn left(
    store: &Store,
    customer: &CustomerId,
    rule: &RuleId,
    set: &RuleSet,
    standing: &GlobalState,
    now: Timestamp,
) -> Result<Option<BacklogEntry>, ProblemDetails> {
    let Some(case) = store.customer(customer).map_err(unreadable)? else { return Ok(None) };
    let found = backlog_of(&case, rule, set, standing, now);
    Ok(found.map(|(timer, due_at)| BacklogEntry {
        customer: customer.to_string(),
        status: timer.stay.to_string(),
        after: timer.after.to_string(),
        due_at: due_at.to_string(),
    }))
}

fn known<'s>(set: &'s RuleSet, id: &str) -> Result<&'s Rule, ProblemDetails> {
    set.rule(id).ok_or_else(|| ProblemDetails::new(ErrorKind::NotFound).detail(no_rule(set, id)))
}

impl RuleResponse {
    fn new(rule: &Rule, standing: &GlobalState) -> Self {
        let paused = standing.paused_rules().find(|(paused, _)| **paused == rule.id);
        Self {
            id: rule.id.to_string(),
            about: rule.about.clone(),
            group: rule.group.as_deref().map(str::to_owned),
            mode: standing.mode(rule).name(),
            paused_since: paused.map(|(_, since)| since.to_string()),
            when: rule.triggers.iter().map(ToString::to_string).collect(),
            r#if: (!rule.condition.is_empty()).then(|| rule.condition.text()),
            r#do: rule.actions.iter().map(ToString::to_string).collect(),
            file: rule.file.to_string(),
            line: rule.line,
        }
    }
}
