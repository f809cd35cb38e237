//! Tests that parse whole configurations and compare the values and the messages.

use std::path::Path;

use secrecy::ExposeSecret;

use super::*;
use crate::{
    channels::email::{SmtpSettings, TlsMode},
    decide::Policy,
};

const CASES: &str = "tests/cases/config";

fn variable(name: &str) -> Option<String> {
    let known = ["KYC_RULES_SECRET", "NEW_SECRET", "SMTP_PASSWORD", "PG_PASSWORD", "SHOP_TOKEN", "ADMIN_TOKEN"];
    match name {
        "SLACK_URL" => Some("https://hooks.slack.com/services/T/B/X".to_owned()),
        "XGATEWAY_API_KEY" => Some("12345678901234567890".to_owned()),
        _ => known.contains(&name).then(|| format!("{name}-0123456789-0123456789")),
    }
}

fn read(text: &str) -> LoadedConfig {
    Config::read(text, "kyc-rules.yaml", Path::new(CASES), &variable, OnMissing::Error)
}

fn case(name: &str) -> Config {
    let loaded = read(&fs::read_to_string(Path::new(CASES).join(name)).expect("readable"));
    assert_eq!(loaded.diagnostics, []);
    loaded.config.expect("right")
}

fn shown(secrets: &[SecretString]) -> Vec<&str> {
    secrets.iter().map(ExposeSecret::expose_secret).collect()
}

#[test]
fn the_example_of_the_design_is_parsed() {
    let config = case("design.yaml");
    assert!(matches!(&config.data, DataConfig::Directory(path) if *path == Path::new(CASES).join("data")));
    assert_eq!(config.rules, Path::new(CASES).join("rules"));
    assert_eq!(config.timezone.iana_name(), Some("Europe/Berlin"));
    assert_eq!(config.callback.path, "/callbacks/kyc");
    assert_eq!(config.callback.secrets.len(), 1);
    let email = config.email.expect("mail");
    assert_eq!((email.brake, email.concurrency), (Some(Brake::default()), 4));
    let Some(Transport::Smtp(SmtpSettings { host, port, security, login: Some((user, password)) })) = email.transport
    else {
        panic!("SMTP")
    };
    assert_eq!((&*host, port, security, &*user), ("mail.shop.example", 465, TlsMode::Implicit, "user"));
    assert_eq!(password.expose_secret(), "SMTP_PASSWORD-0123456789-0123456789");
    assert_eq!(shown(&config.webhooks["shop"].secrets), ["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"], "no line end");
    let lookup = config.directory.lookup.expect("lookup");
    let (name, value) = lookup.header.expect("header");
    assert_eq!((name.as_str(), value.expose_secret()), ("authorization", "Bearer SHOP_TOKEN-0123456789-0123456789"));
    assert_eq!(lookup.cache, Duration::from_mins(10));
    assert_eq!(config.provider.api_key.expect("key").expose_secret(), "12345678901234567890");
    assert_eq!(config.provider.reconcile_final, Some(Duration::from_hours(168)));
}

#[test]
fn every_key_is_read() {
    let config = case("every-key.yaml");
    assert!(matches!(&config.data, DataConfig::Postgres(url) if url.expose_secret().contains("PG_PASSWORD-")));
    assert_eq!(config.rules, Path::new("/etc/kyc-rules/rules"), "absolute");
    assert_eq!(config.locale, "de-AT");
    assert_eq!(config.statuses, ["SUSPENDED"]);
    assert_eq!(config.processing_statuses, ["ESCALATED", "MANUAL_REVIEW"]);
    let callback = &config.callback;
    assert_eq!(callback.listen.to_string(), "0.0.0.0:8443");
    assert_eq!((callback.secrets.len(), callback.allow_from.len(), callback.trusted_proxies.len()), (2, 3, 1));
    assert_eq!(callback.limits().connections, 10_000);
    assert_eq!(callback.tls.as_ref().expect("TLS").key, Path::new(CASES).join("tls/shop.key"));
    assert_eq!(config.admin.listen.to_string(), "[::1]:9000");
    assert!(config.admin.token.is_some());
    let email = config.email.expect("mail");
    assert!(matches!(email.transport, Some(Transport::File(path)) if path == Path::new(CASES).join("mail")));
    assert_eq!(email.brake, Some(Brake { count: 500, window_ms: 30 * 60_000 }));
    assert_eq!(email.hello, crate::channels::email::EhloName::parse("kyc.shop.example").ok());
    assert_eq!((email.concurrency, email.per_domain), (8, Some(Duration::from_millis(600))));
    assert_eq!(config.webhooks["shop"].brake, Some(Brake { count: 10_000, window_ms: 86_400_000 }));
    assert_eq!(config.chats["kyc-ops"].brake, None);
    assert!(config.webhooks["shop"].private && config.chats["kyc-ops"].private);
    assert_eq!(config.chats["kyc-ops"].kind, crate::channels::chat::ChatKind::Mattermost);
    assert_eq!(config.provider.api, "https://api.xgateway.tech");
    assert_eq!((config.provider.reconcile, config.provider.patience), (None, Duration::from_mins(30)), "off");
    assert_eq!((config.store.min_free_bytes, config.store.view_cache_bytes), (1 << 30, 64 << 20));
    assert_eq!((config.reload.tests, config.reload.blast_limit), (ReloadTests::Warn, Some(100)));
    assert_eq!((config.log.format, &*config.log.level), (LogFormat::Json, "debug"));
}

#[test]
fn the_policy_has_all_settings_for_decisions() {
    let policy = Policy::of(&case("every-key.yaml"));
    assert_eq!(policy.timezone.iana_name(), Some("Europe/Vienna"));
    assert_eq!(*policy.attributes, ["plan", "segment"]);
    assert!(policy.confirms);
    assert_eq!(policy.looks_up, Some(3_600_000));
    let simulated = policy.for_simulation();
    assert_eq!((simulated.confirms, simulated.looks_up), (false, None), "no API answers in a simulation");
    assert_eq!(simulated.attributes, policy.attributes);
    let plain = Policy::of(&Config::default());
    assert_eq!((plain.confirms, plain.looks_up), (false, None));
}

#[test]
fn absent_keys_have_their_default() {
    let config = read("callback: {secrets: \"${KYC_RULES_SECRET}\"}\n").config.expect("right");
    assert_eq!(config.callback.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:8081");
    assert_eq!(config.store.min_free_bytes, 256 << 20);
    assert!(config.email.is_none() && config.provider.api_key.is_none());
    assert_eq!(config.provider.patience, Duration::from_hours(1));
}

#[test]
fn the_providers_environments_have_names() {
    let api = |written: &str| {
        let text = format!("callback: {{secrets: \"${{KYC_RULES_SECRET}}\"}}\nprovider: {{api_key: k{written}}}\n");
        read(&text).config.map(|config| config.provider.api)
    };
    for (written, url) in [
        ("", Some("https://api.xgateway.tech")),
        (", api: production", Some("https://api.xgateway.tech")),
        (", api: demo", Some("https://api.demo.xgateway.tech")),
        (", api: \"https://stand-in.shop.example/kyc/\"", Some("https://stand-in.shop.example/kyc")),
        (", api: Demo", None),
        (", api: api.xgateway.tech", None),
        (", api: \"ftp://api.xgateway.tech\"", None),
    ] {
        assert_eq!(api(written).as_deref(), url, "{written}");
    }
}

#[test]
fn a_list_of_statuses_is_for_both_kinds() {
    let text = "callback: {secrets: \"${KYC_RULES_SECRET}\"}\nstatuses: [SUSPENDED, MANUAL_REVIEW]\n";
    let config = read(text).config.expect("right");
    assert_eq!(config.statuses, ["SUSPENDED", "MANUAL_REVIEW"]);
    assert_eq!(config.processing_statuses, config.statuses);
}

#[test]
fn escaped_and_lone_dollars_are_kept() {
    let config = read("callback: {secrets: \"${KYC_RULES_SECRET}\"}\nbrand: {name: \"$5 $${X} ${SHOP_TOKEN}$\"}\n");
    assert_eq!(config.config.expect("right").brand.name, "$5 ${X} SHOP_TOKEN-0123456789-0123456789$");
}

#[test]
fn allowed_unfilled_values_are_left_out() {
    let text = fs::read_to_string(Path::new(CASES).join("unset-in-ci.yaml")).expect("readable");
    let loaded = Config::read(&text, "kyc-rules.yaml", Path::new(CASES), &|_| None, OnMissing::Allow);
    let config = loaded.config.expect("good enough to check rules with");
    assert!(config.callback.secrets.is_empty() && config.admin.token.is_none());
    assert!(config.email.expect("mail").transport.is_none());
    assert!(config.webhooks.contains_key("shop") && config.chats.contains_key("kyc-ops"), "rules may name them");
}

#[test]
fn a_change_of_the_file_is_detected() {
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("kyc-rules.yaml");
    fs::write(&path, "callback: {secrets: 0123456789012345678901234567}\n").expect("written");
    let config = Config::load(&path, OnMissing::Error).expect("read").config.expect("right");
    let origin = config.source.expect("from a file");
    assert!(!origin.has_changed());
    fs::write(&path, "callback: {secrets: 0123456789012345678901234568}\n").expect("written");
    assert!(origin.has_changed());
    fs::remove_file(&path).expect("removed");
    assert!(origin.has_changed());
}

#[test]
fn a_given_path_is_used() {
    assert_eq!(Config::find(Some(Path::new("x.yaml"))), Some(PathBuf::from("x.yaml")));
}

#[test]
fn the_demo_uses_loopback_and_its_directory() {
    let config = Config::demo(Path::new("/tmp/demo"), Secret::new("demo"));
    assert!(config.callback.listen.ip().is_loopback() && config.admin.listen.ip().is_loopback());
    assert!(matches!(config.data, DataConfig::Directory(path) if path.starts_with("/tmp/demo")));
    assert_eq!(config.callback.secrets.len(), 1);
}
