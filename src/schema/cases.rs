//! A file of rule tests.

use serde_json::{Value, json};

use super::{
    Names, forms, rules,
    shape::{self, Key, any, defined, form, key, list, map, named, one_of, text, usually, with, word, yes},
};
use crate::kyc::{known_docs, known_labels};

/// A date and a time of day, in seconds at most.
const TIME: &str = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]+)?)?";
/// An offset, a name in brackets, or nothing.
const ZONE: &str = r"(?:[Zz]|[+\-][0-9]{2}(?::?[0-9]{2})?)?(?:\[[^\]\s]+\])?";

/// What can leave, or be seen on the customer.
const KINDS: [&str; 5] = ["email", "webhook", "chat", "tag", "untag"];

pub(super) fn file(names: &Names) -> Value {
    let tests = json!({
        "description": "The tests. Each has a customer and a clock of its own.",
        "type": "array",
        "minItems": 1,
        "items": defined("test"),
    });
    let root = map(
        "Tests of the rules beside them, on a virtual clock.",
        &["format", "tests"],
        [key("format", rules::format("The first line of each file of tests.")), key("tests", tests)],
    );
    let definitions = [key("test", test(names)), key("step", step(names)), key("expected", expected(names))];
    shape::file(root, definitions)
}

fn test(names: &Names) -> Value {
    let start = form(
        "When the test begins, with its time zone: all times of the test are in it.",
        &format!("{TIME}{ZONE}"),
        "write as 2026-03-03T21:30[Europe/Lisbon]",
    );
    let only = shape::one_or_more("These rules alone; the others count as absent.", rule(names));
    map(
        "One story: what happens, and what is to come of it.",
        &["name", "steps"],
        [
            key("name", text("What the test shows, as a sentence.")),
            key("start", shape::examples(start, &["2026-03-03T10:00[Europe/Berlin]"])),
            key("customer", customer(names)),
            key("rules", only),
            key("steps", list("What happens, one after the other.", defined("step"))),
        ],
    )
}

fn step(names: &Names) -> Value {
    let nothing = json!({"description": "Nothing has left and no tag was changed.", "const": "nothing"});
    let expect = any(
        "All that has left or was tagged since the last `expect`, in any order: `nothing`, or a list.",
        [nothing, list("Each thing that happened.", defined("expected")), defined("expected")],
    );
    one_of(
        "A step: exactly one of these keys.",
        [
            key("callback", callback(names)),
            key("wait", forms::duration("The clock moves on by so much.")),
            key("expect", expect),
            key("contact", contact(names)),
            key("tag", forms::tag("A person marks the customer.", names)),
            key("untag", forms::tag("A person takes a tag away.", names)),
        ],
    )
}

/// The provider's own words.
fn callback(names: &Names) -> Value {
    let status = |about: &str, known: &[String]| {
        let null = json!({"description": "No status, as `none`.", "type": "null"});
        any(about, [word("A known status.", known), text("`none`, or a status that is not known."), null])
    };
    let doc = map(
        "A document as the provider's API sends it.",
        &["docType"],
        [
            key("docType", usually("The document's type.", known_docs(), text("A type that is not known."))),
            key("docSubtype", text("What the provider says beside it; nothing depends on it.")),
        ],
    );
    let doc_type = usually("A document's type.", known_docs(), text("A type that is not known."));
    let docs = json!({
        "description": "Several documents.", "type": ["array", "null"], "items": any("A document.", [doc_type.clone(), doc])
    });
    let label = usually("A label, or several with commas.", known_labels(), text("Labels that are not known."));
    let null = json!({"description": "Nothing.", "type": "null"});
    let labels = [label.clone(), list("Several labels.", label), null.clone()];
    map(
        "The provider calls; taken as confirmed.",
        &["status"],
        [
            key("status", status("The KYC status; `none` is the provider's `null`.", &forms::statuses(names))),
            key("kycProcessingStatus", status("What the provider is doing.", &forms::processing(names))),
            key("docsMissing", any("The documents that are missing.", [docs, doc_type])),
            key("kycRejectLabel", any("Why documents were rejected.", labels)),
            key("kycEndUserErrorMessage", any("The provider's text for the customer.", [text("The text."), null])),
        ],
    )
}

/// Who a test is about.
fn customer(names: &Names) -> Value {
    let nobody = word("Nobody knows the address.", &["none"]);
    let email = any("The address; there is one if nothing stands here.", [nobody, address()]);
    let keys = [key("id", text("The customer's id at the provider.")), key("email", email)];
    let about = "The customer. What is left out is not known, but for the address.";
    map(about, &[], keys.into_iter().chain(details(names)))
}

fn contact(names: &Names) -> Value {
    let keys = std::iter::once(key("email", address())).chain(details(names));
    map("What the directory says of the customer from now on; what is left out stays as it was.", &[], keys)
}

fn address() -> Value {
    form("The customer's address.", forms::ADDRESS, "write as ada@customer.example")
}

fn details(names: &Names) -> [Key; 5] {
    let value = with(text("The attribute's value."), "type", json!(["string", "number", "boolean"]));
    let about = "Attributes, declared under `directory.attributes`.";
    let attributes = if names.attributes.is_empty() || names.growing {
        named(about, "[A-Za-z_][A-Za-z0-9_]{0,63}", value)
    } else {
        let each = |name: &String| (name.clone(), with(value.clone(), "description", json!("A declared attribute.")));
        map(about, &[], names.attributes.iter().map(each))
    };
    [
        key("name", text("What mails call the customer.")),
        key("locale", form("The customer's language.", forms::LOCALE, "write as de or de-AT")),
        key("timezone", form("The customer's time zone, for quiet hours.", forms::TIMEZONE, "write as Europe/Berlin")),
        key("country", form("The customer's country, in two letters.", "[A-Za-z]{2}", "write two letters, as DE")),
        key("attributes", attributes),
    ]
}

fn rule(names: &Names) -> Value {
    forms::given("The rule's id.", &names.rules, names)
}

fn expected(names: &Names) -> Value {
    let at = form(
        "When it left; without a zone it is that of `start`.",
        &format!("{TIME}{ZONE}"),
        "write as 2026-03-06T09:00",
    );
    let keys = [
        key("rule", rule(names)),
        key("email", forms::given("A mail of this template.", &names.templates, names)),
        key("webhook", forms::given("A webhook to this target.", &names.webhooks, names)),
        key("chat", forms::given("A message in this room.", &names.chats, names)),
        key("tag", forms::tag("A tag that was set.", names)),
        key("untag", forms::tag("A tag that was taken away.", names)),
        key("at", at),
        key("to", text("Of a mail: the address.")),
        key("subject", text("Of a mail: its subject.")),
        key("contains", shape::one_or_more("Of a mail or a message: texts that stand in it.", text("A text."))),
        key("event", text("Of a webhook: what it tells.")),
        key("shadow", yes("`true`: a rule in shadow would have ordered it.")),
    ];
    let about = "One thing that has left, or a tag that was changed: the rule, and one of `email`, `webhook`, `chat`, `tag`, \
                 `untag` with its name.";
    let needs = |kind: &str| json!({"required": [kind]});
    let one = with(map(about, &["rule"], keys), "oneOf", Value::from_iter(KINDS.map(needs)));
    let said = json!({"anyOf": [needs("email"), needs("chat")]});
    with(one, "dependencies", json!({"to": ["email"], "subject": ["email"], "event": ["webhook"], "contains": said}))
}
