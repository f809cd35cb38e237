//! The names that a rules directory uses, for completion in editors.
//!
//! Collects names also from rules with errors, because a rule that is being edited often has errors. `RuleSet::compile`
//! reports the errors.

use std::collections::BTreeSet;

use crate::yaml::{Document, Files, Node, Report, Value};

use super::{Environment, compile, condition::parse::ATTRIBUTE, context};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// Rule ids, sorted.
    pub rules: BTreeSet<String>,
    /// Templates that have a file.
    pub templates: BTreeSet<String>,
    /// Codes that `labels/` translates.
    pub labels: BTreeSet<String>,
    /// Targets that rules name, configured or not. The same holds for rooms and attributes.
    pub webhooks: BTreeSet<String>,
    pub chats: BTreeSet<String>,
    pub attributes: BTreeSet<String>,
    /// Tags that rules set.
    pub tags: BTreeSet<String>,
}

impl Vocabulary {
    pub fn of(files: &Files) -> Self {
        let mut found = Self {
            templates: context::templates(files).into_iter().map(str::to_owned).collect(),
            labels: compile::label_codes(files),
            ..Self::default()
        };
        for (path, text) in files.iter().filter(|(path, _)| compile::is_rules(path)) {
            let mut report = Report::new(path, text);
            let Some(document) = Document::read(&mut report) else { continue };
            for rule in document.root.get("rules").map_or(&[][..], Node::items) {
                found.rules.extend(rule.get("id").and_then(Node::scalar).map(str::to_owned));
                rule.get("if").into_iter().for_each(|condition| found.condition(condition));
                rule.get("do").map_or(&[][..], Node::items).iter().for_each(|action| found.action(action));
            }
        }
        found
    }

    fn condition(&mut self, condition: &Node<'_>) {
        let Value::Map(entries) = &condition.value else { return };
        for entry in entries {
            if entry.key == "not" {
                self.condition(&entry.value);
            }
            self.attributes.extend(entry.key.strip_prefix(ATTRIBUTE).map(str::to_owned));
        }
    }

    fn action(&mut self, action: &Node<'_>) {
        let text = |node: Option<&Node<'_>>| node.and_then(Node::scalar).map(str::to_owned);
        self.tags.extend(text(action.get("tag")));
        for (kind, names) in [("webhook", &mut self.webhooks), ("chat", &mut self.chats)] {
            names.extend(text(action.get(kind).and_then(|target| target.get("to"))));
        }
    }
}

impl Environment {
    /// The context for rules without a configuration. It assumes that the configuration is complete and declares every
    /// target, room and attribute that these rules name.
    pub fn assumed_by(files: &Files) -> Self {
        let found = Vocabulary::of(files);
        Self {
            email: true,
            directory: true,
            api_key: true,
            locale: "en".to_owned(),
            webhooks: found.webhooks.into_iter().collect(),
            chats: found.chats.into_iter().collect(),
            attributes: found.attributes.into_iter().collect(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_rules_with_errors() {
        let rules = "format: 1\nrules:\n  - id: one\n    when: nonsense\n    if: {customer.attributes.plan: pro, not: {customer.attributes.age: 7}}\n    do: [tag: vip, {chat: {to: ops}}, {webhook: {to: shop}}, email: {}]\n  - id: two\n    do: record\n  - * x\n";
        let files: Files = [
            ("a.yaml", rules),
            ("a.test.yaml", "rules: [{id: no}]"),
            ("templates/m.en.md", ""),
            ("labels/en.yaml", "SELFIE: selfie"),
        ]
        .into_iter()
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .collect();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let expected = Vocabulary {
            rules: names(&["one", "two"]),
            templates: names(&["m"]),
            labels: names(&["SELFIE"]),
            webhooks: names(&["shop"]),
            chats: names(&["ops"]),
            attributes: names(&["age", "plan"]),
            tags: names(&["vip"]),
        };
        assert_eq!(Vocabulary::of(&files), expected);
    }
}
