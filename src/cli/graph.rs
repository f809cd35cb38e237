//! The `graph` command: draws the rules, to standard output or to a file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};

use super::{CommandError, Exit, Output, settings};
use crate::{
    app,
    graph::{self, RuleGraph as Picture},
    rules::{Environment, RuleSet},
    rules_dir,
    yaml::{Diagnostic, Files, Severity, Sources, render},
};

#[derive(Debug, Args)]
pub struct GraphArgs {
    /// Format of the picture.
    #[arg(long, value_enum, default_value_t = GraphFormat::Svg)]
    format: GraphFormat,

    /// Draw the rules in this directory instead of the configured one. Works without a configuration.
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,

    /// Write to this file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum GraphFormat {
    /// A self-contained picture for light and dark mode.
    Svg,
    /// A state diagram that GitHub and GitLab draw in Markdown.
    Mermaid,
    /// For Graphviz.
    Dot,
}

impl GraphFormat {
    const fn name(self) -> &'static str {
        match self {
            Self::Svg => "svg",
            Self::Mermaid => "mermaid",
            Self::Dot => "dot",
        }
    }
}

impl GraphArgs {
    pub fn run(self, given: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        let config = settings::without_secrets(given, output)?;
        let dir = match (&self.rules, &config) {
            (Some(dir), _) => dir.clone(),
            (None, Some(config)) => config.rules.clone(),
            // The error lists the places where a configuration was searched.
            (None, None) => return settings::find(given).map(|_| ()),
        };
        let wrong = |diagnostics: &[Diagnostic], files: &Files| {
            let shown = render(diagnostics, &Sources::default().directory(&dir.display().to_string(), files), false);
            CommandError::new(Exit::Config, format!("the rules are wrong\n\n{}", shown.trim_end()))
        };
        let files = rules_dir::read(&dir).map_err(|diagnostics| wrong(&diagnostics, &Files::default()))?;
        let context = config.as_ref().map_or_else(|| Environment::assumed_by(&files), app::context);
        let mut compiled = RuleSet::compile(&files, &context);
        let Some(set) = compiled.set else {
            compiled.diagnostics.retain(|one| one.severity == Severity::Error);
            return Err(wrong(&compiled.diagnostics, &files));
        };
        let picture = Picture::of(set.rules(), &context.statuses, &context.processing);
        let text = match self.format {
            GraphFormat::Svg => graph::svg(&picture),
            GraphFormat::Mermaid => graph::mermaid(&picture),
            GraphFormat::Dot => graph::dot(&picture),
        };
        match &self.output {
            Some(path) => fs::write(path, text).map_err(CommandError::io(format!("writing {}", path.display())))?,
            None if output.is_json() => output.json(&serde_json::json!({"format": self.format.name(), "text": text})),
            None => output.raw(text.as_bytes()),
        }
        Ok(())
    }
}
