//! The rules in force: loaded as a whole or not at all, and found again by their hash.
//!
//! A set is read, checked, compiled and tested before anything changes; then the store makes it the active one, in order with the
//! decisions. What is refused changes nothing, and is said in the log, in `status` and in a metric. The store keeps the last
//! good set, so that a restart over broken files runs it, and says so.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;

use crate::{
    cases::Tests,
    clock::{Clock, Timestamp},
    decide::Policy,
    impact::Impact,
    rules::{Context, RuleSet},
    rules_dir,
    source::{Diagnostic, Files, Sources, render},
    store::{Refused, Store, StoreError},
    telemetry::Metrics,
};

/// How many earlier sets are kept compiled, for mails whose first attempt was under one of them.
const MAX_EARLIER: usize = 16;

/// Why there are no rules to run with.
#[derive(Debug)]
pub enum StartError {
    /// The rules are wrong, and no earlier set is in the store. The text is what the merchant reads.
    Wrong(String),
    Store(String),
    /// The disk has no room to keep them; it may have later.
    NoRoom,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(text) | Self::Store(text) => f.write_str(text),
            Self::NoRoom => f.write_str("there is too little free space on the disk to keep the rules"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<Refused> for StartError {
    fn from(error: Refused) -> Self {
        match error {
            Refused::NoSpace => Self::NoRoom,
            other => Self::Store(format!("the rules can't be made the active ones: {other}")),
        }
    }
}

/// What rules are read from and with, and how strictly.
#[derive(Clone)]
pub struct Reading {
    pub dir: PathBuf,
    pub context: Context,
    /// As decisions have it; for the tests.
    pub policy: Policy,
    pub failing_tests: FailingTests,
    /// A reload that would order more jobs at once than this is refused; `None`: none is.
    pub blast_limit: Option<u64>,
}

/// What becomes of rules whose tests fail, or can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailingTests {
    /// They are as wrong as rules that can't be read.
    Refuse,
    /// They are loaded, with a warning.
    Warn,
}

/// What a reload came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reload {
    Loaded {
        hash: String,
        rules: usize,
    },
    /// The files say what is in force already.
    Unchanged,
    /// Everything stays as it was. The text is what the merchant reads.
    Refused {
        text: String,
    },
    /// The store could not take it.
    Failed(Refused),
}

/// What `status` says about the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    pub hash: String,
    pub loaded_at: Timestamp,
    pub count: usize,
    /// Since when the files on the disk are refused, and why.
    pub error: Option<(Timestamp, String)>,
}

/// The rules in force.
pub struct Rulebook {
    reading: Reading,
    store: Store,
    clock: Clock,
    metrics: Arc<Metrics>,
    current: ArcSwap<RuleSet>,
    told: Mutex<Told>,
    earlier: Mutex<HashMap<String, Arc<RuleSet>>>,
    /// One reload after the other.
    turn: tokio::sync::Mutex<()>,
}

struct Told {
    loaded_at: Timestamp,
    error: Option<(Timestamp, String)>,
}

fn shown(diagnostics: &[Diagnostic], files: &Files, dir: &Path) -> String {
    render(diagnostics, &Sources::default().directory(&dir.display().to_string(), files), false)
}

impl Rulebook {
    /// Reads the directory and makes what is in there the active set; or the last good one, where that is wrong.
    pub async fn start(
        reading: Reading,
        store: Store,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StartError> {
        let now = clock.now();
        let (set, error) = match read_and_test(&reading).await {
            Ok(set) => (set, None),
            Err(text) => match last_good(&store, &reading.context) {
                Ok(Some(set)) => (set, Some((now, text))),
                Ok(None) => return Err(StartError::Wrong(text)),
                Err(error) => {
                    let both = "the rules are wrong, and the last good ones in the store can't be used";
                    let todo = "Correct the rules, and they are used; or restore the file";
                    return Err(StartError::Store(format!("{both}: {error}\n{todo}\n\n{}", text.trim_end())));
                }
            },
        };
        if let Some((_, text)) = &error {
            tracing::error!("the rules are refused; the last good ones run on\n{text}");
        }
        metrics.reloaded(error.is_none());
        let set = Arc::new(set);
        store.activate(Arc::clone(&set)).await?;
        tracing::info!(hash = set.hash(), rules = set.rules().len(), "the rules are loaded");
        Ok(Self {
            reading,
            store,
            clock,
            metrics,
            current: ArcSwap::new(set),
            told: Mutex::new(Told { loaded_at: now, error }),
            earlier: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        })
    }

    pub fn current(&self) -> Arc<RuleSet> {
        self.current.load_full()
    }

    pub fn loaded(&self) -> Loaded {
        let set = self.current.load();
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        Loaded {
            hash: set.hash().to_owned(),
            loaded_at: told.loaded_at,
            count: set.rules().len(),
            error: told.error.clone(),
        }
    }

    /// Reads the directory; swaps the whole set, or nothing.
    pub async fn reload(&self) -> Reload {
        let _turn = self.turn.lock().await;
        match read_and_test(&self.reading).await {
            Err(text) => self.refuse(text),
            Ok(set) if set.hash() == self.current.load().hash() => {
                self.tell(|told| told.error = None);
                self.metrics.reloaded(true);
                Reload::Unchanged
            }
            Ok(set) => self.swap(Arc::new(set)).await,
        }
    }

    /// These files, or those in the directory, as a set that nobody makes the active one; or everything that is wrong with them.
    pub async fn edited(&self, files: Option<Files>) -> Result<Arc<RuleSet>, String> {
        let reading = self.reading.clone();
        let work = move || {
            let files = match files {
                Some(files) => files,
                None => {
                    rules_dir::read(&reading.dir).map_err(|wrong| shown(&wrong, &Files::default(), &reading.dir))?
                }
            };
            let compiled = RuleSet::compile(&files, &reading.context);
            compiled.set.map(Arc::new).ok_or_else(|| shown(&compiled.diagnostics, &files, &reading.dir))
        };
        let failed = |error| Err(format!("reading the rules failed: {error}"));
        tokio::task::spawn_blocking(work).await.unwrap_or_else(failed)
    }

    /// What loading this set would do, counted up to a little over `most` jobs.
    pub async fn impact(&self, set: &RuleSet, most: u64) -> Result<Impact, StoreError> {
        Impact::of(&self.store, set, &self.current.load_full(), self.clock.now(), most).await
    }

    pub fn blast_limit(&self) -> Option<u64> {
        self.reading.blast_limit
    }

    /// Why a set orders too much at once to be loaded.
    async fn blast(&self, set: &RuleSet) -> Option<String> {
        let limit = self.reading.blast_limit?;
        let impact = match self.impact(set, limit).await {
            Ok(impact) => impact,
            Err(error) => return Some(format!("what the rules would order at once can't be counted: {error}")),
        };
        if impact.total <= limit {
            return None;
        }
        let by_rule = impact.at_once.iter().map(|(rule, count)| format!("  {rule}: {count}"));
        let by_rule = by_rule.collect::<Vec<_>>().join("\n");
        Some(format!(
            "the rules would order more than {limit} jobs within an hour (`reload.blast_limit`):\n{by_rule}\nLoad them with \
             `mode: shadow` first and look at `kyc-rules backtest`, or raise the limit in the configuration and restart\n"
        ))
    }

    async fn swap(&self, set: Arc<RuleSet>) -> Reload {
        if let Some(text) = self.blast(&set).await {
            return self.refuse(text);
        }
        if let Err(refused) = self.store.activate(Arc::clone(&set)).await {
            tracing::error!(%refused, "the rules could not be made the active ones");
            return Reload::Failed(refused);
        }
        let (hash, rules) = (set.hash().to_owned(), set.rules().len());
        let before = self.current.swap(set);
        self.keep(before);
        self.tell(|told| *told = Told { loaded_at: self.clock.now(), error: None });
        self.metrics.reloaded(true);
        tracing::info!(hash, rules, "the rules are loaded");
        Reload::Loaded { hash, rules }
    }

    fn refuse(&self, text: String) -> Reload {
        tracing::error!("the rules are refused; everything stays as it was\n{text}");
        self.metrics.reloaded(false);
        self.tell(|told| told.error = Some((self.clock.now(), text.clone())));
        Reload::Refused { text }
    }

    fn tell(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn keep(&self, set: Arc<RuleSet>) {
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        if earlier.len() >= MAX_EARLIER {
            earlier.clear();
        }
        earlier.insert(set.hash().to_owned(), set);
    }

    /// The set with this hash: the one in force, or an earlier one out of the store.
    pub fn set(&self, hash: &str) -> Result<Option<Arc<RuleSet>>, StoreError> {
        let current = self.current.load_full();
        if current.hash() == hash {
            return Ok(Some(current));
        }
        if let Some(set) = self.earlier.lock().unwrap_or_else(PoisonError::into_inner).get(hash) {
            return Ok(Some(Arc::clone(set)));
        }
        let Some(files) = self.store.rule_set(hash)? else { return Ok(None) };
        let Some(set) = RuleSet::compile(&files, &self.reading.context).set.map(Arc::new) else { return Ok(None) };
        self.keep(Arc::clone(&set));
        Ok(Some(set))
    }
}

/// Off the threads that answer callbacks: a large directory takes its time.
async fn read_and_test(reading: &Reading) -> Result<RuleSet, String> {
    let reading = reading.clone();
    let work = move || {
        let files = rules_dir::read(&reading.dir).map_err(|wrong| shown(&wrong, &Files::default(), &reading.dir))?;
        let set = compile(&files, &reading)?;
        let overlooked = rules_dir::overlooked(&reading.dir);
        if !overlooked.is_empty() {
            let text = shown(&overlooked, &Files::default(), &reading.dir);
            tracing::warn!("beside the rules lies what is not read\n{text}");
        }
        Ok(set)
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(format!("reading the rules failed: {error}")))
}

/// The set, if nothing is wrong with it or its tests; or everything that is, as a merchant reads it.
fn compile(files: &Files, reading: &Reading) -> Result<RuleSet, String> {
    let compiled = RuleSet::compile(files, &reading.context);
    let (tests, of_tests) = Tests::read(files, compiled.set.as_ref(), &reading.context);
    let (mut diagnostics, strict) = (compiled.diagnostics, reading.failing_tests == FailingTests::Refuse);
    diagnostics.extend(of_tests);
    let text = shown(&diagnostics, files, &reading.dir);
    let Some(set) = compiled.set.filter(|_| tests.is_some() || !strict) else { return Err(text) };
    if tests.is_none() {
        tracing::warn!("the tests of the rules can't be read, and are not run\n{text}");
    } else if !diagnostics.is_empty() {
        tracing::warn!("the rules have warnings\n{text}");
    }
    let results = tests.unwrap_or_default().run(&set, &reading.policy).shown_in(&reading.dir.display().to_string());
    if results.failed() == 0 {
        return Ok(set);
    }
    let text = results.text();
    if strict {
        return Err(format!("the tests of the rules fail\n\n{text}"));
    }
    tracing::warn!("the tests of the rules fail, and the rules are loaded all the same\n{text}");
    Ok(set)
}

fn last_good(store: &Store, context: &Context) -> Result<Option<RuleSet>, StoreError> {
    let Some(hash) = store.active_set() else { return Ok(None) };
    let missing = || StoreError(format!("the file of rule set {hash}, which was active last, is missing"));
    let files = store.rule_set(&hash)?.ok_or_else(missing)?;
    Ok(RuleSet::compile(&files, context).set)
}
