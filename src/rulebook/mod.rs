//! The active set of rules. A set is loaded as a whole or not at all, and is identified by its hash.
//!
//! The judge (`judge.rs`) checks a set before anything changes. Then the store activates it, in order with the
//! decisions. A refused set changes nothing; the log, `status` and a metric report it. A start activates the last good
//! set from the store and checks the files after that, so that files which crash the process cannot keep it from
//! starting (`marker.rs`).

mod marker;

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;

use crate::{
    channels::sender::OrderedRules,
    clock::{Clock, Timestamp},
    judge::{self, JudgeOptions},
    reload_preview::ReloadPreview,
    rules::{Environment, RuleSet},
    rules_dir::{self, QuietPeriod},
    store::{Refused, Store, StoreError},
    telemetry::Metrics,
    yaml::{Diagnostic, Files, Sources, render},
};

pub use marker::JudgingMarker;

use marker::JudgingDecision;

/// Maximum time that a reload waits for files that are open for writing.
const PATIENCE: Duration = Duration::from_secs(5);

/// Maximum number of earlier sets kept in memory, for mails whose first attempt used one of them.
const MAX_EARLIER: usize = 16;

/// The reason why a start has no rules to activate.
#[derive(Debug)]
pub enum StartError {
    /// The rules have errors, and the store has no earlier set. Holds the text for the operator.
    Wrong(String),
    Store(String),
    /// The disk has too little free space to store the rules. A later try may succeed.
    NoRoom,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(text) | Self::Store(text) => f.write_str(text),
            Self::NoRoom => f.write_str("there is too little free space on the disk to store the rules"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<Refused> for StartError {
    fn from(error: Refused) -> Self {
        match error {
            Refused::NoSpace => Self::NoRoom,
            other => Self::Store(format!("the rules could not be activated: {other}")),
        }
    }
}

/// The settings for loading rules.
#[derive(Clone)]
pub struct RulesSource {
    pub dir: PathBuf,
    pub terms: JudgeOptions,
    /// Maximum number of jobs that a reload may order within an hour; `None`: no limit.
    pub blast_limit: Option<u64>,
    /// Records on disk which set is being checked, so that a start after a crash knows it.
    pub marker: JudgingMarker,
}

/// The result of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReloadResult {
    Loaded {
        hash: String,
        rules: usize,
    },
    /// The files are those of the active set.
    Unchanged,
    /// The files were refused; the active set is unchanged. Holds the text for the operator.
    Refused {
        text: String,
    },
    /// Nothing was read, because a file is open for writing or git is changing files. The text names the file.
    Waits {
        text: String,
    },
    /// The store could not activate the set.
    Failed(Refused),
}

/// The part of `status` about the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedRules {
    pub hash: String,
    pub loaded_at: Timestamp,
    pub count: usize,
    /// Time of the first refusal of the files on disk, and the reason of the last one.
    pub error: Option<(Timestamp, String)>,
}

/// The active rules and the means to replace them.
pub struct Rulebook {
    reading: RulesSource,
    rest: QuietPeriod,
    store: Store,
    clock: Clock,
    metrics: Arc<Metrics>,
    current: ArcSwap<RuleSet>,
    told: Mutex<LoggedState>,
    earlier: Mutex<HashMap<String, Arc<RuleSet>>>,
    /// Serializes reloads.
    turn: tokio::sync::Mutex<()>,
}

struct LoggedState {
    loaded_at: Timestamp,
    error: Option<(Timestamp, String)>,
}

fn rendered(diagnostics: &[Diagnostic], files: &Files, dir: &Path) -> String {
    render(diagnostics, &Sources::default().directory(&dir.display().to_string(), files), false)
}

impl Rulebook {
    /// Activates the last good set from the store; [`Rulebook::begin`] then checks the files. If the store has no such
    /// set, checks the files at once and returns an error if they are refused.
    pub async fn start(
        reading: RulesSource,
        rest: QuietPeriod,
        store: Store,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StartError> {
        let (last, lost) = match last_good(&store, &reading.terms.context).await {
            Ok(set) => (set, None),
            Err(error) => {
                tracing::error!(%error, "the last good rules cannot be used; checking the files on disk instead");
                (None, Some(error))
            }
        };
        let set = match last {
            Some(set) => set,
            None => {
                if let Err(why) = rest.released(PATIENCE).await {
                    tracing::warn!(
                        why,
                        "reading the rules while their files are changing, because there is no earlier set to run"
                    );
                }
                let judged = read_and_judge(&reading, None).await.map_err(|text| wrong(text, lost.as_ref()))?;
                metrics.reloaded(true);
                judged.ok_or_else(|| StartError::Wrong("there is no active set".to_owned()))?
            }
        };
        let set = Arc::new(set);
        store.activate(Arc::clone(&set)).await?;
        tracing::info!(hash = set.hash(), rules = set.rules().len(), "the rules are loaded");
        let loaded_at = clock.now();
        Ok(Self {
            reading,
            rest,
            store,
            clock,
            metrics,
            current: ArcSwap::new(set),
            told: Mutex::new(LoggedState { loaded_at, error: None }),
            earlier: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// Checks the files for the first time after a start.
    pub async fn begin(&self) -> ReloadResult {
        let reload = self.reload().await;
        if matches!(reload, ReloadResult::Refused { .. }) {
            tracing::error!("the rules on disk are refused; the last good set stays active");
        }
        reload
    }

    /// Tells the marker that the service stops: a check that is interrupted now was not ended by the files.
    pub fn stop(&self) {
        self.reading.marker.stop();
    }

    pub fn current(&self) -> Arc<RuleSet> {
        self.current.load_full()
    }

    pub fn loaded(&self) -> LoadedRules {
        let set = self.current.load();
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        LoadedRules {
            hash: set.hash().to_owned(),
            loaded_at: told.loaded_at,
            count: set.rules().len(),
            error: told.error.clone(),
        }
    }

    /// Waits until no file is being written, then reads the directory. Replaces the whole set or nothing.
    pub async fn reload(&self) -> ReloadResult {
        let _turn = self.turn.lock().await;
        if let Err(why) = self.rest.released(PATIENCE).await {
            let text = format!("the rules were not read, because their files are still changing: {why}");
            tracing::warn!("{text}");
            return ReloadResult::Waits { text };
        }
        let in_force = self.current.load_full();
        match read_and_judge(&self.reading, Some(in_force.hash())).await {
            Err(text) => self.refuse(text),
            Ok(Some(set)) if set.hash() != in_force.hash() => self.swap(Arc::new(set)).await,
            Ok(_) => {
                self.log_result(|told| told.error = None);
                self.metrics.reloaded(true);
                ReloadResult::Unchanged
            }
        }
    }

    /// Compiles these files, or those in the directory, without activating them. Returns the set, or the text of all
    /// errors. With `judged`, also runs the tests of the rules; a failing test refuses the set as in a reload.
    pub async fn edited(&self, files: Option<Files>, judged: bool) -> Result<Arc<RuleSet>, String> {
        let (reading, in_force) = (self.reading.clone(), self.current());
        let work = move || {
            let files = match files {
                Some(files) => files,
                None => read_files(&reading)?,
            };
            let admission = reading.marker.decide_judging(&files.hash(), Some(in_force.hash()));
            if let JudgingDecision::Refused(refusal) = admission {
                return Err(refusal);
            }
            let verdict = match judged {
                true => judge::judge(&files, &reading.terms),
                false => judge::read(&files, &reading.terms),
            };
            let is_refused = judged && verdict.is_refused();
            let text = verdict.text(&files, &reading.dir.display().to_string());
            verdict.rules.filter(|_| !is_refused).map(Arc::new).ok_or(text)
        };
        let failed = |error| Err(format!("reading the rules failed: {error}"));
        tokio::task::spawn_blocking(work).await.unwrap_or_else(failed)
    }

    /// Counts the jobs that loading this set would order, up to a little over `most` jobs.
    pub async fn impact(&self, set: &RuleSet, most: u64) -> Result<ReloadPreview, StoreError> {
        ReloadPreview::of(&self.store, set, &self.current.load_full(), self.clock.now(), most).await
    }

    pub fn blast_limit(&self) -> Option<u64> {
        self.reading.blast_limit
    }

    /// Returns the reason for refusal if a set would order more jobs than `blast_limit` allows.
    async fn blast_orders(&self, set: &RuleSet) -> Option<String> {
        let limit = self.reading.blast_limit?;
        let impact = match self.impact(set, limit).await {
            Ok(impact) => impact,
            Err(error) => {
                return Some(format!("the jobs that the rules would order at once could not be counted: {error}"));
            }
        };
        if impact.total <= limit {
            return None;
        }
        let by_rule = impact.at_once.iter().map(|(rule, count)| format!("  {rule}: {count}"));
        let by_rule = by_rule.collect::<Vec<_>>().join("\n");
        Some(format!(
            "the rules would order more than {limit} jobs within an hour (`reload.blast_limit`):\n{by_rule}\nLoad them with \
             `mode: shadow` first and run `kyc-rules backtest`, or raise the limit in the configuration and restart\n"
        ))
    }

    async fn swap(&self, set: Arc<RuleSet>) -> ReloadResult {
        if let Some(text) = self.blast_orders(&set).await {
            return self.refuse(text);
        }
        if let Err(refused) = self.store.activate(Arc::clone(&set)).await {
            tracing::error!(%refused, "the rules could not be activated");
            return ReloadResult::Failed(refused);
        }
        let (hash, rules) = (set.hash().to_owned(), set.rules().len());
        let before = self.current.swap(set);
        self.keep(before);
        self.log_result(|told| *told = LoggedState { loaded_at: self.clock.now(), error: None });
        self.metrics.reloaded(true);
        tracing::info!(hash, rules, "the rules are loaded");
        ReloadResult::Loaded { hash, rules }
    }

    fn refuse(&self, text: String) -> ReloadResult {
        tracing::error!("the rules are refused; the active set is unchanged\n{text}");
        self.metrics.reloaded(false);
        let now = self.clock.now();
        self.log_result(|told| {
            let since = told.error.as_ref().map_or(now, |(since, _)| *since);
            told.error = Some((since, text.clone()));
        });
        ReloadResult::Refused { text }
    }

    fn log_result(&self, change: impl FnOnce(&mut LoggedState)) {
        change(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn keep(&self, set: Arc<RuleSet>) {
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        if earlier.len() >= MAX_EARLIER {
            earlier.clear();
        }
        earlier.insert(set.hash().to_owned(), set);
    }

    /// Returns the set with this hash: the active set, or an earlier one from the store.
    pub fn set(&self, hash: &str) -> Result<Option<Arc<RuleSet>>, StoreError> {
        let current = self.current.load_full();
        if current.hash() == hash {
            return Ok(Some(current));
        }
        if let Some(set) = self.earlier.lock().unwrap_or_else(PoisonError::into_inner).get(hash) {
            return Ok(Some(Arc::clone(set)));
        }
        let Some(files) = self.store.rule_set(hash)? else { return Ok(None) };
        let Some(set) = RuleSet::compile(&files, &self.reading.terms.context).set.map(Arc::new) else {
            return Ok(None);
        };
        self.keep(Arc::clone(&set));
        Ok(Some(set))
    }
}

fn read_files(reading: &RulesSource) -> Result<Files, String> {
    rules_dir::read(&reading.dir).map_err(|wrong| rendered(&wrong, &Files::default(), &reading.dir))
}

/// Runs on a blocking thread, because a large directory takes long. Returns `None` if the files are those of the active
/// set.
async fn read_and_judge(reading: &RulesSource, in_force: Option<&str>) -> Result<Option<RuleSet>, String> {
    let (reading, in_force) = (reading.clone(), in_force.map(str::to_owned));
    let work = move || {
        let files = read_files(&reading)?;
        match reading.marker.decide_judging(&files.hash(), in_force.as_deref()) {
            JudgingDecision::Judge => {}
            JudgingDecision::InForce => return Ok(None),
            JudgingDecision::Refused(refusal) => return Err(refusal),
        }
        let set = judged(&files, &reading)?;
        let overlooked = rules_dir::overlooked(&reading.dir);
        if !overlooked.is_empty() {
            let text = rendered(&overlooked, &Files::default(), &reading.dir);
            tracing::warn!("the rules directory has files that are not read\n{text}");
        }
        Ok(Some(set))
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(format!("reading the rules failed: {error}")))
}

/// Checks the files and runs their tests. Returns the set, or the text of all errors for the operator.
fn judged(files: &Files, reading: &RulesSource) -> Result<RuleSet, String> {
    let judging = reading
        .marker
        .begin(&files.hash())
        .map_err(|error| format!("the data directory is not writable, so the rules were not checked: {error}"))?;
    let verdict = judge::judge(files, &reading.terms);
    drop(judging);
    let text = verdict.text(files, &reading.dir.display().to_string());
    let is_refused = verdict.is_refused();
    let Some(set) = verdict.rules.filter(|_| !is_refused) else { return Err(text) };
    if verdict.tests.is_none() {
        tracing::warn!("the tests of the rules have errors and were not run\n{text}");
    } else if !text.is_empty() {
        tracing::warn!("the rules are valid, with warnings\n{text}");
    }
    Ok(set)
}

/// Loads the set that was active last. `None`: no set was ever active, or this version cannot compile it.
async fn last_good(store: &Store, context: &Environment) -> Result<Option<RuleSet>, StoreError> {
    let (store, context) = (store.clone(), context.clone());
    let work = move || {
        let Some(hash) = store.active_set() else { return Ok(None) };
        let missing = || StoreError(format!("the file of rule set {hash}, which was active last, is missing"));
        let files = store.rule_set(&hash)?.ok_or_else(missing)?;
        Ok(RuleSet::compile(&files, &context).set)
    };
    let ended = |error: tokio::task::JoinError| Err(StoreError(format!("reading the last good rules failed: {error}")));
    tokio::task::spawn_blocking(work).await.unwrap_or_else(ended)
}

/// The error of a start without rules. `lost`: the reason why the last good rules cannot be used.
fn wrong(text: String, lost: Option<&StoreError>) -> StartError {
    match lost {
        None => StartError::Wrong(text),
        Some(error) => StartError::Store(format!(
            "the rules have errors, and the last good rules in the store cannot be used: {error}\n\
             Correct the rules, or restore the file of the last good rules\n\n{}",
            text.trim_end()
        )),
    }
}

impl OrderedRules for Rulebook {
    fn ordered_under(&self, hash: &str) -> Result<Arc<RuleSet>, String> {
        let set = self.set(hash).map_err(|error| error.to_string())?;
        Ok(set.unwrap_or_else(|| self.current()))
    }
}
