//! `if`: what must hold.

use serde_json::{Value, json};

use super::{
    Names, forms,
    shape::{Key, any, described, form, key, list, map, number, one_or_more, text, usually, with, word, yes},
};
use crate::kyc::{Detail, known_docs, known_labels};

const MAX_VALUES: usize = 256;

/// What can be asked of a line, beside whether it is one of some values.
#[derive(Clone, Copy)]
struct Asks {
    /// Several values at once: `all_of`, `only`.
    set: bool,
    exists: bool,
    contains: bool,
}

const SET: Asks = Asks { set: true, exists: true, contains: true };
const ONE: Asks = Asks { set: false, exists: true, contains: true };

/// The lines of a condition.
pub(super) fn condition(names: &Names) -> Value {
    let details: Vec<&str> = Detail::ALL.iter().map(|(name, _)| *name).collect();
    let mut processing = forms::processing(names);
    processing.push("none".to_owned());
    let stage = word("A processing status.", &processing);
    let locale = form("A language, as `de` or `de-AT`.", forms::LOCALE, "write as de or de-AT");
    let country = form("A country, in two letters.", "[A-Z]{2}", "write two capital letters, as DE");
    let tag = usually("A tag.", &names.tags, text("A tag that no rule sets."));
    let changed = Asks { contains: false, ..SET };
    let mut lines = vec![
        key("missing_docs", line("The documents that are missing: any of these.", code(names, known_docs()), SET)),
        key("reject_labels", line("Why documents were rejected: any of these.", code(names, known_labels()), SET)),
        key("message", line("The provider's text for the customer.", text("The whole text."), ONE)),
        key("processing", line("The processing status; `none` when nothing is going on.", stage, ONE)),
        key("visit", visit()),
        key("changed", line("What is new against the observation before.", word("A detail.", &details), changed)),
        key("tags", line("Marks that rules or people have set: any of these.", tag, SET)),
        key("customer.locale", line("The customer's language; `de` holds for `de-AT`, too.", locale, ONE)),
        key("customer.country", line("The customer's country.", country, ONE)),
        key("not", described("The opposite of what stands in here.", "condition")),
    ];
    let about = "An attribute of the customer, declared in the configuration under `directory.attributes`.";
    let attribute =
        line(about, with(text("The attribute's value."), "type", json!(["string", "number", "boolean"])), ONE);
    lines.extend(names.attributes.iter().map(|name| (format!("customer.attributes.{name}"), attribute.clone())));
    let mut condition = map("Every line must hold. For \"this or that\" write two rules in one `group`.", &[], lines);
    if names.attributes.is_empty() || names.growing {
        condition["patternProperties"] = json!({"^customer\\.attributes\\..+$": attribute});
    }
    with(condition, "minProperties", json!(1))
}

fn code(names: &Names, documented: &[&str]) -> Value {
    let mut known: Vec<&str> = documented.to_vec();
    known.extend(names.codes.iter().map(String::as_str).filter(|code| !documented.contains(code)));
    usually("A code.", &known, text("A code that has no words in labels/."))
}

/// One value, a list, or a map of tests.
fn line(about: &str, value: Value, asks: Asks) -> Value {
    let some = |about: &str| {
        let several = with(list("Several values.", value.clone()), "maxItems", json!(MAX_VALUES));
        any(about, [value.clone(), several])
    };
    let mut tests: Vec<Key> =
        vec![key("any_of", some("At least one of these.")), key("none_of", some("None of these."))];
    if asks.set {
        tests.push(key("all_of", some("All of these, and perhaps others.")));
        tests.push(key("only", some("These or fewer, and not empty.")));
    }
    if asks.exists {
        tests.push(key("exists", yes("Whether there is something at all.")));
    }
    if asks.contains {
        tests.push(key(
            "contains",
            one_or_more("One of these texts is a part of it, whatever the case.", text("A part.")),
        ));
    }
    let several = with(list("Any of these.", value.clone()), "maxItems", json!(MAX_VALUES));
    let tests = with(map("All of these tests must hold.", &[], tests), "minProperties", json!(1));
    any(about, [value, several, tests])
}

/// How often the customer has entered this status.
fn visit() -> Value {
    let count = any(
        "A number, or a comparison.",
        [
            number("Exactly so often.", 0, u64::from(u32::MAX)),
            form("A comparison, as `>= 3`.", "(?:==?|>=?|<=?)?\\s*[0-9]{1,10}", "write a number as 3, or \">= 3\""),
        ],
    );
    let asks = Asks { set: false, exists: false, contains: false };
    line("How often this customer has entered this status: a number, or \">= 3\".", count, asks)
}
