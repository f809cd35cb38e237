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
    TableFormat,
    backend::{CHUNK, CustomersBackend},
};
use crate::{
    api::refresh::{ImportRefreshResponse, RefreshRequest},
    cli::{
        CommandError, Exit, Output,
        check::counted,
        client::{AdminClient, Original, part},
        settings,
    },
    clock::Clock,
    contacts::{self, ContactEntry, ImportChecks},
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
pub struct ImportArgs {
    /// CSV with column names in the first line (id, email, name, locale, timezone, country and declared attributes), or
    /// NDJSON. `-` is standard input. The columns status, since and tags set the state of customers without callbacks.
    file: PathBuf,

    /// Also query the provider's API about each customer, at a limited rate, and store the status of customers without
    /// callbacks.
    #[arg(long)]
    from_provider: bool,

    /// Format of the file. Default: by the file name.
    #[arg(long, value_enum)]
    format: Option<TableFormat>,
}

impl ImportArgs {
    pub fn run(self, given: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        let config = settings::load_without_secrets(given)?;
        let text = self.text()?;
        let format = TableFormat::of(self.format, &self.file);
        let terms = ImportChecks {
            attributes: &config.directory.attributes,
            statuses: &config.statuses,
            now: Clock::default().now(),
        };
        let entries = contacts::read(&text, format, terms).map_err(|bad| self.refused(&bad))?;
        let (changed, direct, asked) = settings::block_on(async {
            let way = CustomersBackend::find(&config).await?;
            let direct = matches!(way, CustomersBackend::Store(_));
            let taken = self.take(&way, &entries, output).await;
            way.close().await;
            taken.map(|(changed, asked)| (changed, direct, asked))
        })?;
        let where_to = if direct { "into the data directory, since no server runs" } else { "by the running server" };
        output.json_or_text(
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
    async fn take(
        &self,
        way: &CustomersBackend,
        entries: &[ContactEntry],
        output: &Output,
    ) -> Result<(usize, Option<ApiProgress>), CommandError> {
        let client = match (way, self.from_provider) {
            (_, false) => None,
            (CustomersBackend::Server(client), true) => Some(client),
            (CustomersBackend::Store(_), true) => {
                let text = "--from-provider needs the running server, which limits the rate of requests to the API; start \
                            `kyc-rules serve`";
                return Err(CommandError::new(Exit::Unavailable, text));
            }
        };
        let changed = send(way, entries, output).await?;
        let Some(client) = client else { return Ok((changed, None)) };
        ask(client, entries, output).await.map(|asked| (changed, Some(asked)))
    }

    fn text(&self) -> Result<String, CommandError> {
        let name = self.file.display();
        let mut bytes = Vec::new();
        if self.file == Path::new("-") {
            std::io::stdin().read_to_end(&mut bytes).map_err(CommandError::io("reading standard input"))?;
        } else {
            bytes = std::fs::read(&self.file).map_err(CommandError::io(format!("reading {name}")))?;
        }
        String::from_utf8(bytes).map_err(|error| {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
            CommandError::new(Exit::Failed, format!("{name}, line {line}: is not UTF-8; nothing was imported"))
        })
    }

    fn refused(&self, bad: &[contacts::BadLine]) -> CommandError {
        let mut lines: Vec<String> = bad.iter().take(SHOWN).map(|bad| format!("  {bad}")).collect();
        if bad.len() > SHOWN {
            lines.push(format!("  and {} more", bad.len() - SHOWN));
        }
        let text = format!("{} has errors; nothing was imported:\n{}", self.file.display(), lines.join("\n"));
        CommandError::new(Exit::Failed, text)
    }
}

fn unanswered(failed: &[String], all: usize) -> CommandError {
    let mut lines: Vec<String> = failed.iter().take(SHOWN).map(|one| format!("  {one}")).collect();
    if failed.len() > SHOWN {
        lines.push(format!("  and {} more", failed.len() - SHOWN));
    }
    let text = format!(
        "the provider's API gave no usable answer about {} of {all}; run the command again, and it skips customers with a status:\n{}",
        failed.len(),
        lines.join("\n")
    );
    CommandError::new(Exit::Failed, text)
}

/// The answers of the provider's API, counted.
#[derive(Default)]
struct ApiProgress {
    /// Customers with a new status.
    known: usize,
    /// Customers that the API does not know: 404, or a `null` status.
    unknown: usize,
    /// Customers without a usable answer, with the reason.
    failed: Vec<String>,
}

/// Queries the provider's API about each customer through the server. Customers without an answer are retried at the
/// end, so that they do not delay the others.
async fn ask(client: &AdminClient, entries: &[ContactEntry], output: &Output) -> Result<ApiProgress, CommandError> {
    let bar = bar(entries.len(), "customers", output);
    let mut asked = ApiProgress::default();
    let mut left: Vec<(&ContactEntry, String)> = entries.iter().map(|entry| (entry, String::new())).collect();
    let mut answered_at = Instant::now();
    for nth in 0..TRIES {
        let mut unanswered = Vec::new();
        for (entry, _) in left {
            match ask_about(client, entry, &bar).await? {
                ApiStatus::Known => asked.known += 1,
                ApiStatus::Unknown => asked.unknown += 1,
                ApiStatus::Nothing => {}
                ApiStatus::Odd(error) => asked.failed.push(format!("{}: {error}", entry.id)),
                ApiStatus::Later(error) if answered_at.elapsed() > PATIENCE => return Err(given_up(&error)),
                ApiStatus::Later(error) => {
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

fn given_up(error: &str) -> CommandError {
    let text =
        format!("{error}\nthe contacts are imported; run the command again, and it skips customers with a status");
    CommandError::new(Exit::Unavailable, text)
}

enum ApiStatus {
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
async fn ask_about(client: &AdminClient, entry: &ContactEntry, bar: &ProgressBar) -> Result<ApiStatus, CommandError> {
    let path = format!("customers/{}/refresh", part(entry.id.as_str()));
    let body = RefreshRequest { believe: false, import: true };
    let mut waited_ms = 0;
    loop {
        let answer: Original<ImportRefreshResponse> = client.post_json(&path, &body).await?;
        let failed = match &*answer {
            ImportRefreshResponse::Failed(failed) => &failed.failed,
            ImportRefreshResponse::Answered(answer) => {
                return Ok(match answer.verdict.as_deref() {
                    Some("imported") => ApiStatus::Known,
                    _ if answer.provider_knows == Some(false) => ApiStatus::Unknown,
                    _ => ApiStatus::Nothing,
                });
            }
        };
        let error = failed.error.clone();
        if failed.lasting {
            return Ok(ApiStatus::Odd(error));
        }
        let again_ms = u64::try_from(failed.again_ms).unwrap_or_default().max(100);
        if failed.everybody || waited_ms + again_ms > LONGEST_WAIT_MS {
            return Err(given_up(&error));
        }
        if failed.asked {
            return Ok(ApiStatus::Later(error));
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

async fn send(way: &CustomersBackend, entries: &[ContactEntry], output: &Output) -> Result<usize, CommandError> {
    let bar = bar(entries.len(), "contacts", output);
    let (mut taken, mut changed) = (0, 0);
    for chunk in entries.chunks(CHUNK) {
        changed += way.put(chunk).await.map_err(|failure| {
            let text = format!(
                "{}\nat least {taken} of {} contacts are imported; run the command again, and it leaves these unchanged",
                failure.text,
                entries.len()
            );
            CommandError::new(failure.exit, text)
        })?;
        taken += chunk.len();
        bar.set_position(taken as u64);
    }
    bar.finish_and_clear();
    Ok(changed)
}
