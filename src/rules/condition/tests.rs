//! Tests of each kind of condition line with its three values.

use std::collections::BTreeMap;

use crate::rules::{ConditionFacts, ConditionResult, Environment, RuleSet};
use crate::{
    clock::Timestamp,
    domain::{Change, Codes, Contact, Customer, Detail, Details, Observation, Processing, Source, Status},
    yaml::Files,
};

fn codes(names: &[&str]) -> Codes {
    Codes::new(names.iter().copied()).expect("codes")
}

/// A customer after a callback with all details, or (`said` is false) with the status only.
fn customer(said: bool) -> Customer {
    let saw = Observation {
        source: Source::Callback,
        status: Status::SoftKycFailed,
        processing: said.then_some(Processing::VerificationInProgress),
        missing_docs: said.then(|| codes(&["PASSPORT", "SELFIE"])),
        reject_labels: said.then_some(Codes::EMPTY),
        message: said.then(|| "Your Passport has expired".into()),
    };
    Customer::after(None, &saw, &Change::of(None, &saw), Timestamp(0))
}

fn contact() -> Contact {
    Contact {
        email: "ada@example.com".to_owned(),
        name: None,
        locale: Some("de-AT".to_owned()),
        timezone: None,
        country: Some("NO".to_owned()),
        attributes: BTreeMap::from([("plan".to_owned(), "pro".to_owned()), ("vip".to_owned(), "true".to_owned())]),
    }
}

fn condition(text: &str) -> crate::rules::Condition {
    let files: Files = [(
        "a.yaml".to_owned(),
        format!("format: 1\nrules:\n  - id: a\n    when: any -> any\n    if: {text}\n    do: record\n"),
    )]
    .into_iter()
    .collect();
    let context = Environment { attributes: vec!["plan".to_owned(), "vip".to_owned()], ..Environment::default() };
    let compiled = RuleSet::compile(&files, &context);
    let set = compiled.set.unwrap_or_else(|| panic!("{text}: {:?}", compiled.diagnostics));
    set.rules()[0].condition.clone()
}

/// y, n, or u for undecidable.
fn verdict(text: &str, customer: &Customer, contact: Option<&Contact>) -> char {
    let tags = codes(&["needs-person"]);
    let changed = Details::default().with(Detail::MissingDocs, true).with(Detail::Message, true);
    let facts = ConditionFacts { customer, tags: &tags, contact, visit: 2, changed };
    match condition(text).check(&facts) {
        ConditionResult::Yes => 'y',
        ConditionResult::No(_) => 'n',
        ConditionResult::Undecidable(_) => 'u',
    }
}

#[test]
fn every_line_is_true_false_or_undecidable() {
    let (said, unsaid, contact) = (customer(true), customer(false), contact());
    // The condition; its value if everything is known; its value if nothing is known.
    for (text, known, unknown) in [
        ("{missing_docs: SELFIE}", 'y', 'u'),
        ("{missing_docs: [ID_CARD, SELFIE]}", 'y', 'u'),
        ("{missing_docs: [ID_CARD]}", 'n', 'u'),
        ("{missing_docs: {any_of: [ID_CARD, SELFIE]}}", 'y', 'u'),
        ("{missing_docs: {all_of: [PASSPORT, SELFIE]}}", 'y', 'u'),
        ("{missing_docs: {all_of: [PASSPORT, ID_CARD]}}", 'n', 'u'),
        ("{missing_docs: {none_of: [ID_CARD]}}", 'y', 'u'),
        ("{missing_docs: {none_of: [SELFIE]}}", 'n', 'u'),
        ("{missing_docs: {only: [PASSPORT, SELFIE, ID_CARD]}}", 'y', 'u'),
        ("{missing_docs: {only: [PASSPORT]}}", 'n', 'u'),
        ("{missing_docs: {exists: true}}", 'y', 'n'),
        ("{missing_docs: {exists: false}}", 'n', 'y'),
        ("{missing_docs: {contains: pass}}", 'y', 'u'),
        ("{missing_docs: {any_of: SELFIE, none_of: PASSPORT}}", 'n', 'u'),
        ("{missing_docs: {any_of: SELFIE, exists: true}}", 'y', 'n'),
        ("{reject_labels: BAD_SELFIE}", 'n', 'u'),
        ("{reject_labels: {none_of: [BAD_SELFIE]}}", 'y', 'u'),
        ("{reject_labels: {only: [BAD_SELFIE]}}", 'n', 'u'),
        ("{reject_labels: {exists: false}}", 'y', 'y'),
        ("{message: {contains: passport}}", 'y', 'u'),
        ("{message: {contains: [selfie, EXPIRED]}}", 'y', 'u'),
        ("{message: expired}", 'n', 'u'),
        ("{message: Your Passport has expired}", 'y', 'u'),
        ("{message: {exists: true}}", 'y', 'n'),
        ("{processing: VERIFICATION_IN_PROGRESS}", 'y', 'u'),
        ("{processing: [none, DOCUMENT_UPLOAD_IN_PROGRESS]}", 'n', 'u'),
        ("{processing: {none_of: none}}", 'y', 'u'),
        ("{processing: {exists: true}}", 'y', 'n'),
        ("{visit: 2}", 'y', 'y'),
        ("{visit: '2'}", 'y', 'y'),
        ("{visit: '>= 3'}", 'n', 'n'),
        ("{visit: '>=2'}", 'y', 'y'),
        ("{visit: '> 2'}", 'n', 'n'),
        ("{visit: '< 3'}", 'y', 'y'),
        ("{visit: '<= 1'}", 'n', 'n'),
        ("{visit: [1, '>= 2']}", 'y', 'y'),
        ("{visit: {none_of: [2, 3]}}", 'n', 'n'),
        ("{changed: missing_docs}", 'y', 'y'),
        ("{changed: [processing, reject_labels]}", 'n', 'n'),
        ("{changed: {all_of: [missing_docs, message]}}", 'y', 'y'),
        ("{changed: {only: [missing_docs, processing]}}", 'n', 'n'),
        ("{changed: {only: [missing_docs, message]}}", 'y', 'y'),
        ("{tags: needs-person}", 'y', 'y'),
        ("{tags: {none_of: [needs-person]}}", 'n', 'n'),
        ("{customer.locale: de}", 'y', 'u'),
        ("{customer.locale: de_at}", 'y', 'u'),
        ("{customer.locale: de-DE}", 'n', 'u'),
        ("{customer.locale: [fr, en]}", 'n', 'u'),
        ("{customer.country: NO}", 'y', 'u'),
        ("{customer.country: {none_of: [NO, SE]}}", 'n', 'u'),
        ("{customer.country: {exists: false}}", 'n', 'y'),
        ("{customer.attributes.plan: [basic, pro]}", 'y', 'u'),
        ("{customer.attributes.vip: true}", 'y', 'u'),
        ("{customer.attributes.plan: {contains: PR}}", 'y', 'u'),
        ("{not: {missing_docs: SELFIE}}", 'n', 'u'),
        ("{not: {missing_docs: ID_CARD}}", 'y', 'u'),
        ("{not: {customer.country: {exists: true}}}", 'n', 'y'),
        ("{not: {visit: 2, missing_docs: ID_CARD}}", 'y', 'u'),
        // A false line takes precedence over an undecidable one.
        ("{missing_docs: SELFIE, visit: 9}", 'n', 'n'),
        ("{not: {missing_docs: SELFIE, visit: 9}}", 'y', 'y'),
        ("{not: {not: {missing_docs: SELFIE}}}", 'y', 'u'),
    ] {
        assert_eq!(verdict(text, &said, Some(&contact)), known, "{text}, all known");
        assert_eq!(verdict(text, &unsaid, None), unknown, "{text}, nothing known");
    }
}

#[test]
fn the_reason_names_the_deciding_line() {
    let (said, unsaid) = (customer(true), customer(false));
    for (text, customer, why) in [
        ("{visit: '>= 3'}", &said, "visit >= 3: is 2"),
        ("{visit: 3}", &said, "visit = 3: is 2"),
        (
            "{visit: 2, missing_docs: [ID_CARD, DRIVERS]}",
            &said,
            "missing_docs any of ID_CARD, DRIVERS: are PASSPORT, SELFIE",
        ),
        (
            "{missing_docs: {any_of: SELFIE, none_of: PASSPORT}}",
            &said,
            "missing_docs none of PASSPORT: are PASSPORT, SELFIE",
        ),
        ("{missing_docs: SELFIE}", &unsaid, "missing_docs: not known"),
        ("{customer.locale: de}", &said, "customer.locale: not known"),
        ("{reject_labels: BAD_SELFIE}", &said, "reject_labels any of BAD_SELFIE: is empty"),
        ("{processing: none}", &said, "processing is none: is VERIFICATION_IN_PROGRESS"),
        ("{changed: processing}", &said, "changed any of processing: nothing"),
        ("{not: {visit: 2}}", &said, "not (visit = 2): is 2"),
        ("{not: {customer.country: DE}}", &said, "not customer.country: not known"),
        ("{customer.country: DE, visit: 1}", &said, "visit = 1: is 2"),
    ] {
        let condition = condition(text);
        let facts =
            ConditionFacts { customer, tags: &Codes::EMPTY, contact: None, visit: 2, changed: Details::default() };
        let (ConditionResult::No(line) | ConditionResult::Undecidable(line)) = condition.check(&facts) else {
            panic!("{text} holds")
        };
        assert_eq!(condition.why(line, &facts), why, "{text}");
    }
}

#[test]
fn the_prefilter_skips_only_false_conditions() {
    let conditions = [
        "{tags: [vip]}",
        "{visit: 3}",
        "{visit: \">= 3\"}",
        "{visit: \"< 3\"}",
        "{visit: \">= 40\"}",
        "{missing_docs: [SELFIE]}",
        "{missing_docs: {all_of: [PASSPORT, SELFIE]}}",
        "{missing_docs: {only: [PASSPORT]}}",
        "{missing_docs: {exists: true}}",
        "{missing_docs: {exists: false}}",
        "{missing_docs: {none_of: [SELFIE]}, reject_labels: [BAD_SELFIE, BAD_PASSPORT]}",
        "{not: {missing_docs: [SELFIE]}, visit: 1}",
        "{missing_docs: {any_of: [SELFIE], none_of: [PASSPORT]}, visit: 2, tags: [vip]}",
    ];
    let sets = [None, Some(&[][..]), Some(&["PASSPORT"][..]), Some(&["PASSPORT", "SELFIE"][..]), Some(&["OTHER"][..])];
    let mut passed_over = 0;
    for text in conditions {
        let condition = condition(text);
        for (docs, labels) in sets.iter().flat_map(|docs| sets.iter().map(move |labels| (docs, labels))) {
            let mut customer = customer(true);
            customer.missing_docs = docs.map(codes);
            customer.reject_labels = labels.map(|_| codes(&["BAD_SELFIE"]));
            for visit in (1..50).chain([1_000]) {
                let tags = codes(&["vip"]);
                let facts = ConditionFacts {
                    customer: &customer,
                    tags: &tags,
                    contact: None,
                    visit,
                    changed: Details::default(),
                };
                if crate::rules::prefilter::is_impossible(&condition, &facts) {
                    passed_over += 1;
                    assert!(
                        matches!(condition.check(&facts), ConditionResult::No(_)),
                        "{text}, visit {visit}, {docs:?}"
                    );
                }
            }
        }
    }
    assert!(passed_over > 1_000, "{passed_over}");
}
