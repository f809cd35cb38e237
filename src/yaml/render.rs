//! Formats diagnostics: as text with a caret, as JSON, and as GitHub annotations.
//!
//! They are sorted by file and place. A span outside its text is cut to fit; a span of several lines is cut to its
//! first line.

use std::{collections::BTreeMap, ops::Range};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;

use super::{Diagnostic, Files, Severity};

/// The texts of the files, by the file name in the diagnostics, with the path under which each file is shown.
#[derive(Clone, Debug, Default)]
pub struct Sources<'t>(BTreeMap<&'t str, (String, &'t str)>);

impl<'t> Sources<'t> {
    /// Adds a directory's files, which are shown with the directory's name before their path.
    #[must_use]
    pub fn directory(mut self, name: &str, files: &'t Files) -> Self {
        let name = name.strip_prefix("./").unwrap_or(name).trim_end_matches('/');
        for (path, text) in files.iter() {
            let shown = if name.is_empty() { path.to_owned() } else { format!("{name}/{path}") };
            self.0.insert(path, (shown, text));
        }
        self
    }

    /// Adds a file that is shown under its own name.
    #[must_use]
    pub fn file(mut self, name: &'t str, text: &'t str) -> Self {
        self.0.insert(name, (name.to_owned(), text));
        self
    }

    fn of<'a>(&'a self, diagnostic: &'a Diagnostic) -> (&'a str, &'a str) {
        self.0.get(&*diagnostic.file).map_or((&diagnostic.file, ""), |(shown, text)| (shown, text))
    }

    fn sorted<'d>(&self, diagnostics: &'d [Diagnostic]) -> Vec<&'d Diagnostic> {
        let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
        sorted
            .sort_by_key(|found| (self.of(found).0.to_owned(), found.span.as_ref().map(|span| (span.start, span.end))));
        sorted
    }
}

/// The line and column of a byte offset, from 1; columns count characters.
pub fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let offset = floor(text, offset);
    let start = text[..offset].rfind('\n').map_or(0, |end| end + 1);
    let line = text[..start].bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, text[start..offset].chars().count() + 1)
}

/// Formats every diagnostic as text, with an empty line between them and a line break after the last.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources<'_>, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut shown = String::new();
    for diagnostic in sources.sorted(diagnostics) {
        if !shown.is_empty() {
            shown.push('\n');
        }
        shown.push_str(&one(diagnostic, sources, &renderer));
        shown.push('\n');
    }
    shown
}

fn one(diagnostic: &Diagnostic, sources: &Sources<'_>, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(printable(&diagnostic.message)).id(diagnostic.code);
    let (path, text) = sources.of(diagnostic);
    let help = diagnostic.help.as_deref().map(|help| Level::HELP.message(printable(help)));
    let Some(span) = diagnostic.span.clone().filter(|_| !text.is_empty()) else {
        let origin = annotate_snippets::Origin::path(path);
        return renderer.render(&[title.element(origin).elements(help)]);
    };
    let (line, span) = line_of(text, span);
    let number = line_column(text, line.start).0;
    let label = diagnostic.label.as_deref().map(printable);
    let annotation = AnnotationKind::Primary.span(span.start - line.start..span.end - line.start).label(label);
    let snippet = Snippet::source(&text[line]).path(path).line_start(number).annotation(annotation);
    renderer.render(&[title.element(snippet).elements(help)])
}

/// The line in which a span begins, and the part of the span in that line.
fn line_of(text: &str, span: Range<usize>) -> (Range<usize>, Range<usize>) {
    let at = floor(text, span.start);
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
    let end = start + text[start..end].trim_end_matches('\r').len();
    let at = at.min(end);
    (start..end, at..floor(text, span.end).clamp(at, end))
}

/// Removes control characters and line breaks: a message may contain text from a file.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The nearest character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// A diagnostic in JSON; lines and columns count from 1, the end is exclusive.
#[derive(Serialize)]
struct JsonDiagnostic<'d> {
    severity: &'static str,
    code: &'static str,
    message: &'d str,
    file: &'d str,
    line: Option<usize>,
    column: Option<usize>,
    end_line: Option<usize>,
    end_column: Option<usize>,
    label: Option<&'d str>,
    help: Option<&'d str>,
}

impl<'d> JsonDiagnostic<'d> {
    fn new(diagnostic: &'d Diagnostic, sources: &'d Sources<'_>) -> Self {
        let (file, text) = sources.of(diagnostic);
        let start = diagnostic.span.as_ref().map(|span| line_column(text, span.start));
        let end = diagnostic.span.as_ref().map(|span| line_column(text, span.end));
        Self {
            severity: match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            code: diagnostic.code,
            message: &diagnostic.message,
            file,
            line: start.map(|at| at.0),
            column: start.map(|at| at.1),
            end_line: end.map(|at| at.0),
            end_column: end.map(|at| at.1),
            label: diagnostic.label.as_deref(),
            help: diagnostic.help.as_deref(),
        }
    }
}

/// Returns one JSON object for each diagnostic.
pub fn json(diagnostics: &[Diagnostic], sources: &Sources<'_>) -> Vec<serde_json::Value> {
    let sorted = sources.sorted(diagnostics);
    sorted.into_iter().filter_map(|found| serde_json::to_value(JsonDiagnostic::new(found, sources)).ok()).collect()
}

/// Returns one workflow command for each diagnostic, from which GitHub Actions makes an annotation.
pub fn github(diagnostics: &[Diagnostic], sources: &Sources<'_>) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let mut commands = String::new();
    for diagnostic in sources.sorted(diagnostics) {
        let shown = JsonDiagnostic::new(diagnostic, sources);
        let mut place = format!("file={}", property(shown.file));
        if let (Some(line), Some(column)) = (shown.line, shown.column) {
            place.push_str(&format!(",line={line},col={column}"));
        }
        let more = [shown.label, shown.help].into_iter().flatten().fold(String::new(), |all, more| all + "\n" + more);
        let title = property(&format!("{}[{}]", shown.severity, shown.code));
        commands.push_str(&format!(
            "::{} {place},title={title}::{}\n",
            shown.severity,
            data(&(shown.message.to_owned() + &more))
        ));
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "format: 1\r\nrules:\r\n\t- id: ünknown, 50%\r\n";

    fn shown(diagnostic: &Diagnostic) -> (String, serde_json::Value, String) {
        let files: Files = [("a.yaml".to_owned(), TEXT.to_owned())].into_iter().collect();
        let sources = Sources::default().directory("./rules/", &files).file("kyc-rules.yaml", "locale: en");
        let one = std::slice::from_ref(diagnostic);
        (render(one, &sources, false), json(one, &sources).remove(0), github(one, &sources))
    }

    #[test]
    fn text_json_and_annotations_have_the_same_content() {
        let at = TEXT.find("50%").expect("there");
        let diagnostic = Diagnostic::error("id", "a.yaml", "no id: 50%").at(at..at + 3).label("a, b").help("c\nd");
        let (text, json, github) = shown(&diagnostic);
        let expected = "error[id]: no id: 50%
 --> rules/a.yaml:3:17
  |
3 |     - id: ünknown, 50%
  |                    ^^^ a, b
  |
  = help: c d
";
        assert_eq!(text, expected);
        assert_eq!(
            json,
            serde_json::json!({
                "severity": "error", "code": "id", "message": "no id: 50%", "file": "rules/a.yaml",
                "line": 3, "column": 17, "end_line": 3, "end_column": 20, "label": "a, b", "help": "c\nd",
            })
        );
        assert_eq!(github, "::error file=rules/a.yaml,line=3,col=17,title=error[id]::no id: 50%25%0Aa, b%0Ac%0Ad\n");
    }

    #[test]
    fn a_span_outside_the_text_is_cut_to_fit() {
        for span in [0..0, 9..11, 9..TEXT.len(), TEXT.len()..TEXT.len() + 9, 22..23, 5000..6000] {
            let (text, ..) = shown(&Diagnostic::warning("x", "a.yaml", "y").at(span.clone()));
            assert!(text.starts_with("warning[x]: y\n --> rules/a.yaml:"), "{span:?}: {text}");
        }
        let (text, json, github) = shown(&Diagnostic::warning("x", "kyc-rules.yaml", "y"));
        assert_eq!(text, "warning[x]: y\n--> kyc-rules.yaml\n");
        assert_eq!(json["line"], serde_json::Value::Null);
        assert_eq!(github, "::warning file=kyc-rules.yaml,title=warning[x]::y\n");
    }

    #[test]
    fn findings_are_sorted_by_file_and_place() {
        let of = |file: &str, at: usize| Diagnostic::error("x", file, format!("{file}{at}")).at(at..at);
        let found = [of("b", 1), of("a", 9), of("a", 2)];
        let order: Vec<String> =
            json(&found, &Sources::default()).iter().map(|one| one["message"].to_string()).collect();
        assert_eq!(order, ["\"a2\"", "\"a9\"", "\"b1\""]);
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(line_column("aü\nöx", 6), (2, 2));
        assert_eq!(line_column("", 9), (1, 1));
    }
}
