//! The schemas and the readers say the same: what a reader takes, its schema takes, and what it refuses, its schema refuses,
//! or it stands in a list of what only the reader can know, with the reason.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use kyc_rules::{
    config::{Config, Unfilled},
    rules::{Context, RuleSet},
    schema::{self, Names},
    source::{Document, Files, Report, Severity},
};
use serde_json::Value;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn context() -> Context {
    Context {
        statuses: names(&["SUSPENDED"]),
        webhooks: names(&["shop"]),
        chats: names(&["kyc-ops"]),
        attributes: names(&["plan"]),
        locale: "en".to_owned(),
        email: true,
        directory: true,
        api_key: true,
        ..Context::default()
    }
}

/// What the schema knows is what the reader knows.
fn rules_schema(templates: BTreeSet<String>) -> jsonschema::Validator {
    let context = context();
    let names = Names {
        statuses: context.statuses,
        processing: context.processing,
        webhooks: context.webhooks,
        chats: context.chats,
        attributes: context.attributes,
        templates: templates.into_iter().collect(),
        ..Names::default()
    };
    validator(&schema::rules(&names))
}

fn validator(schema: &Value) -> jsonschema::Validator {
    jsonschema::draft7::meta::validate(schema).expect("a schema of draft 07");
    jsonschema::draft7::new(schema).expect("a schema")
}

/// The text as a schema sees it; `None` where it is no YAML that anybody reads.
fn parsed(text: &str) -> Option<Value> {
    let mut report = Report::new("a.yaml", text);
    let document = Document::read(&mut report)?;
    (!report.has_errors()).then(|| serde_json::to_value(document.root.to_value()).expect("JSON"))
}

/// What this version can't carry out is right as a text.
fn is_refused(files: &Files, path: &str) -> bool {
    let found = RuleSet::compile(files, &context()).diagnostics;
    let is_wrong = |code: &str| !matches!(code, "unsupported" | "channel");
    found.iter().any(|one| one.file == path && one.severity == Severity::Error && is_wrong(one.code))
}

fn templates(files: &Files) -> BTreeSet<String> {
    let name = |path: &str| {
        path.strip_prefix("templates/")?.strip_suffix(".md")?.rsplit_once('.').map(|(name, _)| name.to_owned())
    };
    files.iter().filter_map(|(path, _)| name(path)).collect()
}

fn read(directory: &Path, below: &str, files: &mut Files) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            read(&path, &format!("{below}{name}/"), files);
        } else if name.ends_with(".yaml") || name.ends_with(".md") {
            files.insert(format!("{below}{name}"), fs::read_to_string(&path).expect("a text"));
        }
    }
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What a rule can say, each thing in each of its forms.
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

fn everything() -> Files {
    let files = [("kyc.yaml", EVERYTHING), ("templates/mail.en.md", "Subject: x\n\nx\n")];
    files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect()
}

/// One slip in [`EVERYTHING`]: what stands there, and what is written instead.
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

/// What only the reader can know, and why.
const READER_KNOWS_MORE: &[(&str, &str, &str)] = &[
    ("id: 2", "id: first", "ids are compared with each other"),
    ("[new -> any, FULL_USER->any]", "[new -> any, FULL_USER for 2d]", "the kinds of several triggers are compared"),
    ("CREATED | none for 48h, 5d", "CREATED for 5d, 48h", "durations are compared"),
    ("CREATED | none for 48h, 5d", "CREATED for 4000d", "ten years are counted"),
    (
        "processing VERIFICATION_IN_PROGRESS -> any",
        "processing VERIFICATION_IN_PROGRESS -> VERIFICATION_IN_PROGRESS",
        "names on both sides are compared",
    ),
    ("\"20:00-09:00\"", "\"20:00-20:00\"", "from and until are compared"),
    ("to: ops@shop.example", "to: ops@-shop-", "what an address is takes a parser"),
    ("visit: \">= 3\"", "visit: \">= 9999999999\"", "the bound of a number in a text"),
    ("tag: needs person", "tag: \"äääääääääääääääääääääääääääääääääääääää\"", "a schema counts characters, not bytes"),
];

#[test]
fn what_is_right_passes_both() {
    let files = everything();
    assert!(!is_refused(&files, "kyc.yaml"), "{:#?}", RuleSet::compile(&files, &context()).diagnostics);
    assert_passes(&rules_schema(templates(&files)), EVERYTHING);
    let mut shipped = Files::default();
    read(&repository("rules"), "", &mut shipped);
    for (_, text) in shipped.iter().filter(|(path, _)| !path.contains('/') && !path.ends_with(".test.yaml")) {
        assert_passes(&rules_schema(templates(&shipped)), text);
    }
    for file in ["README.md", "docs/RULES.md"] {
        let text = fs::read_to_string(repository(file)).expect("a file");
        let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
        for block in blocks.filter(|block| block.contains("rules:\n")) {
            assert_passes(&rules_schema(templates(&shipped)), block);
        }
    }
}

fn assert_passes(schema: &jsonschema::Validator, text: &str) {
    let value = parsed(text).expect("YAML");
    let wrong: Vec<String> =
        schema.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{text}");
}

/// Whether reader and schema refuse the rules with a slip; `None` where they are no YAML.
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
fn a_slip_in_a_rule_is_refused_by_both() {
    assert!(SLIPS.len() >= 40);
    let different: Vec<_> = SLIPS
        .iter()
        .map(|(from, to)| (from, to, refused(from, to)))
        .filter(|(.., refused)| *refused != (true, true))
        .collect();
    assert!(different.is_empty(), "(reader, schema): {different:#?}");
}

#[test]
fn what_only_the_reader_knows_the_schema_lets_pass() {
    for (from, to, why) in READER_KNOWS_MORE {
        assert_eq!(refused(from, to), (true, false), "{to}: {why}");
    }
}

/// Cases of `tests/cases/err` whose mistake no schema can say.
const CASES_ONLY_THE_READER_KNOWS: &[(&str, &str)] = &[
    ("duplicate-ids/kyc.yaml", "ids are compared with each other"),
    ("duplicate-ids/more.yaml", "ids are compared with those of another file"),
    ("several-files/c.yaml", "ids are compared with those of another file"),
];

#[test]
fn the_mistakes_that_merchants_are_told_of_are_marked_in_the_editor_too() {
    let mut cases: Vec<PathBuf> = fs::read_dir(repository("tests/cases/err"))
        .expect("cases")
        .map(|entry| entry.expect("a case").path())
        .collect();
    cases.sort();
    let mut different = Vec::new();
    for case in cases {
        let mut files = Files::default();
        read(&case, "", &mut files);
        let schema = rules_schema(templates(&files));
        let name = case.file_name().expect("a name").to_string_lossy().into_owned();
        for (path, text) in files.iter().filter(|(path, _)| !path.contains('/') && path.ends_with(".yaml")) {
            let Some(value) = parsed(text) else { continue };
            let both = (is_refused(&files, path), !schema.is_valid(&value));
            let expected = CASES_ONLY_THE_READER_KNOWS.iter().any(|(case, _)| *case == format!("{name}/{path}"));
            if both.0 != (both.1 || expected) {
                different.push((name.clone(), path.to_owned(), both));
            }
        }
    }
    assert!(different.is_empty(), "(reader, schema): {different:#?}");
}

fn variable(name: &str) -> Option<String> {
    Some(format!("{name}-0123456789-0123456789")).filter(|_| !name.starts_with("NOT"))
}

fn config_is_refused(text: &str) -> bool {
    let directory = repository("tests/cases/config");
    Config::read(text, "kyc-rules.yaml", &directory, &variable, Unfilled::Allow).config.is_none()
}

fn config_case(name: &str) -> String {
    fs::read_to_string(repository("tests/cases/config").join(name)).expect("a file")
}

#[test]
fn a_configuration_that_is_right_passes_both() {
    let schema = validator(&schema::config());
    for case in ["design.yaml", "every-key.yaml", "short.yaml", "unset.yaml"] {
        let text = config_case(case);
        assert_passes(&schema, &text);
    }
    assert_passes(&schema, include_str!("../src/cli/init/kyc-rules.yaml"));
}

/// One slip in the configuration with every key.
const CONFIG_SLIPS: &[(&str, &str)] = &[
    ("data: postgres://kyc:${PG_PASSWORD}@db.internal/kyc", "data: mysql://db/kyc"),
    ("data: postgres", "dta: postgres"),
    ("rules: /etc/kyc-rules/rules", "rules: [/etc/kyc-rules/rules]"),
    ("name: Example Shop, support", "nme: Example Shop, support"),
    ("brand: {name", "brand: [name"),
    ("locale: de_at", "locale: German"),
    ("timezone: Europe/Vienna", "timezone: [Europe/Vienna]"),
    ("statuses: {kyc: [SUSPENDED]", "statuses: {kcy: [SUSPENDED]"),
    ("kyc: [SUSPENDED]", "kyc: [\"\"]"),
    ("callback:", "callbacks:"),
    ("listen: \":8443\"", "listen: 8443"),
    ("listen: \":8443\"", "lsten: \":8443\""),
    ("path: /callbacks/kyc-7f3a9c", "path: callbacks"),
    ("path: /callbacks/kyc-7f3a9c", "path: /callbacks//kyc"),
    ("  secrets: [\"${NEW_SECRET}\", \"${KYC_RULES_SECRET}\"]\n", ""),
    ("  secrets: [\"${NEW_SECRET}\", \"${KYC_RULES_SECRET}\"]\n", "  secrets: []\n"),
    ("tls: {certificate: tls/shop.crt, key: tls/shop.key}", "tls: {certificate: tls/shop.crt}"),
    ("tls: {certificate: tls/shop.crt, key: tls/shop.key}", "tls: true"),
    ("allow_from: [203.0.113.0/24", "allow_from: [everybody"),
    ("trusted_proxies", "trusted_proxys"),
    ("connections: 10000", "connections: 3"),
    ("connections: 10000", "connections: many"),
    ("token: \"${ADMIN_TOKEN}\"", "token: short"),
    ("hosts: [admin.shop.example]", "hosts: [\"admin.shop.example:443\"]"),
    ("from: kyc@shop.example", "from: Example Shop"),
    ("  from: kyc@shop.example\n", ""),
    ("transport: file:./mail", "transport: ./mail"),
    ("brake: 500 per 30m", "brake: 500 per hour"),
    ("brake: 500 per 30m", "brake: 0 per 30m"),
    ("concurrency: 8", "concurrency: 65"),
    ("webhooks:\n  shop", "webhooks:\n  the shop"),
    ("url: http://127.0.0.1:9/hooks", "url: ftp://127.0.0.1:9/hooks"),
    ("url: http://127.0.0.1:9/hooks", "uri: http://127.0.0.1:9/hooks"),
    ("private: true}\nchats", "private: maybe}\nchats"),
    ("kind: mattermost", "kind: matermost"),
    ("attributes: [plan, segment]", "attributes: [my plan]"),
    ("customers/{id}", "customers"),
    ("header: \"X-Token: ${SHOP_TOKEN}\"", "header: sesame"),
    ("cache: 1h", "cache: 1"),
    ("api: \"https://api.xgateway.tech/\"", "api: api.xgateway.tech"),
    ("reconcile: off", "reconcile: daily"),
    ("min_free: 1GB", "min_free: 1024"),
    ("view_cache: 64MB", "view_cache: lots"),
    ("history: 90d", "history: 0d"),
    ("tests: warn", "tests: no"),
    ("blast_limit: 100", "blast_limit: -1"),
    ("format: json", "format: yaml"),
    ("level: debug", "level: verbose"),
    ("log:", "logs:"),
];

const CONFIG_READER_KNOWS_MORE: &[(&str, &str, &str)] = &[
    ("timezone: Europe/Vienna", "timezone: Vienna", "which zones there are is in a database"),
    ("listen: \"[::1]:9000\"", "listen: \":8443\"", "ports are compared with each other"),
    ("allow_from: [203.0.113.0/24", "allow_from: [203.0.113.1/24", "bits are counted"),
    ("customers/{id}", "customers/{id}/{id}", "how often something stands there is counted"),
    (
        "transport: file:./mail",
        "transport: smtp://a:b@mail.shop.example?tls=none",
        "what is this machine takes a parser",
    ),
    ("path: /callbacks/kyc-7f3a9c", "path: \"/callbacks/<kyc>\"", "what a path may have in it takes a parser"),
];

fn config_refused(from: &str, to: &str) -> (bool, bool) {
    let text = config_case("every-key.yaml");
    assert!(text.contains(from), "{from}");
    let text = text.replacen(from, to, 1);
    let schema = validator(&schema::config());
    (config_is_refused(&text), parsed(&text).is_none_or(|value| !schema.is_valid(&value)))
}

#[test]
fn a_slip_in_the_configuration_is_refused_by_both() {
    let different: Vec<_> = CONFIG_SLIPS
        .iter()
        .map(|(from, to)| (from, to, config_refused(from, to)))
        .filter(|(.., refused)| *refused != (true, true))
        .collect();
    assert!(different.is_empty(), "(reader, schema): {different:#?}");
    for (from, to, why) in CONFIG_READER_KNOWS_MORE {
        assert_eq!(config_refused(from, to), (true, false), "{to}: {why}");
    }
}

/// The paths of all keys.
fn keys(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                match (&**key, value) {
                    ("properties", Value::Object(keys_here)) => {
                        for (name, schema) in keys_here {
                            found.insert(format!("{path}/{name}"));
                            keys(schema, &format!("{path}/{name}"), found);
                        }
                    }
                    ("patternProperties", Value::Object(each)) => {
                        each.values().for_each(|schema| keys(schema, &format!("{path}/*"), found));
                    }
                    _ => keys(value, path, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, path, found)),
        _ => {}
    }
}

fn written(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let path = match path {
            "/webhooks" | "/chats" => format!("{path}/*"),
            _ => format!("{path}/{key}"),
        };
        if !path.ends_with('*') {
            found.insert(path.clone());
        }
        written(value, &path, found);
    }
}

#[test]
fn schema_and_configuration_have_the_same_keys() {
    let (mut here, mut there) = (BTreeSet::new(), BTreeSet::new());
    keys(&schema::config(), "", &mut here);
    written(&parsed(&config_case("every-key.yaml")).expect("YAML"), "", &mut there);
    assert_eq!(here, there);
}

/// What a test can say, each thing in each of its forms.
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
      - expect:
          - {rule: first, webhook: shop, event: kyc.reversed}
          - {rule: second, chat: kyc-ops, contains: [one, two]}
          - {rule: second, tag: vip, shadow: true}
          - {rule: second, untag: vip}
  - name: nobody knows the address
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
    ("email: mail, at", "email: mial, at"),
    ("email: mail, at", "mail: mail, at"),
    ("rule: first, email", "email"),
    ("rule: first, email: mail, at", "rule: first, at"),
    ("at: 2026-03-06T09:00", "at: 9 in the morning"),
    ("{rule: second, untag: vip}", "{rule: second, tag: vip, untag: vip}"),
    ("shadow: true", "shadow: perhaps"),
    ("webhook: shop", "webhook: shpo"),
    ("webhook: shop, event: kyc.reversed", "webhook: shop, subject: kyc.reversed"),
    ("tag: vip, shadow: true", "tag: vip, contains: true"),
];

#[test]
fn rule_tests_are_marked_where_they_are_wrong() {
    let names = Names {
        rules: names(&["first", "second"]),
        templates: names(&["mail"]),
        webhooks: names(&["shop"]),
        chats: names(&["kyc-ops"]),
        attributes: names(&["plan"]),
        ..Names::default()
    };
    let schema = validator(&schema::tests(&names));
    assert_passes(&schema, EVERY_STEP);
    for (from, to) in TEST_SLIPS {
        assert!(EVERY_STEP.contains(from), "{from}");
        let value = parsed(&EVERY_STEP.replacen(from, to, 1));
        assert!(value.is_none_or(|value| !schema.is_valid(&value)), "{to}");
    }
}

fn run(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_kyc-rules"))
        .args(arguments)
        .current_dir(directory)
        .env_remove("KYC_RULES_CONFIG")
        .output()
        .expect("runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[test]
fn what_init_writes_names_its_schemas_and_fits_them() {
    let dir = tempfile::tempdir().expect("a directory");
    assert_eq!(run(dir.path(), &["init", "."]).0, 0);
    for file in ["kyc-rules.yaml", "rules/kyc.yaml"] {
        let path = dir.path().join(file);
        let text = fs::read_to_string(&path).expect("written");
        let line = text.lines().next().expect("a line");
        let schema = line.strip_prefix("# yaml-language-server: $schema=").expect("a line for editors");
        let schema = fs::read_to_string(path.parent().expect("a parent").join(schema)).expect("a schema beside it");
        assert_passes(&validator(&serde_json::from_str(&schema).expect("JSON")), &text);
    }
    let tests = fs::read_to_string(dir.path().join(".schema/tests.json")).expect("written");
    validator(&serde_json::from_str(&tests).expect("JSON"));
}

#[test]
fn the_command_names_what_configuration_and_rules_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let (code, alone, _) = run(dir.path(), &["schema", "rules"]);
    assert!(code == 0 && alone.contains("any -> FULL_USER") && !alone.contains("SUSPENDED"), "needs no configuration");
    assert_eq!(run(dir.path(), &["init", "."]).0, 0);
    let config = "callback: {secrets: \"${NOT_SET}\"}\nstatuses: [SUSPENDED]\n\
                  webhooks: {shop: {url: https://shop.example, secret: \"${NOT_SET}\"}}\n";
    fs::write(dir.path().join("kyc-rules.yaml"), config).expect("written");
    let (code, rules, notes) = run(dir.path(), &["--json", "schema", "rules"]);
    assert_eq!(code, 0, "{notes}");
    assert!(notes.contains("NOT_SET is not set; the value stays unfilled"), "{notes}");
    let rules: Value = serde_json::from_str(&rules).expect("JSON in one line");
    let action = &rules["definitions"]["action"]["properties"];
    assert_eq!(action["webhook"]["properties"]["to"]["enum"], serde_json::json!(["shop"]));
    assert!(action["email"]["anyOf"][0]["enum"].to_string().contains("missing-documents"));
    assert!(rules["definitions"]["trigger"]["pattern"].to_string().contains("SUSPENDED"));
    let (code, tests, _) = run(dir.path(), &["schema", "tests"]);
    assert!(code == 0 && tests.contains("third-rejection"), "{tests}");
    fs::write(dir.path().join("kyc-rules.yaml"), "callbak: {}\n").expect("written");
    let (code, _, said) = run(dir.path(), &["schema", "rules"]);
    assert!(code == 78 && said.contains("unknown key `callbak`"), "{said}");
    assert_eq!(run(dir.path(), &["schema", "config"]).0, 0, "needs none of it");
    assert_eq!(run(dir.path(), &["schema", "rules", "--rules", "nowhere"]).0, 78);
}
