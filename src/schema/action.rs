//! The schema of `do`.

use serde_json::{Value, json};

use super::{
    SchemaNames, forms,
    shape::{any, defined, form, key, map, one_of, or_number, text, usually, with},
};

/// A map of one action.
pub(super) fn action(names: &SchemaNames) -> Value {
    let actions = [
        key("email", email(names)),
        key("webhook", webhook(names)),
        key("chat", chat(names)),
        key("tag", forms::tag("Adds this tag to the customer. Conditions see it from the next event on.", names)),
        key("untag", forms::tag("Removes this tag from the customer.", names)),
        key("record", json!({"description": "Only adds an entry to the history.", "enum": [null, true]})),
    ];
    one_of("An action: exactly one of these keys.", actions)
}

/// The value of `do`: one action or several.
pub(super) fn actions() -> Value {
    let record = json!({"description": "Only adds an entry to the history.", "const": "record"});
    let one = || any("One action.", [defined("action"), record.clone()]);
    let several =
        json!({"description": "Several actions.", "type": "array", "minItems": 1, "maxItems": 32, "items": one()});
    any(
        "The actions of the rule: `email`, `webhook`, `chat`, `tag`, `untag` or `record`. One action or a list.",
        [several, defined("action"), record],
    )
}

fn email(names: &SchemaNames) -> Value {
    let template = || forms::given("The template: `templates/NAME.LOCALE.md`.", &names.templates, names);
    let to = with(
        form("An address", forms::ADDRESS, "write `customer`, or an address such as ops@shop.example"),
        "pattern",
        json!(format!("^(?:{})$", forms::ADDRESS)),
    );
    let keys = [
        key("template", template()),
        key("to", usually("The recipient: `customer` (default), or a fixed address.", &["customer"], to)),
        key(
            "limit",
            forms::limit(
                "Maximum number of these mails to one customer in a rolling window. Further mails are dropped.",
            ),
        ),
        key(
            "settle",
            forms::duration(
                "Delay before the first attempt. The mail is cancelled if the customer's status changes in this time.",
            ),
        ),
        key("quiet_hours", forms::quiet_hours("Hours without mails, in the customer's time zone.")),
    ];
    any(
        "Mails the customer in their language, or a fixed address: a template name, or a map with options.",
        [template(), map("A mail with options.", &["template"], keys)],
    )
}

fn webhook(names: &SchemaNames) -> Value {
    let event = form(
        "The name of the event, for example kyc.reversed.",
        "[!-~]{1,128}",
        "use at most 128 ASCII characters, without spaces",
    );
    let keys = [
        key("to", forms::given("The target, configured under `webhooks:`.", &names.webhooks, names)),
        key("event", or_number(event)),
    ];
    map("Sends a signed POST request with JSON to a configured target.", &["to", "event"], keys)
}

fn chat(names: &SchemaNames) -> Value {
    let keys = [
        key("to", forms::given("The room, configured under `chats:`.", &names.chats, names)),
        key(
            "text",
            text("The text of the message. It may use `{{ … }}`, for example `{{ customer.id }} was rejected`."),
        ),
        key("limit", forms::limit("Maximum number of these messages about one customer in a rolling window.")),
    ];
    map("Posts a message to a configured room in Slack, Mattermost, Teams or Discord.", &["to", "text"], keys)
}
