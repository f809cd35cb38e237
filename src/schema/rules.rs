//! The schema of a rules file.

use serde_json::{Value, json};

use super::{
    SchemaNames, action, condition, forms,
    shape::{self, any, defined, described, key, map, text, with, word},
};
use crate::rules::RuleMode;

pub(super) fn file(names: &SchemaNames) -> Value {
    let rules = json!({
        "description": "The rules. Their order matters inside a `group`.",
        "type": ["array", "null"],
        "items": defined("rule"),
    });
    let root = map(
        "Rules: the actions for changes of a customer's status.",
        &["format", "rules"],
        [key("format", format("The format version: 1. The first line of each rules file.")), key("rules", rules)],
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
    let modes: Vec<&str> = RuleMode::ALL.iter().map(|(name, _)| *name).collect();
    let mode = word(
        "`live` (default): the rule acts. `shadow`: it is recorded, but does not act. `paused`: it is not evaluated.",
        &modes,
    );
    let triggers = json!({
        "description": "Several triggers of one kind. Any of them fires the rule.",
        "type": "array", "minItems": 1, "maxItems": 64, "items": defined("trigger"),
    });
    let about = "The trigger of the rule: one trigger, or a list of one kind. `any -> B`, `A -> B`, `A | B -> C`, \
                 `A -> A`, `A for 48h, 5d`, `processing A -> B`.";
    map(
        "A rule: a trigger (`when`), conditions (`if`) and actions (`do`).",
        &["id", "when", "do"],
        [
            key("id", forms::id("The rule's id. Do not change it later: history, limits and reminders refer to it.")),
            key("about", text("The purpose of the rule, in a sentence.")),
            key(
                "group",
                forms::id("Only the first matching rule of a group, in file order, acts. A group is in one file."),
            ),
            key("mode", with(mode, "default", json!("live"))),
            key("when", any(about, [defined("trigger"), triggers])),
            key(
                "if",
                described("The conditions: every line must hold. A list in a line means any of these.", "condition"),
            ),
            key("do", action::actions()),
        ],
    )
}
