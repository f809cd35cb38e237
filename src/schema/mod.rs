//! JSON Schemas of the files that merchants write. With them, an editor completes and explains keys and names, and
//! marks mistakes while the merchant types.
//!
//! The schemas use draft 07, because YAML language servers support it. The parsers (`rules`, `rule_tests`, `config`) are
//! authoritative; a schema expresses as much of their checks as it can, and `tests/service/schema/` compares both.
//! Every key has a description. Alternatives use `anyOf`, not `oneOf`, because a half-written value may match several.

mod action;
mod cases;
mod channels;
mod condition;
mod config;
mod filled;
mod forms;
mod names;
mod rules;
mod shape;

pub use names::SchemaNames;
use serde_json::Value;

/// Returns the schema of `rules/*.yaml`.
pub fn rules(names: &SchemaNames) -> Value {
    rules::file(names)
}

/// Returns the schema of `rules/*.test.yaml`.
pub fn tests(names: &SchemaNames) -> Value {
    cases::file(names)
}

/// Returns the schema of `kyc-rules.yaml`.
pub fn config() -> Value {
    config::file()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Collects every property of a schema with its path.
    fn keys<'v>(schema: &'v Value, path: &str, found: &mut Vec<(String, &'v Value)>) {
        match schema {
            Value::Object(map) => {
                let is_map = map.contains_key("properties") || map.contains_key("patternProperties");
                assert!(!is_map || map["additionalProperties"] == false, "{path} allows additional properties");
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
    fn every_key_has_a_description_and_no_map_allows_other_keys() {
        for (what, schema) in
            [("rules", rules(&SchemaNames::default())), ("tests", tests(&SchemaNames::default())), ("config", config())]
        {
            let mut found = Vec::new();
            keys(&schema, what, &mut found);
            assert!(found.len() > 20, "{what}");
            for (path, schema) in found {
                assert!(
                    schema["description"].as_str().is_some_and(|about| about.len() > 5),
                    "{path} has no description"
                );
                assert!(schema.get("$ref").is_none(), "{path}: draft 07 ignores a description next to `$ref`");
            }
        }
    }

    #[test]
    fn only_known_names_are_valid_unless_names_may_grow() {
        let mut names = SchemaNames { templates: vec!["reminder".to_owned()], ..SchemaNames::default() };
        names.statuses = vec!["SUS.PENDED".to_owned()];
        let strict = rules(&names).to_string();
        assert!(strict.contains(r#""enum":["reminder"]"#) && strict.contains(r"SUS\\.PENDED"), "{strict}");
        names.growing = true;
        let template = &rules(&names)["definitions"]["action"]["properties"]["email"]["anyOf"][0];
        assert_eq!(template["anyOf"].as_array().map(Vec::len), Some(2), "{template}");
    }
}
