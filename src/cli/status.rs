//! The `status` command: prints the state of a running server.

use std::path::Path;

use super::{CommandError, Output, check::counted, client::Original, settings, traffic};
use crate::api::status::{ProviderStatus, RelayStatus, StatusResponse};

pub fn run(config: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
    let status: Original<StatusResponse> = settings::block_on(async {
        let client = settings::client(config)?;
        client.get("status").await
    })?;
    if output.is_json() {
        output.json(&status);
    } else {
        print(&status, output);
    }
    Ok(())
}

fn print(status: &StatusResponse, output: &mut Output) {
    let StatusResponse { version, uptime_s, rules, store, jobs, paused, directory, .. } = status;
    let plural = |count: u64, what: &str| counted(usize::try_from(count).unwrap_or(usize::MAX), what);
    let uptime = format!("{} h {} min {} s", uptime_s / 3600, uptime_s / 60 % 60, uptime_s % 60);
    output.line(format_args!("version    {version}, up for {uptime}"));
    output.line(format_args!(
        "rules      {}, set {}, loaded {}",
        counted(rules.count, "rule"),
        rules.hash,
        rules.loaded_at
    ));
    output.line(format_args!(
        "store      {}: {}, {:.1} MB, {}",
        store.engine,
        plural(store.customers, "customer"),
        store.bytes as f64 / 1e6,
        plural(store.records, "record")
    ));
    if let Some(callbacks) = &status.callbacks {
        output.line(format_args!("callbacks  {}", traffic::taken(callbacks)));
    }
    let of_callbacks = status.callbacks.iter().flat_map(|callbacks| &callbacks.refused).map(|refused| ("", refused));
    for (name, refused) in of_callbacks.chain(status.admin.refused.iter().map(|refused| ("admin: ", refused))) {
        output.line(format_args!("refused    {name}{}: {}", traffic::shown(refused), refused.about));
    }
    output.line(format_args!(
        "jobs       {} queued, {} held, {} running, {}",
        jobs.queued,
        jobs.held,
        jobs.running,
        plural(jobs.problem, "problem")
    ));
    for (what, since) in paused.rules.iter().chain(&paused.channels) {
        output.line(format_args!("paused     {what}, since {since}"));
    }
    for brake in &status.brakes {
        output.line(format_args!("brake      {}: {}", brake.channel, brake.said));
    }
    for RelayStatus { channel, since, reason, again_in_s, .. } in &status.relays {
        let again = again_in(Some(*again_in_s), "attempt");
        output.line(format_args!("relay      no {channel} has been sent since {since}{again}: {reason}"));
    }
    if status.clock_in_doubt {
        output.line(
            "clock      has jumped: timers and limits wait for `kyc-rules resume --clock`, for at most 15 minutes",
        );
    }
    print_provider(&status.provider, output);
    if directory.lookup {
        output.line(match trouble(directory.error.as_deref(), directory.again_in_s) {
            Some(trouble) => format!("directory  {trouble}; mails without a fresh contact wait"),
            None => "directory  is queried for contacts".to_owned(),
        });
    }
    if status.config_changed {
        output.line("config     has changed since the start; restart the service to load it");
    }
    if let Some(error) = &rules.error {
        output.line(format_args!(
            "\nThe rules on the disk are rejected since {}; the rules above stay active.\n\n{}",
            error.at, error.text
        ));
    }
}

fn print_provider(provider: &ProviderStatus, output: &mut Output) {
    output.line(if provider.confirm {
        "provider   each callback is confirmed with its API"
    } else {
        "provider   callbacks are believed: without provider.api_key, wrong order and forgery cannot be detected"
    });
    match provider.questions {
        0 => {}
        1 => output.line("           callbacks of 1 customer wait for a decision"),
        count => output.line(format_args!("           callbacks of {count} customers wait for a decision")),
    }
    let patience = &provider.patience;
    let customers = |count: u64| if count == 1 { "1 customer".to_owned() } else { format!("{count} customers") };
    if provider.unanswered > 0 {
        output.line(format_args!(
            "           unanswered: callbacks of {} have waited longer than {patience}, see `kyc-rules problems`",
            customers(provider.unanswered)
        ));
    }
    if provider.unanswered_timers > 0 {
        output.line(format_args!(
            "           unanswered: timers of {} are due and wait longer than {patience} for its API, see `kyc-rules problems`",
            customers(provider.unanswered_timers)
        ));
    }
    for round in &provider.reconcile {
        let (at, answered) = (&round.at, round.answered);
        if round.failed > 0 {
            let all = answered.saturating_add(round.failed);
            output.line(format_args!(
                "           reconcile: {answered} of {all} customers answered until {at}; the others are unchanged"
            ));
        }
        if round.unknown > 0 {
            output.line(format_args!(
                "           it does not know {} of the {answered} customers queried until {at}; they are unchanged",
                round.unknown
            ));
        }
    }
    if let Some(trouble) = trouble(provider.error.as_deref(), provider.again_in_s) {
        output.line(format_args!("           it {trouble}"));
    }
}

/// Formats the error of an API that the server queries.
fn trouble(error: Option<&str>, again_in_s: Option<u64>) -> Option<String> {
    error.map(|error| format!("gives no usable answer{}: {error}", again_in(again_in_s, "request")))
}

/// Formats as `, next request in 5 s`.
fn again_in(seconds: Option<u64>, what: &str) -> String {
    match seconds.unwrap_or_default() {
        0 => String::new(),
        seconds => format!(", next {what} in {seconds} s"),
    }
}
