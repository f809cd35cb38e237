//! Callbacks that are not decided within `provider.patience`: the problem `unanswered` in all outputs and after a
//! restart, and the command that decides all of them.

use serde_json::{Value, json};

use crate::support::{
    dns::NameServer,
    provider::{Manner, Provider},
    service::{Service, Shop},
};

const RULES: &str = "  - {id: hello, when: any -> FULL_USER, do: [{email: hello}]}\n";

/// The documented response for 400.
const REFUSED: &str = include_str!("../cases/provider/api/refused-400.json");

async fn shop(patience: &str) -> (Shop, Provider) {
    let provider = Provider::start().await;
    let mut shop = Shop::new(RULES);
    shop.more = provider.configuration().replace("api_key:", &format!("patience: {patience}, api_key:"));
    (shop, provider)
}

async fn until_unanswered(service: &Service, count: usize) -> Value {
    let problems = service
        .until("problems", |problems| problems["unanswered"].as_array().is_some_and(|all| all.len() == count))
        .await;
    problems["unanswered"].clone()
}

fn said(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_the_api_cannot_confirm_is_a_problem_with_the_code_also_after_a_restart() {
    let (shop, provider) = shop("1s").await;
    provider.behaves(Manner::Says(400, REFUSED.to_owned()));
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    service.callback("C-1", "FULL_USER", json!({})).await;
    let unanswered = until_unanswered(&service, 1).await;
    let one = &unanswered[0];
    assert_eq!((&one["problem"], &one["customer"], &one["waiting"]), (&json!("unanswered"), &json!("C-1"), &json!(1)));
    assert_eq!(one["code"], "db_violation");
    let reason = one["reason"].as_str().expect("a reason");
    assert_eq!(
        reason,
        "the provider's API answers 400 Bad Request (db_violation): a constraint of the database was violated"
    );
    let since = one["since"].clone();
    service.logs("callbacks have waited longer than `provider.patience`").await;
    let log = service.log();
    assert!(log.contains("400 Bad Request (db_violation)"), "{log}");
    assert!(!log.contains("C-1") && !log.contains("a constraint"), "{log}");
    let status = service.get("status").await;
    assert_eq!((&status["provider"]["unanswered"], &status["provider"]["patience"]), (&json!(1), &json!("1s")));
    assert!(service.metrics().await.contains("kyc_rules_customers_unanswered 1"));
    let (_, shown, _) = service.command(&shop, &["status"]);
    assert!(shown.contains("unanswered: callbacks of 1 customer have waited longer than 1s"), "{shown}");
    let (_, shown, _) = service.command(&shop, &["problems"]);
    assert!(shown.contains("unanswered: callbacks of 1 customer") && shown.contains("refresh --all"), "{shown}");
    assert!(
        shown.lines().any(|line| line.starts_with("unanswered  C-1  ") && line.contains("db_violation")),
        "{shown}"
    );
    let (_, json, _) = service.command(&shop, &["--json", "problems", "--customer", "C-1"]);
    assert_eq!(said(&json)["unanswered"][0]["code"], "db_violation");
    assert_eq!(said(&json)["service"][0]["problem"], "unanswered");
    let (_, json, _) = service.command(&shop, &["--json", "problems", "--customer", "C-2"]);
    assert_eq!(said(&json)["unanswered"], json!([]));
    let dns = NameServer::knowing(&[]).await.address.to_string();
    let (_, json, _) = service.command(&shop, &["--json", "doctor", "--dns", &dns]);
    let checks = said(&json)["checks"].clone();
    let server = checks.as_array().expect("checks").iter().find(|one| one["check"] == "server").expect("a line");
    assert_eq!(server["result"], "warn");
    assert!(
        server["said"].as_str().is_some_and(|said| said.contains("callbacks of 1 customer are unanswered")),
        "{server}"
    );

    let pending = service.get("customers/C-1").await["pending"].clone();
    assert_eq!(
        (&pending["code"], &pending["unanswered"], &pending["callbacks"]),
        (&json!("db_violation"), &json!(true), &json!(1))
    );
    let (_, shown, _) = service.command(&shop, &["customers", "show", "C-1"]);
    assert!(shown.contains("  pending     callbacks since ") && shown.contains("db_violation"), "{shown}");
    service.kill();
    let service = shop.start().ready().await;
    let unanswered = until_unanswered(&service, 1).await;
    assert_eq!(unanswered[0]["since"], since, "it has waited since before the restart");
    service.until("problems", |problems| problems["unanswered"][0]["code"] == "db_violation").await;
    provider.behaves(Manner::Truthful);
    provider.knows("C-1", "FULL_USER", &[]);
    let (code, json, errors) = service.command(&shop, &["--json", "refresh", "--all", "--yes"]);
    assert_eq!((code, &said(&json)["done"]), (Some(0), &json!(1)), "{json}{errors}");
    service.until_jobs("C-1", &["done"]).await;
    until_unanswered(&service, 0).await;
    service.logs("no callback waits longer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reason_for_waiting_is_shown_in_the_problem() {
    for (manner, part) in [
        (Manner::Drops, "gives no answer"),
        (Manner::Says(500, "<html>oops</html>".to_owned()), "answers 500"),
        (Manner::Says(401, REFUSED.to_owned()), "does not accept `provider.api_key` (db_violation)"),
        (Manner::Says(403, "{}".to_owned()), "answers 403"),
        (Manner::AsksForPatience(3_600), "answers 429"),
        (Manner::Says(200, "nonsense".to_owned()), "not a JSON object"),
        (Manner::Says(200, r#"{"success":true,"data":{}}"#.to_owned()), "no `data.status`"),
        (Manner::Says(404, "<html>not here</html>".to_owned()), "`provider.api` may name another server"),
        (Manner::Says(302, String::new()), "redirects are not followed"),
        (Manner::Truthful, "does not know the customer; it is asked again at"),
    ] {
        let (shop, provider) = shop("500ms").await;
        provider.behaves(manner.clone());
        let service = shop.start().ready().await;
        service.callback("C-1", "FULL_USER", json!({})).await;
        let named =
            |problems: &Value| problems["unanswered"][0]["reason"].as_str().is_some_and(|reason| reason.contains(part));
        service.until("problems", named).await;
        assert_eq!(service.get("customers/C-1").await["status"], json!(null), "{manner:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_due_timer_that_waits_for_the_api_is_a_problem() {
    let (shop, provider) = shop("500ms").await;
    shop.rules("  - {id: late, when: SOFT_KYC_FAILED for 1s, do: [{email: bye}]}\n");
    provider.knows("C-1", "SOFT_KYC_FAILED", &[]);
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    service.until("customers/C-1", |said| said["status"] == "SOFT_KYC_FAILED").await;
    provider.behaves(Manner::Says(400, REFUSED.to_owned()));
    let problems = service.until("problems", |problems| problems["service"][0]["problem"] == "unanswered_timers").await;
    assert_eq!(problems["service"][0]["code"], "db_violation", "{problems}");
    let (_, shown, _) = service.command(&shop, &["problems"]);
    assert!(shown.contains("timers of 1 customer are due and wait longer than 500ms"), "{shown}");
    service.logs("timers are due and wait longer than `provider.patience`").await;
    assert!(service.metrics().await.contains("kyc_rules_customers_timers_unanswered 1"));
    let (_, shown, _) = service.command(&shop, &["status"]);
    assert!(shown.contains("unanswered: timers of 1 customer are due and wait longer than 500ms"), "{shown}");
    assert_eq!(service.get("status").await["provider"]["unanswered_timers"], 1);
    let dns = NameServer::knowing(&[]).await.address.to_string();
    let (_, json, _) = service.command(&shop, &["--json", "doctor", "--dns", &dns]);
    assert!(json.contains("due timers of 1 customer wait for the provider's API"), "{json}");
    provider.behaves(Manner::Truthful);
    assert_eq!(service.command(&shop, &["refresh", "C-1"]).0, Some(0), "an operator does not wait for the pause");
    service.until_jobs("C-1", &["done"]).await;
    service.until("problems", |problems| problems["service"] == json!([])).await;
    service.logs("no timer waits longer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_requests_about_a_customer_share_one_delay_but_a_callback_asks_at_once() {
    // Timers are checked again after 5 s, so the problem appears after the second check.
    let (mut shop, provider) = shop("6s").await;
    shop.more = shop.more.replace("api_key:", "reconcile: 8s, api_key:");
    shop.rules(
        "  - {id: late, when: SOFT_KYC_FAILED for 2s, do: [{email: bye}]}\n  \
         - {id: later, when: SOFT_KYC_FAILED for 2100ms, do: [{email: hello}]}\n",
    );
    provider.knows("C-1", "SOFT_KYC_FAILED", &[]);
    let service = shop.start().ready().await;
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    service.until("customers/C-1", |said| said["status"] == "SOFT_KYC_FAILED").await;
    provider.behaves(Manner::Says(400, REFUSED.to_owned()));
    let asked = provider.asked().len();
    service.until("problems", |problems| problems["service"][0]["problem"] == "unanswered_timers").await;
    service.until("status", |status| status["provider"]["reconcile"][0]["failed"] == 1).await;
    assert_eq!(provider.asked().len(), asked + 1, "{}", service.log());
    assert_eq!(service.log().matches("that cannot be used").count(), 1, "{}", service.log());
    service.callback("C-1", "FULL_USER", json!({})).await;
    service.until("status", |_| provider.asked().len() == asked + 2).await;
    assert_eq!(service.log().matches("that cannot be used").count(), 1, "{}", service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_reconcile_round_is_shown_in_status_and_doctor() {
    let (mut shop, provider) = shop("1h").await;
    shop.more = shop.more.replace("api_key:", "reconcile: 1s, api_key:");
    provider.knows("C-1", "KYC_PENDING", &[]);
    let service = shop.start().ready().await;
    service.callback("C-1", "KYC_PENDING", json!({})).await;
    service.until("customers/C-1", |said| said["status"] == "KYC_PENDING").await;
    provider.behaves(Manner::Says(400, REFUSED.to_owned()));
    service.until("status", |status| status["provider"]["reconcile"][0]["failed"] == 1).await;
    let (_, shown, _) = service.command(&shop, &["status"]);
    assert!(shown.contains("reconcile: 0 of 1 customers answered until "), "{shown}");
    let dns = NameServer::knowing(&[]).await.address.to_string();
    let (_, json, _) = service.command(&shop, &["--json", "doctor", "--dns", &dns]);
    assert!(json.contains("the last round of `provider.reconcile` has no answer about 1 customer"), "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_shows_the_reason_when_no_request_failed() {
    let (shop, _provider) = shop("300ms").await;
    let service = shop.start().ready().await;
    service.callback("C-1", "FULL_USER", json!({})).await;
    until_unanswered(&service, 1).await;
    service.logs("callbacks have waited longer than `provider.patience`").await;
    assert!(service.log().contains("does not know the customer; it is asked again at"), "{}", service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn refresh_all_counts_asks_for_confirmation_and_decides_all_callbacks() {
    let (shop, provider) = shop("300ms").await;
    provider.behaves(Manner::Says(400, REFUSED.to_owned()));
    let service = shop.start().ready().await;
    let (code, shown, _) = service.command(&shop, &["refresh", "--all"]);
    assert!(code == Some(0) && shown.contains("no callback has waited longer than 300ms"), "{shown}");
    // More than one page.
    let customers: Vec<String> = (0..60).map(|nth| format!("C-{nth}")).collect();
    for customer in &customers {
        service.callback(customer, "FULL_USER", json!({})).await;
    }
    until_unanswered(&service, 60).await;
    for arguments in [&["refresh", "--all"][..], &["refresh", "--all", "--believe"]] {
        let (code, shown, errors) = service.command(&shop, arguments);
        assert_eq!(code, Some(2), "there is no terminal: {errors}");
        assert!(shown.contains("callbacks of 60 customers have waited longer than 300ms"), "{shown}");
        assert!(
            shown.contains("and 55 more") && errors.contains("60 customers") && errors.contains("--yes"),
            "{shown}{errors}"
        );
    }
    let (_, dry) = service.ask("POST", "customers/refresh", Some(json!({"dry": true}))).await;
    assert_eq!((&dry["count"], &dry["done"]), (&json!(60), &json!(0)));
    assert_eq!(dry["examples"].as_array().map(Vec::len), Some(5));
    let (code, shown, errors) = service.command(&shop, &["refresh", "--all", "--yes"]);
    assert!(
        code == Some(1) && shown.contains("those of 60 customers still wait: the provider's API answers 400"),
        "{shown}{errors}"
    );
    // The callbacks that the provider can now confirm are decided by its answer, the others by the operator.
    for customer in &customers[..20] {
        let data = json!({"success": true, "data": {"status": "SOFT_KYC_FAILED"}});
        provider.says_about(customer, 200, &data.to_string());
    }
    let (code, json, errors) = service.command(&shop, &["--json", "refresh", "--all", "--yes"]);
    // The service also asks again by itself after a minute.
    let number = |key: &str| said(&json)[key].as_u64().expect("a count");
    assert!(code == Some(0) && number("done") + number("meanwhile") == 20, "{json}{errors}");
    assert_eq!(number("count"), number("done") + number("meanwhile") + number("waiting"), "{json}");
    until_unanswered(&service, 40).await;
    assert_eq!(said(&json)["examples"][0]["code"], "db_violation");
    assert_eq!(service.get("customers/C-0").await["status"], "SOFT_KYC_FAILED");
    let (code, shown, errors) = service.command(&shop, &["refresh", "--all", "--believe", "--yes"]);
    assert!(code == Some(0) && shown.ends_with("callbacks of 40 customers are decided\n"), "{shown}{errors}");
    assert_eq!(service.get("customers/C-59").await["status"], "FULL_USER");
    until_unanswered(&service, 0).await;
    for (wrong, status) in
        [(json!({"until": "soon"}), 400), (json!({"cursor": "x"}), 400), (json!({"all": true}), 400), (json!([]), 400)]
    {
        assert_eq!(service.ask("POST", "customers/refresh", Some(wrong.clone())).await.0, status, "{wrong}");
    }
    for arguments in [&["refresh"][..], &["refresh", "C-1", "--all"], &["refresh", "C-1", "--yes"]] {
        assert_eq!(service.command(&shop, arguments).0, Some(2), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_answers_429_stops_refresh_all_and_an_operator_can_still_believe() {
    let (shop, provider) = shop("300ms").await;
    provider.behaves(Manner::AsksForPatience(3_600));
    let service = shop.start().ready().await;
    for customer in ["C-1", "C-2", "C-3"] {
        service.callback(customer, "FULL_USER", json!({})).await;
    }
    until_unanswered(&service, 3).await;
    let (code, _, errors) = service.command(&shop, &["refresh", "--all", "--yes"]);
    assert!(code == Some(69) && errors.contains("answers 429"), "{errors}");
    assert!(provider.asked().len() <= 4, "{:?}", provider.asked());
    let (code, shown, errors) = service.command(&shop, &["refresh", "--all", "--believe", "--yes"]);
    assert!(code == Some(0) && shown.contains("callbacks of 3 customers are decided"), "{shown}{errors}");
    assert_eq!(service.get("customers/C-3").await["status"], "FULL_USER");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_customer_that_waits_because_of_an_error_about_another_shows_its_code() {
    let (shop, provider) = shop("300ms").await;
    for (status, code) in [(401, "c401"), (500, "c500")] {
        let body = json!({"success": false, "errors": [{"code": code, "message": "no"}]}).to_string();
        provider.behaves(Manner::Says(status, body));
        let service = shop.start().ready().await;
        for nth in 0..12 {
            service.callback(&format!("C-{nth}"), "FULL_USER", json!({})).await;
        }
        let has_code = |one: &Value| one["code"] == code;
        let all =
            |said: &Value| said["unanswered"].as_array().is_some_and(|all| all.len() == 12 && all.iter().all(has_code));
        let problems = service.until("problems", all).await;
        let service_entries = problems["service"].as_array().expect("entries");
        assert_eq!(service_entries.len(), if status == 401 { 2 } else { 1 }, "{problems}");
        assert!(service_entries.iter().all(has_code), "{problems}");
        assert_eq!(service.get("status").await["provider"]["code"], code);
        service.kill();
    }
}
