//! Schemas for values of the configuration, which may contain `${VAR}` or `${file:PATH}`.

use serde_json::{Value, json};

use super::{
    forms,
    shape::{self, any, list, with},
};

const URL: &str = r"https?://[^\s/?#@]+(?:[/?#]\S*)?";
const SIZE: &str = "[0-9]+ *[KkMmGgTt][Ii]?[Bb]";

/// A text of the given form, or a text with a placeholder.
pub(super) fn form(about: &str, form: &str, wrong: &str) -> Value {
    let pattern = format!(r"{}|\$\{{", shape::whole(form));
    with(shape::form(about, form, wrong), "pattern", json!(pattern))
}

fn filled() -> Value {
    json!({"description": "Filled in from the environment or a file.", "type": "string", "pattern": r"\$\{"})
}

pub(super) fn word(about: &str, words: &[&str]) -> Value {
    any(about, [shape::word(about, words), filled()])
}

pub(super) fn whole(about: &str, least: u64, most: u64) -> Value {
    any(about, [shape::number(about, least, most), filled()])
}

pub(super) fn default(schema: Value, default: &str) -> Value {
    with(schema, "default", json!(default))
}

pub(super) fn duration(about: &str) -> Value {
    form(about, forms::DURATION, "write one number and one unit, for example 30s, 10m, 48h or 5d")
}

/// A duration, or `off`.
pub(super) fn pause(about: &str) -> Value {
    form(about, &off_or(forms::DURATION), "write, for example, 6h or 7d, or off")
}

pub(super) fn off_or(form: &str) -> String {
    format!("{form}|off|none|never|no")
}

pub(super) fn size(about: &str) -> Value {
    form(about, SIZE, "write, for example, 256MB or 2GB")
}

pub(super) fn url(about: &str) -> Value {
    form(about, URL, "write, for example, https://shop.example/path, without user name and password")
}

pub(super) fn some(about: &str, each: Value) -> Value {
    any(about, [each.clone(), list(about, each)])
}
