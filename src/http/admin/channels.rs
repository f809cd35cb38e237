//! The ways out: pausing and resuming them, and what their brakes have stopped.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::join_all;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use warp::{Filter, Rejection, reply::Response};

use super::{
    Admin, Answered, MAX_PAGE, Part,
    jobs::{self, JobsQuery},
    refused,
    shape::BrakeShape,
    unprocessable, unreadable,
};
use crate::{
    decide::{Act, Command, Receipt},
    http::{
        query::query,
        reply::{Kind, Problem, json as answer},
    },
    outbox::{Channel, State},
    rules::RuleId,
    source::did_you_mean,
    store::{JobFilter, Place},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResumeQuery {
    /// What this rule has ordered and has not left is dropped first.
    drop_rule: Option<String>,
}

pub fn routes(admin: &Arc<Admin>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    let pause = warp::path!("channels" / Part / "pause")
        .and(warp::post())
        .then(answered!(admin, |this, name: Part| this.pause_channel(name)));
    let resume = warp::path!("channels" / Part / "resume")
        .and(warp::post())
        .and(query())
        .then(answered!(admin, |this, name: Part, query: ResumeQuery| this.resume_channel(name, query)));
    let problems = warp::path!("problems")
        .and(warp::get())
        .and(query())
        .then(answered!(admin, |this, query: JobsQuery| this.problems(query)));
    pause.or(resume).unify().or(problems).unify()
}

impl Admin {
    fn channel(&self, name: &str) -> Result<Channel, Problem> {
        Channel::parse(name).filter(|channel| self.channels.contains(channel)).ok_or_else(|| {
            let known: Vec<String> = self.channels.iter().map(Channel::to_string).collect();
            let known = if known.is_empty() { "none is configured".to_owned() } else { known.join(", ") };
            Problem::new(Kind::NotFound).detail(format!("there is no channel {name:?}; there are: {known}"))
        })
    }

    async fn pause_channel(&self, Part(name): Part) -> Answered {
        let channel = self.channel(&name)?;
        Ok(answer(StatusCode::OK, &self.govern(Act::PauseChannel(channel)).await?))
    }

    async fn resume_channel(&self, Part(name): Part, ResumeQuery { drop_rule }: ResumeQuery) -> Answered {
        let channel = self.channel(&name)?;
        let mut dropped = 0;
        if let Some(rule) = drop_rule {
            dropped = self.drop_of_rule(&channel, &jobs::rule(&rule)?).await?;
            if dropped == 0 {
                // Whoever mistypes the rule that must not mail everybody has not meant that everybody be mailed.
                return Err(unprocessable(self.nothing_of(&channel, &rule).await?));
            }
        }
        let waiting = self.waiting_in(&channel).await?;
        let mut said = self.govern(Act::ResumeChannel(channel.clone())).await?;
        said["relay_tried"] = json!(self.try_relay(&channel));
        said["dropped"] = json!(dropped);
        said["released"] = json!(waiting.values().sum::<u64>());
        Ok(answer(StatusCode::OK, &said))
    }

    async fn nothing_of(&self, channel: &Channel, rule: &str) -> Result<String, Problem> {
        let waiting = self.waiting_in(channel).await?;
        let names = waiting.iter().map(|(rule, count)| format!("{rule} ({count})")).collect::<Vec<_>>().join(", ");
        let names = if names.is_empty() { "no rule".to_owned() } else { names };
        let meant = did_you_mean(rule, waiting.keys().map(RuleId::as_str));
        let meant = meant.map(|meant| format!(" Did you mean {meant}?")).unwrap_or_default();
        Ok(format!(
            "nothing that rule {rule} has ordered waits in channel {channel}, so it was not resumed.{meant} What waits is of {names}"
        ))
    }

    /// How much of each rule waits for its turn.
    async fn waiting_in(&self, channel: &Channel) -> Result<BTreeMap<RuleId, u64>, Problem> {
        let store = self.store()?;
        let mut waiting = BTreeMap::new();
        for state in [State::Queued, State::Held] {
            let filter = JobFilter { state: Some(state), channel: Some(channel.clone()), ..JobFilter::default() };
            let mut before: Option<Place> = None;
            loop {
                let page = store.jobs(&filter, before, MAX_PAGE).await.map_err(unreadable)?;
                for (_, job) in page.rows {
                    *waiting.entry(job.order.rule).or_default() += 1;
                }
                before = page.next;
                if before.is_none() {
                    break;
                }
            }
        }
        Ok(waiting)
    }

    /// Drops what a rule has ordered of a channel and has not left. Says how much.
    async fn drop_of_rule(&self, channel: &Channel, rule: &RuleId) -> Result<u64, Problem> {
        let store = self.store()?;
        let mut dropped = 0;
        for state in [State::Queued, State::Held] {
            let filter = JobFilter {
                state: Some(state),
                rule: Some(rule.clone()),
                channel: Some(channel.clone()),
                ..JobFilter::default()
            };
            let mut before: Option<Place> = None;
            loop {
                let page = store.jobs(&filter, before, MAX_PAGE).await.map_err(unreadable)?;
                let rows = page.rows.into_iter();
                let drops = rows.map(|(customer, job)| store.submit(Command::Drop { customer, job: job.id() }));
                for receipt in join_all(drops).await {
                    dropped += u64::from(receipt.map_err(refused)? == Receipt::Recorded);
                }
                before = page.next;
                if before.is_none() {
                    break;
                }
            }
        }
        tracing::info!(%channel, %rule, dropped, "what a rule had ordered was dropped by hand");
        Ok(dropped)
    }

    /// What a person must look at that is no job.
    fn of_the_service(&self) -> Result<Vec<Value>, Problem> {
        let gone = self.store()?.channels_waited_for().into_iter().filter(|channel| !self.channels.contains(channel));
        let gone = gone.map(|channel| {
            let reason = format!(
                "jobs wait for {channel}, which is not in the configuration: configure it, or `kyc-rules drop` them; \
                 `kyc-rules jobs --channel {channel}` names them"
            );
            json!({"problem": "channel_gone", "reason": reason})
        });
        let key = self.house.asker().and_then(|asker| asker.trouble()).filter(|trouble| trouble.lasting);
        let key = key.map(|trouble| json!({"problem": "provider_key", "reason": trouble.text}));
        let clock = self.clock.is_in_doubt().then(|| {
            let reason = "the clock has jumped by more than 5 minutes: timers and limits wait for `kyc-rules resume --clock`, \
                          or until it has lasted 15 minutes";
            json!({"problem": "clock", "reason": reason})
        });
        let unanswered = self.unanswered_in_all()?.into_iter().chain(self.unanswered_timers());
        Ok(key.into_iter().chain(self.relay_problems()).chain(unanswered).chain(clock).chain(gone).collect())
    }

    async fn problems(&self, query: JobsQuery) -> Answered {
        let unanswered = self.unanswered(&query)?;
        let mut problems: Value = self.list(query.of_problems()).await?;
        problems["unanswered"] = json!(unanswered);
        let standing = self.standing()?;
        problems["brakes"] = json!(BrakeShape::all(&standing));
        problems["service"] = json!(self.of_the_service()?);
        Ok(answer(StatusCode::OK, &problems))
    }
}
