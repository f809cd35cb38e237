//! Webhooks through real sockets: their content and signatures, the outcome for each response, and the addresses to
//! which nothing is sent.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use kyc_rules::{
    channels::webhook::{SigningKey, SigningKeys, WebhookTarget},
    clock::Timestamp,
    domain::CustomerId,
    outbound::{AddressLookup, ClientOptions, HttpClient, HttpRequest, TargetUrl},
    outbox::{AttemptOutcome, Job, ProblemKind},
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    hooks::{Call, HookServer, Reply},
    service::{Service, Shop, is_there},
    smtp::Certificate,
};

const RULES: &str = "  - {id: told, when: any -> any, do: [{webhook: {to: shop, event: kyc.changed}}]}\n";
const KEY: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn reach() -> ClientOptions {
    ClientOptions { private: true, timeout: Duration::from_millis(600), ..ClientOptions::default() }
}

fn webhook(url: &str, reach: ClientOptions) -> WebhookTarget {
    WebhookTarget {
        client: HttpClient::new(reach).expect("a client"),
        target: TargetUrl::parse(url).expect("a target"),
        keys: SigningKeys(vec![SigningKey::parse(KEY).expect("a key")]),
    }
}

fn job() -> Job {
    let order = json!({
        "id": "AAECAwQFBgcICQoLDA0ODw", "rule": "told", "action": {"webhook": {"to": "shop", "event": "kyc.changed"}},
        "n": 7, "i": 1, "at": 1_795_419_000_123_u64, "to": "KYC_PENDING", "visit": 1, "next": 1_795_419_000_123_u64,
        "said": {"facts": {"entered": 1_795_419_000_123_u64, "set": "051fb7caa138"}},
    });
    serde_json::from_value(order).expect("a job")
}

async fn sent(webhook: &WebhookTarget) -> AttemptOutcome {
    let customer = CustomerId::new("C-1").expect("id");
    webhook.post(&customer, &job(), Timestamp(1_795_419_000_999)).await.outcome
}

async fn answered(reply: Reply) -> AttemptOutcome {
    let server = HookServer::scripted(&[reply]).await;
    sent(&webhook(&server.url("/hooks/secret-path?token=abcdefgh"), reach())).await
}

fn error(outcome: &AttemptOutcome) -> &str {
    match outcome {
        AttemptOutcome::Done => "",
        AttemptOutcome::Retry { error, .. }
        | AttemptOutcome::Deferred { error }
        | AttemptOutcome::Failed { error, .. } => error,
    }
}

#[tokio::test]
async fn every_status_has_the_outcome_of_the_table() {
    for status in [200, 201, 202, 204] {
        assert_eq!(answered(Reply::Status(status)).await, AttemptOutcome::Done, "{status}");
    }
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let outcome = answered(Reply::Status(status)).await;
        assert!(matches!(outcome, AttemptOutcome::Retry { after_ms: None, .. }), "{status}: {outcome:?}");
        assert!(error(&outcome).contains(&format!("answered {status}")), "{outcome:?}");
    }
    for status in [301, 302, 303, 307, 308, 400, 401, 403, 404, 410, 413, 422] {
        let outcome = answered(Reply::Status(status)).await;
        assert!(
            matches!(outcome, AttemptOutcome::Failed { trouble: ProblemKind::Refused, .. }),
            "{status}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn retry_after_sets_the_time_of_the_retry() {
    for (said, ms) in [("17", 17_000), ("999999", 86_400_000), ("Mon, 23 Nov 2026 07:31:00 GMT", 59_001)] {
        let reply = Reply::Say(429, format!("Retry-After: {said}\r\n"), "slow down".to_owned());
        let AttemptOutcome::Retry { error, after_ms } = answered(reply).await else { panic!("{said}") };
        assert_eq!(after_ms, Some(ms), "{said}");
        assert!(error.ends_with("answered 429 Too Many Requests: slow down"), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = HookServer::start().await;
    let to = format!("Location: {}\r\n", elsewhere.url("/"));
    let outcome = answered(Reply::Say(302, to, String::new())).await;
    assert!(error(&outcome).ends_with("answered 302 Found; redirects are not followed"), "{outcome:?}");
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_server_that_hangs_or_closes_costs_one_attempt_and_a_bounded_time() {
    for reply in [Reply::Hang, Reply::Drop, Reply::DropMidBody(503), Reply::Endless(500)] {
        let begun = Instant::now();
        let outcome = answered(reply.clone()).await;
        assert!(matches!(outcome, AttemptOutcome::Retry { .. }), "{reply:?}: {outcome:?}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{reply:?}");
        assert!(error(&outcome).len() < 600, "{outcome:?}");
    }
    let outcome = answered(Reply::Hang).await;
    assert!(error(&outcome).ends_with(": no answer within 600ms"), "{outcome:?}");
    for reply in [Reply::DropMidBody(200), Reply::Endless(200)] {
        assert_eq!(
            answered(reply).await,
            AttemptOutcome::Done,
            "a status of success counts even if the body is incomplete"
        );
    }
    let nobody = sent(&webhook("http://127.0.0.1:1/", reach())).await;
    assert_eq!(error(&nobody), "127.0.0.1:1: nothing answers on this port");
    assert!(matches!(nobody, AttemptOutcome::Retry { .. }));
}

#[tokio::test]
async fn parts_of_the_url_are_removed_from_a_response_and_the_rest_is_cut() {
    let said = format!("no hook at /hooks/secret-path (abcdefgh)\n{}", "ä".repeat(100_000));
    let outcome = answered(Reply::Say(404, String::new(), said)).await;
    let error = error(&outcome);
    assert!(error.contains("answered 404 Not Found: no hook at … (…) ää"), "{error}");
    assert!(error.chars().count() < 300 && !error.contains("secret-path") && !error.contains("abcdefgh"), "{error}");
}

#[tokio::test]
async fn only_a_certificate_that_this_machine_trusts_is_accepted() {
    let certificate = Certificate::for_name("localhost");
    let server = HookServer::with(&[], Some(&certificate)).await;
    let url = format!("https://localhost:{}/", server.address.port());
    let trusting = ClientOptions { extra_roots: vec![certificate.pem.clone()], ..reach() };
    assert_eq!(sent(&webhook(&url, trusting.clone())).await, AttemptOutcome::Done);
    let stranger = sent(&webhook(&url, reach())).await;
    assert!(error(&stranger).contains("it is self-signed and not trusted here"), "{stranger:?}");
    let other = Certificate::for_name("shop.example");
    let server = HookServer::with(&[], Some(&other)).await;
    let trusting = ClientOptions { extra_roots: vec![other.pem.clone()], ..reach() };
    let mismatch = sent(&webhook(&format!("https://localhost:{}/", server.address.port()), trusting)).await;
    assert!(error(&mismatch).contains("it is for another host name"), "{mismatch:?}");
    assert!(matches!(mismatch, AttemptOutcome::Retry { .. }));
    assert_eq!(server.calls(), []);
}

#[tokio::test]
async fn nothing_is_sent_to_a_private_address_without_permission() {
    let server = HookServer::start().await;
    let port = server.address.port();
    let public = || ClientOptions { private: false, ..reach() };
    for host in ["127.0.0.1", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1"] {
        let outcome = sent(&webhook(&format!("http://{host}:{port}/"), public())).await;
        assert!(matches!(outcome, AttemptOutcome::Failed { trouble: ProblemKind::Refused, .. }), "{host}: {outcome:?}");
        assert!(error(&outcome).contains("`private: true`"), "{outcome:?}");
    }
    // A name that resolves to such addresses only is refused, too.
    let named = sent(&webhook(&format!("http://localhost:{port}/"), public())).await;
    assert!(matches!(named, AttemptOutcome::Failed { trouble: ProblemKind::Refused, .. }), "{named:?}");
    assert!(error(&named).contains("which is this machine itself"), "{named:?}");
    let lookup: AddressLookup = Arc::new(|name| {
        assert_eq!(name, "shop.example");
        Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([169, 254, 169, 254])]) })
    });
    let url = format!("http://shop.example:{port}/");
    let rebound = sent(&webhook(&url, ClientOptions { lookup: Some(Arc::clone(&lookup)), ..public() })).await;
    assert!(matches!(rebound, AttemptOutcome::Failed { trouble: ProblemKind::Refused, .. }), "{rebound:?}");
    assert!(
        error(&rebound).starts_with(&format!("shop.example:{port}: the name resolves to 127.0.0.1")),
        "{rebound:?}"
    );
    assert_eq!(server.connections(), 0);
    assert_eq!(
        sent(&webhook(&url, ClientOptions { lookup: Some(lookup), ..reach() })).await,
        AttemptOutcome::Done,
        "it is permitted"
    );
    assert_eq!(server.calls().len(), 1);
}

/// A shop with these rules and a webhook target.
fn shop(rules: &str, url: &str) -> Shop {
    let mut shop = Shop::new(rules);
    shop.more = format!(
        "webhooks:\n  shop: {{url: \"{url}\", secret: [\"{KEY}\", an-older-secret-of-24-bytes], private: true}}\n"
    );
    shop
}

async fn moved(service: &Service, customer: &str, status: &str) {
    assert_eq!(service.callback(customer, status, json!({})).await, "accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transition_is_sent_with_all_known_facts_and_signed_by_every_key() {
    let server = HookServer::start().await;
    let shop = shop(
        "  - {id: told, when: any -> any, do: [{tag: seen}, {webhook: {to: shop, event: kyc.changed}}]}\n",
        &server.url("/hooks/kyc"),
    );
    let service = shop.start().ready().await;
    moved(&service, "C-1", "KYC_PENDING").await;
    let failed = json!({"docsMissing": ["SELFIE", "PASSPORT"], "kycRejectLabel": "BAD_SELFIE", "kycProcessingStatus":
        "VERIFICATION_FAILED", "kycEndUserErrorMessage": "Your \"photo\" <b>"});
    service.callback("C-1", "SOFT_KYC_FAILED", failed).await;
    moved(&service, "C-1", "none").await;
    let calls = server.wait_for(3).await;
    let jobs = service.until_jobs("C-1", &["done", "done", "done"]).await;
    let hash = service.get("status").await["rules"]["hash"].clone();
    let docs = std::fs::read_to_string("docs/OPERATIONS.md").expect("the docs");
    let recipe =
        docs.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a recipe").to_owned();
    let payloads: Vec<Value> = calls.iter().map(Call::json).collect();
    for ((call, payload), job) in calls.iter().zip(&payloads).zip(&jobs) {
        assert_eq!(
            (&*call.method, &*call.path, call.header("content-type")),
            ("POST", "/hooks/kyc", "application/json")
        );
        assert!(call.header("user-agent").starts_with("kyc-rules/"));
        assert_eq!(call.header("webhook-id"), job["id"].as_str().expect("id"));
        assert_eq!((&payload["type"], &payload["data"]["id"]), (&json!("kyc.changed"), &job["id"]));
        assert_eq!((&payload["timestamp"], &payload["data"]["decided_at"]), (&job["ordered_at"], &job["ordered_at"]));
        if is_there("python3") {
            assert!(call.is_signed_with(&[KEY, "an-older-secret-of-24-bytes"]));
            assert!(!call.is_signed_with(&[KEY]), "both sign");
            for secret in [KEY, "an-older-secret-of-24-bytes"] {
                assert!(call.is_believed(&recipe, secret), "the recipe in the docs");
            }
            assert!(!call.is_believed(&recipe, "another-secret-of-24-bytes"));
        }
    }
    let mut data = payloads[1]["data"].clone();
    for volatile in ["id", "sequence", "decided_at"] {
        data.as_object_mut().expect("a map").remove(volatile).expect(volatile);
    }
    assert_eq!(
        data,
        json!({
            "customer": {"id": "C-1"}, "from": "KYC_PENDING", "to": "SOFT_KYC_FAILED", "visit": 1,
            "missing_docs": ["PASSPORT", "SELFIE"], "reject_labels": ["BAD_SELFIE"], "message": "Your \"photo\" <b>",
            "processing": "VERIFICATION_FAILED", "tags": ["seen"],
            "changed": ["missing_docs", "reject_labels", "message", "processing"],
            "step": 0, "rule": "told", "rule_set": hash,
            "stay": {"of": "status", "name": "SOFT_KYC_FAILED", "entered_at": payloads[1]["timestamp"], "days": 0, "hours": 0},
        })
    );
    assert_eq!((&payloads[0]["data"]["from"], &payloads[0]["data"]["tags"]), (&json!("new"), &json!([])));
    assert_eq!((&payloads[2]["data"]["to"], &payloads[2]["data"]["message"]), (&Value::Null, &Value::Null));
    let sequence = |nth: usize| payloads[nth]["data"]["sequence"].as_u64().expect("a number");
    assert!(sequence(0) < sequence(1) && sequence(1) < sequence(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_of_one_customer_arrive_in_order_and_do_not_wait_for_other_customers() {
    let server = HookServer::scripted(&[Reply::Status(503)]).await;
    let shop = shop(RULES, &server.url("/"));
    let service = shop.start().ready().await;
    moved(&service, "first", "CREATED").await;
    server.wait_for(1).await;
    for status in ["KYC_PENDING", "FULL_USER"] {
        moved(&service, "first", status).await;
    }
    moved(&service, "second", "CREATED").await;
    let calls = server.wait_for(2).await;
    assert_eq!(calls[1].json()["data"]["customer"]["id"], "second", "the webhooks of `first` wait for their turn");
    let waiting = service.get("jobs?customer=first&state=queued").await;
    assert_eq!(waiting["jobs"].as_array().expect("jobs").len(), 3);
    let calls = server.wait_for(5).await;
    let of_first: Vec<Value> =
        calls[2..].iter().map(|call| call.json()["data"].clone()).map(|data| data["to"].clone()).collect();
    assert_eq!(of_first, ["CREATED", "KYC_PENDING", "FULL_USER"]);
    assert!(calls[4].at - calls[2].at < Duration::from_secs(2), "each goes as soon as the one before has gone");
    service.until_jobs("first", &["done", "done", "done"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_or_dropped_webhook_does_not_delay_the_next() {
    let server =
        HookServer::scripted(&[Reply::Say(410, String::new(), "gone for good".to_owned()), Reply::Status(503)]).await;
    let shop = shop(RULES, &server.url("/"));
    let service = shop.start().ready().await;
    moved(&service, "C-1", "CREATED").await;
    let jobs = service.until_jobs("C-1", &["problem"]).await;
    assert_eq!(jobs[0]["problem"], "refused");
    let said = jobs[0]["last_error"].as_str().expect("an error");
    assert!(said.starts_with("127.0.0.1:") && said.ends_with("answered 410 Gone: gone for good"), "{said}");
    assert!(
        !service.log().contains("gone for good"),
        "a response may repeat what was sent, and more people read the log"
    );
    moved(&service, "C-1", "KYC_PENDING").await;
    server.wait_for(2).await;
    moved(&service, "C-1", "FULL_USER").await;
    let second = service.until_jobs("C-1", &["problem", "queued", "queued"]).await[1]["id"].clone();
    service.ask("POST", &format!("jobs/{}/drop", second.as_str().expect("id")), None).await;
    service.until_jobs("C-1", &["problem", "cancelled", "done"]).await;
    assert_eq!(server.wait_for(3).await[2].json()["data"]["to"], "FULL_USER");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_aborted_by_a_kill_is_repeated_byte_for_byte_even_under_other_rules() {
    let server = HookServer::scripted(&[Reply::Hang]).await;
    let shop = shop(RULES, &server.url("/"));
    let service = shop.start().ready().await;
    service.callback("C-1", "SOFT_KYC_FAILED", json!({"docsMissing": ["SELFIE"]})).await;
    server.wait_for(1).await;
    service.kill();
    shop.rules("  - {id: other, when: FULL_USER -> any, do: record}\n");
    let service = shop.start().ready().await;
    service.until_jobs("C-1", &["done"]).await;
    let calls = server.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!((calls[0].header("webhook-id"), &calls[0].body), (calls[1].header("webhook-id"), &calls[1].body));
    assert!(
        !is_there("python3") || calls.iter().all(|call| call.is_signed_with(&[KEY, "an-older-secret-of-24-bytes"]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_hangs_delays_no_other_channel() {
    let (hanging, prompt) = (HookServer::always(Reply::Hang).await, HookServer::start().await);
    let mut shop = Shop::new(
        "  - id: told\n    when: any -> CREATED\n    do:\n      - webhook: {to: hanging, event: a}\n      \
         - webhook: {to: prompt, event: a}\n      - chat: {to: room, text: \"{{ customer.id }}\"}\n      \
         - email: {template: hello, to: ops@shop.example}\n",
    );
    shop.more = format!(
        "webhooks:\n  hanging: {{url: \"{}\", secret: {KEY}, private: true}}\n  prompt: {{url: \"{}\", secret: {KEY}, private: true}}\n\
         chats:\n  room: {{kind: slack, url: \"{}\", private: true}}\n",
        hanging.url("/"),
        prompt.url("/hook"),
        prompt.url("/room"),
    );
    let service = shop.start().ready().await;
    for nth in 0..60 {
        moved(&service, &format!("C-{nth}"), "CREATED").await;
    }
    prompt.wait_for(120).await;
    service.until("jobs?state=running", |said| said["jobs"].as_array().is_some_and(|jobs| jobs.len() == 4)).await;
    service.until("status", |said| said["jobs"]["queued"] == 56).await;
    assert_eq!(shop.mails().len(), 60);
    assert_eq!(hanging.calls().len(), 4, "a bounded number of concurrent attempts, all of them first attempts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_in_the_configuration_becomes_a_problem_that_says_what_to_do() {
    let server = HookServer::start().await;
    let mut shop = Shop::new(RULES);
    shop.more = format!("webhooks: {{shop: {{url: \"{}\", secret: {KEY}}}}}\n", server.url("/"));
    let service = shop.start().ready().await;
    moved(&service, "C-1", "CREATED").await;
    let jobs = service.until_jobs("C-1", &["problem"]).await;
    let reason = jobs[0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("is this machine itself") && reason.contains("`private: true`"), "{reason}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_port_that_accepts_connections_without_tls_is_distinguished_from_a_closed_one() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("an address");
    let quick = || ClientOptions { connect_timeout: Duration::from_millis(200), ..reach() };
    let said = format!("{address}: connected, but no TLS within 200ms (try http:// instead of https://)");
    let outcome = sent(&webhook(&format!("https://{address}/"), quick())).await;
    assert_eq!(error(&outcome), said);
    let target = TargetUrl::parse(&format!("https://{address}/")).expect("a target");
    let failure = HttpClient::new(quick()).expect("a client").connect(&target).await.expect_err("no TLS");
    assert_eq!(failure.text, said);
}

/// A target that answers 204 to every request, then sends `unasked`. Records the connection of each request.
async fn plain_target(unasked: &'static [u8]) -> (String, Arc<Mutex<Vec<usize>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shown = Arc::clone(&seen);
    tokio::spawn(async move {
        for nth in 1.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                while let Ok(1..) = stream.read(&mut bytes).await {
                    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("written");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    stream.write_all(unasked).await.expect("written");
                    seen.lock().expect("requests").push(nth);
                }
            });
        }
    });
    (url, shown)
}

async fn requested(url: &str, client: &HttpClient, seen: &Mutex<Vec<usize>>, count: usize) {
    let request = HttpRequest { method: http::Method::GET, headers: http::HeaderMap::new(), body: bytes::Bytes::new() };
    let answer = client.send(&TargetUrl::parse(url).expect("a target"), request).await.expect("an answer");
    assert_eq!(answer.status, 204, "its own response");
    while seen.lock().expect("requests").len() < count {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // By then the client has read the data that it did not request.
    tokio::time::sleep(Duration::from_millis(50)).await;
}

#[tokio::test]
async fn data_that_was_not_requested_is_not_the_next_response() {
    let (url, seen) = plain_target(b"HTTP/1.1 500 Never\r\ncontent-length: 0\r\n\r\n").await;
    let client = HttpClient::new(reach()).expect("a client");
    for count in 1..=3 {
        requested(&url, &client, &seen, count).await;
    }
    assert_eq!(*seen.lock().expect("requests"), [1, 2, 3], "each over a new connection");
}

#[tokio::test]
async fn a_connection_is_reused_up_to_its_maximum_age() {
    assert_eq!(ClientOptions::default().max_age, Duration::from_secs(120));
    let (url, seen) = plain_target(b"").await;
    let max_age = Duration::from_secs(2);
    let client = HttpClient::new(ClientOptions { max_age, ..reach() }).expect("a client");
    let began = Instant::now();
    requested(&url, &client, &seen, 1).await;
    requested(&url, &client, &seen, 2).await;
    if began.elapsed() < max_age {
        assert_eq!(*seen.lock().expect("requests"), [1, 1], "kept");
    }
    while began.elapsed() < max_age {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    requested(&url, &client.clone(), &seen, 3).await;
    assert_ne!(seen.lock().expect("requests")[2], 1, "a changed DNS entry takes effect");
}
