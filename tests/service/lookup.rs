//! Lookups in the shop's directory over real sockets: for mails, for callbacks whose rules read the contact, and for
//! timers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    hooks::{HookServer, Reply},
    provider::Provider,
    service::{Service, Shop},
};

const SORRY: &str = "  - {id: sorry, when: any -> SOFT_KYC_FAILED, do: [{email: sorry}]}\n";

/// Returns a merchant's configuration with a lookup at this server.
fn shop_asking(rules: &str, server: &HookServer, cache: &str) -> Shop {
    let mut shop = Shop::new(rules);
    let url = server.url("/api/customers/{id}?fields=all");
    shop.more = format!(
        "directory:\n  attributes: [plan]\n  lookup: {{url: \"{url}\", header: \"Authorization: Bearer shop-secret\", \
         cache: {cache}, private: true}}\n"
    );
    shop
}

fn known(email: &str) -> Reply {
    known_as(json!({"email": email, "name": "Ada"}))
}

fn known_as(contact: Value) -> Reply {
    Reply::Say(200, "Content-Type: application/json\r\n".to_owned(), contact.to_string())
}

async fn outcome(service: &Service, customer: &str, rule: &str) -> String {
    let customer = service.get(&format!("customers/{customer}")).await;
    let entries = customer["timeline"].as_array().expect("a timeline").iter();
    let mut rulings = entries.flat_map(|entry| entry["rules"].as_array().expect("rules"));
    let ruling = rulings.find(|one| one["id"] == rule);
    ruling.map_or("absent", |one| one["outcome"].as_str().expect("outcome")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_uses_the_contact_that_the_shop_returns() {
    let server = HookServer::always(known_as(json!({
        "email": " Ada@Customer.Example ", "name": "Ada", "locale": "de_at", "country": "at", "timezone": "Europe/Vienna",
        "attributes": {"plan": "pro", "undeclared": "x"}, "orders": [{"id": 1}], "vip": true,
    })))
    .await;
    let shop = shop_asking(SORRY, &server, "10m");
    let service = shop.start().ready().await;
    service.callback("C/1 ü?&", "SOFT_KYC_FAILED", json!({})).await;
    service.until_jobs("C%2F1%20%C3%BC%3F%26", &["done"]).await;
    let call = &server.calls()[0];
    assert_eq!((&*call.method, &*call.path), ("GET", "/api/customers/C%2F1%20%C3%BC%3F%26?fields=all"));
    assert_eq!(call.header("authorization"), "Bearer shop-secret");
    let contact = &service.get("customers/C%2F1%20%C3%BC%3F%26").await["contact"];
    assert_eq!(
        *contact,
        json!({"email": "Ada@Customer.Example", "name": "Ada", "locale": "de-AT", "country": "AT",
               "timezone": "Europe/Vienna", "attributes": {"plan": "pro"}})
    );
    assert!(shop.mails()[0].contains("Subject: sorry auf Deutsch"));
    // A fresh answer is used again, also after a restart.
    service.callback("C/1 ü?&", "KYC_PENDING", json!({})).await;
    service.kill();
    let service = shop.start().ready().await;
    service.callback("C/1 ü?&", "SOFT_KYC_FAILED", json!({})).await;
    service.until_jobs("C%2F1%20%C3%BC%3F%26", &["done", "done"]).await;
    assert_eq!(server.calls().len(), 1);
    assert!(!service.log().contains("shop-secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_is_not_fresh_is_looked_up_again_even_if_set_by_hand() {
    let server = HookServer::scripted(&[known("old@customer.example"), known("new@customer.example")]).await;
    let shop = shop_asking("  - {id: sorry, when: any -> any, do: [{email: sorry}]}\n", &server, "1s");
    let service = shop.start().ready().await;
    service.contact("C-1", "told@customer.example").await;
    for (status, email) in [("CREATED", "told@"), ("KYC_NEEDED", "old@"), ("KYC_PENDING", "new@")] {
        service.callback("C-1", status, json!({})).await;
        service.until("status", |status| status["jobs"]["queued"] == 0 && status["jobs"]["running"] == 0).await;
        let mails = shop.mails();
        assert!(mails.iter().any(|mail| mail.contains(&format!("{email}customer.example"))), "{email}: {mails:?}");
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
    assert_eq!(server.calls().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_to_a_customer_unknown_to_the_shop_is_a_problem_until_known() {
    let server = HookServer::scripted(&[Reply::Status(404), Reply::Status(404), known("ada@customer.example")]).await;
    let shop = shop_asking(
        "  - {id: sorry, when: any -> SOFT_KYC_FAILED, do: [{email: sorry}, {email: hello}]}\n",
        &server,
        "2s",
    );
    let service = shop.start().ready().await;
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    let jobs = service.until_jobs("C-1", &["problem", "problem"]).await;
    assert_eq!(jobs[0]["problem"], "no_contact");
    assert!(jobs[0]["reason"].as_str().expect("a reason").contains("the shop does not know this customer"), "{jobs:?}");
    assert_eq!(server.calls().len(), 1, "one request for both jobs, and its answer is stored");
    // A restart keeps the problems scheduled.
    service.kill();
    let service = shop.start().ready().await;
    service.until_jobs("C-1", &["done", "done"]).await;
    assert_eq!((server.calls().len(), shop.mails().len()), (3, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_of_a_problem_asks_the_shop_at_once() {
    let server = HookServer::scripted(&[Reply::Status(404), known("ada@customer.example")]).await;
    let shop = shop_asking(SORRY, &server, "1h");
    let service = shop.start().ready().await;
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    service.until_jobs("C-1", &["problem"]).await;
    assert_eq!(service.command(&shop, &["retry", "--error", "does not know", "--yes"]).0, Some(0));
    service.until_jobs("C-1", &["done"]).await;
    assert_eq!(server.calls().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_shop_is_unavailable_only_mails_to_customers_wait() {
    let server =
        HookServer::scripted(&[Reply::Status(503), Reply::DropMidBody(200), known("ada@customer.example")]).await;
    let shop = shop_asking(
        "  - {id: sorry, when: any -> SOFT_KYC_FAILED, do: [{email: sorry}, {email: {template: hello, to: ops@shop.example}}]}\n",
        &server,
        "10m",
    );
    let service = shop.start().ready().await;
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    let status = service.until("status", |status| status["directory"]["error"].is_string()).await;
    assert!(status["directory"]["error"].as_str().expect("text").contains("answers 503"), "{status}");
    let jobs = service.until_jobs("C-1", &["queued", "done"]).await;
    let reason = jobs[0]["reason"].as_str().expect("a reason");
    assert!(
        reason.starts_with("the shop is queried for this customer's contact first, but the last request failed: "),
        "{reason}"
    );
    service.until_jobs("C-1", &["done", "done"]).await;
    let metrics = service.metrics().await;
    for line in ["outcome=\"failed\"} 2\n", "outcome=\"answered\"} 1\n"] {
        let line = format!("kyc_rules_questions_total{{service=\"directory\",{line}");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    let status = service.get("status").await;
    assert_eq!(status["directory"], json!({"lookup": true, "error": null}));
    assert_eq!(server.calls().len(), 3);
    let (_, said, _) = service.command(&shop, &["status"]);
    assert!(said.contains("directory  is queried for contacts"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_answer_is_a_problem_of_that_customer_and_names_the_field() {
    let long = format!("{{\"email\": \"ada@customer.example\", \"x\": \"{}\"}}", "x".repeat(70_000));
    for (reply, said) in [
        (known("secret-part"), "email cannot be used"),
        (known_as(json!({"mail": "ada@customer.example"})), "email is missing"),
        (known_as(json!(["ada@customer.example"])), "it is not a JSON object"),
        (Reply::Say(200, String::new(), "<html>".to_owned()), "it is not a JSON object"),
        (Reply::Say(200, String::new(), long), "it is longer than 65536 bytes"),
        (Reply::Status(422), "it is 422"),
        (Reply::Status(204), "it is not a JSON object"),
    ] {
        let server = HookServer::always(reply).await;
        let shop = shop_asking(SORRY, &server, "10m");
        let service = shop.start().ready().await;
        service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
        let jobs = service.until_jobs("C-1", &["problem"]).await;
        let reason = jobs[0]["reason"].as_str().expect("a reason");
        assert!(reason.contains(said), "{said}: {reason}");
        assert!(!reason.contains("secret-part") && !service.log().contains("secret-part"), "{}", service.log());
        assert_eq!(service.get("status").await["directory"]["error"], json!(null), "other customers may be unaffected");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_for_all_customers_is_in_status_and_redirects_are_not_followed() {
    let elsewhere = HookServer::always(known("eve@evil.example")).await;
    let moved = Reply::Say(302, format!("Location: {}\r\n", elsewhere.url("/x")), String::new());
    for (reply, said) in
        [(moved, "redirects are not followed"), (Reply::Status(401), "does not accept `directory.lookup.header`")]
    {
        let server = HookServer::always(reply).await;
        let shop = shop_asking(SORRY, &server, "10m");
        let service = shop.start().ready().await;
        service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
        let status = service.until("status", |status| status["directory"]["error"].is_string()).await;
        assert!(status["directory"]["error"].as_str().expect("text").contains(said), "{status}");
        service.until_jobs("C-1", &["queued"]).await;
    }
    assert_eq!(elsewhere.calls().len(), 0);
    let server = HookServer::always(known("ada@customer.example")).await;
    let mut shop = shop_asking(SORRY, &server, "10m");
    shop.more = shop.more.replace("private: true", "private: false");
    let service = shop.start().ready().await;
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    let status = service.until("status", |status| status["directory"]["error"].is_string()).await;
    assert!(status["directory"]["error"].as_str().expect("text").contains("this machine itself"), "{status}");
    assert_eq!(server.connections(), 0);
}

const ABROAD: &str = "  - {id: abroad, when: any -> SOFT_KYC_FAILED, if: {customer.country: [FR]}, do: [{tag: abroad}]}\n  \
                      - {id: other, when: any -> KYC_PENDING, do: record}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_waits_for_the_contact_if_a_rule_reads_it() {
    let slow = Reply::Say(200, String::new(), json!({"email": "a@customer.example", "country": "FR"}).to_string());
    let server = HookServer::scripted(&[Reply::Status(500), slow]).await;
    let shop = shop_asking(ABROAD, &server, "10m");
    let service = shop.start().ready().await;
    service.callback("C-2", "KYC_PENDING", json!({})).await;
    assert_eq!(outcome(&service, "C-2", "other").await, "fired", "no matching rule reads a contact");
    assert_eq!(server.calls().len(), 0);
    // Two callbacks, the second while the first one waits: both are decided, in order.
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    let waiting = service.get("customers/C-1").await;
    assert_eq!((&waiting["timeline"][0]["verdict"], &waiting["status"]), (&json!("pending"), &json!(null)));
    service.callback("C-1", "KYC_PENDING", json!({})).await;
    service.until("customers/C-1", |customer| customer["status"] == "KYC_PENDING").await;
    assert_eq!(outcome(&service, "C-1", "abroad").await, "fired");
    assert_eq!(outcome(&service, "C-1", "other").await, "fired");
    assert_eq!(service.get("customers/C-1").await["tags"], json!(["abroad"]));
    assert_eq!(server.calls().len(), 2, "one retry after the 500, and no request for the second callback");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_is_decided_without_the_contact_if_the_shop_gives_no_answer() {
    let server = HookServer::always(Reply::Status(500)).await;
    let shop = shop_asking(ABROAD, &server, "10m");
    let service = shop.start().ready().await;
    let begun = Instant::now();
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    service.until("customers/C-1", |customer| customer["status"] == "SOFT_KYC_FAILED").await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(outcome(&service, "C-1", "abroad").await, "undecidable");
    assert_eq!(server.calls().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_callback_survives_a_kill_and_is_decided_without_a_lookup() {
    let server = HookServer::always(Reply::Hang).await;
    let mut shop = shop_asking(ABROAD, &server, "10m");
    let service = shop.start().ready().await;
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    service.kill();
    shop.more = String::new();
    let service = shop.start().ready().await;
    service.until("customers/C-1", |customer| customer["status"] == "SOFT_KYC_FAILED").await;
    assert_eq!(outcome(&service, "C-1", "abroad").await, "undecidable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_whose_rule_reads_the_contact_waits_for_the_shop() {
    let french = known_as(json!({"email": "a@customer.example", "country": "FR"}));
    let server = HookServer::scripted(&[Reply::Status(503), french]).await;
    let shop = shop_asking(
        "  - {id: late, when: KYC_PENDING for 1s, if: {customer.country: [FR]}, do: [{tag: late}]}\n",
        &server,
        "10m",
    );
    let service = shop.start().ready().await;
    service.callback("C-1", "KYC_PENDING", json!({})).await;
    service.until("customers/C-1", |customer| customer["tags"] == json!(["late"])).await;
    assert_eq!(server.calls().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_key_the_contact_is_fetched_before_the_providers_api_is_asked() {
    let french = known_as(json!({"email": "a@customer.example", "country": "FR"}));
    let server = HookServer::scripted(&[Reply::Status(500), french]).await;
    let provider = Provider::start().await;
    provider.knows("C-1", "SOFT_KYC_FAILED", &[]);
    let mut shop = shop_asking(ABROAD, &server, "10m");
    shop.more.push_str(&provider.configuration());
    let service = shop.start().ready().await;
    // No rule for the callback's status reads a contact; a rule for the API's status does.
    service.callback("C-1", "KYC_PENDING", json!({})).await;
    service.until("status", |status| status["directory"]["error"].is_string()).await;
    assert_eq!(provider.asked().len(), 0, "not before the contact is known");
    service.until("customers/C-1", |customer| customer["status"] == "SOFT_KYC_FAILED").await;
    assert_eq!(outcome(&service, "C-1", "abroad").await, "fired");
    assert_eq!((server.calls().len(), provider.asked().len()), (2, 1));
}
