//! The schema of a file of rule tests.

use serde_json::{Value, json};

use super::{
    SchemaNames, forms, rules,
    shape::{self, SchemaKey, any, defined, form, key, list, map, named, one_of, text, usually, with, word, yes},
};
use crate::domain::{known_docs, known_labels};

/// A date and a time of day; seconds are optional.
const TIME: &str = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]+)?)?";
/// Optionally an offset, a zone name in brackets, or both.
const ZONE: &str = r"(?:[Zz]|[+\-][0-9]{2}(?::?[0-9]{2})?)?(?:\[[^\]\s]+\])?";

/// The kinds of actions that a test can expect.
const KINDS: [&str; 5] = ["email", "webhook", "chat", "tag", "untag"];

pub(super) fn file(names: &SchemaNames) -> Value {
    let tests = json!({
        "description": "The tests. Each test has its own customer and its own clock.",
        "type": "array",
        "minItems": 1,
        "items": defined("test"),
    });
    let root = map(
        "Tests of the rules in this directory, on a virtual clock.",
        &["format", "tests"],
        [
            key("format", rules::format("The format version: 1. The first line of each file of tests.")),
            key("tests", tests),
        ],
    );
    let definitions = [key("test", test(names)), key("step", step(names)), key("expected", expected(names))];
    shape::file(root, definitions)
}

fn test(names: &SchemaNames) -> Value {
    let start = form(
        "The start time of the test, with a time zone. All times of the test are in this zone.",
        &format!("{TIME}{ZONE}"),
        "write, for example, 2026-03-03T21:30[Europe/Lisbon]",
    );
    let only =
        shape::one_or_more("Runs the test with these rules only, as if the other rules did not exist.", rule(names));
    map(
        "One test: a sequence of events and the expected results.",
        &["name", "steps"],
        [
            key("name", text("What the test checks, as a sentence.")),
            key("start", shape::examples(start, &["2026-03-03T10:00[Europe/Berlin]"])),
            key("customer", customer(names)),
            key("rules", only),
            key("steps", list("The steps of the test, in order.", defined("step"))),
        ],
    )
}

fn step(names: &SchemaNames) -> Value {
    let nothing = json!({"description": "Nothing was sent and no tag was changed.", "const": "nothing"});
    let expect = any(
        "Everything that was sent or tagged since the last `expect`, in any order: `nothing`, or a list.",
        [nothing, list("One entry for each result.", defined("expected")), defined("expected")],
    );
    one_of(
        "A step: exactly one of these keys.",
        [
            key("callback", callback(names)),
            key("wait", forms::duration("Moves the clock forward by this duration.")),
            key("expect", expect),
            key("contact", contact(names)),
            key("tag", forms::tag("An operator adds this tag to the customer.", names)),
            key("untag", forms::tag("An operator removes this tag from the customer.", names)),
        ],
    )
}

/// A callback with the provider's field names.
fn callback(names: &SchemaNames) -> Value {
    let status = |about: &str, known: &[String]| {
        let null = json!({"description": "No status, like `none`.", "type": "null"});
        any(about, [word("A known status name.", known), text("`none`, or an unknown status name."), null])
    };
    let doc = map(
        "A document as the provider's API sends it.",
        &["docType"],
        [
            key("docType", usually("The type of the document.", known_docs(), text("An unknown type."))),
            key("docSubtype", text("The provider's subtype. Rules do not read it.")),
        ],
    );
    let doc_type = usually("The type of a document.", known_docs(), text("An unknown type."));
    let docs = json!({
        "description": "Several documents.", "type": ["array", "null"], "items": any("A document.", [doc_type.clone(), doc])
    });
    let label = usually("A label, or several labels separated by commas.", known_labels(), text("Unknown labels."));
    let null = json!({"description": "No value.", "type": "null"});
    let labels = [label.clone(), list("Several labels.", label), null.clone()];
    map(
        "A callback from the provider. The test treats it as confirmed.",
        &["status"],
        [
            key("status", status("The KYC status. `none` is the provider's `null`.", &forms::statuses(names))),
            key("kycProcessingStatus", status("The processing status.", &forms::processing(names))),
            key("docsMissing", any("The missing documents.", [docs, doc_type])),
            key("kycRejectLabel", any("The reject labels of the documents.", labels)),
            key("kycEndUserErrorMessage", any("The provider's message for the customer.", [text("The text."), null])),
        ],
    )
}

/// The customer of a test.
fn customer(names: &SchemaNames) -> Value {
    let nobody = word("The address is not known.", &["none"]);
    let email = any("The address. Without this key, the customer has an address.", [nobody, address()]);
    let keys = [key("id", text("The customer's id at the provider.")), key("email", email)];
    let about = "The customer. Details that are left out are not known, except the address.";
    map(about, &[], keys.into_iter().chain(details(names)))
}

fn contact(names: &SchemaNames) -> Value {
    let keys = std::iter::once(key("email", address())).chain(details(names));
    map("The contact of the customer from now on. Details that are left out stay unchanged.", &[], keys)
}

fn address() -> Value {
    form("The customer's address.", forms::ADDRESS, "write, for example, ada@customer.example")
}

fn details(names: &SchemaNames) -> [SchemaKey; 5] {
    let value = with(text("The attribute's value."), "type", json!(["string", "number", "boolean"]));
    let about = "Attributes that `directory.attributes` declares.";
    let attributes = if names.attributes.is_empty() || names.growing {
        named(about, "[A-Za-z_][A-Za-z0-9_]{0,63}", value)
    } else {
        let each = |name: &String| (name.clone(), with(value.clone(), "description", json!("A declared attribute.")));
        map(about, &[], names.attributes.iter().map(each))
    };
    [
        key("name", text("The customer's name, for use in mails.")),
        key("locale", form("The customer's language.", forms::LOCALE, "write, for example, de or de-AT")),
        key(
            "timezone",
            form("The customer's time zone, for quiet hours.", forms::TIMEZONE, "write, for example, Europe/Berlin"),
        ),
        key(
            "country",
            form("The customer's country, as a code of two letters.", "[A-Za-z]{2}", "write two letters, such as DE"),
        ),
        key("attributes", attributes),
    ]
}

fn rule(names: &SchemaNames) -> Value {
    forms::given("The id of the rule.", &names.rules, names)
}

fn expected(names: &SchemaNames) -> Value {
    let at = form(
        "The time when it was sent. Without a zone, the zone of `start` applies.",
        &format!("{TIME}{ZONE}"),
        "write, for example, 2026-03-06T09:00",
    );
    let keys = [
        key("rule", rule(names)),
        key("email", forms::given("A mail with this template.", &names.templates, names)),
        key("webhook", forms::given("A webhook to this target.", &names.webhooks, names)),
        key("chat", forms::given("A chat message to this room.", &names.chats, names)),
        key("tag", forms::tag("A tag that was added.", names)),
        key("untag", forms::tag("A tag that was removed.", names)),
        key("at", at),
        key("to", text("For a mail: the recipient's address.")),
        key("subject", text("For a mail: its subject.")),
        key("contains", shape::one_or_more("For a mail or a chat message: texts that it contains.", text("A text."))),
        key("event", text("For a webhook: the name of its event.")),
        key("shadow", yes("`true`: a rule in shadow mode would have ordered it.")),
    ];
    let about = "One message that was sent, or one tag that was changed: the rule, and one of `email`, `webhook`, \
                 `chat`, `tag`, `untag` with its name.";
    let needs = |kind: &str| json!({"required": [kind]});
    let one = with(map(about, &["rule"], keys), "oneOf", Value::from_iter(KINDS.map(needs)));
    let said = json!({"anyOf": [needs("email"), needs("chat")]});
    with(one, "dependencies", json!({"to": ["email"], "subject": ["email"], "event": ["webhook"], "contains": said}))
}
