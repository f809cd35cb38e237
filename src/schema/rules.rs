//! A file of rules.

use serde_json::{Value, json};

use super::{
    Names, action, condition, forms,
    shape::{self, any, defined, described, key, map, text, with, word},
};
use crate::rules::Mode;

pub(super) fn file(names: &Names) -> Value {
    let rules = json!({
        "description": "The rules, in the order in which a `group` looks at them.",
        "type": ["array", "null"],
        "items": defined("rule"),
    });
    let root = map(
        "Rules: what happens when a customer's status changes.",
        &["format", "rules"],
        [key("format", format("The first line of each file of rules.")), key("rules", rules)],
    );
    let definitions = [
        key("rule", rule()),
        key("trigger", forms::trigger(names)),
        key("condition", condition::condition(names)),
        key("action", action::action(names)),
    ];
    shape::file(root, definitions)
}

pub(super) fn format(about: &str) -> Value {
    json!({"description": about, "type": "integer", "const": 1})
}

fn rule() -> Value {
    let modes: Vec<&str> = Mode::ALL.iter().map(|(name, _)| *name).collect();
    let mode = word(
        "`live` (as if not written); `shadow`: recorded what it would have done, and nothing done; `paused`: not looked at.",
        &modes,
    );
    let triggers = json!({
        "description": "Several triggers of one kind; any of them suffices.",
        "type": "array", "minItems": 1, "maxItems": 64, "items": defined("trigger"),
    });
    let about = "When the rule is looked at: one trigger, or a list of one kind. `any -> B`, `A -> B`, `A | B -> C`, `A -> A`, \
                 `A for 48h, 5d`, `processing A -> B`.";
    map(
        "When something happens, if something holds, do something.",
        &["id", "when", "do"],
        [
            key("id", forms::id("The rule's name: history, limits and reminders hang on it, so it stays as it is.")),
            key("about", text("What the rule is for, in a sentence.")),
            key(
                "group",
                forms::id("Of a group only the first rule that matches, in file order, acts. It lives in one file."),
            ),
            key("mode", with(mode, "default", json!("live"))),
            key("when", any(about, [defined("trigger"), triggers])),
            key(
                "if",
                described(
                    "What must hold, beside the trigger: every line. A list in a line means any of these.",
                    "condition",
                ),
            ),
            key("do", action::actions()),
        ],
    )
}
