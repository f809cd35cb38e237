//! JSON Schemas of the files that merchants write: with them an editor completes keys and names, explains them, and marks
//! mistakes while one types.
//!
//! Draft 07, since that is what YAML language servers understand. The readers (`rules`, `cases`, `config`) have the last word;
//! a schema says as much of it as it can, and `tests/schema.rs` holds the two against each other. Every key has a
//! description. Where several shapes are right, `anyOf` and not `oneOf`: a half-written value fits several.

mod action;
mod cases;
mod channels;
mod condition;
mod config;
mod filled;
mod forms;
mod rules;
mod shape;

use serde_json::Value;

/// What is known of the names that a file may use. Where a list is empty nothing is known, and any name is right.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Status names beyond the documented ones.
    pub statuses: Vec<String>,
    /// Processing status names beyond the documented ones.
    pub processing: Vec<String>,
    pub webhooks: Vec<String>,
    pub chats: Vec<String>,
    pub attributes: Vec<String>,
    pub templates: Vec<String>,
    /// The ids of rules.
    pub rules: Vec<String>,
    /// Document and label codes; others are right, too.
    pub codes: Vec<String>,
    /// Tags; others are right, too.
    pub tags: Vec<String>,
    /// Nobody will print the schema anew when a template, a target or a rule is added: names complete, and others are right.
    pub growing: bool,
}

/// Of `rules/*.yaml`.
pub fn rules(names: &Names) -> Value {
    rules::file(names)
}

/// Of `rules/*.test.yaml`.
pub fn tests(names: &Names) -> Value {
    cases::file(names)
}

/// Of `kyc-rules.yaml`.
pub fn config() -> Value {
    config::file()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every `properties` of a schema, with the path to it.
    fn keys<'v>(schema: &'v Value, path: &str, found: &mut Vec<(String, &'v Value)>) {
        match schema {
            Value::Object(map) => {
                let is_map = map.contains_key("properties") || map.contains_key("patternProperties");
                assert!(!is_map || map["additionalProperties"] == false, "{path} is open");
                for (key, value) in map {
                    if matches!(&**key, "properties" | "patternProperties") {
                        for (name, schema) in value.as_object().into_iter().flatten() {
                            found.push((format!("{path}/{name}"), schema));
                            keys(schema, &format!("{path}/{name}"), found);
                        }
                    } else {
                        keys(value, path, found);
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| keys(item, path, found)),
            _ => {}
        }
    }

    #[test]
    fn every_key_is_described_and_every_map_closed() {
        for (what, schema) in
            [("rules", rules(&Names::default())), ("tests", tests(&Names::default())), ("config", config())]
        {
            let mut found = Vec::new();
            keys(&schema, what, &mut found);
            assert!(found.len() > 20, "{what}");
            for (path, schema) in found {
                assert!(
                    schema["description"].as_str().is_some_and(|about| about.len() > 5),
                    "{path} has no description"
                );
                assert!(schema.get("$ref").is_none(), "{path}: beside `$ref` draft 07 ignores the description");
            }
        }
    }

    #[test]
    fn names_that_are_known_are_named_and_others_refused_unless_they_may_grow() {
        let mut names = Names { templates: vec!["reminder".to_owned()], ..Names::default() };
        names.statuses = vec!["SUS.PENDED".to_owned()];
        let strict = rules(&names).to_string();
        assert!(strict.contains(r#""enum":["reminder"]"#) && strict.contains(r"SUS\\.PENDED"), "{strict}");
        names.growing = true;
        let template = &rules(&names)["definitions"]["action"]["properties"]["email"]["anyOf"][0];
        assert_eq!(template["anyOf"].as_array().map(Vec::len), Some(2), "{template}");
    }
}
