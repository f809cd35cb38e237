//! The schema of rule tests: every step, and one mistake in each.

use kyc_rules::rule_tests::RuleTests;

use super::{rules::everything, *};

/// A file of tests with every key in each of its forms.
const EVERY_STEP: &str = r#"format: 1
tests:
  - name: the reminder waits for the morning
    start: 2026-03-03T21:30[Europe/Lisbon]
    customer: {id: C-7, locale: de, timezone: Europe/Lisbon, country: PT, name: Ada, attributes: {plan: pro}}
    rules: [first, second]
    steps:
      - callback: {status: PENDING_KYC_DATA, docsMissing: [PASSPORT, {docType: SELFIE}], kycRejectLabel: "BAD_SELFIE,BAD_PASSPORT"}
      - callback: {status: NEW_ONE, kycProcessingStatus: VERIFICATION_IN_PROGRESS, kycEndUserErrorMessage: Again}
      - callback: {status: null}
      - wait: 2d
      - expect: nothing
      - contact: {email: ada@customer.example}
      - tag: vip
      - untag: vip
      - expect: [{rule: first, email: mail, at: 2026-03-06T09:00, to: ada@customer.example, contains: Reisepass, subject: One more step}]
      - wait: 1h
      - expect:
          - {rule: first, webhook: shop, event: kyc.reversed}
          - {rule: second, chat: kyc-ops, contains: [one, two]}
          - {rule: second, tag: vip, shadow: true}
          - {rule: second, untag: vip}
  - name: the address is not known
    customer: {email: none}
    rules: first
    steps: [{callback: {status: none}}, {expect: nothing}]
"#;

const TEST_SLIPS: &[(&str, &str)] = &[
    ("format: 1", "format: one"),
    ("tests:", "test:"),
    ("name: the reminder", "nam: the reminder"),
    ("start: 2026-03-03T21:30[Europe/Lisbon]", "start: tomorrow"),
    ("start: 2026-03-03T21:30[Europe/Lisbon]", "start: 2026-03-03"),
    ("customer: {id: C-7, locale", "customer: {id: C-7, local"),
    ("locale: de", "locale: German"),
    ("country: PT", "country: Portugal"),
    ("attributes: {plan: pro}", "attributes: {paln: pro}"),
    ("rules: [first, second]", "rules: [frist]"),
    ("steps: [{callback: {status: none}}, {expect: nothing}]", "steps: []"),
    (", {expect: nothing}]", ", nothing]"),
    ("- callback: {status: null}", "- callback: {stauts: null}"),
    ("- callback: {status: null}", "- callback: {}"),
    ("- callback: {status: null}", "- callbak: {status: null}"),
    ("docsMissing: [PASSPORT", "docsMissing: [[PASSPORT]"),
    ("{docType: SELFIE}", "{type: SELFIE}"),
    ("- wait: 2d", "- wait: 2"),
    ("- wait: 2d", "- wait: 2d\n        expect: nothing"),
    ("- expect: nothing\n      - contact", "- expect: something\n      - contact"),
    ("- expect: nothing\n      - contact", "- expect: []\n      - contact"),
    ("contact: {email: ada@customer.example}", "contact: {email: ada}"),
    ("contact: {email: ada@customer.example}", "contact: {email: none}"),
    ("- tag: vip\n", "- tag: [vip]\n"),
    ("email: mail, at", "mail: mail, at"),
    ("rule: first, email", "email"),
    ("rule: first, email: mail, at", "rule: first, at"),
    ("at: 2026-03-06T09:00", "at: 9 in the morning"),
    ("{rule: second, untag: vip}", "{rule: second, tag: vip, untag: vip}"),
    ("shadow: true", "shadow: perhaps"),
    ("webhook: shop, event: kyc.reversed", "webhook: shop, subject: kyc.reversed"),
    ("tag: vip, shadow: true", "tag: vip, contains: true"),
];

/// Mistakes that only the parser can detect, with the reason.
const TESTS_READER_KNOWS_MORE: &[(&str, &str, &str)] = &[
    (
        "name: the address is not known",
        "name: the reminder waits for the morning",
        "names are compared with each other",
    ),
    ("rules: [first, second]", "rules: [first]", "the rules are in another file"),
    ("start: 2026-03-03T21:30[Europe/Lisbon]", "start: 2026-03-03T21:30[Lisbon]", "time zones are in a database"),
    ("start: 2026-03-03T21:30[Europe/Lisbon]", "start: 2026-02-30T21:30", "the days of a month are counted"),
    ("status: PENDING_KYC_DATA", "status: PENDING_KYC", "any status is valid, except one that is almost a known name"),
    (", {expect: nothing}]", "]", "a test without `expect` cannot fail"),
];

/// Mistakes that the schema detects and the parser does not: the test fails when it runs.
const TESTS_EDITOR_KNOWS_EARLIER: &[(&str, &str)] =
    &[("email: mail, at", "email: mial, at"), ("webhook: shop", "webhook: shpo")];

/// Two rules for the tests.
const TESTED: &str = "format: 1\nrules:\n  - {id: first, when: any -> any, do: [email: mail]}\n  - {id: second, when: any -> any, do: [tag: vip]}\n";

pub fn tests_schema(rules: &[&str], templates: BTreeSet<String>) -> jsonschema::Validator {
    let context = context();
    let names = SchemaNames {
        statuses: context.statuses,
        webhooks: context.webhooks,
        chats: context.chats,
        attributes: context.attributes,
        templates: templates.into_iter().collect(),
        rules: names(rules),
        ..SchemaNames::default()
    };
    validator(&schema::tests(&names))
}

pub fn tests_are_refused(files: &Files, path: &str) -> bool {
    let set = RuleSet::compile(files, &context()).set;
    let (_, found) = RuleTests::read(files, set.as_ref(), &context());
    found.iter().any(|one| one.file == path && one.severity == Severity::Error)
}

fn test_refused(from: &str, to: &str) -> (bool, bool) {
    assert!(EVERY_STEP.contains(from), "{from}");
    let text = EVERY_STEP.replacen(from, to, 1);
    let value = parsed(&text);
    let mut files = everything();
    files.insert("kyc.yaml", TESTED);
    files.insert("kyc.test.yaml", text);
    let schema = tests_schema(&["first", "second"], templates(&files));
    (tests_are_refused(&files, "kyc.test.yaml"), value.is_none_or(|value| !schema.is_valid(&value)))
}

#[test]
fn parser_and_schema_refuse_a_mistake_in_a_rule_test() {
    assert_eq!(test_refused("wait: 2d", "wait: 2d"), (false, false), "without a mistake");
    let different: Vec<_> = TEST_SLIPS
        .iter()
        .map(|(from, to)| (from, to, test_refused(from, to)))
        .filter(|(.., refused)| *refused != (true, true))
        .collect();
    assert!(different.is_empty(), "(parser, schema): {different:#?}");
    for (from, to, why) in TESTS_READER_KNOWS_MORE {
        assert_eq!(test_refused(from, to), (true, false), "{to}: {why}");
    }
    for (from, to) in TESTS_EDITOR_KNOWS_EARLIER {
        assert_eq!(test_refused(from, to), (false, true), "{to}");
    }
}
