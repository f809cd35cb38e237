//! Jobs of a running server: listing, trying again, giving up.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::{Exit, Failure, Output, client::part, output::table, settings};

#[derive(Debug, Args)]
pub struct Jobs {
    /// queued, held, running, done, cancelled or problem.
    #[arg(long)]
    state: Option<String>,

    /// Only this customer's.
    #[arg(long)]
    customer: Option<String>,

    /// At most so many.
    #[arg(long, default_value_t = 100)]
    max: usize,
}

#[derive(Debug, Args)]
pub struct Problems {
    /// At most so many.
    #[arg(long, default_value_t = 100)]
    max: usize,
}

#[derive(Debug, Args)]
pub struct Named {
    /// The ids, as `kyc-rules jobs` shows them.
    #[arg(required = true)]
    jobs: Vec<String>,
}

impl Problems {
    pub fn run(self, config: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
        Jobs { state: Some("problem".to_owned()), customer: None, max: self.max }.run(config, output)
    }
}

impl Jobs {
    pub fn run(self, config: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
        let jobs = settings::block_on(self.fetch(config))?;
        if output.is_json() {
            output.json(&json!({"jobs": jobs}));
            return Ok(());
        }
        if jobs.is_empty() {
            output.line("none");
            return Ok(());
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
        output.line(table(&["id", "state", "customer", "action", "rule", "attempts", "next", "why"], &rows));
        Ok(())
    }

    async fn fetch(&self, config: Option<&Path>) -> Result<Vec<Value>, Failure> {
        let client = settings::client(config)?;
        let mut jobs = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let asked = [
                self.state.as_ref().map(|state| format!("state={}", part(state))),
                self.customer.as_ref().map(|customer| format!("customer={}", part(customer))),
                cursor.as_ref().map(|cursor| format!("cursor={}", part(cursor))),
            ];
            let query: Vec<String> = asked.into_iter().flatten().collect();
            let page = client.get(&format!("jobs?{}", query.join("&"))).await?;
            jobs.extend(page["jobs"].as_array().into_iter().flatten().cloned());
            cursor = page["next"].as_str().map(str::to_owned);
            if cursor.is_none() || jobs.len() >= self.max {
                jobs.truncate(self.max);
                return Ok(jobs);
            }
        }
    }
}

impl Named {
    /// Does `act` to each, and says of each how it went.
    pub fn run(self, config: Option<&Path>, act: &str, output: &mut Output) -> Result<(), Failure> {
        let answers = settings::block_on(async {
            let client = settings::client(config)?;
            let mut answers = Vec::new();
            for job in &self.jobs {
                answers.push(match client.post(&format!("jobs/{}/{act}", part(job))).await {
                    Err(failure) if failure.exit == Exit::Unavailable => return Err(failure),
                    answer => answer,
                });
            }
            Ok(answers)
        })?;
        let mut failed = 0;
        for (id, answer) in self.jobs.iter().zip(answers) {
            match answer {
                Ok(job) => output.either(&job, format_args!("{id}: {}", job["state"].as_str().unwrap_or("?"))),
                Err(failure) => {
                    failed += 1;
                    output.either(&json!({"id": id, "error": failure.text}), format_args!("{id}: {}", failure.text));
                }
            }
        }
        if failed > 0 { Err(Failure::new(Exit::Failed, "")) } else { Ok(()) }
    }
}
