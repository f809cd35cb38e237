//! Explains a recorded event: the outcome of the rules that the record names, and of those that it does not name.
//!
//! Whether a rule was paused, in shadow or over a limit is read from the record. Present pauses are ignored.

use std::collections::BTreeSet;

use super::{RuleExplanation, waits_for};
use crate::{
    decide::Changes,
    domain::{CallbackOutcome, Change, Customer, Details, Edge},
    rules::{RuleId, RuleSet},
};

/// Returns the outcome of every rule of the set: those that the record names, and those that the event did not trigger.
/// `before` is the state of the customer before the event, if the caller has it.
pub fn of_event(rules: &RuleSet, effects: &Changes, before: Option<&Customer>) -> Vec<RuleExplanation> {
    let triggered = triggered(rules, effects, before);
    let explained = rules.rules().iter().map(|rule| {
        let named = effects.rules.iter().find(|ruling| ruling.id == rule.id);
        let (outcome, why) = match named {
            Some(ruling) => (ruling.outcome.name(), ruling.reason()),
            None if triggered.contains(&rule.id) => ("unrecorded", Some(unrecorded(effects))),
            None => ("untriggered", Some(waits_for(&rule.triggers))),
        };
        RuleExplanation { rule: rule.id.to_string(), outcome, why }
    });
    explained.collect()
}

/// Returns the reason the record of an event does not name a rule whose trigger matches the event.
fn unrecorded(effects: &Changes) -> String {
    let earlier = "an earlier version wrote this record, without the rules that were paused";
    match (effects.more_rules, &effects.came_due) {
        (0, None) => earlier.to_owned(),
        (0, Some(_)) => format!(
            "the timer was due before it was live (`kyc-rules backlog` lists it), or a longer duration of the rule was due \
             too, or {earlier}"
        ),
        (more, _) => {
            format!("the record names only some of the rules that did not fire; it leaves out {more} more")
        }
    }
}

/// Returns the rules whose trigger matches the event, as far as the record and the state before show it.
fn triggered(rules: &RuleSet, effects: &Changes, before: Option<&Customer>) -> BTreeSet<RuleId> {
    if let Some(due) = &effects.came_due {
        // A backlog is sent for a single rule, which the record names.
        let timers = rules.timers_of(&due.stay).filter(|timer| timer.after.ms() == due.after_ms && !due.backlog);
        return timers.map(|timer| timer.rule.clone()).collect();
    }
    let (Some(verdict), Some(now)) = (effects.verdict, &effects.now) else { return BTreeSet::new() };
    let change = match (verdict, before) {
        (CallbackOutcome::Moved | CallbackOutcome::Updated, Some(before)) => {
            Change::of(Some(before), &now.as_observed())
        }
        (CallbackOutcome::Moved, None) if now.from.is_none() => Change::of(None, &now.as_observed()),
        // Of the state before, the record has only the status.
        (CallbackOutcome::Moved, None) => Change {
            at: now.status.clone(),
            status: Some(Edge { from: now.from.clone(), to: now.status.clone() }),
            processing: None,
            details: Details::default(),
        },
        (CallbackOutcome::Updated, None) => return BTreeSet::new(),
        (
            CallbackOutcome::Duplicate
            | CallbackOutcome::Pending
            | CallbackOutcome::Stale
            | CallbackOutcome::Unconfirmed
            | CallbackOutcome::Imported,
            _,
        ) => {
            return BTreeSet::new();
        }
    };
    rules.matching(&change).map(|rule| rule.id.clone()).collect()
}

/// Formats the event of a record in the syntax of triggers.
pub fn event_in_words(effects: &Changes) -> String {
    if let Some(due) = &effects.came_due {
        return format!("{} for {}", due.stay, due.after());
    }
    let Some(now) = &effects.now else { return effects.kind.name().to_owned() };
    match effects.verdict {
        Some(CallbackOutcome::Moved) => match &now.from {
            Some(from) => format!("{from} -> {}", now.status),
            None => format!("new -> {}", now.status),
        },
        _ => format!("{} -> {}", now.status, now.status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        decide::{DueTimer, RecordKind, RuleOutcome, RuleResult},
        domain::{Codes, CustomerId, Observation, Processing, Source, Status},
        rules::{Environment, TimerState},
        yaml::Files,
    };

    const RULES: &str = "
  - {id: moved, when: any -> SOFT_KYC_FAILED, do: record}
  - {id: other, when: any -> FULL_USER, do: record}
  - {id: same, when: SOFT_KYC_FAILED -> SOFT_KYC_FAILED, do: record}
  - {id: working, when: processing any -> VERIFICATION_IN_PROGRESS, do: record}
  - {id: soon, when: SOFT_KYC_FAILED for 1h, do: record}
  - {id: late, when: SOFT_KYC_FAILED for 2h, do: record}
";

    fn rules() -> RuleSet {
        let mut files = Files::default();
        files.insert("kyc.yaml".to_owned(), format!("format: 1\nrules:{RULES}"));
        RuleSet::compile(&files, &Environment::assumed_by(&files)).set.expect("right rules")
    }

    fn seen(status: Status, processing: Processing, docs: &[&str], before: Option<&Customer>) -> Customer {
        let saw = Observation {
            source: Source::Callback,
            status,
            processing: Some(processing),
            missing_docs: Some(Codes::new(docs.iter().copied()).expect("docs")),
            reject_labels: Some(Codes::EMPTY),
            message: Some("".into()),
        };
        Customer::after(before, &saw, &Change::of(before, &saw), Timestamp(1))
    }

    fn effects(verdict: CallbackOutcome, now: &Customer) -> Changes {
        let who = CustomerId::new("C-1").expect("id");
        Changes { verdict: Some(verdict), now: Some(now.clone()), ..Changes::of(RecordKind::Callback, &who) }
    }

    /// Returns the rules whose outcome is `unrecorded`.
    fn unrecorded(effects: &Changes, before: Option<&Customer>) -> Vec<String> {
        let explained = of_event(&rules(), effects, before).into_iter();
        explained.filter(|one| one.outcome == "unrecorded").map(|one| one.rule).collect()
    }

    #[test]
    fn a_rule_that_an_earlier_version_left_out_is_unrecorded() {
        let pending = seen(Status::KycPending, Processing::None, &[], None);
        let failed = seen(Status::SoftKycFailed, Processing::None, &[], Some(&pending));
        let moved = effects(CallbackOutcome::Moved, &failed);
        assert_eq!(unrecorded(&moved, Some(&pending)), ["moved"]);
        assert_eq!(unrecorded(&moved, None), ["moved"], "the record has the status before");
        let named =
            Changes { rules: vec![RuleResult::paused(&RuleId::new("moved").expect("id"), None)], ..moved.clone() };
        assert!(unrecorded(&named, Some(&pending)).is_empty());
        let working = Processing::from_wire(Some("VERIFICATION_IN_PROGRESS")).expect("a name");
        let updated = seen(Status::SoftKycFailed, working, &["SELFIE"], Some(&failed));
        assert_eq!(unrecorded(&effects(CallbackOutcome::Updated, &updated), Some(&failed)), ["same", "working"]);
        assert!(unrecorded(&effects(CallbackOutcome::Duplicate, &failed), Some(&failed)).is_empty());
        let more = Changes { more_rules: 3, ..moved };
        let why = of_event(&rules(), &more, Some(&pending)).swap_remove(0).why;
        assert!(why.as_deref().is_some_and(|why| why.contains("it leaves out 3 more")), "{why:?}");
    }

    #[test]
    fn a_timer_event_triggers_the_rules_of_its_duration_only() {
        let due = DueTimer {
            stay: TimerState::Status(Status::SoftKycFailed),
            after_ms: 3_600_000,
            at: Timestamp(1),
            from: None,
            to: Status::SoftKycFailed,
            backlog: false,
        };
        let of = |backlog| Changes {
            came_due: Some(DueTimer { backlog, ..due.clone() }),
            ..Changes::mark(RecordKind::Timer)
        };
        assert_eq!(unrecorded(&of(false), None), ["soon"]);
        assert!(unrecorded(&of(true), None).is_empty(), "a backlog belongs to one rule");
    }

    #[test]
    fn the_record_of_a_paused_rule_is_short_and_is_parsed_back() {
        let rule = RuleId::new("remind").expect("id");
        for (ruling, written) in [
            (RuleResult::paused(&rule, Some(Timestamp(1_795_460_439_066))), r#"["remind","paused",1795460439066]"#),
            (RuleResult::paused(&rule, None), r#"["remind","paused"]"#),
            (
                RuleResult {
                    why: Some("visit >= 3: is 1".into()),
                    outcome: RuleOutcome::No,
                    ..RuleResult::paused(&rule, None)
                },
                r#"["remind","no","visit >= 3: is 1"]"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&ruling).expect("JSON"), written);
            assert_eq!(serde_json::from_str::<RuleResult>(written).expect("read"), ruling);
        }
    }
}
