//! The schema of the configuration: every key, and one mistake in each.

use kyc_rules::config::{Config, OnMissing};

use super::*;

fn variable(name: &str) -> Option<String> {
    Some(format!("{name}-0123456789-0123456789")).filter(|_| !name.starts_with("NOT"))
}

fn config_is_refused(text: &str) -> bool {
    let directory = repository::path("tests/cases/config");
    Config::read(text, "kyc-rules.yaml", &directory, &variable, OnMissing::Allow).config.is_none()
}

fn config_case(name: &str) -> String {
    fs::read_to_string(repository::path("tests/cases/config").join(name)).expect("a file")
}

#[test]
fn parser_and_schema_accept_valid_configurations() {
    let schema = validator(&schema::config());
    for case in ["design.yaml", "every-key.yaml", "short.yaml", "unset.yaml"] {
        let text = config_case(case);
        assert_passes(&schema, &text);
    }
    assert_passes(&schema, include_str!("../../../src/cli/init/kyc-rules.yaml"));
}

/// Single mistakes in the configuration with every key.
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
    ("per_domain: 100 per 1m", "per_domain: 100"),
    ("hello: kyc.shop.example", "hello: vm"),
    ("hello: kyc.shop.example", "hello: \"[::1]\""),
    ("webhooks:\n  shop", "webhooks:\n  the shop"),
    ("url: http://127.0.0.1:9/hooks", "url: ftp://127.0.0.1:9/hooks"),
    ("url: http://127.0.0.1:9/hooks", "uri: http://127.0.0.1:9/hooks"),
    ("private: true, brake: 10000 per 1d", "private: maybe, brake: 10000 per 1d"),
    ("brake: 10000 per 1d", "brake: 10000"),
    ("brake: 10000 per 1d", "brakes: 10000 per 1d"),
    ("brake: off", "brake: 0 per 1d"),
    ("kind: mattermost", "kind: matermost"),
    ("attributes: [plan, segment]", "attributes: [my plan]"),
    ("customers/{id}", "customers"),
    ("header: \"X-Token: ${SHOP_TOKEN}\"", "header: sesame"),
    ("cache: 1h", "cache: 1"),
    ("api: \"https://api.xgateway.tech/\"", "api: api.xgateway.tech"),
    ("reconcile: off", "reconcile: daily"),
    ("patience: 30m", "patience: off"),
    ("min_free: 1GB", "min_free: 1024"),
    ("view_cache: 64MB", "view_cache: lots"),
    ("log: {format", "retention: {history: 400d}\nlog: {format"),
    ("tests: warn", "tests: no"),
    ("blast_limit: 100", "blast_limit: -1"),
    ("format: json", "format: yaml"),
    ("level: debug", "level: verbose"),
    ("log:", "logs:"),
];

const CONFIG_READER_KNOWS_MORE: &[(&str, &str, &str)] = &[
    ("timezone: Europe/Vienna", "timezone: Vienna", "time zones are in a database"),
    ("listen: \"[::1]:9000\"", "listen: \":8443\"", "ports are compared with each other"),
    ("allow_from: [203.0.113.0/24", "allow_from: [203.0.113.1/24", "the bits of the address are checked"),
    ("customers/{id}", "customers/{id}/{id}", "occurrences are counted"),
    (
        "transport: file:./mail",
        "transport: smtp://a:b@mail.shop.example?tls=none",
        "a parser decides what a local address is",
    ),
    (
        "[\"${NEW_SECRET}\", \"${KYC_RULES_SECRET}\"], private",
        "whsec_no-base64-at-all-here, private",
        "base64 needs a decoder",
    ),
    ("path: /callbacks/kyc-7f3a9c", "path: \"/callbacks/<kyc>\"", "a parser decides which characters a path may have"),
];

fn config_refused(from: &str, to: &str) -> (bool, bool) {
    let text = config_case("every-key.yaml");
    assert!(text.contains(from), "{from}");
    let text = text.replacen(from, to, 1);
    let schema = validator(&schema::config());
    (config_is_refused(&text), parsed(&text).is_none_or(|value| !schema.is_valid(&value)))
}

#[test]
fn parser_and_schema_refuse_a_mistake_in_the_configuration() {
    let different: Vec<_> = CONFIG_SLIPS
        .iter()
        .map(|(from, to)| (from, to, config_refused(from, to)))
        .filter(|(.., refused)| *refused != (true, true))
        .collect();
    assert!(different.is_empty(), "(parser, schema): {different:#?}");
    for (from, to, why) in CONFIG_READER_KNOWS_MORE {
        assert_eq!(config_refused(from, to), (true, false), "{to}: {why}");
    }
}

/// Collects the paths of all keys.
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
