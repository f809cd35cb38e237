//! The recorded history, unchanged or evaluated with edited rules.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use warp::{Filter, Rejection, reply::Response};

use super::{AdminContext, AdminResult, MAX_PAGE, PathPart, malformed, sorted, unprocessable, unreadable};
use crate::{
    api::history::{ImpactInfo, ImpactRequest, ImpactResponse, RecordList, RecordResponse, RuleSetResponse},
    backtest::{Backtest, BacktestReport, BacktestSide, HistoryRecord},
    decide::GlobalState,
    http::{
        body::capped_body,
        query::query,
        reply::{ErrorKind, ProblemDetails, json as answer},
    },
    reload_preview::ReloadPreview,
    rules::RuleSet,
    store::TimelineEntry,
    yaml::{Duration, Files},
};

/// The number of jobs after which counting stops.
const MOST_COUNTED: u64 = 1_000_000;

/// The maximum size of edited rules, in bytes.
const MAX_RULES_BYTES: usize = 32 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordsQuery {
    /// The number of the first record.
    from: Option<u64>,
    limit: Option<usize>,
}

/// Edited rules, and how far to look back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edited {
    /// File contents by path relative to the rules directory. If absent: the files in the rules directory on the
    /// server.
    rules: Option<Files>,
    /// A duration such as `30d`.
    since: String,
}

pub fn routes(admin: &Arc<AdminContext>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    let records = warp::path!("records")
        .and(warp::get())
        .and(query())
        .then(answered!(admin, |this, query: RecordsQuery| this.records(query)));
    let set = warp::path!("rule-sets" / PathPart)
        .and(warp::get())
        .then(answered!(admin, |this, hash: PathPart| this.rule_set(hash)));
    let backtest = warp::path!("backtest")
        .and(warp::post())
        .and(capped_body(MAX_RULES_BYTES))
        .then(answered!(admin, |this, body: Bytes| this.backtest(body)));
    let impact = warp::path!("impact")
        .and(warp::post())
        .and(capped_body(MAX_RULES_BYTES))
        .then(answered!(admin, |this, body: Bytes| this.impact(body)));
    records.or(set).unify().or(backtest).unify().or(impact).unify()
}

impl AdminContext {
    /// Returns records in the order of the journal.
    async fn records(&self, query: RecordsQuery) -> AdminResult {
        let max = query.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
        let entries = self.store()?.records(query.from.unwrap_or(1), max).await.map_err(unreadable)?;
        let next = entries.last().map(|entry| entry.number + 1);
        let record = |entry: TimelineEntry| RecordResponse { n: entry.number, at: entry.at, effects: entry.effects };
        Ok(sorted(&RecordList { records: entries.into_iter().map(record).collect(), next }))
    }

    async fn rule_set(&self, PathPart(hash): PathPart) -> AdminResult {
        match self.store()?.rule_set(&hash).map_err(unreadable)? {
            Some(files) => Ok(sorted(&RuleSetResponse { hash, files })),
            None => Err(ProblemDetails::new(ErrorKind::NotFound).detail("no record refers to this rule set")),
        }
    }

    /// Returns what saving these rules would change.
    async fn impact(&self, body: Bytes) -> AdminResult {
        let ImpactRequest { rules } = serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))?;
        let rulebook = self.rulebook()?;
        let edited = rulebook.edited(rules, true).await.map_err(unprocessable)?;
        let limit = rulebook.blast_limit();
        let most = limit.unwrap_or(MOST_COUNTED);
        let impact = rulebook.impact(&edited, most).await.map_err(unreadable)?;
        let refused = limit.is_some_and(|limit| impact.total > limit);
        let ReloadPreview { added, removed, changed, at_once, total } = impact;
        let impact = ImpactInfo { added, removed, changed, at_once, total };
        Ok(sorted(&ImpactResponse { limit, refused, impact }))
    }

    async fn backtest(&self, body: Bytes) -> AdminResult {
        let Edited { rules, since } = serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))?;
        let length: Duration = since.parse().map_err(|why| unprocessable(format!("since: `{since}` {why}")))?;
        let (store, rulebook) = (self.store()?, self.rulebook()?);
        let edited: Arc<RuleSet> = rulebook.edited(rules, false).await.map_err(unprocessable)?;
        let (in_force, policy, until) = (rulebook.current(), self.policy.clone(), self.clock.now());
        let since = until.plus_ms(-length.ms());
        let standings = [&in_force, &edited].map(|rules| GlobalState::since(rules, since));
        let sides = [BacktestSide::new(&in_force, &standings[0]), BacktestSide::new(&edited, &standings[1])];
        let [now, edited] = sides;
        let mut backtest = Backtest::new(now, edited, &policy, since);
        let mut from = 1;
        loop {
            let entries = store.records(from, MAX_PAGE).await.map_err(unreadable)?;
            let Some(last) = entries.last() else { break };
            from = last.number + 1;
            for entry in entries {
                backtest.live(&HistoryRecord { number: entry.number, at: entry.at, effects: entry.effects });
            }
            // Lets other tasks of this thread run.
            tokio::task::yield_now().await;
        }
        let paused = self.global_state()?.paused_rules().map(|(rule, _)| rule.to_string()).collect();
        Ok(answer(StatusCode::OK, &BacktestReport { paused, ..backtest.end(until) }))
    }
}
