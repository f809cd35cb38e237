//! The `jobs` and `problems` commands: lists the jobs of a running server.

use std::path::Path;

use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{
    CommandError, Output,
    client::{Original, part},
    filters,
    output::table,
    settings,
};
use crate::{
    api::jobs::{BesideJobs, BesideProblems, JobList, JobResponse, UnansweredCustomer},
    domain::CustomerId,
    outbox::Channel,
    rules::RuleId,
};

#[derive(Debug, Args)]
pub struct JobsArgs {
    /// Only jobs in this state.
    #[arg(long, value_parser = filters::state())]
    state: Option<String>,

    #[command(flatten)]
    of: JobSelector,
}

#[derive(Debug, Args)]
pub struct ProblemsArgs {
    #[command(flatten)]
    of: JobSelector,
}

/// Filters, and the maximum number of jobs.
#[derive(Debug, Args)]
struct JobSelector {
    /// Only jobs of this customer.
    #[arg(long, value_parser = filters::customer)]
    customer: Option<CustomerId>,

    /// Only jobs of this rule.
    #[arg(long, value_parser = filters::rule)]
    rule: Option<RuleId>,

    /// Only jobs of this channel: `email`, `webhook:NAME` or `chat:NAME`.
    #[arg(long, value_parser = filters::channel)]
    channel: Option<Channel>,

    /// Maximum number of jobs.
    #[arg(long, default_value_t = 100, value_parser = filters::max())]
    max: usize,
}

/// The jobs that match, and the other parts of the last page.
type FoundJobs<Beside> = JobList<Original<JobResponse>, Original<Beside>>;

impl ProblemsArgs {
    /// Also prints problems of the service, customers without a decision, and channels paused by their brakes.
    pub fn run(self, config: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        let (max, jobs) = (self.of.max, JobsArgs { state: None, of: self.of });
        let found: FoundJobs<BesideProblems> = settings::block_on(jobs.fetch(config, "problems"))?;
        if output.is_json() {
            output.json(&json!(found));
            return Ok(());
        }
        let BesideProblems { brakes, service, unanswered } = &*found.beside;
        for one in service {
            output.line(format_args!("{}: {}", one.problem, one.reason));
        }
        if !unanswered.is_empty() {
            output.line(format_args!("\n{}\n", waiting(unanswered)));
        }
        for brake in brakes {
            output.line(format_args!("{} is paused by its brake since {}: {}", brake.channel, brake.since, brake.said));
            output.line(format_args!("  {}", brake.hint));
        }
        if !found.jobs.is_empty()
            || found.hint.is_some()
            || brakes.is_empty() && service.is_empty() && unanswered.is_empty()
        {
            output.line(text(&found, max));
        }
        Ok(())
    }
}

impl JobsArgs {
    pub fn run(self, config: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        let found: FoundJobs<BesideJobs> = settings::block_on(self.fetch(config, "jobs"))?;
        output.json_or_text(&json!(found), text(&found, self.of.max));
        Ok(())
    }

    async fn fetch<Beside: Clone + DeserializeOwned>(
        &self,
        config: Option<&Path>,
        list: &str,
    ) -> Result<FoundJobs<Beside>, CommandError> {
        let client = settings::client(config)?;
        let JobSelector { customer, rule, channel, max } = &self.of;
        let mut asked: Vec<(&str, String)> = Vec::new();
        asked.extend(self.state.clone().map(|state| ("state", state)));
        asked.extend(customer.as_ref().map(|customer| ("customer", customer.to_string())));
        asked.extend(rule.as_ref().map(|rule| ("rule", rule.to_string())));
        asked.extend(channel.as_ref().map(|channel| ("channel", channel.to_string())));
        let filter: String = asked.iter().map(|(key, value)| format!("&{key}={}", part(value))).collect();
        let mut jobs = Vec::new();
        let mut cursor = String::new();
        loop {
            // Requests no more than the remaining number of jobs, so that the cursor points to the end of the list.
            let left = max.saturating_sub(jobs.len());
            let page = client.get::<FoundJobs<Beside>>(&format!("{list}?limit={left}{filter}{cursor}")).await?;
            jobs.extend(page.jobs.iter().cloned());
            match &page.next {
                Some(next) if jobs.len() < *max => cursor = format!("&cursor={}", part(next)),
                _ => return Ok(JobList { jobs, ..(*page).clone() }),
            }
        }
    }
}

/// Returns the text for operators.
fn text<Beside>(found: &FoundJobs<Beside>, max: usize) -> String {
    let list = listed(found.jobs.iter().map(|job| &**job));
    match (&found.hint, &found.next) {
        (Some(hint), _) => format!("{list}\n{hint}"),
        (None, Some(_)) => format!("{list}\nthere are more: `--max {}` shows more of them", max.saturating_mul(10)),
        (None, None) => list,
    }
}

/// Formats customers whose callbacks wait for a decision as a table.
pub fn waiting(unanswered: &[UnansweredCustomer]) -> String {
    let cells = |one: &UnansweredCustomer| {
        let UnansweredCustomer { problem, customer, since, waiting, reason, .. } = one;
        vec![problem.clone(), customer.clone(), since.clone(), waiting.to_string(), reason.clone()]
    };
    let rows: Vec<Vec<String>> = unanswered.iter().map(cells).collect();
    table(&["problem", "customer", "since", "callbacks", "why"], &rows)
}

/// Formats jobs as a table.
pub fn listed<'a>(jobs: impl IntoIterator<Item = &'a JobResponse>) -> String {
    let cells = |job: &JobResponse| {
        let why = job.reason.as_ref().or(job.last_error.as_ref());
        vec![
            job.id.clone(),
            job.state.clone(),
            job.customer.clone(),
            format!("{} {}", job.action, job.name),
            job.rule.clone(),
            job.attempts.to_string(),
            job.next_at.clone().unwrap_or_default(),
            why.cloned().unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = jobs.into_iter().map(cells).collect();
    if rows.is_empty() {
        return "none".to_owned();
    }
    table(&["id", "state", "customer", "action", "rule", "attempts", "next", "why"], &rows)
}
