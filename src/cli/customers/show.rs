//! The `customers show`, `tag` and `untag` commands.

use std::path::Path;

use clap::Args;
use serde_json::Value;

use crate::{
    cli::{
        CommandError, Exit, Output,
        client::{customer_path, part},
        control_chars::in_one_line,
        settings,
    },
    domain::CustomerId,
};

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Id of the customer.
    id: String,
}

#[derive(Debug, Args)]
pub struct TagArgs {
    /// Id of the customer.
    id: String,
    /// The tag.
    name: String,
}

impl TagArgs {
    pub fn run(self, given: Option<&Path>, add: bool, output: &mut Output) -> Result<(), CommandError> {
        customer(&self.id)?;
        if [&self.id, &self.name].iter().any(|text| matches!(&***text, "" | "." | "..")) {
            let text = "this id or tag cannot be part of a URL; let a rule set the tag";
            return Err(CommandError::new(Exit::Usage, text));
        }
        let path = format!("customers/{}/tags/{}", part(&self.id), part(&self.name));
        let answer = settings::block_on(async {
            let client = settings::client(given)?;
            if add { client.post(&path).await } else { client.delete(&path).await }
        })?;
        let now = if add { "has" } else { "does not have" };
        let before = if answer["changed"] == true { "" } else { " (no change)" };
        output.json_or_text(&answer, format_args!("{} {now} the tag {}{before}", self.id, self.name));
        Ok(())
    }
}

impl ShowArgs {
    pub fn run(self, given: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        let path = customer_path(&customer(&self.id)?);
        let customer = settings::block_on(async {
            let client = settings::client(given)?;
            client.get(&path).await
        })?;
        if output.is_json() {
            output.json(&customer);
        } else {
            print(&customer, output);
        }
        Ok(())
    }
}

fn customer(id: &str) -> Result<CustomerId, CommandError> {
    CustomerId::new(id).map_err(|error| CommandError::new(Exit::Usage, error))
}

/// Formats a JSON value in one line.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => in_one_line(text),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn print(customer: &Value, output: &mut Output) {
    output.line(text(&customer["id"]));
    if customer["entered_at"].is_null() {
        output.line("  status      not known yet");
    } else {
        let (visit, since) = (&customer["visit"], text(&customer["entered_at"]));
        output.line(format_args!("  status      {}, visit {visit}, since {since}", text(&customer["status"])));
        for (label, key) in [
            ("processing", "processing"),
            ("missing", "missing_docs"),
            ("labels", "reject_labels"),
            ("message", "message"),
        ] {
            let is_unsaid = customer["unsaid"].as_array().is_some_and(|unsaid| unsaid.iter().any(|name| name == key));
            let value = if is_unsaid { "not known".to_owned() } else { text(&customer[key]) };
            output.line(format_args!("  {label:<11} {value}"));
        }
    }
    output.line(format_args!("  tags        {}", text(&customer["tags"])));
    output.line(format_args!("  contact     {}", contact(&customer["contact"])));
    if customer["pending"].is_object() {
        let pending = &customer["pending"];
        let (since, reason) = (text(&pending["since"]), text(&pending["reason"]));
        output.line(format_args!("  pending     callbacks since {since}: {} ({reason})", pending["callbacks"]));
    }
    output.line("\nhistory, newest first");
    let timeline = customer["timeline"].as_array().cloned().unwrap_or_default();
    for entry in &timeline {
        let edge = match entry["verdict"].as_str() {
            None => came_due(entry),
            Some("moved") => format!("{} -> {}", text(&entry["from"]), text(&entry["to"])),
            _ if entry["said"].is_object() => claimed(&entry["said"]),
            _ => text(&entry["to"]),
        };
        let what = entry["verdict"].as_str().or(entry["source"].as_str()).unwrap_or_default();
        let note = entry["note"].as_str().map(|note| format!(" ({note})")).unwrap_or_default();
        output.line(format_args!("  {}  {what}  {edge}{note}", text(&entry["at"])));
        for rule in entry["rules"].as_array().into_iter().flatten() {
            let why = rule["why"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
            output.line(format_args!("      {} {}{why}", text(&rule["id"]), text(&rule["outcome"])));
        }
        for rule in entry["paused"].as_array().into_iter().flatten() {
            output.line(format_args!("      {} paused: {}", text(&rule["id"]), text(&rule["why"])));
        }
    }
    if timeline.is_empty() {
        output.line("  nothing");
    }
    let jobs = customer["jobs"].as_array().cloned().unwrap_or_default();
    if !jobs.is_empty() {
        output.line("\njobs, newest first");
    }
    for job in &jobs {
        let why = ["reason", "last_error"].iter().find_map(|key| job[key].as_str());
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        output.line(format_args!(
            "  {}  {} {} by rule {}: {}{why}  ({})",
            text(&job["ordered_at"]),
            text(&job["action"]),
            text(&job["name"]),
            text(&job["rule"]),
            text(&job["state"]),
            text(&job["id"])
        ));
    }
}

/// Formats the content of a callback that changed nothing.
fn claimed(said: &Value) -> String {
    let more = [
        ("processing", "processing"),
        ("missing_docs", "missing"),
        ("reject_labels", "labels"),
        ("message", "message"),
    ];
    let more =
        more.iter().filter(|(key, _)| !said[key].is_null() && said[key].as_array().is_none_or(|all| !all.is_empty()));
    let more: String = more.map(|(key, label)| format!("; {label} {}", text(&said[key]))).collect();
    format!("says {}{more}", text(&said["status"]))
}

/// Formats a timer that came due.
fn came_due(entry: &Value) -> String {
    let stay = match entry["processing"].as_str() {
        Some(processing) => format!("processing {processing}"),
        None => text(&entry["to"]),
    };
    let backlog = if entry["backlog"] == true { ", from the backlog" } else { "" };
    format!("{stay} for {}{backlog}", text(&entry["after"]))
}

fn contact(contact: &Value) -> String {
    if contact.is_null() {
        return "none: mails wait for one".to_owned();
    }
    let parts = ["email", "name", "locale", "timezone", "country"].iter().filter_map(|key| contact[key].as_str());
    let own = contact["attributes"].as_object().into_iter().flatten();
    let own = own.map(|(name, value)| format!("{name} {}", text(value)));
    parts.map(str::to_owned).chain(own).collect::<Vec<_>>().join(", ")
}
