//! Jobs of a running server: listing them.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::{Failure, Output, client::part, output::table, settings};

#[derive(Debug, Args)]
pub struct Jobs {
    /// queued, held, running, done, cancelled or problem.
    #[arg(long)]
    state: Option<String>,

    #[command(flatten)]
    of: Of,
}

#[derive(Debug, Args)]
pub struct Problems {
    #[command(flatten)]
    of: Of,
}

/// Which ones, and how many.
#[derive(Debug, Args)]
struct Of {
    /// Only this customer's.
    #[arg(long)]
    customer: Option<String>,

    /// Only those that this rule has ordered.
    #[arg(long)]
    rule: Option<String>,

    /// Only those of `email`, `webhook:NAME` or `chat:NAME`.
    #[arg(long)]
    channel: Option<String>,

    /// At most so many.
    #[arg(long, default_value_t = 100)]
    max: usize,
}

impl Problems {
    /// With the channels that their brakes have stopped.
    pub fn run(self, config: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
        let jobs = Jobs { state: None, of: self.of };
        let (problems, beside) = settings::block_on(jobs.fetch(config, "problems"))?;
        let of = |key: &str| beside[key].as_array().cloned().unwrap_or_default();
        let (brakes, service) = (of("brakes"), of("service"));
        if output.is_json() {
            output.json(&json!({"jobs": problems, "brakes": brakes, "service": service}));
            return Ok(());
        }
        for one in &service {
            let text = |key: &str| one[key].as_str().unwrap_or_default();
            output.line(format_args!("{}: {}", text("problem"), text("reason")));
        }
        for brake in &brakes {
            let text = |key: &str| brake[key].as_str().unwrap_or_default();
            let (channel, since, said) = (text("channel"), text("since"), text("said"));
            output.line(format_args!("{channel} is paused by its brake since {since}: {said}"));
            output
                .line(format_args!("  mend the rules, then `kyc-rules resume --channel {channel} [--drop-rule RULE]`"));
        }
        if !problems.is_empty() || brakes.is_empty() && service.is_empty() {
            output.line(listed(&problems));
        }
        Ok(())
    }
}

impl Jobs {
    pub fn run(self, config: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
        let (jobs, _) = settings::block_on(self.fetch(config, "jobs"))?;
        output.either(&json!({"jobs": jobs}), listed(&jobs));
        Ok(())
    }

    /// The jobs, and the last page, which has what the list says beside them.
    async fn fetch(&self, config: Option<&Path>, list: &str) -> Result<(Vec<Value>, Value), Failure> {
        let client = settings::client(config)?;
        let Of { customer, rule, channel, max } = &self.of;
        let mut jobs = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let asked = [
                ("state", &self.state),
                ("customer", customer),
                ("rule", rule),
                ("channel", channel),
                ("cursor", &cursor),
            ];
            let said = asked.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", part(value.as_deref()?))));
            let page = client.get(&format!("{list}?{}", said.collect::<Vec<_>>().join("&"))).await?;
            jobs.extend(page["jobs"].as_array().into_iter().flatten().cloned());
            cursor = page["next"].as_str().map(str::to_owned);
            if cursor.is_none() || jobs.len() >= *max {
                jobs.truncate(*max);
                return Ok((jobs, page));
            }
        }
    }
}

/// Jobs as a person reads them.
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
