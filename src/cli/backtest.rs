//! The recorded history through edited rules: who would have got what. Never acts.

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::Value;

use super::{Exit, Failure, Output, customers::Way, offline::Offline, output::table, settings};
use crate::{
    app,
    backtest::{Backtest as Living, Recorded, Report, Row, Side},
    clock::{Clock, Timestamp},
    config::Config,
    decide::{Effects, Standing},
    rules::RuleSet,
    source::{Duration, Files},
};

/// How many records are read at once.
const PAGE: usize = 1_000;

/// How many differences are shown.
const SHOWN: usize = 20;

#[derive(Debug, Args)]
pub struct Backtest {
    /// The edited rules; else the configured directory as it lies on the disk.
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,

    /// How far to look back.
    #[arg(long, default_value = "30d", value_name = "DURATION")]
    since: String,
}

#[derive(Deserialize)]
struct WireRecord {
    n: u64,
    at: Timestamp,
    effects: Effects,
}

impl Backtest {
    pub fn run(self, given: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
        let wrong = |why| Failure::new(Exit::Usage, format!("--since `{}` {why}", self.since));
        let length: Duration = self.since.parse().map_err(wrong)?;
        let config = settings::load(given)?;
        let (edited, policy) = Offline::read(given, self.rules.as_deref())?.into_rules()?;
        let until = Clock::default().now();
        let since = until.plus_ms(-length.ms());
        let report = settings::block_on(async {
            let way = Way::find(&config).await?;
            let report = async {
                let in_force = in_force(&way, &config).await?;
                let standings = [&in_force, &edited].map(|rules| Standing::since(rules, since));
                let sides = (Side::new(&in_force, &standings[0]), Side::new(&edited, &standings[1]));
                let living = Living::new(sides.0, sides.1, &policy, since);
                live(living, &way, output).await.map(|living| living.end(until))
            };
            let report = report.await;
            way.close().await;
            report
        })?;
        if output.is_json() {
            output.json(&report);
        } else {
            show(&report, output);
        }
        Ok(())
    }
}

/// The rules that decide now.
async fn in_force(way: &Way, config: &Config) -> Result<RuleSet, Failure> {
    let files: Option<Files> = match way {
        Way::Server(client) => {
            let status = client.get("status").await?;
            let hash = status["rules"]["hash"].as_str().unwrap_or_default();
            let set = client.get(&format!("rule-sets/{hash}")).await?;
            serde_json::from_value(set["files"].clone()).ok()
        }
        Way::Store(store) => match store.active_set() {
            Some(hash) => store.rule_set(&hash).map_err(|error| Failure::new(Exit::Io, error))?,
            None => None,
        },
    };
    let none = || Failure::new(Exit::Failed, "no rules have decided anything here yet; there is no history");
    let compiled = RuleSet::compile(&files.ok_or_else(none)?, &app::context(config));
    let stale = "the rules in force can't be read with this configuration; `kyc-rules check` says why";
    compiled.set.ok_or_else(|| Failure::new(Exit::Config, stale))
}

/// Lives the whole history again.
async fn live<'a>(mut living: Living<'a>, way: &Way, output: &Output) -> Result<Living<'a>, Failure> {
    let total = match way {
        Way::Server(client) => client.get("status").await?["store"]["records"].as_u64().unwrap_or_default(),
        Way::Store(store) => store.figures().durable,
    };
    let bar = if output.is_terminal() { ProgressBar::new(total) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} records, {eta} left") {
        bar.set_style(style);
    }
    let mut from = 1;
    // What comes while it runs is not looked at, so that it ends.
    while from <= total {
        let records = page(way, from).await?;
        let Some(last) = records.last() else { break };
        from = last.number + 1;
        records.iter().for_each(|record| living.live(record));
        bar.set_position(from - 1);
    }
    bar.finish_and_clear();
    Ok(living)
}

async fn page(way: &Way, from: u64) -> Result<Vec<Recorded>, Failure> {
    match way {
        Way::Server(client) => {
            let page: Value = client.get(&format!("records?from={from}&limit={PAGE}")).await?;
            let unreadable = |error| Failure::new(Exit::Failed, format!("the server's records can't be read: {error}"));
            let records: Vec<WireRecord> = serde_json::from_value(page["records"].clone()).map_err(unreadable)?;
            let record = |wire: WireRecord| Recorded { number: wire.n, at: wire.at, effects: wire.effects };
            Ok(records.into_iter().map(record).collect())
        }
        Way::Store(store) => {
            let entries = store.records(from, PAGE).await.map_err(|error| Failure::new(Exit::Io, error))?;
            let record =
                |entry: crate::store::Entry| Recorded { number: entry.number, at: entry.at, effects: entry.effects };
            Ok(entries.into_iter().map(record).collect())
        }
    }
}

fn show(report: &Report, output: &mut Output) {
    output.line(format_args!(
        "{} callbacks of {} customers, from {} to {}\n",
        report.callbacks, report.customers, report.since, report.until
    ));
    if report.rules.is_empty() {
        output.line("nothing left, and nothing would have left");
        return;
    }
    let cells = |row: &Row| {
        let change = i128::from(row.edited) - i128::from(row.now);
        let change = if change == 0 { String::new() } else { format!("{change:+}") };
        vec![
            row.rule.clone(),
            row.action.clone(),
            row.got.to_string(),
            row.now.to_string(),
            row.edited.to_string(),
            change,
        ]
    };
    let rows: Vec<Vec<String>> = report.rules.iter().map(cells).collect();
    output.line(table(&["rule", "action", "got", "now", "edited", "change"], &rows));
    output.line(
        "\ngot: what left; now: what the rules in force would have sent; edited: what the edited ones would have",
    );
    for (what, changes, count) in [
        ("would have got, and did not by the rules in force", &report.more, report.more_count),
        ("would not have got any more", &report.fewer, report.fewer_count),
    ] {
        if count == 0 {
            continue;
        }
        output.line(format_args!("\n{count} {what}"));
        for change in changes.iter().take(SHOWN) {
            output
                .line(format_args!("  {}  {}  {} by rule {}", change.at, change.customer, change.action, change.rule));
        }
        let rest = count.saturating_sub(SHOWN as u64);
        if rest > 0 {
            output.line(format_args!("  and {rest} more (--json has up to 1,000)"));
        }
    }
    if let Some(worst) = &report.worst {
        output.line(format_args!("\nthe most by the edited rules: {}, {} times", worst.customer, worst.count));
        for left in worst.left.iter().take(SHOWN) {
            output.line(format_args!("  {left}"));
        }
    }
}
