//! `do`: what a rule orders.

use serde_json::{Value, json};

use super::{
    Names, forms,
    shape::{any, defined, form, key, map, one_of, or_number, text, usually, with},
};

/// `record` alone, or a map of one action.
pub(super) fn action(names: &Names) -> Value {
    let actions = [
        key("email", email(names)),
        key("webhook", webhook(names)),
        key("chat", chat(names)),
        key("tag", forms::tag("Marks the customer with this tag; conditions see it from the next event on.", names)),
        key("untag", forms::tag("Takes this tag away from the customer.", names)),
        key("record", json!({"description": "Nothing but the entry in the history.", "enum": [null, true]})),
    ];
    one_of("An action: exactly one of these keys.", actions)
}

/// What `do` may be: one action or several.
pub(super) fn actions() -> Value {
    let record = json!({"description": "Nothing but the entry in the history.", "const": "record"});
    let one = || any("One action.", [defined("action"), record.clone()]);
    let several =
        json!({"description": "Several actions.", "type": "array", "minItems": 1, "maxItems": 32, "items": one()});
    any(
        "What happens: `email`, `webhook`, `chat`, `tag`, `untag` or `record`; one, or a list.",
        [several, defined("action"), record],
    )
}

fn email(names: &Names) -> Value {
    let template = || forms::given("The template: `templates/NAME.LOCALE.md`.", &names.templates, names);
    let to = with(
        form("An address", forms::ADDRESS, "write `customer`, or an address as ops@shop.example"),
        "pattern",
        json!(format!("^(?:{})$", forms::ADDRESS)),
    );
    let keys = [
        key("template", template()),
        key("to", usually("Who gets it: `customer` (as if not written), or a fixed address.", &["customer"], to)),
        key(
            "limit",
            forms::limit("No more than so many to one customer in a rolling time; what is over it is dropped."),
        ),
        key("settle", forms::duration("Wait so long before the first attempt; who has moved on by then gets no mail.")),
        key("quiet_hours", forms::quiet_hours("No mail goes at these hours of the customer's clock.")),
    ];
    any(
        "Mails the customer (or a fixed address) in their language: the template's name, or a map with more to say.",
        [template(), map("A mail with more to say.", &["template"], keys)],
    )
}

fn webhook(names: &Names) -> Value {
    let event =
        form("What it tells, in one word, as kyc.reversed.", "[!-~]{1,128}", "one word of at most 128 characters");
    let keys = [
        key("to", forms::given("A target, configured under `webhooks:`.", &names.webhooks, names)),
        key("event", or_number(event)),
    ];
    map("POSTs JSON to a configured target, signed.", &["to", "event"], keys)
}

fn chat(names: &Names) -> Value {
    let keys = [
        key("to", forms::given("A room, configured under `chats:`.", &names.chats, names)),
        key("text", text("What it says: text with `{{ … }}`, as `{{ customer.id }} was rejected`.")),
        key("limit", forms::limit("No more than so many about one customer in a rolling time.")),
    ];
    map("Posts to a configured room of Slack, Mattermost, Teams or Discord.", &["to", "text"], keys)
}
