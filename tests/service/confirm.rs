//! Confirmation of callbacks by the provider's API over real sockets: the API agrees, disagrees, is outdated or
//! unavailable, rejects the key, or returns malformed answers.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    provider::{Manner, Provider},
    service::{Service, Shop},
};

const RULES: &str = "  - {id: sorry, when: any -> SOFT_KYC_FAILED, do: [{email: sorry}]}\n  \
                     - {id: hello, when: any -> FULL_USER, do: [{email: hello}]}\n  \
                     - {id: late, when: SOFT_KYC_FAILED for 2s, do: [{email: bye}]}\n";

async fn shop() -> (Shop, Provider) {
    let provider = Provider::start().await;
    let mut shop = Shop::new(RULES);
    shop.more = provider.configuration();
    (shop, provider)
}

fn verdicts(customer: &Value) -> Vec<String> {
    let timeline = customer["timeline"].as_array().expect("a timeline").iter().rev();
    timeline.map(|entry| format!("{} {}", entry["source"], entry["verdict"]).replace('"', "")).collect()
}

async fn until_verdicts(service: &Service, customer: &str, expected: &[&str]) -> Value {
    service.until(&format!("customers/{customer}"), |said| verdicts(said) == expected).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_the_api_confirms_moves_the_customer() {
    let (shop, provider) = shop().await;
    provider.knows("C-1", "SOFT_KYC_FAILED", &["SELFIE"]);
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    let more = json!({"kycRejectLabel": "BAD_SELFIE", "docsMissing": ["PASSPORT"]});
    assert_eq!(service.callback("C-1", "SOFT_KYC_FAILED", more).await, "accepted");
    let customer = until_verdicts(&service, "C-1", &["callback moved"]).await;
    assert_eq!(customer["missing_docs"], json!(["SELFIE"]), "from the API");
    assert_eq!(customer["reject_labels"], json!(["BAD_SELFIE"]), "from the callback");
    assert_eq!(customer["timeline"][0]["rules"][0]["outcome"], "fired");
    assert_eq!(
        (&customer["timeline"][0]["from"], &customer["timeline"][0]["to"]),
        (&json!("new"), &json!("SOFT_KYC_FAILED"))
    );
    service.until_jobs("C-1", &["done", "done"]).await;
    assert!(service.get("status").await["provider"]["confirm"].as_bool().expect("said"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_with_a_captured_hash_is_stale_and_causes_no_action() {
    let (shop, provider) = shop().await;
    provider.knows("C-1", "KYC_PENDING", &[]);
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    service.callback("C-1", "FULL_USER", json!({})).await;
    let customer = until_verdicts(&service, "C-1", &["callback stale", "api moved"]).await;
    assert_eq!(customer["status"], "KYC_PENDING");
    assert_eq!(customer["unsaid"], json!(["processing", "reject_labels"]), "the API has no such fields");
    // The content of the callback is visible to an operator.
    assert_eq!(customer["timeline"][1]["said"]["status"], "FULL_USER");
    let (_, shown, _) = service.command(&shop, &["customers", "show", "C-1"]);
    assert!(shown.contains("stale  says FULL_USER\n") && shown.contains("  labels      not known\n"), "{shown}");
    assert!(shop.mails().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outdated_api_is_asked_again_and_a_kill_in_between_loses_nothing() {
    let (shop, provider) = shop().await;
    provider.knows("C-1", "KYC_PENDING", &[]);
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    service.callback("C-1", "KYC_PENDING", json!({})).await;
    until_verdicts(&service, "C-1", &["callback moved"]).await;
    service.callback("C-1", "FULL_USER", json!({})).await;
    service.until("status", |status| provider.asked().len() == 2 && status["provider"]["questions"] == 1).await;
    service.kill();
    provider.knows("C-1", "FULL_USER", &[]);
    let service = shop.start().ready().await;
    let customer = until_verdicts(&service, "C-1", &["callback moved", "callback moved"]).await;
    assert_eq!(customer["status"], "FULL_USER");
    service.until_jobs("C-1", &["done"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_wait_while_the_api_is_unavailable_and_are_decided_afterwards() {
    let (shop, provider) = shop().await;
    provider.knows("C-1", "SOFT_KYC_FAILED", &[]);
    for manner in [Manner::Drops, Manner::Says(500, "oops".to_owned()), Manner::Says(429, "slow".to_owned())] {
        provider.behaves(manner.clone());
        let service = shop.start().ready().await;
        let asked = provider.asked().len();
        service.callback("C-1", "SOFT_KYC_FAILED", json!({"docsMissing": ["SELFIE"]})).await;
        let status = service
            .until("status", |status| provider.asked().len() > asked && !status["provider"]["error"].is_null())
            .await;
        assert_eq!(status["provider"]["questions"], 1, "{manner:?}");
        service.kill();
    }
    provider.behaves(Manner::Truthful);
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    service.until("customers/C-1", |said| said["status"] == "SOFT_KYC_FAILED").await;
    service.until("status", |status| status["provider"]["error"].is_null()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_key_is_a_problem_and_readyz_stays_200() {
    let (shop, provider) = shop().await;
    provider.behaves(Manner::Says(401, "{}".to_owned()));
    let service = shop.start().ready().await;
    assert_eq!(service.callback("C-1", "FULL_USER", json!({})).await, "accepted");
    service
        .until("status", |status| status["provider"]["error"].as_str().is_some_and(|said| said.contains("api_key")))
        .await;
    for (query, status, part) in [("", 200, "ready"), ("?deep", 503, "provider_key"), ("?deep=1", 503, "401")] {
        let answer = reqwest::get(format!("http://{}/readyz{query}", service.admin)).await.expect("an answer");
        assert_eq!(answer.status(), status, "{query}");
        let text = answer.text().await.expect("text");
        assert!(text.contains(part), "{query}: {text}");
    }
    assert_eq!(service.get("status").await["ready"], true);
    assert!(service.metrics().await.contains("kyc_rules_provider_key_refused 1"));
    assert_eq!(service.get("problems").await["service"][0]["problem"], "provider_key");
    assert_eq!(service.callback("C-2", "FULL_USER", json!({})).await, "accepted", "callbacks are still accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_answer_decides_nothing_and_an_operator_may_decide() {
    let (shop, provider) = shop().await;
    for body in [
        "[]",
        "nonsense",
        r#"{"success":true,"data":null}"#,
        r#"{"success":true,"data":{"id":"C-1"}}"#,
        r#"{"success":true,"data":["FULL_USER"]}"#,
        r#"{"success":false,"data":{"status":"FULL_USER"},"errors":[{"code":"busy"}]}"#,
    ] {
        provider.behaves(Manner::Says(200, body.to_owned()));
        // A restart causes a request at once for the waiting callback.
        let asked = provider.asked().len();
        let service = shop.start().ready().await;
        service.callback("C-1", "FULL_USER", json!({})).await;
        service.until("status", |_| provider.asked().len() > asked).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(service.get("customers/C-1").await["status"], json!(null), "{body}");
        service.kill();
    }
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    let (code, said, errors) = service.command(&shop, &["refresh", "C-1", "--believe"]);
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(said, "C-1: moved; status FULL_USER\n");
    let jobs = service.until_jobs("C-1", &["done"]).await;
    assert_eq!(jobs[0]["rule"], "hello");
    let timeline = service.get("customers/C-1").await["timeline"].clone();
    let notes: Vec<&Value> = timeline.as_array().expect("entries").iter().map(|entry| &entry["note"]).collect();
    assert_eq!(notes.iter().filter(|note| **note == "believed by hand").count(), 1, "{timeline}");
    for command in [&["customers", "show", "C-1"][..], &["explain", "C-1"]] {
        let (_, shown, _) = service.command(&shop, command);
        assert!(shown.contains("new -> FULL_USER (believed by hand)"), "{command:?}: {shown}");
    }
    let (code, _, errors) = service.command(&shop, &["refresh", "C-1", "--believe"]);
    assert!(code == Some(1) && errors.contains("no callback of this customer waits"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_asks_the_api_first_and_skips_a_customer_who_has_moved_on() {
    let (shop, provider) = shop().await;
    for customer in ["C-1", "C-2"] {
        provider.knows(customer, "SOFT_KYC_FAILED", &[]);
    }
    let service = shop.start().ready().await;
    for customer in ["C-1", "C-2"] {
        service.contact(customer, "ada@customer.example").await;
        service.callback(customer, "SOFT_KYC_FAILED", json!({})).await;
        until_verdicts(&service, customer, &["callback moved"]).await;
    }
    // The callback about this change was lost.
    provider.knows("C-2", "FULL_USER", &[]);
    service.until_jobs("C-1", &["done", "done"]).await;
    service.until("customers/C-2", |said| said["status"] == "FULL_USER").await;
    let jobs = service.until_jobs("C-2", &["done", "done"]).await;
    let rules: Vec<&str> = jobs.iter().filter_map(|job| job["rule"].as_str()).collect();
    assert_eq!(rules, ["sorry", "hello"], "the rule with the timer does not fire");
}

#[tokio::test(flavor = "multi_thread")]
async fn reconciling_finds_lost_callbacks_and_lost_reversals() {
    let (mut shop, provider) = shop().await;
    shop.more = shop.more.replace("api_key:", "reconcile: 1s, reconcile_final: 2s, api_key:");
    provider.knows("C-1", "KYC_PENDING", &[]);
    provider.knows("C-2", "FULL_USER", &[]);
    let service = shop.start().ready().await;
    for (customer, status) in [("C-1", "KYC_PENDING"), ("C-2", "FULL_USER")] {
        service.contact(customer, "ada@customer.example").await;
        service.callback(customer, status, json!({})).await;
        until_verdicts(&service, customer, &["callback moved"]).await;
    }
    provider.knows("C-1", "FULL_USER", &[]);
    provider.knows("C-2", "SOFT_KYC_FAILED", &["PASSPORT"]);
    until_verdicts(&service, "C-1", &["callback moved", "api moved"]).await;
    let customer = service.until("customers/C-2", |said| said["status"] == "SOFT_KYC_FAILED").await;
    assert_eq!(customer["missing_docs"], json!(["PASSPORT"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_customer_is_asked_about_again_and_null_is_none_if_both_sources_agree() {
    let (shop, provider) = shop().await;
    provider.says_about(
        "C-2",
        404,
        r#"{"errors":[{"code":"not_found","message":"no such customer"}],"success":false}"#,
    );
    let service = shop.start().ready().await;
    for customer in ["C-1", "C-2"] {
        service.contact(customer, "ada@customer.example").await;
        service.callback(customer, "SOFT_KYC_FAILED", json!({})).await;
    }
    let null = json!({"status": null, "kycProcessingStatus": "USER_CREATION_IN_PROGRESS"});
    service.callback("C-3", "CREATED", null).await;
    let customer = until_verdicts(&service, "C-3", &["callback moved"]).await;
    assert_eq!((&customer["status"], &customer["timeline"][0]["to"]), (&json!(null), &json!(null)));
    assert_eq!((&customer["visit"], &customer["unsaid"]), (&json!(1), &json!([])));
    service.until("status", |_| provider.asked().len() >= 3).await;
    let (code, said, _) = service.command(&shop, &["refresh", "C-1"]);
    assert!(code == Some(0) && said.contains("does not know this customer (yet); it may be late"), "{said}");
    for customer in ["C-1", "C-2"] {
        assert_eq!(verdicts(&service.get(&format!("customers/{customer}")).await), ["callback pending"]);
    }
    // The API now knows the customer, and no document is missing.
    provider.knows("C-1", "KYC_FULL_USER", &[]);
    let customer = service.until("customers/C-1", |said| said["status"] == "FULL_USER").await;
    assert_eq!(verdicts(&customer), ["callback stale", "api moved"]);
    assert_eq!(service.until_jobs("C-1", &["done"]).await[0]["rule"], "hello");
    assert!(service.metrics().await.contains(r#"questions_total{service="provider",outcome="unknown"}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_spelling_of_full_user_is_accepted_in_a_callback() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    service.callback("C-1", "KYC_FULL_USER", json!({})).await;
    let customer = service.get("customers/C-1").await;
    assert_eq!((&customer["status"], &customer["timeline"][0]["to"]), (&json!("FULL_USER"), &json!("FULL_USER")));
    assert_eq!(service.callback("C-1", "FULL_USER", json!({})).await, "duplicate");
}

#[tokio::test(flavor = "multi_thread")]
async fn reconciling_counts_unknown_customers_and_does_not_change_them() {
    let (mut shop, provider) = shop().await;
    shop.more = shop.more.replace("api_key:", "reconcile: 1s, reconcile_final: off, api_key:");
    for customer in ["C-1", "C-2"] {
        provider.knows(customer, "KYC_PENDING", &[]);
    }
    let service = shop.start().ready().await;
    for customer in ["C-1", "C-2"] {
        service.callback(customer, "KYC_PENDING", json!({})).await;
        until_verdicts(&service, customer, &["callback moved"]).await;
    }
    provider.forgets("C-1");
    let counted = |status: &Value| {
        let rounds = status["provider"]["reconcile"].as_array().expect("rounds").clone();
        rounds.iter().any(|round| round["answered"] == 2 && round["unknown"] == 1 && round["final"] == false)
    };
    service.until("status", counted).await;
    let customer = service.get("customers/C-1").await;
    assert_eq!((&customer["status"], verdicts(&customer).len()), (&json!("KYC_PENDING"), 1), "the status is kept");
    let (_, said, _) = service.command(&shop, &["status"]);
    assert!(said.contains("it does not know 1 of the 2 customers"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_stores_the_api_s_status_and_triggers_no_rule() {
    let (shop, provider) = shop().await;
    provider.knows("C-1", "SOFT_KYC_FAILED", &["SELFIE"]);
    let service = shop.start().ready().await;
    shop.write("customers.csv", "id,email\nC-1,ada@customer.example\nC-2,bob@customer.example\n");
    let file = shop.path("customers.csv").display().to_string();
    let (code, said, errors) = service.command(&shop, &["customers", "import", &file, "--from-provider"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(said.contains("the provider knows 1 of 2 that were new here; it does not know 1 (yet)"), "{said}");
    let (_, said, _) = service.command(&shop, &["--json", "customers", "import", &file, "--from-provider"]);
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&said["from_provider"], &said["unknown"]), (&json!(0), &json!(1)), "{said}");
    let customer = service.get("customers/C-1").await;
    assert_eq!((&customer["status"], &customer["missing_docs"]), (&json!("SOFT_KYC_FAILED"), &json!(["SELFIE"])));
    assert_eq!(verdicts(&customer), ["import imported"]);
    assert_eq!(service.get("customers/C-2").await["status"], json!(null));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(shop.mails().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_answer_about_one_customer_does_not_stop_the_import() {
    let (shop, provider) = shop().await;
    for customer in ["C-1", "C-3"] {
        provider.knows(customer, "FULL_USER", &[]);
    }
    provider.says_about("C-2", 200, "<html>");
    let service = shop.start().ready().await;
    let rows = (1..=3).map(|nth| format!("C-{nth},c{nth}@customer.example\n")).collect::<String>();
    shop.write("customers.csv", &format!("id,email\n{rows}"));
    let file = shop.path("customers.csv").display().to_string();
    for asked in [&["C-1", "C-2", "C-3"][..], &["C-1", "C-2", "C-3", "C-2"]] {
        let (code, said, errors) = service.command(&shop, &["customers", "import", &file, "--from-provider"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(errors.contains("about 1 of 3") && errors.contains("\n  C-2: the answer is not"), "{errors}");
        assert_eq!(provider.asked(), asked, "known customers are not asked about again");
    }
    assert_eq!(service.get("customers/C-3").await["status"], "FULL_USER");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_ends_with_an_error_if_the_api_rejects_the_key_or_requests_a_delay() {
    for (manner, said) in [
        (Manner::Says(401, "{}".to_owned()), "does not accept `provider.api_key`"),
        (Manner::AsksForPatience(3_600), "answers 429"),
    ] {
        let (shop, provider) = shop().await;
        provider.behaves(manner);
        let service = shop.start().ready().await;
        shop.write("customers.csv", "id,email\nC-1,ada@customer.example\nC-2,bob@customer.example\n");
        let file = shop.path("customers.csv").display().to_string();
        let (code, _, errors) = service.command(&shop, &["customers", "import", &file, "--from-provider"]);
        assert_eq!(code, Some(69), "{errors}");
        assert!(
            errors.contains(said) && errors.contains("the contacts are imported; run the command again"),
            "{errors}"
        );
        assert_eq!(provider.asked().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_seconds_delays_callbacks_by_seconds() {
    let (shop, provider) = shop().await;
    let service = shop.start().ready().await;
    provider.behaves(Manner::Says(502, "{}".to_owned()));
    for nth in 0..12 {
        let customer = format!("C-{nth}");
        provider.knows(&customer, "FULL_USER", &[]);
        service.callback(&customer, "FULL_USER", json!({})).await;
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    provider.behaves(Manner::Truthful);
    service.until("status", |status| status["provider"]["questions"] == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_whose_requests_always_fail_delay_no_other_customer() {
    let (shop, provider) = shop().await;
    let bad: Vec<String> = (0..12).map(|nth| format!("BAD-{nth}")).collect();
    bad.iter().for_each(|customer| provider.says_about(customer, 500, "{}"));
    provider.knows("C-1", "SOFT_KYC_FAILED", &[]);
    let service = shop.start().ready().await;
    for customer in &bad {
        service.callback(customer, "SOFT_KYC_FAILED", json!({})).await;
    }
    let asked = || provider.asked().iter().filter(|customer| customer.starts_with("BAD")).count();
    // Every request about them has failed, and their callbacks wait.
    let status = service.until("status", |status| asked() >= 12 && status["provider"]["error"].is_string()).await;
    assert_eq!(status["provider"]["questions"], 12);
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    service.until("customers/C-1", |customer| customer["status"] == "SOFT_KYC_FAILED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_about_one_customer_is_one_question_and_waits_for_an_outdated_api() {
    let (shop, provider) = shop().await;
    provider.knows("C-1", "KYC_PENDING", &[]);
    let service = shop.start().ready().await;
    service.callback("C-1", "KYC_PENDING", json!({})).await;
    until_verdicts(&service, "C-1", &["callback moved"]).await;
    let asked = provider.asked().len();
    for status in ["PENDING_KYC_DATA", "SOFT_KYC_FAILED", "FULL_USER"] {
        for docs in [json!(["SELFIE"]), json!(["PASSPORT"])] {
            service.callback("C-1", status, json!({"docsMissing": docs})).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(provider.asked().len() - asked <= 4, "{} requests for one burst", provider.asked().len() - asked);
    assert_eq!(service.get("status").await["provider"]["questions"], 1, "no callback becomes stale early");
    let (code, said, _) = service.command(&shop, &["refresh", "C-1"]);
    assert!(code == Some(0) && said.contains("may be late"), "{said}");
    provider.knows("C-1", "FULL_USER", &["SELFIE"]);
    service.until("customers/C-1", |said| said["status"] == "FULL_USER").await;
    service.until("status", |status| status["provider"]["questions"] == 0).await;
}
