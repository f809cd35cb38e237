//! The `customers import` command: imports contacts from a file. A file with errors is rejected as a whole.

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{
    Format,
    way::{CHUNK, Way},
};
use crate::{
    cli::{
        Exit, Failure, Output,
        check::counted,
        client::{Client, part},
        settings,
    },
    clock::Clock,
    contacts::{self, Entry, Terms},
};

/// The maximum number of bad lines that are printed. Only the number of the others is printed.
const SHOWN: usize = 200;

/// The maximum number of requests to the provider's API about one customer, and the longest wait while the API is
/// backed off.
const TRIES: usize = 5;
const LONGEST_WAIT_MS: u64 = 120_000;

/// Gives up after this time without any answer, because the fault is then not with single customers.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Debug, Args)]
pub struct Import {
    /// CSV with column names in the first line (id, email, name, locale, timezone, country and declared attributes), or
    /// NDJSON. `-` is standard input. The columns status, since and tags set the state of customers without callbacks.
    file: PathBuf,

    /// Also query the provider's API about each customer, at a limited rate, and store the status of customers without
    /// callbacks.
    #[arg(long)]
    from_provider: bool,

    /// Format of the file. Default: by the file name.
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Import {
    pub fn run(self, given: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
        let config = settings::load_without_secrets(given)?;
        let text = self.text()?;
        let format = Format::of(self.format, &self.file);
        let terms =
            Terms { attributes: &config.directory.attributes, statuses: &config.statuses, now: Clock::default().now() };
        let entries = contacts::read(&text, format, terms).map_err(|bad| self.refused(&bad))?;
        let (changed, direct, asked) = settings::block_on(async {
            let way = Way::find(&config).await?;
            let direct = matches!(way, Way::Store(_));
            let taken = self.take(&way, &entries, output).await;
            way.close().await;
            taken.map(|(changed, asked)| (changed, direct, asked))
        })?;
        let where_to = if direct { "into the data directory, since no server runs" } else { "by the running server" };
        output.either(
            &json!({
                "contacts": entries.len(), "changed": changed, "unchanged": entries.len() - changed,
                "from_provider": asked.as_ref().map(|asked| asked.known), "unknown": asked.as_ref().map(|asked| asked.unknown),
                "failed": asked.as_ref().map(|asked| &asked.failed),
            }),
            format_args!(
                "{} imported {where_to}: {changed} new or changed, {} unchanged{}",
                counted(entries.len(), "contact"),
                entries.len() - changed,
                asked
                    .as_ref()
                    .map(|asked| {
                        let unknown = match asked.unknown {
                            0 => String::new(),
                            count => format!("; it does not know {count} (yet), and they are unchanged"),
                        };
                        format!("\nthe provider knows {} of {} that were new here{unknown}", asked.known, entries.len())
                    })
                    .unwrap_or_default()
            ),
        );
        match asked {
            Some(asked) if !asked.failed.is_empty() => Err(unanswered(&asked.failed, entries.len())),
            _ => Ok(()),
        }
    }

    /// Returns the number of new or changed contacts, and the provider's answers if its API was queried.
    async fn take(&self, way: &Way, entries: &[Entry], output: &Output) -> Result<(usize, Option<Asked>), Failure> {
        let client = match (way, self.from_provider) {
            (_, false) => None,
            (Way::Server(client), true) => Some(client),
            (Way::Store(_), true) => {
                let text = "--from-provider needs the running server, which limits the rate of requests to the API; start \
                            `kyc-rules serve`";
                return Err(Failure::new(Exit::Unavailable, text));
            }
        };
        let changed = send(way, entries, output).await?;
        let Some(client) = client else { return Ok((changed, None)) };
        ask(client, entries, output).await.map(|asked| (changed, Some(asked)))
    }

    fn text(&self) -> Result<String, Failure> {
        let name = self.file.display();
        let mut bytes = Vec::new();
        if self.file == Path::new("-") {
            std::io::stdin().read_to_end(&mut bytes).map_err(Failure::io("reading standard input"))?;
        } else {
            bytes = std::fs::read(&self.file).map_err(Failure::io(format!("reading {name}")))?;
        }
        String::from_utf8(bytes).map_err(|error| {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
            Failure::new(Exit::Failed, format!("{name}, line {line}: is not UTF-8; nothing was imported"))
        })
    }

    fn refused(&self, bad: &[contacts::BadLine]) -> Failure {
        let mut lines: Vec<String> = bad.iter().take(SHOWN).map(|bad| format!("  {bad}")).collect();
        if bad.len() > SHOWN {
            lines.push(format!("  and {} more", bad.len() - SHOWN));
        }
        let text = format!("{} has errors; nothing was imported:\n{}", self.file.display(), lines.join("\n"));
        Failure::new(Exit::Failed, text)
    }
}

fn unanswered(failed: &[String], all: usize) -> Failure {
    let mut lines: Vec<String> = failed.iter().take(SHOWN).map(|one| format!("  {one}")).collect();
    if failed.len() > SHOWN {
        lines.push(format!("  and {} more", failed.len() - SHOWN));
    }
    let text = format!(
        "the provider's API gave no usable answer about {} of {all}; run the command again, and it skips customers with a status:\n{}",
        failed.len(),
        lines.join("\n")
    );
    Failure::new(Exit::Failed, text)
}

/// The answers of the provider's API, counted.
#[derive(Default)]
struct Asked {
    /// Customers with a new status.
    known: usize,
    /// Customers that the API does not know: 404, or a `null` status.
    unknown: usize,
    /// Customers without a usable answer, with the reason.
    failed: Vec<String>,
}

/// Queries the provider's API about each customer through the server. Customers without an answer are retried at the
/// end, so that they do not delay the others.
async fn ask(client: &Client, entries: &[Entry], output: &Output) -> Result<Asked, Failure> {
    let bar = bar(entries.len(), "customers", output);
    let mut asked = Asked::default();
    let mut left: Vec<(&Entry, String)> = entries.iter().map(|entry| (entry, String::new())).collect();
    let mut answered_at = Instant::now();
    for nth in 0..TRIES {
        let mut unanswered = Vec::new();
        for (entry, _) in left {
            match ask_about(client, entry, &bar).await? {
                Said::Known => asked.known += 1,
                Said::Unknown => asked.unknown += 1,
                Said::Nothing => {}
                Said::Odd(error) => asked.failed.push(format!("{}: {error}", entry.id)),
                Said::Later(error) if answered_at.elapsed() > PATIENCE => return Err(given_up(&error)),
                Said::Later(error) => {
                    unanswered.push((entry, error));
                    continue;
                }
            }
            answered_at = Instant::now();
            bar.inc(1);
        }
        left = unanswered;
        if left.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1 << nth)).await;
    }
    asked.failed.extend(left.iter().map(|(entry, error)| format!("{}: {error}", entry.id)));
    bar.finish_and_clear();
    Ok(asked)
}

fn given_up(error: &str) -> Failure {
    let text =
        format!("{error}\nthe contacts are imported; run the command again, and it skips customers with a status");
    Failure::new(Exit::Unavailable, text)
}

enum Said {
    Known,
    /// The API does not know this customer, or has no profile yet.
    Unknown,
    /// The customer already had a status here.
    Nothing,
    /// An answer that cannot be used; a retry would not help.
    Odd(String),
    Later(String),
}

/// Queries the API about one customer. While the API is backed off, waits and shows the reason in the progress bar, for
/// at most [`LONGEST_WAIT_MS`].
async fn ask_about(client: &Client, entry: &Entry, bar: &ProgressBar) -> Result<Said, Failure> {
    let path = format!("customers/{}/refresh", part(entry.id.as_str()));
    let mut waited_ms = 0;
    loop {
        let answer = client.post_json(&path, &json!({"import": true})).await?;
        let failed = &answer["failed"];
        if failed.is_null() {
            return Ok(match answer["verdict"].as_str() {
                Some("imported") => Said::Known,
                _ if answer["provider_knows"] == false => Said::Unknown,
                _ => Said::Nothing,
            });
        }
        let error = failed["error"].as_str().unwrap_or("no answer").to_owned();
        if failed["lasting"] == true {
            return Ok(Said::Odd(error));
        }
        let again_ms = failed["again_ms"].as_u64().unwrap_or_default().max(100);
        if failed["everybody"] == true || waited_ms + again_ms > LONGEST_WAIT_MS {
            return Err(given_up(&error));
        }
        if failed["asked"] == true {
            return Ok(Said::Later(error));
        }
        bar.set_message(format!("waiting: {error}"));
        tokio::time::sleep(Duration::from_millis(again_ms)).await;
        bar.set_message("");
        waited_ms += again_ms;
    }
}

fn bar(length: usize, what: &str, output: &Output) -> ProgressBar {
    let bar = match output.is_terminal() {
        true => ProgressBar::new(length as u64),
        false => ProgressBar::hidden(),
    };
    if let Ok(style) =
        ProgressStyle::with_template(&format!("{{wide_bar}} {{pos}}/{{len}} {what}, {{eta}} left {{msg}}"))
    {
        bar.set_style(style);
    }
    bar
}

async fn send(way: &Way, entries: &[Entry], output: &Output) -> Result<usize, Failure> {
    let bar = bar(entries.len(), "contacts", output);
    let (mut taken, mut changed) = (0, 0);
    for chunk in entries.chunks(CHUNK) {
        changed += way.put(chunk).await.map_err(|failure| {
            let text = format!(
                "{}\nat least {taken} of {} contacts are imported; run the command again, and it leaves these unchanged",
                failure.text,
                entries.len()
            );
            Failure::new(failure.exit, text)
        })?;
        taken += chunk.len();
        bar.set_position(taken as u64);
    }
    bar.finish_and_clear();
    Ok(changed)
}
