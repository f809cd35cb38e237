//! The minijinja environment of mails: the available names, filters and tests.
//!
//! The environment has no loader, so a template reads no file and cannot `include` another template. Fuel limits the
//! work. `safe` and similar filters are removed: no value becomes Markdown or HTML.

use std::{borrow::Cow, sync::Arc};

use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, value::ValueKind};

use super::{
    dates,
    file::TemplatePart,
    guard,
    labels::{Labels, joined},
    values,
};

/// The fuel of one rendering: about this many instructions, or 64 times as many bytes.
const FUEL: u64 = 50_000;

/// Recursion limit of minijinja. It is larger than the nested statements that `bounds.rs` accepts need: each statement
/// takes one, and each call of a macro takes four.
const RECURSION: usize = 40;

pub(super) const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "d",
    "date",
    "default",
    "dictsort",
    "first",
    "float",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "trim",
    "unique",
    "upper",
    "words",
    "zip",
];

pub(super) const TESTS: &[&str] = &[
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "even",
    "false",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
    "upper",
];

pub(super) const FUNCTIONS: &[&str] = &["dict", "namespace", "range"];

/// The allowed statements. All others use other templates or switch escaping off.
pub(super) const TAGS: &[&str] = &[
    "call",
    "do",
    "elif",
    "else",
    "endcall",
    "endfilter",
    "endfor",
    "endif",
    "endmacro",
    "endraw",
    "endset",
    "endwith",
    "filter",
    "for",
    "if",
    "macro",
    "raw",
    "set",
    "with",
];

const REMOVED: &[&str] = &["e", "escape", "pprint", "safe", "tojson", "urlencode"];

fn bare() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(RECURSION);
    env.set_debug(true);
    env.set_path_join_callback(|_, _| Cow::Borrowed("\0"));
    env.remove_global("debug");
    for filter in REMOVED {
        env.remove_filter(filter);
    }
    env.add_filter(guard::FILTER, guard::weigh);
    env
}

/// The environment for subjects and bodies. A template's name ends with its locale.
pub(super) fn for_mails(labels: Arc<Labels>) -> Environment<'static> {
    let mut env = bare();
    env.set_auto_escape_callback(|_| AutoEscape::Custom(Cow::Borrowed("markdown")));
    env.set_formatter(values::print);
    env.add_filter("words", move |state: &State<'_, '_>, value: &Value| words(&labels, state, value));
    env.add_filter("date", |state: &State<'_, '_>, time: &str| {
        dates::date(time, locale_of(state)).ok_or_else(|| {
            Error::new(ErrorKind::InvalidOperation, "`date` takes a time, such as `now` or `stay.entered_at`")
        })
    });
    env
}

/// The environment for the page around the mails.
pub(super) fn for_layout() -> Environment<'static> {
    let mut env = bare();
    env.set_auto_escape_callback(|_| AutoEscape::Html);
    env.set_formatter(|out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value| {
        values::printable(value)?;
        match value.as_str().filter(|_| value.is_safe()) {
            Some(html) => out.write_str(html)?,
            None => {
                for c in values::tidy(&value.to_string()).chars() {
                    match c {
                        '&' => out.write_str("&amp;")?,
                        '<' => out.write_str("&lt;")?,
                        '>' => out.write_str("&gt;")?,
                        '"' => out.write_str("&quot;")?,
                        '\'' => out.write_str("&#39;")?,
                        c => out.write_str(c.encode_utf8(&mut [0; 4]))?,
                    }
                }
            }
        }
        Ok(())
    });
    env
}

pub(super) fn locale_of<'s>(state: &'s State<'_, '_>) -> &'s str {
    state.name().rsplit('.').next().unwrap_or_default()
}

fn words(labels: &Labels, state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let locale = locale_of(state);
    let code = |value: &Value| {
        let code = value.as_str().map(|code| labels.words(Some(locale), code));
        let words =
            code.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "`words` takes a code or a list of codes"))?;
        // minijinja consumes fuel only for the whole list, not for each entry.
        state.consume_fuel(1 + (words.len() / 64) as u64)?;
        Ok::<_, Error>(words)
    };
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            let words = value.try_iter()?.map(|value| code(&value)).collect::<Result<Vec<_>, _>>()?;
            Ok(joined(locale, &words))
        }
        _ => code(value),
    }
}

/// The text of a template for minijinja. A line break after a line that contains only a statement is moved into the
/// statement, so that `{% for … %}` on a line of its own leaves no blank line, which would end a list in Markdown.
pub(super) fn prepared(part: &TemplatePart<'_>) -> String {
    let mut prepared = String::with_capacity(part.source.len());
    for line in part.source.split_inclusive('\n') {
        match alone(line) {
            Some((indent, open, inner, close, end)) => {
                for piece in [open, indent, inner, end, close] {
                    prepared.push_str(piece);
                }
            }
            None => prepared.push_str(line),
        }
    }
    prepared
}

/// Splits a line that contains only one block into indentation, `{%`, the content, `%}` and the line end.
fn alone(line: &str) -> Option<(&str, &str, &str, &str, &str)> {
    let content = line.trim();
    let (open, close) = [("{%", "%}"), ("{#", "#}")].into_iter().find(|(open, _)| content.starts_with(open))?;
    let inner = content.strip_prefix(open)?.strip_suffix(close)?;
    let is_raw = matches!(inner.trim_matches(['-', '+', ' ']), "raw" | "endraw");
    if is_raw
        || inner.starts_with(['-', '+'])
        || inner.ends_with(['-', '+'])
        || inner.contains(open)
        || inner.contains(close)
    {
        return None;
    }
    let indent = &line[..line.len() - line.trim_start().len()];
    let end = &line[line.trim_end().len()..];
    Some((indent, open, inner, close, end))
}
