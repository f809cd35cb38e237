//! The `jobs` and `problems` commands: lists the jobs of a running server.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::{CommandError, Output, client::part, filters, output::table, settings};
use crate::{domain::CustomerId, outbox::Channel, rules::RuleId};

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

/// The jobs that match, and the other parts of the response.
struct FoundJobs {
    jobs: Vec<Value>,
    /// The last page as the server returned it: the cursor of the next page, and a hint if a filter names an unknown
    /// rule or channel.
    beside: Value,
}

impl ProblemsArgs {
    /// Also prints problems of the service, customers without a decision, and channels paused by their brakes.
    pub fn run(self, config: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        let (max, jobs) = (self.of.max, JobsArgs { state: None, of: self.of });
        let found = settings::block_on(jobs.fetch(config, "problems"))?;
        if output.is_json() {
            output.json(&found.shape(&["brakes", "service", "unanswered"]));
            return Ok(());
        }
        let of = |key: &str| found.beside[key].as_array().cloned().unwrap_or_default();
        let (brakes, service) = (of("brakes"), of("service"));
        for one in &service {
            let text = |key: &str| one[key].as_str().unwrap_or_default();
            output.line(format_args!("{}: {}", text("problem"), text("reason")));
        }
        let unanswered = of("unanswered");
        if !unanswered.is_empty() {
            output.line(format_args!("\n{}\n", waiting(&unanswered)));
        }
        for brake in &brakes {
            let text = |key: &str| brake[key].as_str().unwrap_or_default();
            let (channel, since, said) = (text("channel"), text("since"), text("said"));
            output.line(format_args!("{channel} is paused by its brake since {since}: {said}"));
            output.line(format_args!("  {}", text("hint")));
        }
        if !found.jobs.is_empty()
            || found.hint().is_some()
            || brakes.is_empty() && service.is_empty() && unanswered.is_empty()
        {
            output.line(found.text(max));
        }
        Ok(())
    }
}

impl JobsArgs {
    pub fn run(self, config: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        let found = settings::block_on(self.fetch(config, "jobs"))?;
        output.json_or_text(&found.shape(&[]), found.text(self.of.max));
        Ok(())
    }

    async fn fetch(&self, config: Option<&Path>, list: &str) -> Result<FoundJobs, CommandError> {
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
            let beside = client.get(&format!("{list}?limit={left}{filter}{cursor}")).await?;
            jobs.extend(beside["jobs"].as_array().into_iter().flatten().cloned());
            match beside["next"].as_str() {
                Some(next) if jobs.len() < *max => cursor = format!("&cursor={}", part(next)),
                _ => return Ok(FoundJobs { jobs, beside }),
            }
        }
    }
}

impl FoundJobs {
    fn hint(&self) -> Option<&str> {
        self.beside["hint"].as_str()
    }

    /// Returns the JSON for scripts, with the given keys of the server's response.
    fn shape(&self, more: &[&str]) -> Value {
        let mut shape = json!({"jobs": self.jobs, "next": self.beside["next"]});
        for key in more {
            shape[*key] = self.beside[*key].clone();
        }
        if let Some(hint) = self.hint() {
            shape["hint"] = hint.into();
        }
        shape
    }

    /// Returns the text for operators.
    fn text(&self, max: usize) -> String {
        let list = listed(&self.jobs);
        match (self.hint(), self.beside["next"].is_string()) {
            (Some(hint), _) => format!("{list}\n{hint}"),
            (None, true) => format!("{list}\nthere are more: `--max {}` shows more of them", max.saturating_mul(10)),
            (None, false) => list,
        }
    }
}

/// Formats customers whose callbacks wait for a decision as a table.
pub fn waiting(unanswered: &[Value]) -> String {
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    let rows: Vec<Vec<String>> = unanswered
        .iter()
        .map(|one| {
            vec![
                text(one, "problem"),
                text(one, "customer"),
                text(one, "since"),
                one["waiting"].to_string(),
                text(one, "reason"),
            ]
        })
        .collect();
    table(&["problem", "customer", "since", "callbacks", "why"], &rows)
}

/// Formats jobs as a table.
pub fn listed(jobs: &[Value]) -> String {
    if jobs.is_empty() {
        return "none".to_owned();
    }
    let text = |job: &Value, key: &str| job[key].as_str().unwrap_or_default().to_owned();
    let rows: Vec<Vec<String>> = jobs
        .iter()
        .map(|job| {
            let why = ["reason", "last_error"].iter().find_map(|key| job[key].as_str());
            vec![
                text(job, "id"),
                text(job, "state"),
                text(job, "customer"),
                format!("{} {}", text(job, "action"), text(job, "name")),
                text(job, "rule"),
                job["attempts"].to_string(),
                text(job, "next_at"),
                why.unwrap_or_default().to_owned(),
            ]
        })
        .collect();
    table(&["id", "state", "customer", "action", "rule", "attempts", "next", "why"], &rows)
}
