//! Tests of which changes match which triggers, and that the index finds the same rules as a test of every rule.

use proptest::prelude::*;

use super::{Environment, LeftSide, ProcessingSide, RightSide, Rule, RuleMode, RuleSet, TimerState, Trigger};
use crate::{
    domain::{Change, Detail, Details, Edge, Processing, Status},
    yaml::{Files, Severity},
};

fn context() -> Environment {
    Environment { statuses: vec!["SUSPENDED".to_owned()], ..Environment::default() }
}

fn set(rules: &str) -> RuleSet {
    let files: Files = [("a.yaml".to_owned(), format!("format: 1\nrules:\n{rules}"))].into_iter().collect();
    let compiled = RuleSet::compile(&files, &context());
    compiled.set.unwrap_or_else(|| panic!("{rules}: {:?}", compiled.diagnostics))
}

fn one(when: &str) -> RuleSet {
    set(&format!("  - {{id: a, when: {when}, do: record}}\n"))
}

fn status(name: &str) -> Option<Status> {
    match name {
        "new" => None,
        "none" => Some(Status::None),
        name => Some(Status::from_wire(Some(name)).expect("a name")),
    }
}

/// Parses `A -> B`; `A` alone is a change of the message only.
fn change(text: &str) -> Change {
    let (from, to) = text.split_once(" -> ").unwrap_or((text, text));
    let at = status(to).expect("not new");
    let moved = (from != to).then(|| Edge { from: status(from), to: at.clone() });
    let details = Details::default().with(Detail::Message, moved.is_none());
    Change { at, status: moved, processing: None, details }
}

#[test]
fn each_trigger_form_matches_its_changes() {
    for (when, fires, silent) in [
        (
            "KYC_PENDING -> FULL_USER",
            &["KYC_PENDING -> FULL_USER"][..],
            &["CREATED -> FULL_USER", "FULL_USER", "new -> FULL_USER"][..],
        ),
        (
            "CREATED | KYC_PENDING -> FULL_USER | KYC_PENDING",
            &["CREATED -> FULL_USER", "CREATED -> KYC_PENDING", "KYC_PENDING -> FULL_USER"],
            &["KYC_PENDING", "FULL_USER -> CREATED"],
        ),
        (
            "CREATED|KYC_PENDING->CREATED|KYC_PENDING",
            &["CREATED -> KYC_PENDING", "KYC_PENDING -> CREATED"],
            &["CREATED", "KYC_PENDING"],
        ),
        (
            "any -> FULL_USER",
            &["CREATED -> FULL_USER", "none -> FULL_USER", "new -> FULL_USER", "BRAND_NEW -> FULL_USER"],
            &["FULL_USER", "FULL_USER -> CREATED"],
        ),
        (
            "FULL_USER -> any",
            &["FULL_USER -> CREATED", "FULL_USER -> BRAND_NEW", "FULL_USER -> none"],
            &["FULL_USER", "new -> FULL_USER"],
        ),
        (
            "any -> any",
            &["new -> CREATED", "new -> none", "CREATED -> BRAND_NEW", "none -> CREATED"],
            &["CREATED", "none"],
        ),
        ("new -> any", &["new -> CREATED", "new -> BRAND_NEW"], &["none -> CREATED", "CREATED -> FULL_USER"]),
        ("new | CREATED -> KYC_NEEDED", &["new -> KYC_NEEDED", "CREATED -> KYC_NEEDED"], &["none -> KYC_NEEDED"]),
        ("none -> CREATED", &["none -> CREATED"], &["new -> CREATED", "KYC_NEEDED -> CREATED"]),
        ("any -> none", &["CREATED -> none", "new -> none"], &["none"]),
        ("none -> none", &["none"], &["new -> none", "CREATED -> none"]),
        ("FULL_USER -> FULL_USER", &["FULL_USER"], &["CREATED -> FULL_USER", "new -> FULL_USER", "CREATED"]),
        ("SUSPENDED -> SUSPENDED", &["SUSPENDED"], &["FULL_USER -> SUSPENDED"]),
        ("any -> SUSPENDED", &["FULL_USER -> SUSPENDED"], &["SUSPENDED"]),
        (
            "[CREATED -> FULL_USER, any -> KYC_NEEDED, FULL_USER -> FULL_USER]",
            &["CREATED -> FULL_USER", "new -> KYC_NEEDED", "FULL_USER"],
            &["new -> FULL_USER"],
        ),
        ("FULL_USER for 48h", &[], &["FULL_USER", "new -> FULL_USER"]),
    ] {
        let set = one(when);
        for text in fires {
            assert_eq!(set.matching(&change(text)).count(), 1, "{when} fires on {text}");
        }
        for text in silent {
            assert_eq!(set.matching(&change(text)).count(), 0, "{when} does not fire on {text}");
        }
    }
}

#[test]
fn a_processing_change_alone_does_not_match_a_status_that_stays() {
    let only = Change {
        at: Status::KycPending,
        status: None,
        processing: Some(Edge { from: Some(Processing::None), to: Processing::VerificationInProgress }),
        details: Details::default().with(Detail::Processing, true),
    };
    assert_eq!(one("KYC_PENDING -> KYC_PENDING").matching(&only).count(), 0);
    for (when, fires) in [
        ("processing none -> VERIFICATION_IN_PROGRESS", 1),
        ("processing any -> VERIFICATION_IN_PROGRESS", 1),
        ("processing none -> any", 1),
        ("processing any -> any", 1),
        ("processing DOCUMENT_UPLOAD_IN_PROGRESS -> any", 0),
        ("processing any -> none", 0),
        ("processing VERIFICATION_IN_PROGRESS for 1h", 0),
    ] {
        assert_eq!(one(when).matching(&only).count(), fires, "{when}");
    }
}

#[test]
fn one_callback_can_move_both_and_each_rule_matches_once_in_file_order() {
    let set = set("
  - {id: a, when: processing any -> any, do: record}
  - {id: b, when: [any -> FULL_USER, new -> any, any -> any], do: record}
  - {id: c, when: CREATED -> any, do: record}
  - {id: d, when: any -> FULL_USER, do: record, mode: paused}
  - {id: e, when: FULL_USER for 1d, do: record}
");
    let mut both = change("new -> FULL_USER");
    both.processing = Some(Edge { from: Some(Processing::None), to: Processing::VerificationInProgress });
    let ids: Vec<&str> = set.matching(&both).map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "d"]);
    assert_eq!(set.rule("d").map(|rule| (rule.mode, rule.line)), Some((RuleMode::Paused, 7)));
    assert!(set.rule("f").is_none());
}

#[test]
fn each_duration_in_each_status_is_a_timer() {
    let set = set("
  - {id: a, when: 'CREATED | KYC_NEEDED for 48h, 5d', do: record}
  - {id: b, when: [processing none for 1h], do: record}
  - {id: c, when: [CREATED for 5d, CREATED for 2d, FULL_USER for 48h], do: record}
");
    let timers: Vec<(String, String, u32)> = set
        .timers()
        .iter()
        .map(|timer| {
            let stay = match &timer.stay {
                TimerState::Status(status) => status.to_string(),
                TimerState::Processing(status) => format!("processing {status}"),
            };
            (format!("{} {stay}", timer.rule), timer.after.to_string(), timer.step)
        })
        .collect();
    let expected = [
        ("a CREATED", "48h", 1),
        ("a CREATED", "5d", 2),
        ("a KYC_NEEDED", "48h", 1),
        ("a KYC_NEEDED", "5d", 2),
        ("b processing none", "1h", 1),
        ("c CREATED", "2d", 1),
        ("c CREATED", "5d", 2),
        ("c FULL_USER", "48h", 1),
    ];
    assert_eq!(timers, expected.map(|(stay, after, step)| (stay.to_owned(), after.to_owned(), step)));
}

#[test]
fn an_empty_set_matches_nothing_and_has_a_hash() {
    let empty = RuleSet::empty();
    assert_eq!(empty.matching(&change("new -> CREATED")).count(), 0);
    assert_eq!(empty.hash().len(), 12);
    assert!(empty.rules().is_empty() && empty.timers().is_empty() && empty.files().is_empty());
}

/// Whether a rule matches a change, computed directly from the definition of its triggers.
fn fires(rule: &Rule, change: &Change) -> bool {
    rule.triggers.iter().any(|trigger| match trigger {
        Trigger::Move { from, to } => change.status.as_ref().is_some_and(|edge| {
            from.iter().any(|left| match left {
                LeftSide::Any => true,
                LeftSide::New => edge.from.is_none(),
                LeftSide::Status(status) => edge.from.as_ref() == Some(status),
            }) && to.iter().any(|right| match right {
                RightSide::Any => true,
                RightSide::Status(status) => edge.to == *status,
            })
        }),
        Trigger::Same { statuses } => {
            change.status.is_none() && change.details.beside_processing() && statuses.contains(&change.at)
        }
        Trigger::ProcessingMove { from, to } => change.processing.as_ref().is_some_and(|edge| {
            let is = |sides: &[ProcessingSide], status: Option<&Processing>| {
                sides.iter().any(|side| match side {
                    ProcessingSide::Any => true,
                    ProcessingSide::Processing(name) => Some(name) == status,
                })
            };
            is(from, edge.from.as_ref()) && is(to, Some(&edge.to))
        }),
        Trigger::Stay { .. } | Trigger::ProcessingStay { .. } => false,
    })
}

const STATUSES: &[&str] = &["none", "CREATED", "KYC_PENDING", "FULL_USER", "SUSPENDED"];
const PROCESSING: &[&str] = &["none", "VERIFICATION_IN_PROGRESS", "DOCUMENT_UPLOAD_IN_PROGRESS"];

fn names(of: &'static [&'static str], more: &'static [&'static str]) -> impl Strategy<Value = String> {
    let all: Vec<&str> = of.iter().chain(more).copied().collect();
    proptest::sample::subsequence(all, 1..4).prop_map(|names| names.join(" | "))
}

fn trigger() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (names(STATUSES, &["any", "new"]), names(STATUSES, &["any"])).prop_map(|(from, to)| format!("{from} -> {to}")),
        1 => (names(PROCESSING, &["any"]), names(PROCESSING, &["any"])).prop_map(|(from, to)| format!("processing {from} -> {to}")),
        1 => names(STATUSES, &[]).prop_map(|names| format!("{names} for 1h")),
    ]
}

fn processing(name: &str) -> Processing {
    Processing::from_wire((name != "none").then_some(name)).expect("a name")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_index_finds_the_same_rules_as_a_test_of_every_rule(triggers in prop::collection::vec(trigger(), 1..12)) {
        let rules: String = triggers.iter().enumerate()
            .map(|(n, when)| format!("  - {{id: r{n}, when: {when}, do: record}}\n")).collect();
        let files: Files = [("a.yaml".to_owned(), format!("format: 1\nrules:\n{rules}"))].into_iter().collect();
        // `processing none -> none` is an error.
        let Some(set) = RuleSet::compile(&files, &context()).set else { return Ok(()) };
        let seen: Vec<&str> = STATUSES.iter().copied().chain(["BRAND_NEW"]).collect();
        for from in seen.iter().copied().chain(["new"]) {
            for to in &seen {
                for step in PROCESSING {
                    let mut change = change(&if from == *to { from.to_owned() } else { format!("{from} -> {to}") });
                    change.processing = (*step != "none").then(|| Edge { from: Some(Processing::None), to: processing(step) });
                    let found: Vec<&str> = set.matching(&change).map(|rule| rule.id.as_str()).collect();
                    let all: Vec<&str> = set.rules().iter().filter(|rule| fires(rule, &change)).map(|rule| rule.id.as_str()).collect();
                    prop_assert_eq!(found, all, "{:?}", change);
                }
            }
        }
    }

    #[test]
    fn compiling_never_panics_on_any_text(text in "(format: 1\n|rules:\n|  - id: a\n|    when: |    do: |any|new|none| -> |FULL_USER|\\||,| for |48h|processing |\\{\\{ x \\}\\}|[\\[\\]{}:,#&*!|>'\"%@`\\-? \t\r\n]|é|👋|[ -~]{0,6}|\u{feff}|\u{0}){0,40}") {
        let files: Files = [("a.yaml".to_owned(), text.clone()), ("labels/en.yaml".to_owned(), text)].into_iter().collect();
        let compiled = RuleSet::compile(&files, &context());
        let errors = compiled.diagnostics.iter().any(|found| found.severity == Severity::Error);
        prop_assert_eq!(compiled.set.is_none(), errors);
        let sources = crate::yaml::Sources::default().directory("rules", &files);
        crate::yaml::render(&compiled.diagnostics, &sources, true);
        crate::yaml::json(&compiled.diagnostics, &sources);
        crate::yaml::github(&compiled.diagnostics, &sources);
    }

    #[test]
    fn compiling_never_panics_on_a_nearly_correct_rule(when in "\\PC{0,20}", condition in "\\PC{0,30}", action in "\\PC{0,30}") {
        let text = format!("format: 1\nrules:\n  - id: a\n    when: {when}\n    if: {condition}\n    do: {action}\n  - id: b\n    when: '{when}'\n    do: {{chat: {{to: '{action}'}}}}\n");
        let files: Files = [("a.yaml".to_owned(), text)].into_iter().collect();
        let compiled = RuleSet::compile(&files, &context());
        crate::yaml::render(&compiled.diagnostics, &crate::yaml::Sources::default().directory("rules", &files), false);
    }
}
