//! Every refusal is counted and shown by `status` and `doctor`. The log has lines for each kind, but not for each
//! refusal.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use kyc_rules::providers::xgateway::{Secret, hash_of};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};

use super::RULES;
use crate::support::service::{SECRET, Service, Shop, TOKEN, signed};

/// Sends bytes, and reads until the server closes the connection.
pub fn sent(to: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    // The server may close the connection before everything is sent.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

pub fn count(status: &Value, side: &str, kind: &str) -> u64 {
    let mut kinds = status[side]["refused"].as_array().expect("kinds").iter();
    kinds.find(|one| one["kind"] == kind).map_or(0, |one| one["count"].as_u64().expect("a count"))
}

fn lines<'l>(log: &'l str, kind: &str) -> Vec<&'l str> {
    log.lines().filter(|line| line.contains(&format!("refused=\"{kind}\""))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_shown_in_log_status_and_doctor() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    let theirs = hash_of("C-77", &Secret::new("the-secret-that-the-provider-has"));
    let body = signed("C-77", "SOFT_KYC_FAILED", json!({"hash": theirs, "kycEndUserErrorMessage": "born in 1815"}));
    assert_eq!(service.post(body.to_string()).await.expect("an answer").0, 401);
    service.logs("refused=\"wrong_hash\"").await;
    let log = service.log();
    let line = lines(&log, "wrong_hash")[0];
    for part in ["WARN", "answer=401", "field=\"hash\"", "reason=is wrong", "compare them with the secret"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let status = service.get("status").await;
    assert_eq!(count(&status, "callbacks", "wrong_hash"), 1);
    assert!(status["callbacks"]["refused"][0]["last_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{status}");
    let (_, said, _) = service.command(&shop, &["status"]);
    assert!(said.contains("callbacks  0 accepted, 0 duplicate"), "{said}");
    assert!(said.contains("refused    1 wrong_hash (401, the last at 2"), "{said}");
    let (code, said, _) = service.command(&shop, &["--json", "doctor", "--dns", "127.0.0.1:1"]);
    assert_eq!(code, Some(69), "{said}");
    let said: Value = serde_json::from_str(&said).expect("JSON");
    let mut checks = said["checks"].as_array().expect("checks").iter();
    let found = checks.find(|check| check["check"] == "callbacks").expect("a finding");
    assert_eq!(found["result"], "fail");
    assert!(found["said"].as_str().is_some_and(|said| said.contains("compare `callback.secrets`")), "{found}");
    // With the correct secret, the finding is resolved.
    service.callback("C-77", "FULL_USER", json!({})).await;
    let (_, said, _) = service.command(&shop, &["doctor", "--dns", "127.0.0.1:1"]);
    assert!(said.lines().any(|line| line.starts_with("ok    callbacks") && line.contains("1 wrong_hash")), "{said}");
    for secret in [SECRET, "C-77", "born in 1815", &theirs[..20]] {
        assert!(!service.log().contains(secret), "{secret:?} is in the log: {}", service.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_log_shows_that_a_malformed_callback_has_a_correct_hash() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    let changed = signed("C-77", "FULL_USER", json!({"status": {"name": "FULL_USER"}}));
    let mut forged = changed.clone();
    forged["hash"] = json!(format!("{}==", "A".repeat(86)));
    let typed = signed("C-77", "FULL_USER", json!({"callbackType": "kyc_v2"}));
    let mut answers = Vec::new();
    for body in [&changed, &forged] {
        answers.push(service.post(body.to_string()).await.expect("an answer"));
    }
    assert_eq!(answers[0].0, 400);
    assert_eq!(answers[0], answers[1], "the response does not show whether the hash was correct");
    assert_eq!(service.post(typed.to_string()).await.expect("an answer").0, 422);
    for kind in ["malformed_signed", "malformed", "unknown_type_signed"] {
        service.logs(&format!("refused=\"{kind}\"")).await;
    }
    let log = service.log();
    let line = lines(&log, "malformed_signed")[0];
    for part in ["ERROR", "answer=400", "field=\"status\"", "reason=has the wrong type", "the provider has changed"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(lines(&log, "malformed")[0].contains("WARN"), "{log}");
    assert!(!log.contains("C-77"), "{log}");
    let (code, said, _) = service.command(&shop, &["doctor", "--dns", "127.0.0.1:1"]);
    assert_eq!(code, Some(69));
    assert!(said.contains("the provider has changed their format"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_counted_completely_and_logged_once_per_kind() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    let body = signed("C-1", "FULL_USER", json!({"hash": null})).to_string();
    let request = format!("POST /callbacks/kyc HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    for _ in 0..10 {
        let answers = sent(service.public, request.repeat(50).as_bytes());
        assert_eq!(answers.matches("HTTP/1.1 401").count(), 50);
    }
    for _ in 0..100 {
        assert!(sent(service.public, b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n").starts_with("HTTP/1.1 400"));
        assert!(sent(service.admin, b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n").starts_with("HTTP/1.1 400"));
        assert!(sent(service.public, b"\x16\x03\x01\r\n\r\n").starts_with("HTTP/1.1 400"));
        assert!(sent(service.public, b"GET /.env HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").contains(" 404 "));
        assert!(sent(service.public, b"POST /kyc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").contains(" 404 "));
        assert!(
            sent(service.admin, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").contains(" 401 ")
        );
    }
    let status = service
        .until("status", |status| {
            count(status, "callbacks", "not_http") == 100 && count(status, "callbacks", "not_found") == 100
        })
        .await;
    assert_eq!(count(&status, "callbacks", "no_hash"), 500);
    assert_eq!(count(&status, "callbacks", "wrong_path"), 100);
    for side in ["callbacks", "admin"] {
        assert_eq!(count(&status, side, "bad_request"), 100, "{side}");
    }
    assert_eq!(count(&status, "admin", "wrong_token"), 100);
    let log = service.log();
    for kind in ["no_hash", "not_http", "not_found", "wrong_path", "bad_request", "wrong_token"] {
        // On a slow machine, more than a minute may have passed.
        assert!((1..=8).contains(&lines(&log, kind).len()), "{kind}: {log}");
    }
    assert!(!log.contains("panicked") && log.len() < 40_000, "{log}");
    let (_, said, _) = service.command(&shop, &["status"]);
    assert!(said.contains("refused    admin: 100 wrong_token (401"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_with_a_wrong_path_method_or_address_is_reported() {
    let shop = Shop::new(RULES);
    let command = shop.command();
    let config = std::fs::read_to_string(shop.path("kyc-rules.yaml")).expect("text");
    shop.write("kyc-rules.yaml", &config.replacen("callback: {", "callback: {allow_from: [203.0.113.0/24], ", 1));
    let service = Service::start(command).ready().await;
    assert_eq!(service.post("{}").await.expect("an answer").0, 403);
    assert_eq!(count(&service.get("status").await, "callbacks", "forbidden"), 1);
    let (_, said, _) = service.command(&shop, &["doctor", "--dns", "127.0.0.1:1"]);
    assert!(
        said.lines().any(|line| line.starts_with("warn  callbacks") && line.contains("`callback.allow_from`")),
        "{said}"
    );
    drop(service);

    let service = shop.start().ready().await;
    let at = |method: &str, path: &str| {
        sent(service.public, format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
    };
    assert!(at("POST", "/webhooks/a-guessed-path").contains(" 404 ") && at("PUT", "/callbacks/kyc").contains(" 405 "));
    let status = service.get("status").await;
    assert_eq!((count(&status, "callbacks", "wrong_path"), count(&status, "callbacks", "wrong_method")), (1, 1));
    service.logs("refused=\"wrong_path\"").await;
    assert!(!service.log().contains("a-guessed-path"), "{}", service.log());
    let (_, said, _) = service.command(&shop, &["doctor", "--dns", "127.0.0.1:1"]);
    assert!(said.lines().any(|line| line.starts_with("warn  callbacks") && line.contains("`callback.path`")), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_not_utf_8_is_refused_everywhere_in_the_body() {
    let service = Shop::new(RULES).start().ready().await;
    let body = signed("C-1", "FULL_USER", json!({"addedLater": {"x": "HERE"}})).to_string();
    for wrong in [&b"\xff"[..], b"\xc3\x28", b"\xed\xa0\x80"] {
        let (before, after) = body.split_once("HERE").expect("there");
        let body = [before.as_bytes(), wrong, after.as_bytes()].concat();
        let (code, problem) = service.post(body).await.expect("an answer");
        assert_eq!((code, &problem["detail"]), (400, &json!("the body is not UTF-8 text")));
    }
    assert_eq!(service.get("status").await["store"]["customers"], 0);
}

/// Sets the limit of open files. If it is below the number of open files, no connection can be accepted.
fn limit_files(service: &Service, files: Option<u64>) -> Rlimit {
    let pid = Pid::from_raw(i32::try_from(service.pid()).expect("a pid"));
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    prlimit(pid, Resource::Nofile, Rlimit { current: files, maximum }).expect("set")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_free_descriptors_logs_it_once_and_counts() {
    let service = Shop::new(RULES).start().ready().await;
    let before = limit_files(&service, Some(4));
    let waiting = TcpStream::connect(service.public).expect("in the accept queue");
    let counted = async {
        loop {
            limit_files(&service, Some(4));
            tokio::time::sleep(Duration::from_millis(500)).await;
            limit_files(&service, before.current);
            let status = service.get("status").await;
            if count(&status, "callbacks", "no_descriptor") >= 3 {
                return;
            }
            // The waiting connections were accepted in the meantime.
            drop(TcpStream::connect(service.public));
            limit_files(&service, Some(4));
        }
    };
    tokio::time::timeout(Duration::from_secs(60), counted).await.expect("counted");
    drop(waiting);
    service.logs("refused=\"no_descriptor\"").await;
    assert!((1..=2).contains(&lines(&service.log(), "no_descriptor").len()), "{}", service.log());
    assert_eq!(service.callback("C-1", "FULL_USER", json!({})).await, "accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_side_counts_refusals_too() {
    let service = Shop::new(RULES).start().ready().await;
    let answer = sent(
        service.admin,
        format!(
            "GET http://evil.example/api/v1/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        )
        .as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 400"), "the host of the target is checked: {answer}");
    let answer = sent(service.admin, b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
    assert_eq!(count(&service.get("status").await, "admin", "wrong_host"), 1);
}
