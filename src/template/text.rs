//! Templates inside a rule, for example a chat's text: in one language, without Markdown, with the values kept apart.

use minijinja::Value;

use super::{
    Phrase, RENDERING, RenderError, TemplateFacts, Templates, check, facts,
    file::{CODE, TemplatePart},
    id, load, render,
};
use crate::{stack::catch_panic, yaml::Diagnostic};

impl Templates {
    /// Adds a text, or returns its errors. The spans are offsets in the text, and the file name is empty.
    pub fn add_text(&mut self, text: &str, attributes: &[String]) -> Vec<Diagnostic> {
        catch_panic(RENDERING, || self.text_added(text, attributes))
            .unwrap_or_else(|panic| vec![Diagnostic::error(CODE, "", panic)])
    }

    fn text_added(&mut self, text: &str, attributes: &[String]) -> Vec<Diagnostic> {
        let part = TemplatePart { path: "", file: text, offset: 0, source: text };
        let id = self.id_of_text(text);
        if let Err(error) = load::load(&mut self.mails, id.clone(), &part, text) {
            return vec![*error];
        }
        let unknown = check::names(&part, &self.mails, &id, &check::TemplateNames::of_mails(attributes));
        if !unknown.is_empty() {
            return unknown;
        }
        let samples: Vec<Value> = facts::samples(attributes).iter().map(|facts| facts.context(&self.brand)).collect();
        let mut wrong: Vec<Diagnostic> = Vec::new();
        for sample in &samples {
            let complaint = match render(&self.mails, &id, sample) {
                Ok(rendered) if rendered.is_blank() => {
                    Diagnostic::error(CODE, "", "the text is empty for one of the sample customers").at(part.whole())
                }
                Ok(_) => continue,
                Err(error) => check::report(&part, &error),
            };
            if !wrong.contains(&complaint) {
                wrong.push(complaint);
            }
        }
        wrong
    }

    /// Renders a text in the default language.
    pub fn render_text(&self, text: &str, facts: &TemplateFacts) -> Result<Phrase, RenderError> {
        let failed = |text: String| RenderError { template: "text".to_owned(), text };
        let rendered =
            catch_panic(RENDERING, || render(&self.mails, &self.id_of_text(text), &facts.context(&self.brand)));
        let rendered = rendered.map_err(failed)?.map_err(|error| failed(error.to_string()))?;
        match rendered.is_blank() {
            true => Err(failed("the text is empty".to_owned())),
            false => Ok(rendered.values.phrase(&rendered.text)),
        }
    }

    /// The id of a text in minijinja contains the text itself.
    fn id_of_text(&self, text: &str) -> String {
        id("text", text, &self.default_locale)
    }
}
