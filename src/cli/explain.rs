//! The `explain` command: why each rule fires or does not. Made-up events are evaluated without a server; the history
//! of a real customer comes from the running server.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{
    CommandError, Exit, Output,
    client::{Original, part},
    output::table,
    settings,
    workspace::Workspace,
};
use crate::{
    api::explain::{EventInfo, ExplainedCustomer},
    clock::Clock,
    decide::GlobalState,
    domain::Contact,
    explain::{EventInput, Explanation, ask},
    outbox::Job,
    yaml::Duration,
};

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Explain the history of this customer. Needs the running server.
    #[arg(required_unless_present = "to", conflicts_with_all = ["to", "from"])]
    customer: Option<String>,

    /// Status before a made-up event: `new` for a customer not seen before, `none` for the provider's null.
    #[arg(long, requires = "to", default_value = "new", value_name = "STATUS")]
    from: String,

    /// Status after a made-up event. The same as --from means that only details changed.
    #[arg(long, value_name = "STATUS")]
    to: Option<String>,

    /// Explain timers instead: the stay in --to has lasted this long, for example 48h.
    #[arg(long = "for", requires = "to", value_name = "DURATION")]
    lasted: Option<String>,

    /// Number of the visit to --to, from 1.
    #[arg(long, requires = "to", value_name = "N")]
    visit: Option<u32>,

    /// Missing documents, separated by commas.
    #[arg(long, requires = "to", value_delimiter = ',', value_name = "DOCS")]
    docs: Vec<String>,

    /// Reject labels, separated by commas.
    #[arg(long, requires = "to", value_delimiter = ',', value_name = "LABELS")]
    labels: Vec<String>,

    /// The provider's message for the customer.
    #[arg(long, requires = "to", default_value = "", value_name = "TEXT")]
    message: String,

    /// Processing status after the event.
    #[arg(long, requires = "to", value_name = "STATUS")]
    processing: Option<String>,

    /// Tags of the customer, separated by commas.
    #[arg(long, requires = "to", value_delimiter = ',', value_name = "TAGS")]
    tags: Vec<String>,

    /// Locale of the customer, for example de or de-AT.
    #[arg(long, requires = "to", value_name = "LOCALE")]
    locale: Option<String>,

    /// Country of the customer, for example DE.
    #[arg(long, requires = "to", value_name = "COUNTRY")]
    country: Option<String>,

    /// A declared attribute of the customer, for example plan=pro. Can be repeated.
    #[arg(long, requires = "to", value_name = "NAME=VALUE")]
    attribute: Vec<String>,

    /// Use the rules in this directory instead of the configured one.
    #[arg(long, requires = "to", value_name = "DIR")]
    rules: Option<PathBuf>,
}

impl ExplainArgs {
    pub fn run(mut self, config: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        match (self.customer.take(), self.to.take()) {
            (_, Some(to)) => self.made_up(to, config, output),
            (customer, None) => of_customer(&customer.unwrap_or_default(), config, output),
        }
    }

    fn made_up(self, to: String, config: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        let wrong = |problem: String| CommandError::new(Exit::Usage, problem);
        let (rules, policy) = Workspace::read(config, self.rules.as_deref())?.into_rules()?;
        let contact = self.contact().map_err(wrong)?;
        let Self { from, lasted, visit, docs, labels, message, processing, tags, .. } = self;
        let asked = EventInput { from, to, visit, docs, labels, message, processing, tags, contact, lasted };
        let question = asked.question().map_err(wrong)?;
        let answer = ask(&rules, &policy, &GlobalState::default(), Clock::default().now(), &question).map_err(wrong)?;
        if output.is_json() {
            let orders: Vec<String> = answer.jobs.iter().map(order).collect();
            output.json(&json!({"event": answer.event, "rules": answer.rules, "orders": orders, "tags": answer.tags}));
        } else {
            show(&answer, output);
        }
        Ok(())
    }

    /// Returns a contact if any of its options is given. Without a contact, conditions on `customer.*` are undecidable.
    fn contact(&self) -> Result<Option<Contact>, String> {
        if self.locale.is_none() && self.country.is_none() && self.attribute.is_empty() {
            return Ok(None);
        }
        let pair = |text: &String| match text.split_once('=') {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => Err(format!("--attribute {text}: write NAME=VALUE, for example plan=pro")),
        };
        Ok(Some(Contact {
            email: "customer@example.com".to_owned(),
            name: None,
            locale: self.locale.clone(),
            timezone: None,
            country: self.country.clone(),
            attributes: self.attribute.iter().map(pair).collect::<Result<_, _>>()?,
        }))
    }
}

/// Describes the action of a job, with its delay and quiet hours.
fn order(job: &Job) -> String {
    let action = &job.order.action;
    let settle = match action.settle_ms() {
        0 => String::new(),
        settle_ms => format!(", after {}", Duration::text_of(settle_ms)),
    };
    let quiet = action.quiet_hours().map(|hours| format!(", not in {hours}")).unwrap_or_default();
    format!("{action} by rule {}{settle}{quiet}", job.order.rule)
}

fn show(answer: &Explanation, output: &mut Output) {
    output.line(format_args!("{}\n", answer.event));
    let rows: Vec<Vec<String>> = answer
        .rules
        .iter()
        .map(|one| vec![one.rule.clone(), one.outcome.to_owned(), one.why.clone().unwrap_or_default()])
        .collect();
    output.line(table(&["rule", "outcome", "why"], &rows));
    output.line("");
    if answer.jobs.is_empty() {
        output.line("nothing would be sent");
    }
    for job in &answer.jobs {
        output.line(order(job));
    }
    if let Some(tags) = &answer.tags {
        output.line(format_args!(
            "tags afterwards: {}",
            if tags.is_empty() { "none".to_owned() } else { tags.to_string() }
        ));
    }
}

fn of_customer(customer: &str, config: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
    let events = settings::block_on(async {
        let client = settings::client(config)?;
        let mut events: Vec<Original<EventInfo>> = Vec::new();
        let mut before: Option<u64> = None;
        loop {
            let more = before.map(|before| format!("&before={before}")).unwrap_or_default();
            let page: Original<ExplainedCustomer<Original<EventInfo>>> =
                client.get(&format!("explain?customer={}{more}", part(customer))).await?;
            events.extend(page.events.iter().cloned());
            before = page.next;
            if before.is_none() {
                return Ok(events);
            }
        }
    })?;
    if output.is_json() {
        output.json(&json!({"customer": customer, "events": events}));
        return Ok(());
    }
    // The API lists events newest first; print them oldest first.
    for event in events.iter().rev() {
        show_event(event, output);
    }
    if events.is_empty() {
        output.line("no callback has been received for this customer yet");
    }
    Ok(())
}

fn show_event(event: &EventInfo, output: &mut Output) {
    let what = event.verdict.as_ref().unwrap_or(&event.source);
    let note = event.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
    output.line(format_args!("{}  {what}  {}{note}", event.at, event.event));
    for rule in &event.rules {
        let why = rule.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        output.line(format_args!("    {:<12} {}{why}", rule.outcome, rule.rule));
    }
    for job in &event.jobs {
        let why = job.reason.as_ref().or(job.last_error.as_ref());
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let ended = job.ended_at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
        output.line(format_args!("    -> {} {} by rule {}: {}{ended}{why}", job.action, job.name, job.rule, job.state));
    }
    output.line("");
}
