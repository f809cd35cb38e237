//! Building blocks of the schemas.

use serde_json::{Map, Value, json};

/// A pattern for a text with at least one character that is not a space.
const FILLED: &str = r"\S";

/// A key and the schema of its value.
pub(super) type SchemaKey = (String, Value);

pub(super) fn key(name: &str, schema: Value) -> SchemaKey {
    (name.to_owned(), schema)
}

/// A map with these keys and no others.
pub(super) fn map(about: &str, required: &[&str], keys: impl IntoIterator<Item = SchemaKey>) -> Value {
    let keys: Map<String, Value> = keys.into_iter().collect();
    let mut schema = json!({"description": about, "type": "object", "properties": keys, "additionalProperties": false});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// A map with exactly one of these keys.
pub(super) fn one_of(about: &str, keys: impl IntoIterator<Item = SchemaKey>) -> Value {
    let schema = map(about, &[], keys);
    with(with(schema, "minProperties", json!(1)), "maxProperties", json!(1))
}

/// A map from names of this form to values of one schema.
pub(super) fn named(about: &str, form: &str, each: Value) -> Value {
    let form = format!("^(?:{form})$");
    json!({"description": about, "type": "object", "patternProperties": {form: each}, "additionalProperties": false})
}

/// A text that is not empty. A number is valid and is used as written.
pub(super) fn text(about: &str) -> Value {
    json!({"description": about, "type": ["string", "number"], "pattern": FILLED})
}

/// A text of this form. `wrong` is the editor's message for any other text.
pub(super) fn form(about: &str, form: &str, wrong: &str) -> Value {
    json!({"description": about, "type": "string", "pattern": whole(form), "patternErrorMessage": wrong})
}

/// Allows a number, too. The pattern does not apply to it.
pub(super) fn or_number(form: Value) -> Value {
    with(form, "type", json!(["string", "number"]))
}

/// Returns a pattern that matches the form as the whole text, with optional space around it.
pub(super) fn whole(form: &str) -> String {
    format!(r"^\s*(?:{form})\s*$")
}

/// One of these words.
pub(super) fn word<T: AsRef<str>>(about: &str, words: &[T]) -> Value {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    json!({"description": about, "enum": words})
}

/// One of these words, or a value of the other schema.
pub(super) fn usually<T: AsRef<str>>(about: &str, words: &[T], other: Value) -> Value {
    if words.is_empty() {
        return with(other, "description", json!(about));
    }
    any(about, [word(about, words), other])
}

/// A boolean.
pub(super) fn yes(about: &str) -> Value {
    json!({"description": about, "type": "boolean"})
}

pub(super) fn number(about: &str, least: u64, most: u64) -> Value {
    json!({"description": about, "type": "integer", "minimum": least, "maximum": most})
}

/// A value that matches at least one of the schemas.
pub(super) fn any(about: &str, shapes: impl IntoIterator<Item = Value>) -> Value {
    json!({"description": about, "anyOf": shapes.into_iter().collect::<Vec<_>>()})
}

pub(super) fn list(about: &str, item: Value) -> Value {
    json!({"description": about, "type": "array", "minItems": 1, "items": item})
}

/// One value, or a list of values.
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

/// A reference to a definition of the same file. Use [`described`] to add a description.
pub(super) fn defined(name: &str) -> Value {
    json!({"$ref": format!("#/definitions/{name}")})
}

/// A reference to a definition, with its own description.
pub(super) fn described(about: &str, name: &str) -> Value {
    json!({"description": about, "allOf": [defined(name)]})
}

/// Returns the whole schema of a file.
pub(super) fn file(root: Value, definitions: impl IntoIterator<Item = SchemaKey>) -> Value {
    let definitions: Map<String, Value> = definitions.into_iter().collect();
    let mut schema = with(root, "$schema", json!("http://json-schema.org/draft-07/schema#"));
    if !definitions.is_empty() {
        schema["definitions"] = Value::Object(definitions);
    }
    schema
}
