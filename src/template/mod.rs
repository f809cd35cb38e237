//! Renders mails from templates: `templates/NAME.LOCALE.md` and the facts of a customer become a subject, a text and an
//! HTML page.
//!
//! This module is pure, and knows neither rules nor the provider. Values from outside are inserted as text in every
//! part of a mail, never as markup (`values.rs`). [`Templates::compile`] checks every template in every language, also
//! with a customer of whom only the id is known, so that rendering does not fail later.

mod bounds;
mod check;
mod dates;
mod engine;
mod facts;
mod file;
mod guard;
mod labels;
mod load;
mod locale;
mod markdown;
mod operands;
mod phrase;
mod scan;
mod text;
mod tokens;
mod values;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use minijinja::{Environment, Error, ErrorKind, Value};

pub use facts::{Brand, CustomerFacts, StayFacts, TemplateFacts};
pub use phrase::Phrase;

use self::{
    file::{CODE, LAYOUT, TemplateFile, TemplatePart},
    labels::Labels,
    markdown::Fault,
    values::PrintedValues,
};
use crate::{
    stack::{catch_panic, with_deep_stack},
    yaml::{Diagnostic, Files, conflicts},
};

/// The settings of the configuration that templates need.
#[derive(Clone, Copy, Debug)]
pub struct TemplateOptions<'a> {
    pub brand: &'a Brand,
    /// The language of customers whose language is not known, for example `en`.
    pub default_locale: &'a str,
    /// The attributes that the configuration declares for customers.
    pub attributes: &'a [String],
}

/// A rendered mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedMail {
    pub subject: String,
    pub text: String,
    pub html: String,
    /// The language of the template that was used.
    pub locale: String,
}

/// The reason a mail could not be rendered. It is rare, because [`Templates::compile`] renders every template for
/// sample customers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderError {
    pub template: String,
    pub text: String,
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the template {} could not be rendered: {}", self.template, self.text)
    }
}

impl std::error::Error for RenderError {}

/// Maximum size of all templates of a rule set together, in bytes: each template is rendered for several customers at
/// load.
const MAX_BYTES: usize = 4 << 20;

/// The name of the work in the error that a panic of the template engine becomes.
const RENDERING: &str = "rendering";

/// Every template in every language, compiled and checked.
pub struct Templates {
    mails: Environment<'static>,
    layout: Environment<'static>,
    labels: Arc<Labels>,
    /// The locales of each template, by its name.
    names: BTreeMap<String, BTreeSet<String>>,
    brand: Value,
    default_locale: String,
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Templates").field("names", &self.names).finish_non_exhaustive()
    }
}

/// The output of minijinja: the text, with a mark in place of each value, and the values.
struct MarkedText {
    text: String,
    values: PrintedValues,
}

impl MarkedText {
    fn is_blank(&self) -> bool {
        self.values.in_text(&self.text).trim().is_empty()
    }

    fn faults(&self) -> Vec<(String, Fault)> {
        markdown::faults(&self.text, &self.values)
    }
}

impl Default for Templates {
    fn default() -> Self {
        Self::empty(Arc::default(), &Brand::default(), "en")
    }
}

impl Templates {
    fn empty(labels: Arc<Labels>, brand: &Brand, default_locale: &str) -> Self {
        Self {
            mails: engine::for_mails(labels.clone()),
            layout: engine::for_layout(),
            labels,
            names: BTreeMap::new(),
            brand: brand.context(),
            default_locale: default_locale.to_owned(),
        }
    }

    /// Compiles the templates, labels and layout among these files; or returns every error in them.
    pub fn compile(files: &Files, options: &TemplateOptions<'_>) -> Result<Self, Vec<Diagnostic>> {
        with_deep_stack(|| Self::compiled(files, options))
    }

    fn compiled(files: &Files, options: &TemplateOptions<'_>) -> Result<Self, Vec<Diagnostic>> {
        if let Some(error) = too_large(files) {
            return Err(vec![error]);
        }
        let mut wrong = Vec::new();
        let labels = Arc::new(Labels::read(files, options.default_locale, &mut wrong));
        let mut templates = Self::empty(labels, options.brand, options.default_locale);
        let samples: Vec<Value> =
            facts::samples(options.attributes).iter().map(|facts| facts.context(&templates.brand)).collect();
        let added = catch_panic(RENDERING, || templates.add_layout(files, &mut wrong));
        wrong.extend(added.err().map(|panic| Diagnostic::error(CODE, LAYOUT, panic)));
        let names = check::TemplateNames::of_mails(options.attributes);
        let mut by_name: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for (path, text) in files.iter() {
            let conflicts = if file::is_mail(path) { conflicts(path, text) } else { Vec::new() };
            match file::read(path, text) {
                Ok(None) => {}
                _ if !conflicts.is_empty() => {
                    wrong.extend(conflicts);
                    add_name(path, &mut by_name);
                }
                Ok(Some(file)) => {
                    let added = catch_panic(RENDERING, || templates.add(&file, &names, &samples, &mut wrong));
                    wrong.extend(added.err().map(|panic| Diagnostic::error(CODE, path, panic)));
                    by_name.entry(file.name.to_owned()).or_default().push((file.locale, path.to_owned()));
                }
                Err(error) => {
                    add_name(path, &mut by_name);
                    wrong.push(*error);
                }
            }
        }
        wrong.extend(check::without_default(&by_name, &locale::chain(None, options.default_locale)));
        if wrong.is_empty() { Ok(templates) } else { Err(wrong) }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    pub fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// The locales in which a template exists.
    pub fn locales(&self, name: &str) -> impl Iterator<Item = &str> {
        self.names.get(name).into_iter().flatten().map(String::as_str)
    }

    /// The text for a code, as the filter `words` returns it.
    pub fn words(&self, locale: Option<&str>, code: &str) -> String {
        self.labels.words(locale, code)
    }

    /// The codes for which `labels/` has a text, in any language.
    pub fn label_codes(&self) -> BTreeSet<&str> {
        self.labels.codes()
    }

    /// Renders the mail in the customer's language, or in the nearest language in which the template exists.
    pub fn render_mail(
        &self,
        template: &str,
        locale: Option<&str>,
        facts: &TemplateFacts,
    ) -> Result<RenderedMail, RenderError> {
        catch_panic(RENDERING, || self.mail(template, locale, facts))
            .unwrap_or_else(|text| Err(RenderError { template: template.to_owned(), text }))
    }

    fn mail(&self, template: &str, locale: Option<&str>, facts: &TemplateFacts) -> Result<RenderedMail, RenderError> {
        let failed = |text: String| RenderError { template: template.to_owned(), text };
        let locales = self.names.get(template).ok_or_else(|| failed("there is no such template".into()))?;
        let locale = locale::chain(locale, &self.default_locale)
            .into_iter()
            .find(|tag| locales.contains(tag))
            .ok_or_else(|| failed("it is not written in the default language".into()))?;
        let context = facts.context(&self.brand);
        let error = |error: Error| failed(error.to_string());
        let subject = render(&self.mails, &id("subject", template, &locale), &context).map_err(error)?;
        let subject = values::tidy(&subject.values.in_text(&subject.text)).trim().to_owned();
        let body = render(&self.mails, &id("body", template, &locale), &context).map_err(error)?;
        if markdown::is_too_deep(&body.text) {
            return Err(failed("lists and quotes are nested too deep".into()));
        }
        let content = markdown::html(&body.text, &body.values);
        let html = self.page(&subject, &locale, content).map_err(error)?;
        Ok(RenderedMail { subject, text: markdown::text(&body.text, &body.values), html, locale })
    }

    fn page(&self, subject: &str, locale: &str, content: String) -> Result<String, Error> {
        let fields = BTreeMap::from([
            ("subject", Value::from(subject)),
            ("locale", Value::from(locale)),
            ("brand", self.brand.clone()),
            ("content", Value::from_safe_string(content)),
        ]);
        unpanicked(|| self.layout.get_template(LAYOUT)?.render(Value::from(fields)))
    }

    fn add(
        &mut self,
        file: &TemplateFile<'_>,
        names: &check::TemplateNames<'_>,
        samples: &[Value],
        wrong: &mut Vec<Diagnostic>,
    ) {
        let locales = self.names.entry(file.name.to_owned()).or_default();
        if !locales.insert(file.locale.clone()) {
            let message = format!("the template {} exists here for the second time in {}", file.name, file.locale);
            wrong.push(Diagnostic::error(CODE, file.path, message));
            return;
        }
        for (kind, part) in [("subject", &file.subject), ("body", &file.body)] {
            let id = id(kind, file.name, &file.locale);
            if let Err(error) = load::load(&mut self.mails, id.clone(), part, &engine::prepared(part)) {
                wrong.push(*error);
                continue;
            }
            let unknown = check::names(part, &self.mails, &id, names);
            if unknown.is_empty() {
                wrong.extend(check::tried(part, samples, |sample| render(&self.mails, &id, sample)));
            }
            wrong.extend(unknown);
        }
    }

    fn add_layout(&mut self, files: &Files, wrong: &mut Vec<Diagnostic>) {
        let text = files.get(LAYOUT).unwrap_or(include_str!("default_layout.html"));
        let part = TemplatePart { path: LAYOUT, file: text, offset: 0, source: text };
        let conflicts = conflicts(LAYOUT, text);
        if !conflicts.is_empty() {
            return wrong.extend(conflicts);
        }
        if let Err(error) = load::load(&mut self.layout, LAYOUT.to_owned(), &part, text) {
            return wrong.push(*error);
        }
        let unknown = check::names(&part, &self.layout, LAYOUT, &check::TemplateNames::of_layout());
        if unknown.is_empty() {
            const CONTENT: &str = "<p>the mail's own text</p>";
            match self.page("A subject", &self.default_locale, CONTENT.to_owned()) {
                Err(error) => wrong.push(check::report(&part, &error)),
                Ok(page) if !page.contains(CONTENT) => wrong.push(
                    Diagnostic::error(CODE, LAYOUT, "the layout does not include the mail's text")
                        .help("write `{{ content }}` where the text of a mail belongs"),
                ),
                Ok(_) => {}
            }
        }
        wrong.extend(unknown);
    }
}

/// Returns an error for the template with which the total size exceeds [`MAX_BYTES`].
fn too_large(files: &Files) -> Option<Diagnostic> {
    let mut bytes = 0;
    let (path, _) = files.iter().filter(|(path, _)| path.starts_with("templates/")).find(|(_, text)| {
        bytes += text.len();
        bytes > MAX_BYTES
    })?;
    let most = MAX_BYTES >> 20;
    let error = Diagnostic::error("size", path, format!("the templates together have more than {most} MB"));
    Some(error.help("no template is read: remove unused templates, or shorten them"))
}

/// Adds the name of a file that could not be read: its template counts as present.
fn add_name(path: &str, by_name: &mut BTreeMap<String, Vec<(String, String)>>) {
    if let Some((name, tag)) = path.strip_prefix("templates/").and_then(file::name_of) {
        by_name.entry(name.to_owned()).or_default().push((tag, path.to_owned()));
    }
}

/// Runs code of minijinja and turns a panic into an error of the template.
fn unpanicked<T: Send>(work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    catch_panic(RENDERING, work).unwrap_or_else(|text| Err(Error::new(ErrorKind::InvalidOperation, text)))
}

fn render(mails: &Environment<'_>, id: &str, context: &Value) -> Result<MarkedText, Error> {
    let (text, values) = unpanicked(|| {
        let captured = mails.get_template(id)?.render_captured(context.clone())?;
        let values = captured.state().get_extension::<PrintedValues>().cloned().unwrap_or_default();
        Ok((captured.into_output(), values))
    })?;
    if values.length_of(&text) > values::MAX_BYTES {
        return Err(values::too_long());
    }
    Ok(MarkedText { text, values })
}

/// The id of a template in minijinja. The locale is its last part, because the filters read it from there.
fn id(kind: &str, name: &str, locale: &str) -> String {
    format!("{kind}/{name}.{locale}")
}
