//! Finds every error in a template before a mail is sent with it.
//!
//! Names are checked in every branch; then the template is rendered for each sample customer. Errors of minijinja are
//! turned into messages that a merchant can act on.

use std::{collections::BTreeMap, ops::Range};

use minijinja::{Environment, Error, ErrorKind, Value};

use super::{
    MarkedText,
    engine::{FILTERS, FUNCTIONS, TAGS, TESTS},
    facts::{MAY_BE_MISSING, NAMES},
    file::{CODE, TemplatePart},
    guard,
    markdown::Fault,
    operands,
    scan::{ScanKind, words},
    tokens::blocks,
};
use crate::yaml::Diagnostic;

/// The names that a template can use, and the fields of each. The fields of `customer.attributes` are listed
/// separately.
pub(super) struct TemplateNames<'a> {
    top: &'a [(&'a str, &'a [&'a str])],
    attributes: &'a [String],
}

impl<'a> TemplateNames<'a> {
    pub fn of_mails(attributes: &'a [String]) -> Self {
        Self { top: NAMES, attributes }
    }

    pub fn of_layout() -> Self {
        const TOP: &[(&str, &[&str])] =
            &[("brand", &["name", "support", "url"]), ("content", &[]), ("locale", &[]), ("subject", &[])];
        Self { top: TOP, attributes: &[] }
    }

    /// Returns how many bytes of the path, from its start, are wrong, with the message and the correct name.
    fn fault(&self, path: &str) -> Option<(usize, String, Option<String>)> {
        let mut parts = path.split('.');
        let first = parts.next().unwrap_or_default();
        let Some((_, below)) = self.top.iter().find(|(name, _)| *name == first) else {
            let all = self.top.iter().map(|(name, _)| *name).chain(FUNCTIONS.iter().copied());
            return Some((first.len(), format!("there is no `{first}` in templates"), nearest(first, all)));
        };
        let second = parts.next()?;
        let end = first.len() + 1 + second.len();
        if below.is_empty() {
            let hint = matches!(second, "length" | "size" | "count").then(|| format!("{first} | length"));
            return Some((end, format!("`{first}` has no fields"), hint));
        }
        if !below.contains(&second) {
            let near = nearest(second, below.iter().copied()).map(|near| format!("{first}.{near}"));
            return Some((end, format!("`{first}` has no `{second}`"), near));
        }
        let third = parts.next()?;
        if (first, second) == ("customer", "attributes") {
            if self.attributes.iter().any(|name| name == third) {
                return None;
            }
            let near = nearest(third, self.attributes.iter().map(String::as_str));
            let message = format!("the attribute `{third}` is not declared in `directory.attributes`");
            return Some((end + 1 + third.len(), message, near.map(|near| format!("customer.attributes.{near}"))));
        }
        None
    }
}

/// The candidate with the smallest edit distance, if that is small enough.
fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let (distance, nearest) = candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name.to_lowercase(), candidate), candidate))
        .min()?;
    (distance <= 1 + nearest.len() / 4).then(|| nearest.to_owned())
}

fn did_you_mean(diagnostic: Diagnostic, near: Option<String>) -> Diagnostic {
    match near {
        Some(near) => diagnostic.label(format!("did you mean `{near}`?")),
        None => diagnostic,
    }
}

/// Finds names, filters, tests and statements that do not exist.
pub(super) fn names(
    part: &TemplatePart<'_>,
    env: &Environment<'_>,
    id: &str,
    names: &TemplateNames<'_>,
) -> Vec<Diagnostic> {
    let mut wrong = Vec::new();
    let undeclared = env.get_template(id).map(|template| template.undeclared_variables(true)).unwrap_or_default();
    for word in words(part.source) {
        let unknown = |what: &str, known: &[&str]| {
            let error = Diagnostic::error(CODE, part.path, format!("there is no {what} `{}` in templates", word.text));
            did_you_mean(error, nearest(word.text, known.iter().copied()))
        };
        let error = match word.kind {
            ScanKind::Filter if !FILTERS.contains(&word.text) => unknown("filter", FILTERS),
            ScanKind::Test if !TESTS.contains(&word.text) => unknown("test", TESTS),
            ScanKind::Tag if !TAGS.contains(&word.text) => match word.text {
                "include" | "import" | "from" | "extends" | "block" | "endblock" => Diagnostic::error(
                    CODE,
                    part.path,
                    format!("`{}` is not available: a template cannot use other templates", word.text),
                ),
                "autoescape" | "endautoescape" => Diagnostic::error(
                    CODE,
                    part.path,
                    "`autoescape` is not available: values are always inserted as text",
                ),
                _ => unknown("statement", TAGS),
            },
            ScanKind::Path if undeclared.iter().any(|name| is_within(word.text, name)) => {
                let Some((length, message, near)) = names.fault(word.text) else { continue };
                if FUNCTIONS.contains(&word.text) {
                    continue;
                }
                let start = part.offset + word.span.start;
                let error = Diagnostic::error(CODE, part.path, message).at(start..start + length);
                wrong.push(did_you_mean(error, near));
                continue;
            }
            _ => continue,
        };
        wrong.push(error.at(part.offset + word.span.start..part.offset + word.span.end));
    }
    wrong
}

/// Whether a path in the text is, or begins with, a name that the template does not declare itself.
fn is_within(path: &str, name: &str) -> bool {
    path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Renders a template for every sample and returns each distinct problem once.
pub(super) fn tried(
    part: &TemplatePart<'_>,
    samples: &[Value],
    render: impl Fn(&Value) -> Result<MarkedText, Error>,
) -> Vec<Diagnostic> {
    let mut wrong: Vec<Diagnostic> = Vec::new();
    for sample in samples {
        let found = match render(sample) {
            Ok(rendered) => found_in(part, &rendered),
            Err(error) => vec![report(part, &error)],
        };
        for diagnostic in found {
            if !wrong.contains(&diagnostic) {
                wrong.push(diagnostic);
            }
        }
    }
    wrong
}

fn found_in(part: &TemplatePart<'_>, rendered: &MarkedText) -> Vec<Diagnostic> {
    if rendered.is_blank() {
        return vec![
            Diagnostic::error(CODE, part.path, "the text is empty for one of the sample customers")
                .at(part.whole())
                .help("the first sample customer has no name, country, attributes, documents or message"),
        ];
    }
    let faults = rendered.faults().into_iter().map(|(piece, fault)| {
        let error = match fault {
            Fault::Html => Diagnostic::error(CODE, part.path, "HTML is not allowed in a template's Markdown")
                .help("write Markdown here; the HTML around all mails is in templates/layout.html"),
            Fault::Address => Diagnostic::error(CODE, part.path, "a link in a mail needs an absolute address")
                .help("begin with https://, mailto: or `{{ brand.url }}`; a value from outside cannot be an address"),
            Fault::Depth => Diagnostic::error(CODE, part.path, "lists and quotes are nested more than 32 deep"),
        };
        match part.source.find(piece.lines().next().unwrap_or_default()).filter(|_| !piece.is_empty()) {
            Some(at) => error.at(part.offset + at..part.offset + at + piece.lines().next().unwrap_or_default().len()),
            None => error.at(part.whole()),
        }
    });
    faults.collect()
}

/// Turns an error of minijinja into a diagnostic with the merchant's terms and the place in the merchant's file.
pub(super) fn report(part: &TemplatePart<'_>, error: &Error) -> Diagnostic {
    let span = place(part, error);
    let diagnostic = |message: String| Diagnostic::error(CODE, part.path, message).at(span.clone());
    match error.kind() {
        ErrorKind::UndefinedError => match missing_at(part, &span) {
            Some((name, at)) => Diagnostic::error(CODE, part.path, format!("`{name}` may be missing"))
                .at(at)
                .label(format!("write `{{{{ {name} or \"…\" }}}}`"))
                .help(format!("or test it first: `{{% if {name} %}} … {{% endif %}}`")),
            None => {
                let code = part.file.get(span.clone()).unwrap_or_default();
                diagnostic(format!("`{code}` does not exist for every customer"))
            }
        },
        ErrorKind::OutOfFuel if matches!(error.detail(), Some(guard::TOO_LARGE | guard::TOO_DEEP)) => {
            diagnostic(error.detail().unwrap_or_default().to_owned())
        }
        ErrorKind::OutOfFuel => diagnostic("the template takes too much work to render".into())
            .help("a loop runs too often, a list grows too large, or too much is printed"),
        ErrorKind::TemplateNotFound | ErrorKind::BadInclude => {
            diagnostic("a template cannot use other templates".into())
        }
        _ => {
            let said = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
            let help = match &*said {
                text if text.starts_with("a list is printed") => {
                    Some("write `{{ missing_docs | words }}`, or loop over it with `{% for … %}`")
                }
                "recursion limit exceeded" => Some("a macro calls itself, or macros call each other, too often"),
                text if text.starts_with("`none` is printed") => Some("give it a text: `{{ … or \"…\" }}`"),
                _ => None,
            };
            match help {
                Some(help) => diagnostic(said).help(help),
                None => diagnostic(said),
            }
        }
    }
}

/// The name that can be missing, in the block that failed: the last one before the end of the span that minijinja
/// reports.
fn missing_at<'t>(part: &TemplatePart<'t>, failed: &Range<usize>) -> Option<(&'t str, Range<usize>)> {
    let before = part.file.get(part.offset..failed.start)?;
    let block = part.offset + before.rfind("{{").max(before.rfind("{%"))?;
    words(part.source)
        .into_iter()
        .map(|word| (word.kind, word.text, part.offset + word.span.start..part.offset + word.span.end))
        .filter(|(kind, text, _)| {
            *kind == ScanKind::Path && (MAY_BE_MISSING.contains(text) || text.starts_with("customer.attributes."))
        })
        .rfind(|(_, _, span)| span.start >= block && span.end <= failed.end)
        .map(|(_, text, span)| (text, span))
}

fn place(part: &TemplatePart<'_>, error: &Error) -> Range<usize> {
    let (start, end) = (part.offset, part.offset + part.source.len());
    if let Some(range) = error.range() {
        // The range is in the text with the guard filters inserted.
        let guards = operands::places(&blocks(part.source));
        let range = guard::unbounded(range.start, &guards)..guard::unbounded(range.end, &guards);
        let range = (start + range.start).min(end)..(start + range.end).min(end);
        let trimmed = part.file.get(range.clone()).map_or(0, |code| code.len() - code.trim_end().len());
        if range.start < range.end && part.file.is_char_boundary(range.start) && part.file.is_char_boundary(range.end) {
            return range.start..range.end - trimmed;
        }
    }
    let mut at = start;
    for (nth, line) in part.source.split_inclusive('\n').enumerate() {
        if error.line() == Some(nth + 1) {
            let lead = line.len() - line.trim_start().len();
            return at + lead..(at + line.trim_end().len()).max(at + lead);
        }
        at += line.len();
    }
    part.whole()
}

/// Returns one error for each template that does not exist in the default locale.
pub(super) fn without_default(by_name: &BTreeMap<String, Vec<(String, String)>>, chain: &[String]) -> Vec<Diagnostic> {
    let mut wrong = Vec::new();
    for (name, locales) in by_name {
        if !locales.iter().any(|(locale, _)| chain.contains(locale))
            && let (Some((_, path)), Some(default)) = (locales.first(), chain.first())
        {
            wrong.push(
                Diagnostic::error(
                    CODE,
                    path,
                    format!("the template {name} is missing in the default language, {default}"),
                )
                .help(format!("write templates/{name}.{default}.md: customers of other languages get it")),
            );
        }
    }
    wrong
}
