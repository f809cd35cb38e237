//! The schema of `if`.

use serde_json::{Value, json};

use super::{
    SchemaNames, forms,
    shape::{SchemaKey, any, described, form, key, list, map, number, one_or_more, text, usually, with, word, yes},
};
use crate::domain::{Detail, known_docs, known_labels};

const MAX_VALUES: usize = 256;

/// The tests of a line, in addition to `any_of` and `none_of`.
#[derive(Clone, Copy)]
struct LineForms {
    /// The subject has several values: `all_of` and `only` are valid.
    set: bool,
    exists: bool,
    contains: bool,
}

const SET: LineForms = LineForms { set: true, exists: true, contains: true };
const ONE: LineForms = LineForms { set: false, exists: true, contains: true };

/// The lines of a condition.
pub(super) fn condition(names: &SchemaNames) -> Value {
    let details: Vec<&str> = Detail::ALL.iter().map(|(name, _)| *name).collect();
    let mut processing = forms::processing(names);
    processing.push("none".to_owned());
    let stage = word("A processing status.", &processing);
    let locale = form("A language, for example `de` or `de-AT`.", forms::LOCALE, "write, for example, de or de-AT");
    let country = form("A country code of two letters.", "[A-Z]{2}", "write two capital letters, such as DE");
    let tag = usually("A tag.", &names.tags, text("A tag that no rule adds."));
    let changed = LineForms { contains: false, ..SET };
    let mut lines = vec![
        key("missing_docs", line("The missing documents: any of these.", code(names, known_docs()), SET)),
        key(
            "reject_labels",
            line("The reject labels of the documents: any of these.", code(names, known_labels()), SET),
        ),
        key("message", line("The provider's message for the customer.", text("The whole text."), ONE)),
        key("processing", line("The processing status. `none`: no processing.", stage, ONE)),
        key("visit", visit()),
        key(
            "changed",
            line("The details that changed since the previous observation.", word("A detail.", &details), changed),
        ),
        key("tags", line("The tags of the customer: any of these.", tag, SET)),
        key("customer.locale", line("The customer's language. `de` matches `de-AT`, too.", locale, ONE)),
        key("customer.country", line("The customer's country.", country, ONE)),
        key("not", described("Negates this condition.", "condition")),
    ];
    let about = "An attribute of the customer, declared in the configuration under `directory.attributes`.";
    let attribute =
        line(about, with(text("The attribute's value."), "type", json!(["string", "number", "boolean"])), ONE);
    lines.extend(names.attributes.iter().map(|name| (format!("customer.attributes.{name}"), attribute.clone())));
    let mut condition = map("Every line must hold. For \"this or that\", write two rules in one `group`.", &[], lines);
    if names.attributes.is_empty() || names.growing {
        condition["patternProperties"] = json!({"^customer\\.attributes\\..+$": attribute});
    }
    with(condition, "minProperties", json!(1))
}

fn code(names: &SchemaNames, documented: &[&str]) -> Value {
    let mut known: Vec<&str> = documented.to_vec();
    known.extend(names.codes.iter().map(String::as_str).filter(|code| !documented.contains(code)));
    usually("A code.", &known, text("A code without words in labels/."))
}

/// A line: one value, a list, or a map of tests.
fn line(about: &str, value: Value, asks: LineForms) -> Value {
    let some = |about: &str| {
        let several = with(list("Several values.", value.clone()), "maxItems", json!(MAX_VALUES));
        any(about, [value.clone(), several])
    };
    let mut tests: Vec<SchemaKey> =
        vec![key("any_of", some("At least one of these.")), key("none_of", some("None of these."))];
    if asks.set {
        tests.push(key("all_of", some("All of these. Others may be present, too.")));
        tests.push(key("only", some("Only these values, and at least one of them.")));
    }
    if asks.exists {
        tests.push(key("exists", yes("Whether a value is present and not empty.")));
    }
    if asks.contains {
        tests.push(key(
            "contains",
            one_or_more("It contains one of these texts. Upper and lower case are equal.", text("A text.")),
        ));
    }
    let several = with(list("Any of these.", value.clone()), "maxItems", json!(MAX_VALUES));
    let tests = with(map("All of these tests must hold.", &[], tests), "minProperties", json!(1));
    any(about, [value, several, tests])
}

/// The line `visit`: how often the customer has entered this status.
fn visit() -> Value {
    let count = any(
        "A number, or a comparison.",
        [
            number("Exactly this number.", 0, u64::from(u32::MAX)),
            form(
                "A comparison, for example `>= 3`.",
                "(?:==?|>=?|<=?)?\\s*[0-9]{1,10}",
                "write a number such as 3, or \">= 3\"",
            ),
        ],
    );
    let asks = LineForms { set: false, exists: false, contains: false };
    line("How often this customer has entered this status: a number, or \">= 3\".", count, asks)
}
