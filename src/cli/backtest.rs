//! The recorded history through edited rules: who would have got what. Never acts.

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Exit, Failure, Output, history::History, offline::Offline, output::table, settings};
use crate::{
    app,
    backtest::{Backtest as Living, Recorded, Report, Row, Side},
    clock::Clock,
    config::Config,
    decide::Standing,
    rules::RuleSet,
    source::Duration,
};

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

impl Backtest {
    pub fn run(self, given: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
        let wrong = |why| Failure::new(Exit::Usage, format!("--since `{}` {why}", self.since));
        let length: Duration = self.since.parse().map_err(wrong)?;
        let config = settings::load(given)?;
        let (edited, policy) = Offline::read(given, self.rules.as_deref())?.into_rules()?;
        let until = Clock::default().now();
        let since = until.plus_ms(-length.ms());
        let report = settings::block_on(async {
            let history = History::find(&config).await?;
            let in_force = in_force(&history, &config).await?;
            let standings = [&in_force, &edited].map(|rules| Standing::since(rules, since));
            let sides = (Side::new(&in_force, &standings[0]), Side::new(&edited, &standings[1]));
            let living = Living::new(sides.0, sides.1, &policy, since);
            let report = live(living, &history, output).await?.end(until);
            Ok(Report { paused: history.paused_rules().await?, ..report })
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
async fn in_force(history: &History, config: &Config) -> Result<RuleSet, Failure> {
    let none = || Failure::new(Exit::Failed, "no rules have decided anything here yet; there is no history");
    let files = history.rules_in_force().await?.ok_or_else(none)?;
    let stale = "the rules in force can't be read with this configuration; `kyc-rules check` says why";
    RuleSet::compile(&files, &app::context(config)).set.ok_or_else(|| Failure::new(Exit::Config, stale))
}

/// Replays the whole history.
async fn live<'a>(mut living: Living<'a>, history: &History, output: &Output) -> Result<Living<'a>, Failure> {
    // Records that come while it runs are not looked at, so that it ends.
    let total = history.count().await?;
    let bar = if output.is_terminal() { ProgressBar::new(total) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} records, {eta} left") {
        bar.set_style(style);
    }
    let each = &mut |record: &Recorded| {
        living.live(record);
        bar.set_position(record.number);
    };
    history.each(total, each).await?;
    bar.finish_and_clear();
    Ok(living)
}

fn show(report: &Report, output: &mut Output) {
    output.line(format_args!(
        "{} callbacks of {} customers, from {} to {}\n",
        report.callbacks, report.customers, report.since, report.until
    ));
    if !report.paused.is_empty() {
        let paused = report.paused.join(", ");
        output.line(format_args!("paused by an operator now, and counted here as if they were not: {paused}\n"));
    }
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
