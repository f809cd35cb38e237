//! The little languages of single values as patterns: durations, limits, hours, triggers, names.
//!
//! ECMA 262 without look-behind, as JSON Schema asks. What no pattern says (durations that rise, ten years at most) the readers
//! say.

use serde_json::Value;

use super::{Names, shape};
use crate::kyc::{Processing, Status};

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
    let wrong = "write one number and one unit, as 30s, 10m, 48h or 5d";
    shape::examples(shape::form(about, DURATION, wrong), &["10m", "24h", "5d"])
}

pub(super) fn limit(about: &str) -> Value {
    shape::examples(
        shape::form(about, LIMIT, "write as 1 per 24h, with 1 to 100 in a time"),
        &["1 per 24h", "3 per 24h", "1 per 6h"],
    )
}

pub(super) fn quiet_hours(about: &str) -> Value {
    shape::examples(shape::form(about, HOURS, "write from and to, as 20:00-09:00"), &["20:00-09:00"])
}

/// An id of a rule, or the name of a group. `12` is one, too.
pub(super) fn id(about: &str) -> Value {
    let wrong = "letters, digits, `-`, `_` and `.`, at most 64 of them";
    shape::or_number(shape::form(about, ID, wrong))
}

pub(super) fn tag(about: &str, names: &Names) -> Value {
    let tag = shape::form("A tag that no rule sets yet.", TAG, "a name of at most 64 bytes without commas");
    shape::usually(about, &names.tags, shape::or_number(tag))
}

/// A name that is given somewhere else: any, where nobody knows them.
pub(super) fn given(about: &str, known: &[String], names: &Names) -> Value {
    if known.is_empty() || names.growing {
        shape::usually(about, known, shape::text("A name that was added since"))
    } else {
        shape::word(about, known)
    }
}

pub(super) fn statuses(names: &Names) -> Vec<String> {
    known(Status::KNOWN, &names.statuses)
}

pub(super) fn processing(names: &Names) -> Vec<String> {
    known(Processing::KNOWN, &names.processing)
}

fn known(documented: &[&str], declared: &[String]) -> Vec<String> {
    documented.iter().map(|name| (*name).to_owned()).chain(declared.iter().cloned()).collect()
}

/// One trigger of `when`.
pub(super) fn trigger(names: &Names) -> Value {
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
    let about = "`A -> B`: moved so. `any -> B`: from anywhere. `new -> B`: first sight. `A -> A`: still there, with other \
                 documents, labels or message. `A for 48h, 5d`: the stay has lasted so long. `processing A -> B` and \
                 `processing A for 1h`: likewise for the processing status. Between names stands `|`.";
    let wrong =
        "write as `any -> SOFT_KYC_FAILED`, `A | B -> C`, `A for 48h, 5d` or `processing A -> B`, with known names";
    let entering = statuses.iter().map(|status| format!("any -> {status}"));
    let others =
        ["any -> any", "FULL_USER -> any", "SOFT_KYC_FAILED -> SOFT_KYC_FAILED", "PENDING_KYC_DATA for 48h, 5d"];
    let others = others.into_iter().chain(["processing VERIFICATION_IN_PROGRESS for 1h"]).map(str::to_owned);
    let examples: Vec<String> = entering.chain(others).collect();
    shape::examples(shape::form(about, &forms.join("|"), wrong), &examples)
}

/// These names or `none`, as a pattern.
fn alternatives(names: &[String]) -> String {
    names.iter().map(|name| escaped(name)).chain(["none".to_owned()]).collect::<Vec<_>>().join("|")
}

/// Only what has a meaning in patterns is escaped: with other escapes some readers of patterns refuse them.
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
