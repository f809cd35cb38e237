//! Output of the demo: each callback, its change, the rules that fired or why none did, and the path of each mail.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    DemoService,
    lives::{DemoCallback, DemoCustomer, DemoStep},
    provider::DemoProvider,
};
use crate::{
    api::{
        customers::{ContactResponse, CustomerResponse, EntryResponse},
        jobs::JobResponse,
        status::StatusResponse,
    },
    cli::{CommandError, Exit, Output},
};

/// The longest time that the demo waits for the server to finish due jobs.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Narrator<'a> {
    stage: &'a DemoService,
    output: &'a mut Output,
    callbacks: u32,
    /// Number of callbacks by verdict.
    verdicts: BTreeMap<String, u32>,
    fired: BTreeMap<String, u32>,
    /// Jobs whose end has been printed, each as id and state.
    told: BTreeSet<String>,
    mails: u32,
    cancelled: u32,
}

impl<'a> Narrator<'a> {
    pub fn new(stage: &'a DemoService, output: &'a mut Output) -> Self {
        Self {
            stage,
            output,
            callbacks: 0,
            verdicts: BTreeMap::new(),
            fired: BTreeMap::new(),
            told: BTreeSet::new(),
            mails: 0,
            cancelled: 0,
        }
    }

    /// Prints a line of text, or an event with `--json`.
    fn print(&mut self, event: Value, text: impl std::fmt::Display) {
        self.output.json_or_text(&event, text);
    }

    pub fn opening(&mut self) {
        let (dir, callbacks) = (self.stage.dir.clone(), self.stage.callbacks.clone());
        let text = format!(
            "kyc-rules demo: the real server on loopback, a simulated provider, mails as files. Nothing leaves this machine.\n\n  \
             callbacks  {callbacks}\n  rules      {}\n  mails      {}\n  store      {}",
            dir.join("rules").display(),
            dir.join("mail").display(),
            dir.join("data").display()
        );
        self.print(json!({"event": "started", "dir": dir, "callbacks": callbacks}), text);
    }

    /// Plays the steps of one customer, and prints the results.
    pub async fn paragraph(&mut self, life: &DemoCustomer, provider: &DemoProvider) -> Result<(), CommandError> {
        self.print(
            json!({"event": "life", "customer": life.id, "title": life.title}),
            format!("\n{}: {}", life.id, life.title),
        );
        if let Some((name, email, locale)) = life.contact {
            self.contact(life.id, name, email, locale).await?;
        }
        let mut last = Value::Null;
        for step in &life.steps {
            match step {
                DemoStep::Callback(said) => {
                    last = provider.callback(life.id, said);
                    self.callback(life.id, said, &last, provider).await?;
                }
                DemoStep::Again(times) => {
                    for nth in 0..*times {
                        let (status, text) = provider.send(&last).await?;
                        self.count(&text);
                        let event =
                            json!({"event": "repeated", "customer": life.id, "status": status, "outcome": text});
                        self.print(
                            event,
                            format!("  the same callback again, {} of {times}: {status} {text}", nth + 1),
                        );
                    }
                }
                DemoStep::Forged(said) => {
                    let mut body = provider.callback(life.id, said);
                    body["hash"] = json!(crate::providers::xgateway::hash_of(
                        life.id,
                        &crate::providers::xgateway::Secret::new("guessed")
                    ));
                    self.refused(life.id, "a forged FULL_USER", provider.send(&body).await?);
                }
                DemoStep::UnknownType => {
                    let body = json!({"callbackType": "card_payment", "customerId": life.id});
                    self.refused(
                        life.id,
                        "a callback of a type that the provider does not document",
                        provider.send(&body).await?,
                    );
                }
                DemoStep::Minutes(minutes) => self.wait(life.id, *minutes).await?,
                DemoStep::Contact(name, email, locale) => {
                    self.contact(life.id, name, email, locale).await?;
                    let event = json!({"event": "contact", "customer": life.id});
                    self.print(event, format!("  the shop stores the mail address: {email}"));
                }
            }
        }
        Ok(())
    }

    async fn contact(&self, id: &str, name: &str, email: &str, locale: &str) -> Result<(), CommandError> {
        let body = json!({"name": name, "email": email, "locale": locale});
        self.stage.client.put::<ContactResponse>(&format!("customers/{id}/contact"), &body).await.map(|_| ())
    }

    fn count(&mut self, verdict: &str) {
        self.callbacks += 1;
        *self.verdicts.entry(verdict.to_owned()).or_default() += 1;
    }

    fn refused(&mut self, id: &str, what: &str, (status, text): (u16, String)) {
        self.count(&format!("refused with {status}"));
        self.print(
            json!({"event": "refused", "customer": id, "status": status, "detail": text}),
            format!("  {what}: {status} {text}"),
        );
    }

    async fn callback(
        &mut self,
        id: &str,
        said: &DemoCallback,
        body: &Value,
        provider: &DemoProvider,
    ) -> Result<(), CommandError> {
        let (status, text) = provider.send(body).await?;
        if status != 200 {
            self.refused(id, "a callback", (status, text));
            return Ok(());
        }
        let customer = self.stage.client.get::<CustomerResponse>(&format!("customers/{id}")).await?;
        let no_history = || CommandError::new(Exit::Failed, format!("the customer {id} has no history"));
        let entry = customer.timeline.first().ok_or_else(no_history)?;
        let name = |text: &Option<String>| text.as_deref().unwrap_or("none").to_owned();
        let verdict = name(&entry.verdict);
        self.count(&verdict);
        let edge =
            if verdict == "moved" { format!("{} -> {}", name(&entry.from), name(&entry.to)) } else { name(&entry.to) };
        self.print(
            json!({"event": "callback", "customer": id, "entry": entry}),
            format!("  {edge}{}  ({verdict})", details(said)),
        );
        if !self.output.is_json() {
            self.rules(entry);
        }
        for rule in entry.rules.iter().filter(|rule| rule.outcome == "fired") {
            *self.fired.entry(rule.id.clone()).or_default() += 1;
        }
        self.ends(&customer).await
    }

    fn rules(&mut self, entry: &EntryResponse) {
        for rule in &entry.rules {
            let why = rule.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let mark = if rule.outcome == "fired" { "fires" } else { &rule.outcome };
            self.output.line(format_args!("      {} {mark}{why}", rule.id));
        }
        if entry.rules.is_empty() {
            self.output.line("      no rule has this trigger");
        }
    }

    /// Advances the clock, waits until the due jobs have ended, and prints them.
    async fn wait(&mut self, id: &str, minutes: i64) -> Result<(), CommandError> {
        self.stage.clock.advance_ms(minutes * 60_000);
        let passed = if minutes >= 120 { format!("{} hours", minutes / 60) } else { format!("{minutes} min") };
        self.print(json!({"event": "time", "minutes": minutes}), format!("  … {passed} pass"));
        let began = std::time::Instant::now();
        loop {
            let customer = self.stage.client.get::<CustomerResponse>(&format!("customers/{id}")).await?;
            let now = self.stage.clock.now().to_string();
            let under_way = |job: &JobResponse| match &*job.state {
                "running" => true,
                "queued" => job.next_at.as_ref().is_some_and(|at| *at <= now),
                _ => false,
            };
            if !customer.jobs.iter().any(under_way) {
                return self.ends(&customer).await;
            }
            if began.elapsed() > PATIENCE {
                let text = format!("the jobs of {id} have not ended in {} seconds", PATIENCE.as_secs());
                return Err(CommandError::new(Exit::Failed, text));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Prints the jobs that are done, cancelled or problems, each once.
    async fn ends(&mut self, customer: &CustomerResponse) -> Result<(), CommandError> {
        for job in customer.jobs.iter().rev() {
            let JobResponse { id, state, name, .. } = job;
            let reason = job.reason.as_deref().unwrap_or_default();
            if !matches!(&**state, "done" | "cancelled" | "problem") || !self.told.insert(format!("{id} {state}")) {
                continue;
            }
            let event = json!({"event": "job", "job": job});
            match &**state {
                "done" => {
                    self.mails += 1;
                    let (subject, path) = self.mail(id)?;
                    self.print(event, format!("  mail {name}: \"{subject}\"\n      {}", path.display()));
                }
                "cancelled" => {
                    self.cancelled += 1;
                    self.print(event, format!("  mail {name} is cancelled: {reason}"));
                }
                _ => self.print(event, format!("  mail {name} is a problem: {reason}")),
            }
        }
        Ok(())
    }

    /// Returns the subject and the path of a job's mail.
    fn mail(&self, job: &str) -> Result<(String, PathBuf), CommandError> {
        let dir = self.stage.dir.join("mail");
        let entries = std::fs::read_dir(&dir).map_err(CommandError::io(format!("reading {}", dir.display())))?;
        let named = format!("Message-ID: <{job}@");
        let found = entries.filter_map(Result::ok).map(|entry| entry.path()).find_map(|path| {
            let text = std::fs::read_to_string(&path).ok()?;
            text.contains(&named).then(|| (subject(&text), path))
        });
        found.ok_or_else(|| {
            CommandError::new(Exit::Failed, format!("the mail of job {job} is not in {}", dir.display()))
        })
    }

    pub async fn summary(&mut self) -> Result<(), CommandError> {
        let status = self.stage.client.get::<StatusResponse>("status").await?;
        let counted = |counts: &BTreeMap<String, u32>| -> String {
            counts.iter().map(|(what, count)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
        };
        let text = format!(
            "\nSummary\n  callbacks  {}: {}\n  customers  {}\n  rules      {}\n  mails      {} sent, {} cancelled, {} waiting, {} problems\n",
            self.callbacks,
            counted(&self.verdicts),
            status.store.customers,
            counted(&self.fired),
            self.mails,
            self.cancelled,
            status.jobs.queued,
            status.jobs.problem,
        );
        let event = json!({
            "event": "summary", "callbacks": self.callbacks, "verdicts": self.verdicts, "fired": self.fired,
            "mails": self.mails, "cancelled": self.cancelled, "status": status,
        });
        self.print(event, text);
        Ok(())
    }

    /// Prints how to send callbacks by hand.
    pub async fn invitation(&mut self, provider: &DemoProvider) -> Result<(), CommandError> {
        self.contact("you", "You", "you@customer.example", "en").await?;
        let said = DemoCallback {
            status: Some("SOFT_KYC_FAILED"),
            docs: &["SELFIE"],
            labels: "BAD_SELFIE",
            ..DemoCallback::default()
        };
        let body = provider.callback("you", &said);
        let (url, secret, dir) = (&self.stage.callbacks, &self.stage.secret_text, self.stage.dir.clone());
        let text = format!(
            "The server runs until Ctrl-C, with a clock 60 times as fast as real time. Send a callback as the provider does:\n\n\
             curl -sS {url} -d '{body}'\n\n\
             or any other callback, for example\n\n\
             kyc-rules sign you --secret {secret} --status FULL_USER | curl -sS {url} -d @-\n\n\
             Mails are written to {}. Edit {}, save it, and send the next callback.\n",
            dir.join("mail").display(),
            dir.join("rules/kyc.yaml").display()
        );
        self.print(json!({"event": "serving", "curl_body": body, "callbacks": url}), text);
        self.output.flush()
    }
}

fn details(said: &DemoCallback) -> String {
    let parts = [
        said.processing.map(|processing| format!("processing {processing}")),
        (!said.docs.is_empty()).then(|| format!("missing {}", said.docs.join(", "))),
        (!said.labels.is_empty()).then(|| format!("labels {}", said.labels)),
        said.message.map(|message| format!("\"{message}\"")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!("; {}", parts.join("; ")) }
}

/// Returns the decoded subject of a mail.
fn subject(mail: &str) -> String {
    let mut lines = mail.lines();
    let Some(first) = lines.find_map(|line| line.strip_prefix("Subject: ")) else { return String::new() };
    let rest = lines.take_while(|line| line.starts_with(' ')).map(str::trim);
    let words: Vec<&str> = std::iter::once(first.trim()).chain(rest).flat_map(str::split_whitespace).collect();
    let mut subject = String::new();
    let mut encoded_before = false;
    for word in words {
        let decoded = decode_word(word);
        // Space between two encoded words is not part of the text (RFC 2047).
        let joined = encoded_before && decoded.is_some();
        if !(subject.is_empty() || joined) {
            subject.push(' ');
        }
        encoded_before = decoded.is_some();
        subject.push_str(decoded.as_deref().unwrap_or(word));
    }
    subject
}

/// Decodes an encoded word of RFC 2047 in base64, the form that the mailer writes.
fn decode_word(word: &str) -> Option<String> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let text = word.strip_prefix("=?utf-8?b?")?.strip_suffix("?=")?;
    String::from_utf8(STANDARD.decode(text).ok()?).ok()
}
