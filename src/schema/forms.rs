//! Patterns for the syntax of single values: durations, limits, hours, triggers, names.
//!
//! The patterns are ECMA 262 without look-behind, as JSON Schema requires. Only the parsers check what a pattern cannot
//! express, such as increasing durations and the maximum of ten years.

use serde_json::Value;

use super::{SchemaNames, shape};
use crate::domain::{Processing, Status};

pub(super) const DURATION: &str = r"0*[1-9][0-9]*\s*(?:ms|s|m|h|d)";
const LIMIT: &str = r"0*(?:100|[1-9][0-9]?) +per +0*[1-9][0-9]* *(?:ms|s|m|h|d)";
const HOURS: &str = r"(?:[01]?[0-9]|2[0-3]):[0-5][0-9]\s*[-–]\s*(?:[01]?[0-9]|2[0-3]):[0-5][0-9]";
pub(super) const ID: &str = r"[A-Za-z0-9_.\-]{1,64}";
pub(super) const LOCALE: &str = r"[A-Za-z]{2,3}(?:[_\-][A-Za-z0-9]{2,8})*";
pub(super) const TIMEZONE: &str = r"[A-Za-z0-9_+\-]+(?:/[A-Za-z0-9_+\-]+)*";
pub(super) const ADDRESS: &str = r"[^\s@<>,;]+@[^\s@<>,;]+";
/// No commas, no control characters.
const TAG: &str = r"[^\s,\u0000-\u001f\u007f-\u009f][^,\u0000-\u001f\u007f-\u009f]{0,63}";

pub(super) fn duration(about: &str) -> Value {
    let wrong = "write one number and one unit, for example 30s, 10m, 48h or 5d";
    shape::examples(shape::form(about, DURATION, wrong), &["10m", "24h", "5d"])
}

pub(super) fn limit(about: &str) -> Value {
    shape::examples(
        shape::form(about, LIMIT, "write, for example, 1 per 24h; the number is 1 to 100"),
        &["1 per 24h", "3 per 24h", "1 per 6h"],
    )
}

pub(super) fn quiet_hours(about: &str) -> Value {
    shape::examples(shape::form(about, HOURS, "write start and end, for example 20:00-09:00"), &["20:00-09:00"])
}

/// The id of a rule or the name of a group. A number such as `12` is valid, too.
pub(super) fn id(about: &str) -> Value {
    let wrong = "use at most 64 characters: letters, digits, `-`, `_` and `.`";
    shape::or_number(shape::form(about, ID, wrong))
}

pub(super) fn tag(about: &str, names: &SchemaNames) -> Value {
    let tag = shape::form("A tag that no rule adds yet.", TAG, "use at most 64 bytes, without commas");
    shape::usually(about, &names.tags, shape::or_number(tag))
}

/// A name that another file defines. Any name is valid if the names are not known.
pub(super) fn given(about: &str, known: &[String], names: &SchemaNames) -> Value {
    if known.is_empty() || names.growing {
        shape::usually(about, known, shape::text("A name that was added later"))
    } else {
        shape::word(about, known)
    }
}

pub(super) fn statuses(names: &SchemaNames) -> Vec<String> {
    known(Status::KNOWN, &names.statuses)
}

pub(super) fn processing(names: &SchemaNames) -> Vec<String> {
    known(Processing::KNOWN, &names.processing)
}

fn known(documented: &[&str], declared: &[String]) -> Vec<String> {
    documented.iter().map(|name| (*name).to_owned()).chain(declared.iter().cloned()).collect()
}

/// One trigger of `when`.
pub(super) fn trigger(names: &SchemaNames) -> Value {
    let (statuses, processing) = (statuses(names), processing(names));
    let status = alternatives(&statuses);
    let stage = alternatives(&processing);
    let joined = |name: &str| format!(r"(?:{name})(?:\s*\|\s*(?:{name}))*");
    let after = r"0*[1-9][0-9]*(?:ms|s|m|h|d)";
    let after = format!(r"{after}(?:\s*,\s*{after})*");
    let forms = [
        format!(r"{}\s*->\s*{}", joined(&format!("any|new|{status}")), joined(&format!("any|{status}"))),
        format!(r"processing\s+{}\s*->\s*{}", joined(&format!("any|{stage}")), joined(&format!("any|{stage}"))),
        format!(r"{}\s+for\s+{after}", joined(&status)),
        format!(r"processing\s+{}\s+for\s+{after}", joined(&stage)),
    ];
    let about = "`A -> B`: the status changed from A to B. `any -> B`: from any other status. `new -> B`: the first \
                 observation. `A -> A`: the status is the same, with other documents, labels or message. \
                 `A for 48h, 5d`: the stay has lasted this long. `processing A -> B` and `processing A for 1h`: the \
                 same for the processing status. `|` separates several names.";
    let wrong =
        "write `any -> SOFT_KYC_FAILED`, `A | B -> C`, `A for 48h, 5d` or `processing A -> B`, with known names";
    let entering = statuses.iter().map(|status| format!("any -> {status}"));
    let others =
        ["any -> any", "FULL_USER -> any", "SOFT_KYC_FAILED -> SOFT_KYC_FAILED", "PENDING_KYC_DATA for 48h, 5d"];
    let others = others.into_iter().chain(["processing VERIFICATION_IN_PROGRESS for 1h"]).map(str::to_owned);
    let examples: Vec<String> = entering.chain(others).collect();
    shape::examples(shape::form(about, &forms.join("|"), wrong), &examples)
}

/// Returns a pattern for these names or `none`.
fn alternatives(names: &[String]) -> String {
    names.iter().map(|name| escaped(name)).chain(["none".to_owned()]).collect::<Vec<_>>().join("|")
}

/// Escapes only the special characters of patterns, because some regex engines reject other escapes.
fn escaped(name: &str) -> String {
    let mut pattern = String::new();
    for c in name.chars() {
        if r"^$\.*+?()[]{}|/".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}
