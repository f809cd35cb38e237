//! The schema of rules: every form of every key, one mistake in each, and the cases of the diagnostics tests.

use super::{
    cases::{tests_are_refused, tests_schema},
    *,
};

/// A rules file with every key in each of its forms.
const EVERYTHING: &str = r#"format: 1
rules:
  - id: first
    about: Everything at once
    group: some.group
    mode: shadow
    when: CREATED|KYC_NEEDED -> SOFT_KYC_FAILED | SUSPENDED
    if:
      missing_docs: [SELFIE, NEW_ONE]
      reject_labels: {any_of: BAD_SELFIE, none_of: [BAD_PASSPORT]}
      message: {contains: [again, 2024], exists: true}
      processing: [none, VERIFICATION_IN_PROGRESS]
      visit: ">= 3"
      changed: message
      tags: vip
      customer.locale: {any_of: [de, pt-BR]}
      customer.country: [NO, DE]
      customer.attributes.plan: [true, 7, pro]
      not: {visit: [1, "< 3"], missing_docs: {only: [SELFIE], all_of: SELFIE}}
    do:
      - email: {template: mail, to: customer, limit: 1 per 24h, settle: 2m, quiet_hours: "20:00-09:00"}
      - email: {template: mail, to: ops@shop.example}
      - webhook: {to: shop, event: kyc.reversed}
      - chat: {to: kyc-ops, text: "{{ customer.id }}", limit: 10 per 1d}
      - tag: needs person
      - untag: 7
      - record
      - record:
  - {id: 2, when: any -> any, do: record}
  - {id: c, when: [new -> any, FULL_USER->any], do: {email: mail}}
  - {id: d, when: [KYC_PENDING -> KYC_PENDING], do: [email: mail]}
  - {id: e, when: "CREATED | none for 48h, 5d", do: [tag: x]}
  - {id: f, when: processing VERIFICATION_IN_PROGRESS -> any, if: {visit: {none_of: [1, 2]}}, do: record}
  - {id: g, when: processing VERIFICATION_IN_PROGRESS for 1h, do: record}
"#;

pub fn everything() -> Files {
    let files = [("kyc.yaml", EVERYTHING), ("templates/mail.en.md", "Subject: x\n\nx\n")];
    files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect()
}

/// Single mistakes in [`EVERYTHING`]: the original text and its replacement.
const SLIPS: &[(&str, &str)] = &[
    ("format: 1", "format: 2"),
    ("format: 1", "format: \"1\""),
    ("format: 1\n", ""),
    ("rules:", "ruels:"),
    ("rules:", "rules: []\nmore:"),
    ("- id: first\n    about", "- about"),
    ("id: first", "name: first"),
    ("id: first", "id: the first"),
    ("id: first", "id: [first]"),
    ("id: first", "id: \"\""),
    ("about: Everything at once", "abut: Everything at once"),
    ("about: Everything at once", "about: true"),
    ("about: Everything at once", "about:"),
    ("about: Everything at once", "about: {de: Alles}"),
    ("group: some.group", "group: some group"),
    ("group: some.group", "groups: some.group"),
    ("mode: shadow", "mode: shaddow"),
    ("mode: shadow", "mode: Shadow"),
    ("mode: shadow", "mod: shadow"),
    ("    when: CREATED|KYC_NEEDED -> SOFT_KYC_FAILED | SUSPENDED\n", ""),
    ("when: CREATED|KYC_NEEDED", "wen: CREATED|KYC_NEEDED"),
    ("when: CREATED|KYC_NEEDED", "when: CREATED|KYC_NEDED"),
    ("when: CREATED|KYC_NEEDED", "when: CREATED, KYC_NEEDED"),
    ("when: CREATED|KYC_NEEDED", "when: \"*\""),
    ("-> SOFT_KYC_FAILED | SUSPENDED", "=> SOFT_KYC_FAILED"),
    ("-> SOFT_KYC_FAILED | SUSPENDED", "-> SOFT_KYC_FAILED -> SUSPENDED"),
    ("-> SOFT_KYC_FAILED | SUSPENDED", "-> new"),
    ("-> SOFT_KYC_FAILED | SUSPENDED", "->"),
    ("-> SOFT_KYC_FAILED | SUSPENDED", ""),
    ("-> SOFT_KYC_FAILED | SUSPENDED", "-> SOFT_KYC_FAILED for 2d"),
    ("when: any -> any", "when: {from: any, to: any}"),
    ("when: any -> any", "when: []"),
    ("when: any -> any", "when:"),
    ("when: any -> any", "when: 7"),
    ("[new -> any, FULL_USER->any]", "[new -> any, [FULL_USER -> any]]"),
    ("CREATED | none for 48h, 5d", "any for 48h"),
    ("CREATED | none for 48h, 5d", "CREATED for 48"),
    ("CREATED | none for 48h, 5d", "CREATED for 1h30m"),
    ("CREATED | none for 48h, 5d", "CREATED for 0h"),
    ("CREATED | none for 48h, 5d", "CREATED for 48h 5d"),
    ("CREATED | none for 48h, 5d", "CREATED for"),
    ("CREATED | none for 48h, 5d", "CREATED for 2 h"),
    ("processing VERIFICATION_IN_PROGRESS -> any", "processing FULL_USER -> any"),
    ("processing VERIFICATION_IN_PROGRESS -> any", "processing new -> any"),
    ("if:\n", "iff:\n"),
    ("if: {visit: {none_of: [1, 2]}}", "if: []"),
    ("if: {visit: {none_of: [1, 2]}}", "if: {}"),
    ("if: {visit: {none_of: [1, 2]}}", "if:"),
    ("if: {visit: {none_of: [1, 2]}}", "if: [visit: 1]"),
    ("if: {visit: {none_of: [1, 2]}}", "if: {status: FULL_USER}"),
    ("missing_docs: [SELFIE, NEW_ONE]", "missing_doc: [SELFIE]"),
    ("missing_docs: [SELFIE, NEW_ONE]", "missing_docs: []"),
    ("missing_docs: [SELFIE, NEW_ONE]", "missing_docs: {}"),
    ("missing_docs: [SELFIE, NEW_ONE]", "missing_docs: {anyof: SELFIE}"),
    ("missing_docs: [SELFIE, NEW_ONE]", "missing_docs: true"),
    ("message: {contains: [again, 2024], exists: true}", "message: {exists: yes}"),
    ("message: {contains: [again, 2024], exists: true}", "message: {all_of: [again]}"),
    ("processing: [none, VERIFICATION_IN_PROGRESS]", "processing: VERIFYING"),
    ("visit: \">= 3\"", "visit: many"),
    ("visit: \">= 3\"", "visit: -1"),
    ("visit: \">= 3\"", "visit: 1.5"),
    ("visit: \">= 3\"", "visit: \"=> 3\""),
    ("visit: \">= 3\"", "visit: {exists: true}"),
    ("changed: message", "changed: status"),
    ("changed: message", "changed: {contains: doc}"),
    ("customer.locale: {any_of: [de, pt-BR]}", "customer.locale: German"),
    ("customer.locale: {any_of: [de, pt-BR]}", "customer: {locale: de}"),
    ("customer.country: [NO, DE]", "customer.country: no"),
    ("customer.country: [NO, DE]", "customer.land: NO"),
    ("customer.attributes.plan: [true, 7, pro]", "customer.attributes.paln: pro"),
    ("not: {visit", "not: {vist"),
    ("only: [SELFIE]", "olny: [SELFIE]"),
    ("template: mail, to: customer", "tempalte: mail, to: customer"),
    ("template: mail, to: customer", "template: mial, to: customer"),
    ("template: mail, to: customer", "to: customer"),
    ("to: customer, limit", "to: customers, limit"),
    ("limit: 1 per 24h", "limit: 1/24h"),
    ("limit: 1 per 24h", "limit: 0 per 24h"),
    ("limit: 1 per 24h", "limit: 101 per 24h"),
    ("limit: 1 per 24h", "limit: 1 per 24"),
    ("limit: 1 per 24h", "limits: 1 per 24h"),
    ("settle: 2m", "settle: 2"),
    ("settle: 2m", "settle: two minutes"),
    ("settle: 2m", "settel: 2m"),
    ("\"20:00-09:00\"", "\"20-9\""),
    ("\"20:00-09:00\"", "\"24:00-09:00\""),
    ("\"20:00-09:00\"", "22"),
    ("to: ops@shop.example", "to: ops"),
    ("webhook: {to: shop, event: kyc.reversed}", "webhook: shop"),
    ("webhook: {to: shop, event: kyc.reversed}", "webhook: {to: shpo, event: kyc.reversed}"),
    ("webhook: {to: shop, event: kyc.reversed}", "webhook: {to: shop}"),
    ("webhook: {to: shop, event: kyc.reversed}", "webhook: {to: shop, event: kyc reversed}"),
    ("webhook: {to: shop, event: kyc.reversed}", "webhok: {to: shop, event: kyc.reversed}"),
    ("chat: {to: kyc-ops, text", "chat: {to: kycops, text"),
    ("chat: {to: kyc-ops, text", "chat: {room: kyc-ops, text"),
    ("tag: needs person", "tag: \"one, two\""),
    ("tag: needs person", "tag: [one, two]"),
    ("tag: needs person", "tags: one"),
    ("- record\n", "- recrod\n"),
    ("- record:\n", "- record: something\n"),
    ("- tag: needs person\n", "- tag: one\n        untag: two\n"),
    ("- tag: needs person\n", "- email: mail\n        email: mail\n"),
    ("- email: {template: mail, to: ops@shop.example}", "- email: mail\n        to: ops@shop.example"),
    ("do: {email: mail}", "do: email"),
    ("do: {email: mail}", "do: []"),
    ("do: {email: mail}", "do: {}"),
    ("do: {email: mail}", "do:"),
    ("do: {email: mail}", "od: {email: mail}"),
    (", do: {email: mail}", ""),
    ("do: {email: mail}", "do: {email: [mail]}"),
    ("do: {email: mail}", "do: {email: true}"),
];

/// Mistakes that only the parser can detect, with the reason.
const READER_KNOWS_MORE: &[(&str, &str, &str)] = &[
    ("id: 2", "id: first", "ids are compared with each other"),
    ("[new -> any, FULL_USER->any]", "[new -> any, FULL_USER for 2d]", "the kinds of several triggers are compared"),
    ("CREATED | none for 48h, 5d", "CREATED for 5d, 48h", "durations are compared"),
    ("CREATED | none for 48h, 5d", "CREATED for 4000d", "the maximum is ten years"),
    (
        "processing VERIFICATION_IN_PROGRESS -> any",
        "processing VERIFICATION_IN_PROGRESS -> VERIFICATION_IN_PROGRESS",
        "names on both sides are compared",
    ),
    ("\"20:00-09:00\"", "\"20:00-20:00\"", "start and end are compared"),
    ("to: ops@shop.example", "to: ops@-shop-", "an address needs a parser"),
    ("text: \"{{ customer.id }}\"", "text: \"{{ customer.nmae }}\"", "the expression between braces is evaluated"),
    ("visit: \">= 3\"", "visit: \">= 9999999999\"", "a pattern does not limit a number in a text"),
    ("tag: needs person", "tag: \"äääääääääääääääääääääääääääääääääääääää\"", "a schema counts characters, not bytes"),
];

#[test]
fn parser_and_schema_accept_valid_rules() {
    let files = everything();
    assert!(!is_refused(&files, "kyc.yaml"), "{:#?}", RuleSet::compile(&files, &context()).diagnostics);
    assert_passes(&rules_schema(templates(&files)), EVERYTHING);
    let mut shipped = Files::default();
    read(&repository::path("rules"), "", &mut shipped);
    for (_, text) in shipped.iter().filter(|(path, _)| !path.contains('/') && !path.ends_with(".test.yaml")) {
        assert_passes(&rules_schema(templates(&shipped)), text);
    }
    for file in ["README.md", "docs/RULES.md"] {
        let text = fs::read_to_string(repository::path(file)).expect("a file");
        let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
        for block in blocks.filter(|block| block.contains("rules:\n")) {
            assert_passes(&rules_schema(templates(&shipped)), block);
        }
    }
}

/// Returns whether the parser and the schema refuse the rules with a mistake. Invalid YAML counts as refused by the
/// schema.
fn refused(from: &str, to: &str) -> (bool, bool) {
    assert!(EVERYTHING.contains(from), "{from}");
    let mut files = everything();
    let text = EVERYTHING.replacen(from, to, 1);
    let value = parsed(&text);
    files.insert("kyc.yaml", text);
    let schema = rules_schema(templates(&files));
    (is_refused(&files, "kyc.yaml"), value.is_none_or(|value| !schema.is_valid(&value)))
}

#[test]
fn parser_and_schema_refuse_a_mistake_in_a_rule() {
    assert!(SLIPS.len() >= 40);
    let different: Vec<_> = SLIPS
        .iter()
        .map(|(from, to)| (from, to, refused(from, to)))
        .filter(|(.., refused)| *refused != (true, true))
        .collect();
    assert!(different.is_empty(), "(parser, schema): {different:#?}");
}

#[test]
fn the_schema_accepts_mistakes_that_only_the_parser_detects() {
    for (from, to, why) in READER_KNOWS_MORE {
        assert_eq!(refused(from, to), (true, false), "{to}: {why}");
    }
}

/// Cases of `tests/cases/err` whose mistake a schema cannot express.
const CASES_ONLY_THE_READER_KNOWS: &[(&str, &str)] = &[
    ("duplicate-ids/kyc.yaml", "ids are compared with each other"),
    ("duplicate-ids/more.yaml", "ids are compared with those of another file"),
    ("several-files/c.yaml", "ids are compared with those of another file"),
    ("tests-idle/kyc.test.yaml", "a test that cannot fail is found by reading its steps in order"),
];

#[test]
fn the_schemas_refuse_the_cases_of_the_diagnostics_tests() {
    let mut cases: Vec<PathBuf> = fs::read_dir(repository::path("tests/cases/err"))
        .expect("cases")
        .map(|entry| entry.expect("a case").path())
        .collect();
    cases.sort();
    let mut different = Vec::new();
    for case in cases {
        let mut files = Files::default();
        read(&case, "", &mut files);
        let vocabulary = Vocabulary::of(&files);
        let ids: Vec<&str> = vocabulary.rules.iter().map(String::as_str).collect();
        let rules = rules_schema(templates(&files));
        let tests = tests_schema(&ids, templates(&files));
        let name = case.file_name().expect("a name").to_string_lossy().into_owned();
        for (path, text) in files.iter().filter(|(path, _)| !path.contains('/') && path.ends_with(".yaml")) {
            let Some(value) = parsed(text) else { continue };
            let both = if path.ends_with(".test.yaml") {
                (tests_are_refused(&files, path), !tests.is_valid(&value))
            } else {
                (is_refused(&files, path), !rules.is_valid(&value))
            };
            let expected = CASES_ONLY_THE_READER_KNOWS.iter().any(|(case, _)| *case == format!("{name}/{path}"));
            if both.0 != (both.1 || expected) {
                different.push((name.clone(), path.to_owned(), both));
            }
        }
    }
    assert!(different.is_empty(), "(parser, schema): {different:#?}");
}
