//! The `doctor` and `email test` commands.

use std::process::Stdio;

use serde_json::Value;

use crate::support::{
    dns::NameServer,
    hooks::{HookServer, Reply},
    provider::{Manner, Provider},
    service::Shop,
    smtp::{Act, Certificate, Setup, SmtpServer, Stage, Tls},
};

const RULES: &str = "  - {id: sorry, when: any -> SOFT_KYC_FAILED, do: [{email: sorry}]}\n";

/// Runs a command in the shop's directory, trusting this certificate. Returns the exit code, standard output and
/// standard error.
fn run(shop: &Shop, trusting: &Certificate, arguments: &[&str]) -> (Option<i32>, String, String) {
    shop.write("roots.pem", std::str::from_utf8(&trusting.pem).expect("PEM"));
    let mut command = shop.command();
    command.env("SSL_CERT_FILE", shop.path("roots.pem")).args(arguments).stdin(Stdio::null());
    let output = command.output().expect("runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Returns the results, each for example `ok mail`.
fn results(said: &str) -> Vec<String> {
    let said: Value = serde_json::from_str(said).expect("JSON");
    let checks = said["checks"].as_array().expect("checks").iter();
    checks.map(|one| format!("{} {}", one["result"], one["check"]).replace('"', "")).collect()
}

fn said_of(said: &str, what: &str) -> String {
    let said: Value = serde_json::from_str(said).expect("JSON");
    let mut checks = said["checks"].as_array().expect("checks").iter();
    let found = checks.find(|one| one["check"] == what).unwrap_or_else(|| panic!("{what} in {said:#}"));
    found["said"].as_str().expect("text").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_checks_everything_and_sends_nothing() {
    let certificate = Certificate::for_name("localhost");
    let setup = Setup { tls: Tls::Upgrade(certificate.clone()), login: Some(("shop", "pass")), ..Setup::default() };
    let relay = SmtpServer::with(setup).await;
    let (target, room) = (HookServer::with(&[], Some(&certificate)).await, HookServer::start().await);
    let directory = HookServer::always(Reply::Status(404)).await;
    let provider = Provider::start().await;
    let dns = NameServer::knowing(&[
        ("shop.example", &["v=spf1 include:mail.example -all"]),
        ("_dmarc.shop.example", &["v=DMARC1; p=reject"]),
    ])
    .await;
    let dns = dns.address.to_string();
    let mut shop = Shop::new(RULES);
    shop.transport = format!("smtp://shop:pass@localhost:{}", relay.address.port());
    shop.more = format!(
        "{}webhooks: {{shop: {{url: \"https://localhost:{}/hook\", secret: a-secret-of-more-than-24-bytes, private: true}}}}\n\
         chats: {{ops: {{kind: slack, url: \"{}\", private: true}}}}\n\
         directory: {{lookup: {{url: \"{}\", private: true}}}}\n",
        provider.configuration(),
        target.address.port(),
        room.url("/services/secret-part"),
        directory.url("/{id}"),
    );
    let (code, said, errors) = run(&shop, &certificate, &["--json", "doctor", "--dns", &dns]);
    assert_eq!(code, Some(0), "{said}{errors}");
    assert_eq!(
        results(&said),
        [
            "ok config",
            "ok rules",
            "ok disk",
            "warn server",
            "ok clock",
            "ok mail",
            "ok spf",
            "ok dmarc",
            "ok provider",
            "ok directory",
            "ok webhook:shop",
            "ok chat:ops"
        ],
        "{said}"
    );
    assert!(said_of(&said, "mail").ends_with("connected, STARTTLS, logged in"), "{said}");
    assert!(!said.contains("secret-part"), "{said}");
    assert_eq!((relay.received().len(), target.calls().len(), room.calls().len()), (0, 0, 0), "nothing was sent");
    assert_eq!((target.connections(), room.connections()), (1, 1));
    let service = shop.start().ready().await;
    let config = std::fs::read_to_string(shop.path("kyc-rules.yaml")).expect("text");
    shop.write(
        "running.yaml",
        &config.replacen("admin: {listen: \"127.0.0.1:0\"", &format!("admin: {{listen: \"{}\"", service.admin), 1),
    );
    let mut doctor = std::process::Command::new(env!("CARGO_BIN_EXE_kyc-rules"));
    doctor.env("SSL_CERT_FILE", shop.path("roots.pem")).arg("--config").arg(shop.path("running.yaml"));
    doctor.args(["doctor", "--dns", &dns]);
    let output = doctor.output().expect("runs");
    let (code, said) = (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.lines().any(|line| line.starts_with("ok    server") && line.ends_with("runs")), "{said}");
    // The shop's own configuration has another admin address.
    let (code, said, _) = run(&shop, &certificate, &["--json", "doctor", "--dns", &dns]);
    assert_eq!(code, Some(69));
    assert!(said_of(&said, "server").contains("but a process holds"), "{said}");
}

#[test]
fn doctor_reports_a_file_in_place_of_the_data_directory() {
    let shop = Shop::new(RULES);
    shop.write("data", "");
    let (status, said, _) = shop.run(&["doctor"]);
    assert_eq!(status.code(), Some(69));
    assert!(said.contains("is not a directory, but `data` needs one there"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_checks_have_a_reason_and_exit_code_69() {
    let other = Certificate::for_name("mail.example");
    let forbidden = Reply::Say(403, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n".to_owned(), String::new());
    let relay = SmtpServer::with(Setup { tls: Tls::Upgrade(other.clone()), ..Setup::default() }).await;
    let (target, directory) = (HookServer::with(&[], Some(&other)).await, HookServer::always(forbidden).await);
    let dns = NameServer::knowing(&[]).await;
    let dns = dns.address.to_string();
    let provider = Provider::start().await;
    provider.behaves(Manner::Says(401, "{}".to_owned()));
    let mut shop = Shop::new(RULES);
    shop.transport = format!("smtp://localhost:{}", relay.address.port());
    shop.more = format!(
        "{}webhooks:\n  closed: {{url: \"http://127.0.0.1:1/\", secret: a-secret-of-more-than-24-bytes, private: true}}\n  \
         other: {{url: \"https://localhost:{}/\", secret: a-secret-of-more-than-24-bytes, private: true}}\n  \
         inside: {{url: \"{}\", secret: a-secret-of-more-than-24-bytes}}\n\
         directory: {{lookup: {{url: \"{}\", private: true}}}}\n",
        provider.configuration(),
        target.address.port(),
        target.url("/"),
        directory.url("/{id}"),
    );
    shop.rules("  - {id: sorry, when: any -> NOWHERE, do: record}\n");
    let (code, said, _) = run(&shop, &other, &["--json", "doctor", "--dns", &dns]);
    assert_eq!(code, Some(69), "{said}");
    for (what, expected) in [
        ("rules", "1 error; run `kyc-rules check` for details"),
        ("clock", "reminders would be sent at the wrong time"),
        ("mail", "the server's certificate is not accepted: it is for another host name"),
        ("spf", "the domain shop.example does not exist in DNS"),
        ("provider", "it does not accept `provider.api_key`"),
        ("directory", "it does not accept `directory.lookup.header`"),
        ("webhook:closed", "127.0.0.1:1: nothing answers on this port"),
        ("webhook:other", "the server's certificate is not accepted: it is for another host name"),
        ("webhook:inside", "is this machine itself"),
    ] {
        let found = said_of(&said, what);
        assert!(found.contains(expected), "{what}: {found}");
        assert!(results(&said).contains(&format!("fail {what}")), "{said}");
    }
    let nobody = Certificate::for_name("nobody.example");
    let (_, said, _) = run(&shop, &nobody, &["--json", "doctor", "--dns", &dns]);
    assert!(said_of(&said, "mail").contains("it is self-signed and not trusted here"), "{said}");
    assert!(said_of(&said, "webhook:other").contains("it is self-signed and not trusted here"), "{said}");
    shop.transport = "smtp://127.0.0.1:1?tls=none".to_owned();
    shop.more = String::new();
    let (status, said, _) = shop.run(&["doctor", "--dns", &dns]);
    assert_eq!(status.code(), Some(69));
    assert!(said.lines().any(|line| line.starts_with("fail  mail      127.0.0.1:1: nothing answers")), "{said}");
    shop.more = "nonsense: 1\n".to_owned();
    assert_eq!(shop.run(&["doctor"]).0.code(), Some(78), "a wrong configuration is an error before the checks");
}

/// Runs `doctor` with this name server. Returns the SPF and DMARC results, and the text of each.
fn sender_of(shop: &Shop, dns: &str) -> (Vec<String>, String, String) {
    let (_, said, errors) = shop.run(&["--json", "doctor", "--dns", dns]);
    assert_eq!(errors, "");
    let lines = results(&said).into_iter().filter(|line| line.ends_with("spf") || line.ends_with("dmarc")).collect();
    (lines, said_of(&said, "spf"), said_of(&said, "dmarc"))
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_checks_spf_and_dmarc_of_the_senders_domain() {
    let relay = SmtpServer::start().await;
    let mut shop = Shop::new(RULES);
    shop.transport = relay.url();
    let long = format!("v=spf1 {}-all", "ip4:192.0.2.1 ".repeat(40));
    let dns = NameServer::knowing(&[("shop.example", &["other=1", &long]), ("_dmarc.shop.example", &[])]).await;
    let (lines, spf, dmarc) = sender_of(&shop, &dns.address.to_string());
    assert_eq!(lines, ["ok spf", "warn dmarc"]);
    assert!(spf.starts_with("shop.example: v=spf1 ip4:192.0.2.1") && spf.ends_with('…'), "{spf}");
    assert!(dmarc.starts_with("shop.example has no DMARC record (TXT at _dmarc.shop.example)"), "{dmarc}");
    // A name server that does not answer is a warning, because the domain may be right.
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let (lines, spf, dmarc) = sender_of(&shop, &silent.local_addr().expect("an address").to_string());
    assert_eq!(lines, ["warn spf", "warn dmarc"]);
    for said in [spf, dmarc] {
        assert!(said.starts_with("DNS does not answer, so this cannot be checked: "), "{said}");
    }
    shop.transport = "file:./mail".to_owned();
    let (_, said, _) = shop.run(&["--json", "doctor", "--dns", &dns.address.to_string()]);
    assert!(!said.contains("spf"), "mails are written to files: {said}");
    let (status, _, errors) = shop.run(&["doctor", "--dns", "dns.shop.example"]);
    assert!(status.code() == Some(2) && errors.contains("not an IP address"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_mail_arrives_or_the_error_has_the_relays_reply() {
    let relay = SmtpServer::start().await;
    let mut shop = Shop::new(RULES);
    shop.transport = relay.url();
    let (status, said, _) = shop.run(&["email", "test", "Ada <ada@customer.example>"]);
    assert!(status.code() == Some(0) && said.contains("250 2.0.0 queued as TEST"), "{said}");
    let mail = &relay.received()[0];
    assert_eq!(mail.to, ["ada@customer.example"]);
    assert_eq!(mail.header("Subject").as_deref(), Some("A test mail of Shop"));
    assert_eq!(mail.header("Auto-Submitted").as_deref(), Some("auto-generated"));
    assert!(said.contains(&mail.header("Message-ID").expect("an id")), "{said}");
    for (line, note) in [("550 5.7.1 relaying denied", ""), ("451 4.3.0 come back", " (a later attempt may succeed)")] {
        relay.then(Stage::RcptTo, Act::Say(line));
        let (status, said, errors) = shop.run(&["email", "test", "ada@customer.example"]);
        assert_eq!((status.code(), &*said), (Some(69), ""));
        assert!(errors.contains("replied to RCPT TO") && errors.ends_with(&format!("{line}{note}\n")), "{errors}");
    }
    assert_eq!(shop.run(&["email", "test", "nobody"]).0.code(), Some(2));
    shop.transport = "file:./mail".to_owned();
    assert_eq!(shop.run(&["email", "test", "ada@customer.example"]).0.code(), Some(0));
    assert_eq!(shop.mails().len(), 1);
}
