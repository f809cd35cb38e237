//! The `backtest` command: replays the recorded history with edited rules. Never sends anything.

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    CommandError, Exit, Output, check::counted, history::HistoryCommand, output::table, settings, workspace::Workspace,
};
use crate::{
    app,
    backtest::{ActionTotals, Backtest as Living, BacktestReport, BacktestSide, HistoryRecord},
    clock::Clock,
    config::Config,
    decide::GlobalState,
    rules::RuleSet,
    yaml::Duration,
};

/// The maximum number of differences that are printed.
const SHOWN: usize = 20;

#[derive(Debug, Args)]
pub struct BacktestArgs {
    /// Directory of the edited rules. Default: the configured directory, as it is on disk.
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,

    /// Length of the replayed period, up to now.
    #[arg(long, default_value = "30d", value_name = "DURATION")]
    since: String,
}

impl BacktestArgs {
    pub fn run(self, given: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        let wrong = |why| CommandError::new(Exit::Usage, format!("--since `{}` {why}", self.since));
        let length: Duration = self.since.parse().map_err(wrong)?;
        let config = settings::load(given)?;
        let (edited, policy) = Workspace::read(given, self.rules.as_deref())?.into_rules()?;
        let until = Clock::default().now();
        let since = until.plus_ms(-length.ms());
        let report = settings::block_on(async {
            let history = HistoryCommand::find(&config).await?;
            let in_force = in_force(&history, &config).await?;
            let standings = [&in_force, &edited].map(|rules| GlobalState::since(rules, since));
            let sides = (BacktestSide::new(&in_force, &standings[0]), BacktestSide::new(&edited, &standings[1]));
            let living = Living::new(sides.0, sides.1, &policy, since);
            let report = live(living, &history, output).await?.end(until);
            Ok(BacktestReport { paused: history.paused_rules().await?, ..report })
        })?;
        if output.is_json() {
            output.json(&report);
        } else {
            show(&report, output);
        }
        Ok(())
    }
}

/// Returns the rule set that is active now.
async fn in_force(history: &HistoryCommand, config: &Config) -> Result<RuleSet, CommandError> {
    let none = || CommandError::new(Exit::Failed, "there is no history: no rule set has been active yet");
    let files = history.rules_in_force().await?.ok_or_else(none)?;
    let stale = "the active rules do not compile with this configuration; run `kyc-rules check` for the reason";
    RuleSet::compile(&files, &app::context(config)).set.ok_or_else(|| CommandError::new(Exit::Config, stale))
}

/// Replays the whole history.
async fn live<'a>(
    mut living: Living<'a>,
    history: &HistoryCommand,
    output: &Output,
) -> Result<Living<'a>, CommandError> {
    // Records written after this point are not replayed, so that the loop ends.
    let total = history.count().await?;
    let bar = if output.is_terminal() { ProgressBar::new(total) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} records, {eta} left") {
        bar.set_style(style);
    }
    let each = &mut |record: &HistoryRecord| {
        living.live(record);
        bar.set_position(record.number);
    };
    history.each(total, each).await?;
    bar.finish_and_clear();
    Ok(living)
}

fn show(report: &BacktestReport, output: &mut Output) {
    output.line(format_args!(
        "{}; {}; from {} to {}\n",
        counted(usize::try_from(report.callbacks).unwrap_or(usize::MAX), "callback"),
        counted(report.customers, "customer"),
        report.since,
        report.until
    ));
    if !report.paused.is_empty() {
        let paused = report.paused.join(", ");
        output.line(format_args!("paused by an operator now, but counted here as live: {paused}\n"));
    }
    if report.rules.is_empty() {
        output.line("nothing was sent, and nothing would have been sent");
        return;
    }
    let cells = |row: &ActionTotals| {
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
    output.line("\ngot: sent, as recorded; now: would have been sent by the active rules; edited: by the edited rules");
    for (what, changes, count) in [
        ("would have been sent by the edited rules only", &report.more, report.more_count),
        ("would have been sent by the active rules only", &report.fewer, report.fewer_count),
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
        output.line(format_args!(
            "\ncustomer with the most actions by the edited rules: {}, {} in total",
            worst.customer, worst.count
        ));
        for left in worst.left.iter().take(SHOWN) {
            output.line(format_args!("  {left}"));
        }
    }
}
