//! The `pause`, `resume` and `backlog` commands for a running server.

use std::{fmt::Write, path::Path};

use clap::Args;
use serde::de::DeserializeOwned;

use super::{
    CommandError, Exit, Output,
    client::{Original, part},
    output::table,
    settings,
};
use crate::api::{
    controls::{BacklogEntry, BacklogResponse, BrakeAdvice, ControlResponse, ResumePreview, WaitingJobs},
    status::BrakeStatus,
};

#[derive(Debug, Args)]
pub struct PauseArgs {
    /// Id of the rule.
    #[arg(required_unless_present = "channel", conflicts_with = "channel")]
    rule: Option<String>,

    /// Pause this channel: `email`, `webhook:NAME` or `chat:NAME`. It sends nothing, and its jobs are kept.
    #[arg(long)]
    channel: Option<String>,
}

#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// Id of the rule. Its timers that came due during the pause are backlog.
    #[arg(required_unless_present_any = ["channel", "clock"], conflicts_with_all = ["channel", "clock"])]
    rule: Option<String>,

    /// Resume this channel: `email`, `webhook:NAME` or `chat:NAME`. If its brake has paused it, the command prints the
    /// number of waiting jobs and asks for confirmation.
    #[arg(long, conflicts_with = "clock")]
    channel: Option<String>,

    /// First drop the unsent jobs of this rule in this channel.
    #[arg(long, value_name = "RULE", requires = "channel", conflicts_with = "rule")]
    drop_rule: Option<String>,

    /// Accept the present time as right after the clock has jumped.
    #[arg(long)]
    clock: bool,

    /// Resume a channel that its brake has paused without asking for confirmation.
    #[arg(long, requires = "channel", conflicts_with = "rule")]
    yes: bool,
}

#[derive(Debug, Args)]
pub struct BacklogArgs {
    /// Id of the rule.
    rule: String,

    /// Send the backlog without asking for confirmation.
    #[arg(long)]
    yes: bool,
}

impl PauseArgs {
    pub fn run(self, config: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        let path = match (&self.rule, &self.channel) {
            (_, Some(channel)) => format!("channels/{}/pause", part(channel)),
            (rule, None) => format!("rules/{}/pause", part(rule.as_deref().unwrap_or_default())),
        };
        post_control(config, &path, output)
    }
}

impl ResumeArgs {
    pub fn run(self, config: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        match (&self.channel, &self.rule) {
            _ if self.clock => accept_clock(config, output),
            (Some(channel), _) => self.channel(config, channel, output),
            (None, rule) => {
                post_control(config, &format!("rules/{}/resume", part(rule.as_deref().unwrap_or_default())), output)
            }
        }
    }

    /// Resumes a channel. If its brake has paused it, counts the waiting jobs and asks for confirmation first.
    fn channel(&self, config: Option<&Path>, channel: &str, output: &mut Output) -> Result<(), CommandError> {
        let drop = self.drop_rule.as_ref().map(|rule| format!("&drop_rule={}", part(rule))).unwrap_or_default();
        let path = format!("channels/{}/resume", part(channel));
        let would: Original<ResumePreview> = post(config, &format!("{path}?dry=true{drop}"))?;
        let mut confirm = "all".to_owned();
        if let Some(brake) = would.brake.as_ref().filter(|_| !self.yes) {
            if !output.is_json() {
                show_waiting(&would, brake, output);
            }
            if !output.asks(question(channel, &would))? {
                output.json_or_text(&would, "nothing was done");
                return Ok(());
            }
            confirm = would.releases.to_string();
        }
        post_control(config, &format!("{path}?confirm={confirm}{drop}"), output)
    }
}

fn question(channel: &str, would: &ResumePreview) -> String {
    let jobs = |count: u64| match count {
        1 => "1 job".to_owned(),
        count => format!("{count} jobs"),
    };
    match would.drops {
        0 => format!("Resume {channel} and send {}?", jobs(would.releases)),
        _ => format!("Resume {channel}, drop {} and send {}?", jobs(would.drops), jobs(would.releases)),
    }
}

/// Prints why the brake has paused the channel, and the number of waiting jobs per rule.
fn show_waiting(would: &ResumePreview, brake: &BrakeStatus, output: &mut Output) {
    output.line(format_args!("{} is paused by its brake since {}: {}\n", would.channel, brake.since, brake.said));
    let row = |WaitingJobs { rule, count, drop }: &WaitingJobs| {
        let becomes = if *drop { "to be dropped" } else { "to be sent" };
        vec![rule.clone(), count.to_string(), becomes.to_owned()]
    };
    let rows: Vec<Vec<String>> = would.waiting.iter().map(row).collect();
    if !rows.is_empty() {
        output.line(format_args!("{}\n", table(&["rule", "waiting", ""], &rows)));
    }
}

fn post<T: DeserializeOwned>(config: Option<&Path>, path: &str) -> Result<Original<T>, CommandError> {
    settings::block_on(async { settings::client(config)?.post(path).await })
}

fn post_control(config: Option<&Path>, path: &str, output: &mut Output) -> Result<(), CommandError> {
    let answer: Original<ControlResponse> = post(config, path)?;
    let said = &answer.said;
    let before = if answer.changed { "" } else { " (no change)" };
    let dropped = match answer.dropped {
        Some(1) => ", 1 job dropped".to_owned(),
        Some(count) if count > 0 => format!(", {count} jobs dropped"),
        _ => String::new(),
    };
    let released = match answer.released {
        Some(1) => ", 1 waiting job released".to_owned(),
        Some(count) if count > 0 => format!(", {count} waiting jobs released"),
        _ => String::new(),
    };
    let tried = if answer.relay_tried == Some(true) { ", and its relay is being retried now" } else { "" };
    output.json_or_text(&answer, format_args!("{said}{before}{dropped}{released}{tried}"));
    Ok(())
}

fn accept_clock(config: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
    let answer: Original<ControlResponse> = post(config, "clock/accept")?;
    let now = answer.now.as_deref().unwrap_or_default();
    let text = match answer.changed {
        true => format!("accepted the clock: it is {now}"),
        false => format!("the clock was not in doubt; it is {now}"),
    };
    output.json_or_text(&answer, text);
    Ok(())
}

impl BacklogArgs {
    pub fn run(self, config: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        let path = format!("rules/{}/backlog", part(&self.rule));
        let found: Original<BacklogResponse> =
            settings::block_on(async { settings::client(config)?.get(&path).await })?;
        let count = found.count;
        if !output.is_json() {
            show(&self.rule, &found, output);
        }
        if count == 0 {
            if output.is_json() {
                output.json(&found);
            }
            return Ok(());
        }
        if !self.yes && !output.asks(format_args!("Run {} for its backlog of {count} now?", self.rule))? {
            output.json_or_text(&found, "nothing was sent");
            return Ok(());
        }
        let sent: Original<BacklogResponse> = post(config, &path)?;
        output.json_or_text(&sent, done(&self.rule, &sent));
        if sent.sent == 0 { Err(CommandError::new(Exit::Failed, "")) } else { Ok(()) }
    }
}

/// Describes the result: the number of customers, and the channels that a brake has paused.
fn done(rule: &str, sent: &BacklogResponse) -> String {
    let mut said = match sent.sent {
        1 => format!("{rule} ran for 1 customer"),
        count => format!("{rule} ran for {count} customers"),
    };
    for BrakeAdvice { channel, said: why, .. } in &sent.brakes {
        let _ = write!(
            said,
            "\nbut {channel} is paused by its brake: {why}\n  unsent jobs are kept: correct the rules, then run \
             `kyc-rules resume --channel {channel} [--drop-rule RULE]`"
        );
    }
    said
}

/// Prints the number of customers in the backlog, and the first of them.
fn show(rule: &str, found: &BacklogResponse, output: &mut Output) {
    const SHOWN: usize = 20;
    let count = found.count;
    if count == 0 {
        output.line(format_args!("{rule} has no backlog"));
        return;
    }
    let cells = |entry: &BacklogEntry| {
        let BacklogEntry { customer, status, after, due_at } = entry;
        [customer, status, after, due_at].map(String::clone).to_vec()
    };
    let rows: Vec<Vec<String>> = found.customers.iter().take(SHOWN).map(cells).collect();
    output.line(table(&["customer", "status", "after", "was due"], &rows));
    let more = count.saturating_sub(SHOWN as u64);
    if more > 0 {
        output.line(format_args!("and {more} more"));
    }
    output.line("");
}
