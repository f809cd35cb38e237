//! The `retry` and `drop` commands: for jobs by their ids, or for all problems that match filters.

use std::path::Path;

use clap::{ArgGroup, Args};
use serde_json::json;

use super::{
    CommandError, Exit, Output,
    client::{Original, part},
    filters,
    jobs::listed,
    settings,
};
use crate::{
    api::jobs::{JobResponse, ProblemSelection, SelectedProblems},
    outbox::Channel,
    rules::RuleId,
};

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).multiple(true)))]
pub struct JobSelection {
    /// Ids of jobs, as `kyc-rules jobs` prints them.
    #[arg(value_name = "JOB", group = "which", conflicts_with_all = FILTERS)]
    jobs: Vec<String>,

    /// All problems of this rule.
    #[arg(long, group = "which", value_parser = filters::rule)]
    rule: Option<RuleId>,

    /// All problems of this channel: `email`, `webhook:NAME` or `chat:NAME`.
    #[arg(long, group = "which", value_parser = filters::channel)]
    channel: Option<Channel>,

    /// All problems whose code, reason or last error contains this text, for example `450` or `no_contact`.
    #[arg(long, group = "which", value_name = "TEXT", value_parser = filters::error)]
    error: Option<String>,

    /// All problems that were last tried or due within this time, for example `2h`, or since this timestamp.
    #[arg(long, group = "which", value_name = "TIME", value_parser = filters::since)]
    since: Option<String>,

    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
}

const FILTERS: [&str; 4] = ["rule", "channel", "error", "since"];

/// What to do with the jobs.
#[derive(Clone, Copy, Debug)]
pub enum BulkAction {
    Retry,
    Drop,
}

impl BulkAction {
    const fn path(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Drop => "drop",
        }
    }

    fn question(self, count: u64) -> String {
        match self {
            Self::Retry if count == 1 => "Retry this problem now?".to_owned(),
            Self::Retry => format!("Retry these {count} problems now?"),
            Self::Drop if count == 1 => "Drop this problem for good?".to_owned(),
            Self::Drop => format!("Drop these {count} problems for good?"),
        }
    }

    const fn done(self) -> &'static str {
        match self {
            Self::Retry => "retried",
            Self::Drop => "dropped",
        }
    }
}

impl JobSelection {
    pub fn run(self, config: Option<&Path>, act: BulkAction, output: &mut Output) -> Result<(), CommandError> {
        if self.jobs.is_empty() { self.all(config, act, output) } else { self.named(config, act, output) }
    }

    /// Lists the problems that match, asks for confirmation, then retries or drops them.
    fn all(&self, config: Option<&Path>, act: BulkAction, output: &mut Output) -> Result<(), CommandError> {
        let found = self.post(config, act, true)?;
        let count = found.count;
        if let Some(hint) = &found.hint {
            return Err(CommandError::new(Exit::Failed, format_args!("no problem matches: {hint}")));
        }
        if count == 0 {
            output.json_or_text(&found, "no problem matches");
            return Ok(());
        }
        if !output.is_json() {
            show(&found, output);
        }
        if !self.yes && !output.asks(act.question(count))? {
            output.json_or_text(&found, "nothing was done");
            return Ok(());
        }
        let acted = self.post(config, act, false)?;
        output.json_or_text(&acted, format_args!("{} of {} {}", acted.done, acted.count, act.done()));
        if acted.done == 0 { Err(CommandError::new(Exit::Failed, "")) } else { Ok(()) }
    }

    fn post(
        &self,
        config: Option<&Path>,
        act: BulkAction,
        dry: bool,
    ) -> Result<Original<SelectedProblems>, CommandError> {
        let Self { rule, channel, error, since, .. } = self;
        let body = ProblemSelection {
            rule: rule.as_ref().map(RuleId::to_string),
            channel: channel.as_ref().map(Channel::to_string),
            error: error.clone(),
            since: since.clone(),
            dry,
        };
        let path = format!("jobs/{}", act.path());
        settings::block_on(async { settings::client(config)?.post_json(&path, &body).await })
    }

    /// Retries or drops the named jobs, and prints one result for each.
    fn named(&self, config: Option<&Path>, act: BulkAction, output: &mut Output) -> Result<(), CommandError> {
        let answers = settings::block_on(async {
            let client = settings::client(config)?;
            let mut answers = Vec::new();
            for job in &self.jobs {
                answers.push(match client.post::<JobResponse>(&format!("jobs/{}/{}", part(job), act.path())).await {
                    Err(failure) if failure.exit == Exit::Unavailable => return Err(failure),
                    answer => answer,
                });
            }
            Ok(answers)
        })?;
        let mut failed = 0;
        for (id, answer) in self.jobs.iter().zip(answers) {
            match answer {
                Ok(job) => output.json_or_text(&job, format_args!("{id}: {}", job.state)),
                Err(failure) => {
                    failed += 1;
                    output.json_or_text(
                        &json!({"id": id, "error": failure.text}),
                        format_args!("{id}: {}", failure.text),
                    );
                }
            }
        }
        if failed > 0 { Err(CommandError::new(Exit::Failed, "")) } else { Ok(()) }
    }
}

/// Prints the number of problems and some examples.
fn show(found: &SelectedProblems, output: &mut Output) {
    let SelectedProblems { count, examples, .. } = found;
    let problems = if *count == 1 { "1 problem matches".to_owned() } else { format!("{count} problems match") };
    output.line(format_args!("{problems}:\n\n{}", listed(examples)));
    let more = count.saturating_sub(examples.len() as u64);
    if more > 0 {
        output.line(format_args!("and {more} more"));
    }
    output.line("");
}
