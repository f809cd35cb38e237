//! Values of the configuration, in any of which `${VAR}` or `${file:PATH}` may stand.

use serde_json::{Value, json};

use super::{
    forms,
    shape::{self, any, list, with},
};

const URL: &str = r"https?://[^\s/?#@]+(?:[/?#]\S*)?";
const SIZE: &str = "[0-9]+ *[KkMmGgTt][Ii]?[Bb]";

/// A text of some form, or one that is filled in.
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
    form(about, forms::DURATION, "write one number and one unit, as 30s, 10m, 48h or 5d")
}

/// A duration, or never.
pub(super) fn pause(about: &str) -> Value {
    form(about, &off_or(forms::DURATION), "write as 6h or 7d, or off")
}

pub(super) fn off_or(form: &str) -> String {
    format!("{form}|off|none|never|no")
}

pub(super) fn size(about: &str) -> Value {
    form(about, SIZE, "write as 256MB or 2GB")
}

pub(super) fn url(about: &str) -> Value {
    form(about, URL, "write as https://shop.example/path, without a user in it")
}

pub(super) fn some(about: &str, each: Value) -> Value {
    any(about, [each.clone(), list(about, each)])
}
