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
    pub fn run(self, config: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
        Jobs { state: Some("problem".to_owned()), of: self.of }.run(config, output)
    }
}

impl Jobs {
    pub fn run(self, config: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
        let jobs = settings::block_on(self.fetch(config))?;
        let text = if jobs.is_empty() { "none".to_owned() } else { listed(&jobs) };
        output.either(&json!({"jobs": jobs}), text);
        Ok(())
    }

    async fn fetch(&self, config: Option<&Path>) -> Result<Vec<Value>, Failure> {
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
            let page = client.get(&format!("jobs?{}", said.collect::<Vec<_>>().join("&"))).await?;
            jobs.extend(page["jobs"].as_array().into_iter().flatten().cloned());
            cursor = page["next"].as_str().map(str::to_owned);
            if cursor.is_none() || jobs.len() >= *max {
                jobs.truncate(*max);
                return Ok(jobs);
            }
        }
    }
}

/// Jobs as a person reads them.
pub fn listed(jobs: &[Value]) -> String {
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
