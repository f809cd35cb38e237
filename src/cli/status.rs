//! The `status` command: prints the state of a running server.

use std::path::Path;

use serde_json::Value;

use super::{
    CommandError, Output,
    check::counted,
    settings,
    traffic::{refused, taken},
};

pub fn run(config: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
    let status = settings::block_on(async {
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

fn print(status: &Value, output: &mut Output) {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let plural = |value: &Value, what: &str| {
        counted(value.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_default(), what)
    };
    let uptime_s = status["uptime_s"].as_i64().unwrap_or_default();
    let uptime = format!("{} h {} min {} s", uptime_s / 3600, uptime_s / 60 % 60, uptime_s % 60);
    output.line(format_args!("version    {}, up for {uptime}", text(&status["version"])));
    let rules = &status["rules"];
    output.line(format_args!(
        "rules      {}, set {}, loaded {}",
        plural(&rules["count"], "rule"),
        text(&rules["hash"]),
        text(&rules["loaded_at"])
    ));
    let store = &status["store"];
    output.line(format_args!(
        "store      {}: {}, {:.1} MB, {}",
        text(&store["engine"]),
        plural(&store["customers"], "customer"),
        store["bytes"].as_f64().unwrap_or_default() / 1e6,
        plural(&store["records"], "record")
    ));
    // Servers of older versions do not count callbacks.
    if status["callbacks"].is_object() {
        output.line(format_args!("callbacks  {}", taken(&status["callbacks"])));
    }
    for (side, name) in [("callbacks", ""), ("admin", "admin: ")] {
        for one in refused(&status[side]) {
            output.line(format_args!("refused    {name}{}: {}", one.shown(), one.about));
        }
    }
    let jobs = &status["jobs"];
    output.line(format_args!(
        "jobs       {} queued, {} held, {} running, {}",
        jobs["queued"],
        jobs["held"],
        jobs["running"],
        plural(&jobs["problem"], "problem")
    ));
    let paused = |key: &str| status["paused"][key].as_object().cloned().unwrap_or_default();
    for (what, since) in paused("rules").iter().chain(&paused("channels")) {
        output.line(format_args!("paused     {what}, since {}", text(since)));
    }
    for brake in status["brakes"].as_array().into_iter().flatten() {
        output.line(format_args!("brake      {}: {}", text(&brake["channel"]), text(&brake["said"])));
    }
    for relay in status["relays"].as_array().into_iter().flatten() {
        let again = match relay["again_in_s"].as_u64().unwrap_or_default() {
            0 => String::new(),
            seconds => format!(", next attempt in {seconds} s"),
        };
        output.line(format_args!(
            "relay      no {} leaves since {}{again}: {}",
            text(&relay["channel"]),
            text(&relay["since"]),
            text(&relay["reason"])
        ));
    }
    if status["clock_in_doubt"] == true {
        output.line(
            "clock      has jumped: timers and limits wait for `kyc-rules resume --clock`, for at most 15 minutes",
        );
    }
    let trouble = |service: &str| {
        let error = status[service]["error"].as_str()?;
        let again = match status[service]["again_in_s"].as_u64().unwrap_or_default() {
            0 => String::new(),
            seconds => format!(", next request in {seconds} s"),
        };
        Some(format!("gives no usable answer{again}: {error}"))
    };
    output.line(if status["provider"]["confirm"] == true {
        "provider   each callback is confirmed with its API"
    } else {
        "provider   callbacks are believed: without provider.api_key, wrong order and forgery cannot be detected"
    });
    match status["provider"]["questions"].as_u64().unwrap_or_default() {
        0 => {}
        1 => output.line("           callbacks of 1 customer wait for a decision"),
        count => output.line(format_args!("           callbacks of {count} customers wait for a decision")),
    }
    let patience = text(&status["provider"]["patience"]);
    match status["provider"]["unanswered"].as_u64().unwrap_or_default() {
        0 => {}
        count => {
            let whose = if count == 1 { "1 customer".to_owned() } else { format!("{count} customers") };
            output.line(format_args!(
                "           unanswered: callbacks of {whose} have waited longer than {patience}, see `kyc-rules problems`"
            ));
        }
    }
    if let Some(count @ 1..) = status["provider"]["unanswered_timers"].as_u64() {
        let whose = if count == 1 { "1 customer".to_owned() } else { format!("{count} customers") };
        output.line(format_args!(
            "           unanswered: timers of {whose} are due and wait longer than {patience} for its API, see `kyc-rules problems`"
        ));
    }
    for round in status["provider"]["reconcile"].as_array().into_iter().flatten() {
        if let Some(failed @ 1..) = round["failed"].as_u64() {
            let (at, answered) = (text(&round["at"]), round["answered"].as_u64().unwrap_or_default());
            let all = answered.saturating_add(failed);
            output.line(format_args!(
                "           reconcile: {answered} of {all} customers answered until {at}; the others are unchanged"
            ));
        }
        if let Some(unknown @ 1..) = round["unknown"].as_u64() {
            let (at, answered) = (text(&round["at"]), &round["answered"]);
            output.line(format_args!(
                "           it does not know {unknown} of the {answered} customers queried until {at}; they are unchanged"
            ));
        }
    }
    if let Some(trouble) = trouble("provider") {
        output.line(format_args!("           it {trouble}"));
    }
    if status["directory"]["lookup"] == true {
        output.line(match trouble("directory") {
            Some(trouble) => format!("directory  {trouble}; mails without a fresh contact wait"),
            None => "directory  is queried for contacts".to_owned(),
        });
    }
    if status["config_changed"] == true {
        output.line("config     has changed since the start; restart the service to load it");
    }
    if let Some(text) = rules["error"]["text"].as_str() {
        let at = rules["error"]["at"].as_str().unwrap_or("?");
        output.line(format_args!(
            "\nThe rules on the disk are rejected since {at}; the rules above stay active.\n\n{text}"
        ));
    }
}
