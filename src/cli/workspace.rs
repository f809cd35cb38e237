//! Input of the commands that need no server: an optional configuration, and a directory of rules with their tests.

use std::path::{Path, PathBuf};

use super::{CommandError, Exit, settings};
use crate::{
    app,
    config::{Config, LoadedConfig, OnMissing},
    decide::Policy,
    judge::{self, JudgeOptions, Judgement},
    rule_tests::{RuleTests, TestResults},
    rulebook::JudgingMarker,
    rules::{Environment, RuleSet},
    rules_dir,
    yaml::{Diagnostic, Files, Severity, Sources, render},
};

pub struct Workspace {
    /// `None` if there is no configuration and the rules directory was given.
    pub configuration: Option<LoadedConfig>,
    dir: Option<PathBuf>,
    pub policy: Policy,
    files: Files,
    /// `None` if the rules, or the configuration that they depend on, have an error.
    pub rules: Option<RuleSet>,
    /// `None` if the tests have an error.
    pub tests: Option<RuleTests>,
    /// Results of the tests; `None` if they were not run.
    pub results: Option<TestResults>,
    /// Diagnostics of the configuration, the rules and the tests.
    pub diagnostics: Vec<Diagnostic>,
}

impl Workspace {
    /// Reads the configuration and the given directory, or the configured one. Unset variables stay unfilled, so that
    /// this works on machines without the secrets.
    pub fn read(given: Option<&Path>, rules: Option<&Path>) -> Result<Self, CommandError> {
        Self::asked(given, rules, judge::read)
    }

    /// Like [`Self::read`], and also runs the checks and tests of a reload.
    pub fn judged(given: Option<&Path>, rules: Option<&Path>) -> Result<Self, CommandError> {
        Self::asked(given, rules, judge::judge)
    }

    fn asked(
        given: Option<&Path>,
        rules: Option<&Path>,
        ask: impl FnOnce(&Files, &JudgeOptions) -> Judgement,
    ) -> Result<Self, CommandError> {
        let configuration = match (Config::find(given), rules) {
            (None, Some(_)) => None,
            _ => Some(settings::read(&settings::find(given)?, OnMissing::Allow)?),
        };
        let config = configuration.as_ref().and_then(|loaded| loaded.config.as_ref());
        let mut offline = Self {
            dir: rules.map(Path::to_owned).or_else(|| config.map(|config| config.rules.clone())),
            policy: config.map(Policy::of).unwrap_or_default(),
            diagnostics: configuration.iter().flat_map(|loaded| loaded.diagnostics.iter().cloned()).collect(),
            configuration,
            files: Files::default(),
            rules: None,
            tests: None,
            results: None,
        };
        offline.ask(ask);
        Ok(offline)
    }

    fn ask(&mut self, ask: impl FnOnce(&Files, &JudgeOptions) -> Judgement) {
        let Some(dir) = &self.dir else { return };
        match rules_dir::read(dir) {
            Err(wrong) => self.diagnostics.extend(wrong),
            Ok(files) => {
                let terms = match &self.configuration {
                    None => JudgeOptions { context: Environment::assumed_by(&files), ..JudgeOptions::default() },
                    // Without a valid configuration the names that the rules may use are unknown.
                    Some(loaded) => match &loaded.config {
                        Some(config) => app::terms(config),
                        None => return,
                    },
                };
                let configured = self.configuration.as_ref().and_then(|loaded| loaded.config.as_ref());
                self.diagnostics.extend(configured.and_then(|config| unended(config, &files, dir)));
                let verdict = ask(&files, &terms);
                self.diagnostics.extend(verdict.diagnostics());
                self.diagnostics.extend(rules_dir::overlooked(dir));
                let shown = dir.display().to_string();
                let whole = self
                    .diagnostics
                    .iter_mut()
                    .filter(|one| one.file.is_empty() && matches!(one.code, "untested" | "judge"));
                whole.for_each(|one| one.file.clone_from(&shown));
                self.results = verdict.results.map(|results| results.shown_in(&shown));
                (self.files, self.rules, self.tests) = (files, verdict.rules, verdict.tests);
            }
        }
    }

    /// Returns the rules and the policy of the configuration, or an error with all diagnostics of both.
    pub fn into_rules(mut self) -> Result<(RuleSet, Policy), CommandError> {
        if let Some(rules) = self.rules {
            return Ok((rules, self.policy));
        }
        self.diagnostics.retain(|one| one.severity == Severity::Error);
        let wrong = self.configuration.as_ref().is_some_and(|loaded| loaded.config.is_none());
        let what = if wrong { "the configuration is wrong" } else { "the rules are wrong" };
        let text = render(&self.diagnostics, &self.sources(), false);
        Err(CommandError::new(Exit::Config, format!("{what}\n\n{}", text.trim_end())))
    }

    /// The rules directory as it was given.
    pub fn dir(&self) -> String {
        self.dir.as_ref().map(|dir| dir.display().to_string()).unwrap_or_default()
    }

    pub fn sources(&self) -> Sources<'_> {
        let sources = Sources::default().directory(&self.dir(), &self.files);
        match &self.configuration {
            Some(loaded) => sources.file(&loaded.file, &loaded.text),
            None => sources,
        }
    }

    /// All files of the rules directory.
    pub const fn files(&self) -> &Files {
        &self.files
    }

    pub fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|one| one.severity == severity).count()
    }
}

/// Returns a warning if the data directory records that the service began to check these files and has not finished.
fn unended(config: &Config, files: &Files, dir: &Path) -> Option<Diagnostic> {
    let data = app::data_dir(config).ok()?;
    let is_named = JudgingMarker::find(data).names(&files.hash());
    is_named.then(|| {
        let warning = "the service is checking these files now, or its process ended while it checked them and it rejects them since then";
        Diagnostic::warning("judging", dir.display().to_string(), warning)
            .help(format!("`kyc-rules status` shows which; if they are rejected, change a file, or remove {} and restart the service", data.join("judging").display()))
    })
}
