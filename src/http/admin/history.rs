//! The recorded history, unchanged or evaluated with edited rules.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use warp::{Filter, Rejection, reply::Response};

use super::{AdminContext, AdminResult, MAX_PAGE, PathPart, RecordsQuery, malformed, unprocessable, unreadable};
use crate::{
    backtest::{Backtest, BacktestReport, BacktestSide, HistoryRecord},
    decide::GlobalState,
    http::{
        body::capped_body,
        query::query,
        reply::{ErrorKind, ProblemDetails, json as answer},
    },
    rules::RuleSet,
    yaml::{Duration, Files},
};

/// The number of jobs after which counting stops.
const MOST_COUNTED: u64 = 1_000_000;

/// The maximum size of edited rules, in bytes.
const MAX_RULES_BYTES: usize = 32 << 20;

/// Edited rules to preview before they are saved.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    /// If absent: the files in the rules directory on the server.
    rules: Option<Files>,
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
        let record =
            |entry: &crate::store::TimelineEntry| json!({"n": entry.number, "at": entry.at, "effects": entry.effects});
        let records: Vec<_> = entries.iter().map(record).collect();
        Ok(answer(StatusCode::OK, &json!({"records": records, "next": next})))
    }

    async fn rule_set(&self, PathPart(hash): PathPart) -> AdminResult {
        match self.store()?.rule_set(&hash).map_err(unreadable)? {
            Some(files) => Ok(answer(StatusCode::OK, &json!({"hash": hash, "files": files}))),
            None => Err(ProblemDetails::new(ErrorKind::NotFound).detail("no record refers to this rule set")),
        }
    }

    /// Returns what saving these rules would change.
    async fn impact(&self, body: Bytes) -> AdminResult {
        let Saved { rules } = serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))?;
        let rulebook = self.rulebook()?;
        let edited = rulebook.edited(rules, true).await.map_err(unprocessable)?;
        let limit = rulebook.blast_limit();
        let most = limit.unwrap_or(MOST_COUNTED);
        let impact = rulebook.impact(&edited, most).await.map_err(unreadable)?;
        Ok(answer(
            StatusCode::OK,
            &json!({"limit": limit, "refused": limit.is_some_and(|limit| impact.total > limit), "impact": impact}),
        ))
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
