//! Explains YAML syntax errors.
//!
//! A parser's message names the parser's state. A merchant needs to know what to write: most errors are one of a few
//! common mistakes, and the line of the error shows which one.

use std::ops::Range;

use super::{Report, comment};

/// Reports the parser's error at this byte offset.
pub(super) fn explain(at: usize, info: &str, report: &mut Report<'_>) {
    if info.contains("recursion limit") {
        return too_deep(at, report);
    }
    let text = report.text();
    let at = floor(text, at);
    let line = line_around(text, at);
    let shown = &text[line.clone()];
    let indent = shown.len() - shown.trim_start_matches([' ', '\t']).len();
    // The parser reports the error at the next token, which may be some lines later.
    let before = previous_line(text, line.start);
    let after = text[line.end..].find('\n').map_or(text.len()..text.len(), |end| line_around(text, line.end + end + 1));
    for line in [line.clone(), before.clone(), after] {
        let shown = &text[line.clone()];
        if let Some(tab) = shown[..shown.len() - shown.trim_start_matches([' ', '\t']).len()].find('\t') {
            let tab = line.start + tab;
            report.error("yaml", tab..tab + 1, "a tab in the indentation").label("YAML takes only spaces here");
            return;
        }
    }
    if matches!(text.as_bytes().get(at), Some(b'*')) {
        return star(at, report);
    }
    if comment::explain(at, report) {
        return;
    }
    if let Some(span) = unquoted_braces(text, &line).or_else(|| unquoted_braces(text, &before)) {
        braces(span, report);
    } else if let Some((list, next)) = list_before(shown, &["->", "for"]) {
        let names: Vec<&str> = shown[list.start + 1..list.end - 1].split(',').map(str::trim).collect();
        report
            .error(
                "yaml",
                line.start + list.start..line.start + list.end,
                format!("a list cannot stand before `{next}`"),
            )
            .label(format!("write `{} {next} …`", names.join(" | ")));
    } else if let Some(first) = shown.trim_start().chars().next().filter(|c| matches!(c, '@' | '`' | '%')) {
        reserved(line.start + indent, first, report);
    } else if let Some(first) = text[at..].chars().next().filter(|c| matches!(c, '@' | '`' | '%')) {
        reserved(at, first, report);
    } else if info.contains("mapping values are not allowed") {
        if text[line.start..at].contains(": ") {
            report
                .error("yaml", at..at + 1, "a second `:` in this line")
                .help("a text with a colon and a space in it needs quotes");
        } else {
            report
                .error(
                    "yaml",
                    line.start + indent..line.end,
                    "this line is indented further than the lines above it allow",
                )
                .help("keys of one map, and the `-` of one list, begin in the same column");
        }
    } else if info.contains("quoted scalar") || info.contains("unexpected end of stream") {
        report
            .error("yaml", at..at, "a quote that was opened is not closed")
            .help("a text that begins with a quote has to end with one");
    } else if info.contains("flow mapping") || info.contains("flow sequence") || info.contains("flow collection") {
        report
            .error("yaml", at..at + 1, "a bracket that was opened is not closed before this")
            .help("`[` ends with `]`, `{` with `}`, with a comma between the entries");
    } else if info.contains("block mapping") || info.contains("block collection") || info.contains("indentation") {
        report
            .error("yaml", line.start + indent..line.end, "this line does not fit the lines above it")
            .help("keys of one map, and the `-` of one list, begin in the same column");
    } else if info.contains("block scalar") {
        let written = text[at..line.end].replace('"', "'");
        report
            .error("yaml", at..line.end, "YAML reads a text that begins with `>` or `|` as a block of several lines")
            .label(format!("put quotes around it: \"{written}\""));
    } else if let Some(tab) = shown.find('\t').filter(|tab| shown[..*tab].trim_end().ends_with([':', '-'])) {
        let tab = line.start + tab;
        report.error("yaml", tab..tab + 1, "a tab before the value").label("YAML takes only spaces here");
    } else {
        report.error("yaml", at..at + 1, format!("this is not YAML: {info}"));
    }
}

/// Finds a list in brackets with one of these words after it, for example `[A, B] -> C`.
fn list_before<'w>(shown: &str, words: &[&'w str]) -> Option<(Range<usize>, &'w str)> {
    shown.match_indices(']').find_map(|(at, _)| {
        let rest = shown[at + 1..].trim_start();
        let next = words.iter().find(|word| rest.strip_prefix(**word).is_some_and(|rest| rest.starts_with(' ')))?;
        Some((shown[..at].rfind('[')?..at + 1, *next))
    })
}

pub(super) fn too_deep(at: usize, report: &mut Report<'_>) {
    // The parser's own limit is reached before the start of the brackets is known.
    let at = floor(report.text(), at);
    let opened = report.text()[..at].char_indices().filter(|(_, c)| matches!(c, '[' | '{')).nth(32).map(|(at, _)| at);
    let at = opened.unwrap_or(at);
    report.error("yaml", at..at + 1, "lists and maps are nested more than 32 deep");
}

/// Reports a list or a map in the place of a key.
pub(super) fn not_a_key(span: Range<usize>, report: &mut Report<'_>) {
    let text = report.text();
    let start = floor(text, span.start);
    // Searching a line takes time in proportion to its length, and a line may contain thousands of such keys.
    const LOOKED_AT: usize = 50;
    if report.found().len() < LOOKED_AT
        && let Some(braced) = unquoted_braces(text, &line_around(text, start))
    {
        return braces(braced, report);
    }
    report
        .error("yaml", span, "a key has to be a text")
        .help("a value that begins with `[` or `{` needs quotes to be a text");
}

fn braces(span: Range<usize>, report: &mut Report<'_>) {
    // If the parser stops here, it has often reported the same braces as a key already.
    if report.found().iter().rev().take(8).any(|found| found.span.as_ref().is_some_and(|have| have.start == span.start))
    {
        return;
    }
    let written = report.text()[span.clone()].replace('"', "'");
    report
        .error("yaml", span, "YAML reads a text that begins with `{{` as a map")
        .label(format!("put quotes around it: \"{written}\""));
}

fn star(at: usize, report: &mut Report<'_>) {
    let rest = &report.text()[at..];
    let end = rest.find([' ', '\t', '\r', '\n', ',', ']', '}']).unwrap_or(rest.len());
    if end == 1 {
        report.error("yaml", at..at + 1, "YAML reads `*` as an alias").label("write `any`");
    } else {
        report
            .error("yaml", at..at + end, "aliases (`*name`) are not supported")
            .label("write it out; for every status write `any`");
    }
}

fn reserved(at: usize, first: char, report: &mut Report<'_>) {
    report.error("yaml", at..at + 1, format!("a text cannot begin with `{first}`")).label("put quotes around it");
}

/// The span of an unquoted value that begins with `{{`, up to its end on this line.
fn unquoted_braces(text: &str, line: &Range<usize>) -> Option<Range<usize>> {
    let shown = &text[line.clone()];
    let start = shown.match_indices("{{").map(|(at, _)| at).find(|at| {
        let before = shown[..*at].trim_end();
        before.len() < *at && before.ends_with([':', '-', ',', '['])
    })?;
    let after = shown[start..].rfind("}}").map_or(shown.len(), |end| start + end + 2);
    // A third brace belongs to the surrounding map.
    let tail = &shown[after..];
    let words = tail.find([',', '}', ']', '#']).unwrap_or(tail.len());
    let end = after + tail[..words].trim_end().len();
    Some(line.start + start..line.start + end)
}

/// The span of the line at this offset, without its line break.
fn line_around(text: &str, at: usize) -> Range<usize> {
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
    start..start + text[start..end].trim_end().len()
}

fn previous_line(text: &str, start: usize) -> Range<usize> {
    if start == 0 { 0..0 } else { line_around(text, start - 1) }
}

/// The nearest character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}
