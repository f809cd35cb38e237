//! The channels: pausing and resuming them, and the problems that brakes have caused.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::join_all;
use http::StatusCode;
use serde::Deserialize;
use warp::{Filter, Rejection, reply::Response};

use super::{
    AdminContext, AdminResult, MAX_PAGE, PathPart,
    jobs::{self, JobsQuery},
    malformed, refused, sorted, unprocessable, unreadable,
};
use crate::{
    api::{
        controls::{ControlResponse, ResumePreview, WaitingJobs},
        jobs::{BesideProblems, ServiceProblem},
        status::BrakeStatus,
    },
    decide::{Command, Control, Receipt},
    http::{
        query::query,
        reply::{ErrorKind, ProblemDetails, json as answer},
    },
    outbox::{Channel, JobState},
    rules::RuleId,
    store::{JobFilter, JobPosition},
    yaml::did_you_mean,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResumeQuery {
    /// Drops the jobs of this rule that have not been sent yet, before the channel resumes.
    drop_rule: Option<String>,
    /// Changes nothing; the response shows what would happen.
    #[serde(default)]
    dry: bool,
    /// For a channel paused by its brake: the maximum number of jobs to release, or `all`.
    confirm: Option<String>,
}

pub fn routes(admin: &Arc<AdminContext>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    let pause = warp::path!("channels" / PathPart / "pause")
        .and(warp::post())
        .then(answered!(admin, |this, name: PathPart| this.pause_channel(name)));
    let resume = warp::path!("channels" / PathPart / "resume")
        .and(warp::post())
        .and(query())
        .then(answered!(admin, |this, name: PathPart, query: ResumeQuery| this.resume_channel(name, query)));
    let problems = warp::path!("problems")
        .and(warp::get())
        .and(query())
        .then(answered!(admin, |this, query: JobsQuery| this.problems(query)));
    pause.or(resume).unify().or(problems).unify()
}

impl AdminContext {
    fn channel(&self, name: &str) -> Result<Channel, ProblemDetails> {
        Channel::parse(name).filter(|channel| self.channels.contains(channel)).ok_or_else(|| {
            let known: Vec<String> = self.channels.iter().map(Channel::to_string).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            ProblemDetails::new(ErrorKind::NotFound)
                .detail(format!("there is no channel {name:?}; configured channels: {known}"))
        })
    }

    async fn pause_channel(&self, PathPart(name): PathPart) -> AdminResult {
        let channel = self.channel(&name)?;
        Ok(sorted(&self.post_control(Control::PauseChannel(channel)).await?))
    }

    /// Resumes a channel. If its brake has paused it, the caller must confirm the number of jobs to release.
    async fn resume_channel(&self, PathPart(name): PathPart, query: ResumeQuery) -> AdminResult {
        let channel = self.channel(&name)?;
        let rule = query.drop_rule.as_deref().map(jobs::rule).transpose()?;
        let would = self.would_resume(&channel, rule.as_ref()).await?;
        if let Some(rule) = rule.as_ref().filter(|_| would.drops == 0) {
            // A mistyped rule id must not release the mails of the intended rule.
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
        let resumed = self.post_control(Control::ResumeChannel(channel.clone())).await?;
        Ok(sorted(&ControlResponse {
            relay_tried: Some(self.try_relay(&channel)),
            dropped: Some(dropped),
            released: Some(waiting.values().sum()),
            ..resumed
        }))
    }

    async fn would_resume(&self, channel: &Channel, drop: Option<&RuleId>) -> Result<ResumePreview, ProblemDetails> {
        let (standing, most_waiting) = (self.global_state()?, self.most_waiting().await?);
        let waiting = self.waiting_in(channel, usize::MAX).await?.into_iter();
        let waiting: Vec<WaitingJobs> = waiting
            .map(|(rule, count)| WaitingJobs { drop: Some(&rule) == drop, rule: rule.to_string(), count })
            .collect();
        let count = |drop: bool| waiting.iter().filter(|of| of.drop == drop).map(|of| of.count).sum();
        Ok(ResumePreview {
            channel: channel.to_string(),
            paused: standing.is_paused(channel),
            brake: BrakeStatus::all(&standing, &most_waiting)
                .into_iter()
                .find(|brake| brake.channel == channel.to_string()),
            drops: count(true),
            releases: count(false),
            waiting,
        })
    }

    async fn nothing_of(&self, channel: &Channel, rule: &str) -> Result<String, ProblemDetails> {
        let waiting = self.waiting_in(channel, usize::MAX).await?;
        let names = waiting.iter().map(|(rule, count)| format!("{rule} ({count})")).collect::<Vec<_>>().join(", ");
        let names = if names.is_empty() { "none".to_owned() } else { names };
        let meant = did_you_mean(rule, waiting.keys().map(RuleId::as_str));
        let meant = meant.map(|meant| format!(" Did you mean {meant}?")).unwrap_or_default();
        Ok(format!(
            "no job of rule {rule} waits in channel {channel}, so it was not resumed.{meant} Waiting jobs: {names}"
        ))
    }

    /// Returns the number of waiting jobs of each rule. Counts the newest first and stops after about `at_most`.
    pub(super) async fn waiting_in(
        &self,
        channel: &Channel,
        at_most: usize,
    ) -> Result<BTreeMap<RuleId, u64>, ProblemDetails> {
        let store = self.store()?;
        let (mut waiting, mut looked_at) = (BTreeMap::new(), 0);
        for state in [JobState::Queued, JobState::Held] {
            let filter = JobFilter { state: Some(state), channel: Some(channel.clone()), ..JobFilter::default() };
            let mut before: Option<JobPosition> = None;
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

    /// Drops the jobs of a rule in a channel that have not been sent yet. Returns how many.
    async fn drop_of_rule(&self, channel: &Channel, rule: &RuleId) -> Result<u64, ProblemDetails> {
        let store = self.store()?;
        let mut dropped = 0;
        for state in [JobState::Queued, JobState::Held] {
            let filter = JobFilter {
                state: Some(state),
                rule: Some(rule.clone()),
                channel: Some(channel.clone()),
                ..JobFilter::default()
            };
            let mut before: Option<JobPosition> = None;
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
        tracing::info!(%channel, %rule, dropped, "an operator dropped the jobs of a rule");
        Ok(dropped)
    }

    /// Returns the problems for an operator that are not about a job.
    fn of_the_service(&self) -> Result<Vec<ServiceProblem>, ProblemDetails> {
        let gone = self.store()?.channels_waited_for().into_iter().filter(|channel| !self.channels.contains(channel));
        let gone = gone.map(|channel| {
            let reason = format!(
                "jobs wait for {channel}, which is not configured: configure it, or drop them with `kyc-rules drop`; \
                 `kyc-rules jobs --channel {channel}` lists them"
            );
            ServiceProblem { problem: "channel_gone".to_owned(), reason, ..ServiceProblem::default() }
        });
        let key = self.services.asker().and_then(|asker| asker.trouble()).filter(|trouble| trouble.lasting);
        let key = key.map(|trouble| ServiceProblem {
            problem: "provider_key".to_owned(),
            reason: trouble.text,
            code: Some(trouble.code.map(Into::into)),
            ..ServiceProblem::default()
        });
        let clock = self.clock.is_in_doubt().then(|| {
            let reason = "the clock has jumped by more than 5 minutes: timers and limits wait until an operator runs \
                          `kyc-rules resume --clock`, or for 15 minutes";
            ServiceProblem { problem: "clock".to_owned(), reason: reason.to_owned(), ..ServiceProblem::default() }
        });
        let unanswered = self.unanswered_in_all()?.into_iter().chain(self.unanswered_timers());
        Ok(key.into_iter().chain(self.relay_problems()).chain(unanswered).chain(clock).chain(gone).collect())
    }

    async fn problems(&self, query: JobsQuery) -> AdminResult {
        let unanswered = self.unanswered(&query)?;
        let standing = self.global_state()?;
        let brakes = BrakeStatus::all(&standing, &self.most_waiting().await?);
        let beside = BesideProblems { brakes, service: self.of_the_service()?, unanswered };
        Ok(sorted(&self.list(query.of_problems(), beside).await?))
    }
}

/// Checks that the caller has confirmed the number of jobs that a braked channel would release.
fn confirmed(would: &ResumePreview, confirm: Option<&str>) -> Result<(), ProblemDetails> {
    let Some(brake) = &would.brake else { return Ok(()) };
    let (channel, releases) = (&would.channel, would.releases);
    let missing = match confirm {
        None => format!("channel {channel} is paused by its brake ({})", brake.said),
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
    let text = format!("{missing}; {}. Repeat with `confirm={releases}`, or `confirm=all`", releases_in_words(would));
    Err(ProblemDetails::new(ErrorKind::Conflict).detail(text))
}

fn releases_in_words(would: &ResumePreview) -> String {
    let rules: Vec<String> =
        would.waiting.iter().filter(|of| !of.drop).map(|of| format!("{} {}", of.rule, of.count)).collect();
    let rules = if rules.is_empty() { String::new() } else { format!(": {}", rules.join(", ")) };
    let jobs = if would.releases == 1 { "job" } else { "jobs" };
    format!("{} {jobs} would be released{rules}", would.releases)
}
