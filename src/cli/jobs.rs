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
        let jobs = Jobs { state: None, customer: None, max: self.max };
        let (problems, brakes) = settings::block_on(jobs.fetch(config, "problems"))?;
        if output.is_json() {
            output.json(&json!({"jobs": problems, "brakes": brakes}));
            return Ok(());
        }
        for brake in brakes.as_array().into_iter().flatten() {
            let text = |key: &str| brake[key].as_str().unwrap_or_default();
            let (channel, since, said) = (text("channel"), text("since"), text("said"));
            output.line(format_args!("{channel} is paused by its brake since {since}: {said}"));
            output
                .line(format_args!("  mend the rules, then `kyc-rules resume --channel {channel} [--drop-rule RULE]`"));
        }
        if !problems.is_empty() || brakes.as_array().is_none_or(Vec::is_empty) {
            show(&problems, output);
        }
        Ok(())
    }
}

impl Jobs {
    pub fn run(self, config: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
        let (jobs, _) = settings::block_on(self.fetch(config, "jobs"))?;
        if output.is_json() {
            output.json(&json!({"jobs": jobs}));
        } else {
            show(&jobs, output);
        }
        Ok(())
    }

    /// The jobs, and what the list says of brakes.
    async fn fetch(&self, config: Option<&Path>, list: &str) -> Result<(Vec<Value>, Value), Failure> {
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
            let page = client.get(&format!("{list}?{}", query.join("&"))).await?;
            jobs.extend(page["jobs"].as_array().into_iter().flatten().cloned());
            cursor = page["next"].as_str().map(str::to_owned);
            if cursor.is_none() || jobs.len() >= self.max {
                jobs.truncate(self.max);
                return Ok((jobs, page["brakes"].clone()));
            }
        }
    }
}

fn show(jobs: &[Value], output: &mut Output) {
    if jobs.is_empty() {
        output.line("none");
        return;
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
