//! The `customers show`, `tag` and `untag` commands.

use std::path::Path;

use clap::Args;

use crate::{
    api::customers::{ClaimResponse, ContactInfo, CustomerResponse, EntryResponse, TagResponse},
    cli::{
        CommandError, Exit, Output,
        client::{Original, customer_path, part},
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
        let answer: Original<TagResponse> = settings::block_on(async {
            let client = settings::client(given)?;
            if add { client.post(&path).await } else { client.delete(&path).await }
        })?;
        let now = if add { "has" } else { "does not have" };
        let before = if answer.changed { "" } else { " (no change)" };
        output.json_or_text(&answer, format_args!("{} {now} the tag {}{before}", self.id, self.name));
        Ok(())
    }
}

impl ShowArgs {
    pub fn run(self, given: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        let path = customer_path(&customer(&self.id)?);
        let customer: Original<CustomerResponse> = settings::block_on(async {
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

/// Formats a text in one line; without one, `none`.
fn text(value: Option<&String>) -> String {
    value.map_or_else(|| "none".to_owned(), |text| in_one_line(text))
}

/// Formats a list in one line; an empty one as `none`.
fn list(items: &[String]) -> String {
    match items {
        [] => "none".to_owned(),
        items => items.iter().map(|item| in_one_line(item)).collect::<Vec<_>>().join(", "),
    }
}

fn print(customer: &CustomerResponse, output: &mut Output) {
    output.line(in_one_line(&customer.id));
    print_status(customer, output);
    output.line(format_args!("  tags        {}", list(&customer.tags)));
    output.line(format_args!("  contact     {}", contact(customer.contact.as_ref())));
    if let Some(pending) = &customer.pending {
        let (since, reason) = (in_one_line(&pending.since), in_one_line(&pending.reason));
        output.line(format_args!("  pending     callbacks since {since}: {} ({reason})", pending.callbacks));
    }
    output.line("\nhistory, newest first");
    for entry in &customer.timeline {
        print_entry(entry, output);
    }
    if customer.timeline.is_empty() {
        output.line("  nothing");
    }
    if !customer.jobs.is_empty() {
        output.line("\njobs, newest first");
    }
    for job in &customer.jobs {
        let why = job.reason.as_ref().or(job.last_error.as_ref());
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        output.line(format_args!(
            "  {}  {} {} by rule {}: {}{why}  ({})",
            in_one_line(&job.ordered_at),
            in_one_line(&job.action),
            in_one_line(&job.name),
            in_one_line(&job.rule),
            in_one_line(&job.state),
            in_one_line(&job.id)
        ));
    }
}

fn print_status(customer: &CustomerResponse, output: &mut Output) {
    let Some(since) = &customer.entered_at else {
        output.line("  status      not known yet");
        return;
    };
    let (status, visit) = (text(customer.status.as_ref()), customer.visit);
    output.line(format_args!("  status      {status}, visit {visit}, since {}", in_one_line(since)));
    for (label, key, value) in [
        ("processing", "processing", text(customer.processing.as_ref())),
        ("missing", "missing_docs", list(&customer.missing_docs)),
        ("labels", "reject_labels", list(&customer.reject_labels)),
        ("message", "message", text(customer.message.as_ref())),
    ] {
        let is_unsaid = customer.unsaid.iter().any(|name| name == key);
        let value = if is_unsaid { "not known".to_owned() } else { value };
        output.line(format_args!("  {label:<11} {value}"));
    }
}

fn print_entry(entry: &EntryResponse, output: &mut Output) {
    let edge = match (entry.verdict.as_deref(), &entry.said) {
        (None, _) => came_due(entry),
        (Some("moved"), _) => format!("{} -> {}", text(entry.from.as_ref()), text(entry.to.as_ref())),
        (Some(_), Some(said)) => claimed(said),
        (Some(_), None) => text(entry.to.as_ref()),
    };
    let what = entry.verdict.as_ref().unwrap_or(&entry.source);
    let note = entry.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
    output.line(format_args!("  {}  {what}  {edge}{note}", in_one_line(&entry.at)));
    for rule in &entry.rules {
        let why = rule.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        output.line(format_args!("      {} {}{why}", in_one_line(&rule.id), in_one_line(&rule.outcome)));
    }
    for rule in &entry.paused {
        output.line(format_args!("      {} paused: {}", in_one_line(&rule.id), text(rule.why.as_ref())));
    }
}

/// Formats the content of a callback that changed nothing.
fn claimed(said: &ClaimResponse) -> String {
    let listed = |items: &[String]| (!items.is_empty()).then(|| list(items));
    let more = [
        ("processing", said.processing.as_ref().map(|text| in_one_line(text))),
        ("missing", listed(&said.missing_docs)),
        ("labels", listed(&said.reject_labels)),
        ("message", said.message.as_ref().map(|text| in_one_line(text))),
    ];
    let more = more.into_iter().filter_map(|(label, value)| Some(format!("; {label} {}", value?)));
    format!("says {}{}", text(said.status.as_ref()), more.collect::<String>())
}

/// Formats a timer that came due.
fn came_due(entry: &EntryResponse) -> String {
    let stay = match &entry.processing {
        Some(processing) => format!("processing {processing}"),
        None => text(entry.to.as_ref()),
    };
    let backlog = if entry.backlog { ", from the backlog" } else { "" };
    format!("{stay} for {}{backlog}", text(entry.after.as_ref()))
}

fn contact(contact: Option<&ContactInfo>) -> String {
    let Some(ContactInfo { email, name, locale, timezone, country, attributes }) = contact else {
        return "none: mails wait for one".to_owned();
    };
    let parts = [Some(email), name.as_ref(), locale.as_ref(), timezone.as_ref(), country.as_ref()];
    let own = attributes.iter().map(|(name, value)| format!("{name} {}", in_one_line(value)));
    parts.into_iter().flatten().cloned().chain(own).collect::<Vec<_>>().join(", ")
}
