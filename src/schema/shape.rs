//! The pieces that schemas are made of.

use serde_json::{Map, Value, json};

/// Something is there that is not a space.
const FILLED: &str = r"\S";

/// A key and what stands behind it.
pub(super) type Key = (String, Value);

pub(super) fn key(name: &str, schema: Value) -> Key {
    (name.to_owned(), schema)
}

/// A map of these keys and no others.
pub(super) fn map(about: &str, required: &[&str], keys: impl IntoIterator<Item = Key>) -> Value {
    let keys: Map<String, Value> = keys.into_iter().collect();
    let mut schema = json!({"description": about, "type": "object", "properties": keys, "additionalProperties": false});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// A map of exactly one of these keys.
pub(super) fn one_of(about: &str, keys: impl IntoIterator<Item = Key>) -> Value {
    let schema = map(about, &[], keys);
    with(with(schema, "minProperties", json!(1)), "maxProperties", json!(1))
}

/// A map from names of this form to something.
pub(super) fn named(about: &str, form: &str, each: Value) -> Value {
    let form = format!("^(?:{form})$");
    json!({"description": about, "type": "object", "patternProperties": {form: each}, "additionalProperties": false})
}

/// A text that is not empty. A number is taken as it is written.
pub(super) fn text(about: &str) -> Value {
    json!({"description": about, "type": ["string", "number"], "pattern": FILLED})
}

/// A text of some form; `wrong` is what an editor says of another.
pub(super) fn form(about: &str, form: &str, wrong: &str) -> Value {
    json!({"description": about, "type": "string", "pattern": whole(form), "patternErrorMessage": wrong})
}

/// A number is taken as it is written; what it looks like, no pattern says.
pub(super) fn or_number(form: Value) -> Value {
    with(form, "type", json!(["string", "number"]))
}

/// The form, from the text's beginning to its end, with space around it.
pub(super) fn whole(form: &str) -> String {
    format!(r"^\s*(?:{form})\s*$")
}

/// One of these words.
pub(super) fn word<T: AsRef<str>>(about: &str, words: &[T]) -> Value {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    json!({"description": about, "enum": words})
}

/// One of these words, or another text.
pub(super) fn usually<T: AsRef<str>>(about: &str, words: &[T], other: Value) -> Value {
    if words.is_empty() {
        return with(other, "description", json!(about));
    }
    any(about, [word(about, words), other])
}

/// A yes or no.
pub(super) fn yes(about: &str) -> Value {
    json!({"description": about, "type": "boolean"})
}

pub(super) fn number(about: &str, least: u64, most: u64) -> Value {
    json!({"description": about, "type": "integer", "minimum": least, "maximum": most})
}

/// Several shapes are right.
pub(super) fn any(about: &str, shapes: impl IntoIterator<Item = Value>) -> Value {
    json!({"description": about, "anyOf": shapes.into_iter().collect::<Vec<_>>()})
}

pub(super) fn list(about: &str, item: Value) -> Value {
    json!({"description": about, "type": "array", "minItems": 1, "items": item})
}

/// One, or a list of them.
pub(super) fn one_or_more(about: &str, item: Value) -> Value {
    any(about, [item.clone(), list(about, item)])
}

pub(super) fn with(mut schema: Value, keyword: &str, value: Value) -> Value {
    schema[keyword] = value;
    schema
}

pub(super) fn examples(schema: Value, examples: &[impl AsRef<str>]) -> Value {
    let examples: Vec<&str> = examples.iter().map(AsRef::as_ref).collect();
    with(schema, "examples", json!(examples))
}

/// A definition of the same file. What stands beside it is said by whoever wraps it.
pub(super) fn defined(name: &str) -> Value {
    json!({"$ref": format!("#/definitions/{name}")})
}

/// A definition, described anew.
pub(super) fn described(about: &str, name: &str) -> Value {
    json!({"description": about, "allOf": [defined(name)]})
}

/// A whole schema.
pub(super) fn file(root: Value, definitions: impl IntoIterator<Item = Key>) -> Value {
    let definitions: Map<String, Value> = definitions.into_iter().collect();
    let mut schema = with(root, "$schema", json!("http://json-schema.org/draft-07/schema#"));
    if !definitions.is_empty() {
        schema["definitions"] = Value::Object(definitions);
    }
    schema
}
