//! The ways out: pausing and resuming them, and what their brakes have stopped.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::join_all;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use warp::{Filter, Rejection, reply::Response};

use super::{
    Admin, Answered, MAX_PAGE, Part,
    brakes::BrakeShape,
    jobs::{self, JobsQuery},
    malformed, refused, unprocessable, unreadable,
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
    /// Nothing is done: the answer says what would be.
    #[serde(default)]
    dry: bool,
    /// Of a channel that its brake has paused: how many jobs may go at most, or `all`.
    confirm: Option<String>,
}

/// What resuming a channel would do.
#[derive(Serialize)]
struct ResumeShape {
    channel: Channel,
    paused: bool,
    /// Why its brake has paused it; `None`: it has not.
    brake: Option<BrakeShape>,
    /// How many jobs of each rule wait in it.
    waiting: Vec<WaitingShape>,
    drops: u64,
    releases: u64,
}

#[derive(Serialize)]
struct WaitingShape {
    rule: RuleId,
    count: u64,
    drop: bool,
}

impl ResumeShape {
    fn text(&self) -> String {
        let rules: Vec<String> =
            self.waiting.iter().filter(|of| !of.drop).map(|of| format!("{} {}", of.rule, of.count)).collect();
        let rules = if rules.is_empty() { String::new() } else { format!(": {}", rules.join(", ")) };
        let jobs = if self.releases == 1 { "job" } else { "jobs" };
        format!("{} {jobs} would go{rules}", self.releases)
    }
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

    /// A channel that its brake has paused is resumed only for a number of jobs that the caller has seen.
    async fn resume_channel(&self, Part(name): Part, query: ResumeQuery) -> Answered {
        let channel = self.channel(&name)?;
        let rule = query.drop_rule.as_deref().map(jobs::rule).transpose()?;
        let would = self.would_resume(&channel, rule.as_ref()).await?;
        if let Some(rule) = rule.as_ref().filter(|_| would.drops == 0) {
            // A mistyped rule does not mean that its mails may go.
            return Err(unprocessable(self.nothing_of(&channel, rule.as_str()).await?));
        }
        if query.dry {
            return Ok(answer(StatusCode::OK, &would));
        }
        confirmed(&would, query.confirm.as_deref())?;
        let dropped = match &rule {
            Some(rule) => self.drop_of_rule(&channel, rule).await?,
            None => 0,
        };
        let waiting = self.waiting_in(&channel, usize::MAX).await?;
        let mut said = self.govern(Act::ResumeChannel(channel.clone())).await?;
        said["relay_tried"] = json!(self.try_relay(&channel));
        said["dropped"] = json!(dropped);
        said["released"] = json!(waiting.values().sum::<u64>());
        Ok(answer(StatusCode::OK, &said))
    }

    async fn would_resume(&self, channel: &Channel, drop: Option<&RuleId>) -> Result<ResumeShape, Problem> {
        let (standing, most_waiting) = (self.standing()?, self.most_waiting().await?);
        let waiting = self.waiting_in(channel, usize::MAX).await?.into_iter();
        let waiting: Vec<WaitingShape> =
            waiting.map(|(rule, count)| WaitingShape { drop: Some(&rule) == drop, rule, count }).collect();
        let count = |drop: bool| waiting.iter().filter(|of| of.drop == drop).map(|of| of.count).sum();
        Ok(ResumeShape {
            channel: channel.clone(),
            paused: standing.is_paused(channel),
            brake: BrakeShape::all(&standing, &most_waiting).into_iter().find(|brake| brake.is_of(channel)),
            drops: count(true),
            releases: count(false),
            waiting,
        })
    }

    async fn nothing_of(&self, channel: &Channel, rule: &str) -> Result<String, Problem> {
        let waiting = self.waiting_in(channel, usize::MAX).await?;
        let names = waiting.iter().map(|(rule, count)| format!("{rule} ({count})")).collect::<Vec<_>>().join(", ");
        let names = if names.is_empty() { "no rule".to_owned() } else { names };
        let meant = did_you_mean(rule, waiting.keys().map(RuleId::as_str));
        let meant = meant.map(|meant| format!(" Did you mean {meant}?")).unwrap_or_default();
        Ok(format!(
            "nothing that rule {rule} has ordered waits in channel {channel}, so it was not resumed.{meant} What waits is of {names}"
        ))
    }

    /// How many jobs of each rule wait, by about so many of the newest.
    pub(super) async fn waiting_in(&self, channel: &Channel, at_most: usize) -> Result<BTreeMap<RuleId, u64>, Problem> {
        let store = self.store()?;
        let (mut waiting, mut looked_at) = (BTreeMap::new(), 0);
        for state in [State::Queued, State::Held] {
            let filter = JobFilter { state: Some(state), channel: Some(channel.clone()), ..JobFilter::default() };
            let mut before: Option<Place> = None;
            loop {
                let page = store.jobs(&filter, before, MAX_PAGE).await.map_err(unreadable)?;
                looked_at += page.rows.len();
                for (_, job) in page.rows {
                    *waiting.entry(job.order.rule).or_default() += 1;
                }
                before = page.next;
                if before.is_none() || looked_at >= at_most {
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
        let key = key.map(|trouble| json!({"problem": "provider_key", "code": trouble.code, "reason": trouble.text}));
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
        problems["brakes"] = json!(BrakeShape::all(&standing, &self.most_waiting().await?));
        problems["service"] = json!(self.of_the_service()?);
        Ok(answer(StatusCode::OK, &problems))
    }
}

/// Whether the caller has seen how many jobs a braked channel lets go.
fn confirmed(would: &ResumeShape, confirm: Option<&str>) -> Result<(), Problem> {
    let Some(brake) = &would.brake else { return Ok(()) };
    let (channel, releases) = (&would.channel, would.releases);
    let missing = match confirm {
        None => format!("channel {channel} is paused by its brake ({})", brake.said()),
        Some("all") => return Ok(()),
        Some(count) => {
            let count: u64 =
                count.parse().map_err(|_| malformed("confirm: write a number of jobs, or `all`".to_owned()))?;
            if releases <= count {
                return Ok(());
            }
            format!("more jobs wait in channel {channel} than the {count} that were confirmed")
        }
    };
    let text = format!("{missing}; {}. Repeat with `confirm={releases}`, or `confirm=all`", would.text());
    Err(Problem::new(Kind::Conflict).detail(text))
}
