//! `backtest`, `explain` and `check --against-running` on recorded history.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::service::{Service, Shop};

const RULES: &str = "  - {id: sorry, when: any -> SOFT_KYC_FAILED, do: [{email: sorry}, {tag: failed}]}\n";
const REMIND: &str = "  - {id: remind, when: SOFT_KYC_FAILED for 1s, do: [{email: hello}]}\n";

fn rows(report: &Value) -> Vec<String> {
    let rows = report["rules"].as_array().expect("rows").iter();
    rows.map(|row| {
        let text = |key: &str| row[key].as_str().expect("text").to_owned();
        format!("{} {}: {} {} {}", text("rule"), text("action"), row["got"], row["now"], row["edited"])
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backtest_reports_the_differences_and_sends_nothing() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    for customer in ["C-1", "C-2", "C-3"] {
        service.contact(customer, "ada@customer.example").await;
        service.callback(customer, "SOFT_KYC_FAILED", json!({"docsMissing": ["SELFIE"]})).await;
        service.until_jobs(customer, &["done"]).await;
    }
    service.callback("C-1", "FULL_USER", json!({})).await;
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    service.until_jobs("C-1", &["done", "done"]).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let only_with_selfie = RULES.replace("do:", "if: {missing_docs: [SELFIE]}, do:");
    shop.write("edited/kyc.yaml", &format!("format: 1\nrules:\n{only_with_selfie}{REMIND}"));
    for name in ["sorry", "hello"] {
        shop.write(&format!("edited/templates/{name}.en.md"), "Subject: Hello\n\nHello.\n");
    }
    let edited = shop.path("edited").display().to_string();
    let arguments = ["backtest", "--rules", &edited, "--since", "1h", "--json"];
    let (code, said, errors) = service.command(&shop, &arguments);
    assert_eq!(code, Some(0), "{errors}");
    let report: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(rows(&report), ["remind email hello: 0 0 3", "sorry email sorry: 4 4 3"]);
    assert_eq!((&report["callbacks"], &report["customers"]), (&json!(5), &json!(3)));
    assert_eq!((&report["more_count"], &report["fewer_count"]), (&json!(3), &json!(1)));
    assert_eq!(report["fewer"][0]["customer"], "C-1");
    assert_eq!(report["worst"]["count"], 2);
    let (code, table, _) = service.command(&shop, &arguments[..5]);
    assert!(code == Some(0) && table.contains("3 would have been sent by the edited rules only"), "{table}");
    let (status, by_server) = service.ask("POST", "backtest", Some(json!({"since": "1h"}))).await;
    assert_eq!((status, rows(&by_server)), (200, vec!["sorry email sorry: 4 4 4".to_owned()]));
    assert_eq!(shop.mails().len(), 4, "the backtest sent nothing");
    let before = service.get("status").await["store"]["records"].clone();
    service.command(&shop, &arguments);
    assert_eq!(service.get("status").await["store"]["records"], before, "nothing was recorded either");
    // Without a server, the history is read from the data directory.
    service.stop();
    let (status, said, errors) = shop.run(&arguments);
    assert_eq!(status.code(), Some(0), "{errors}");
    assert_eq!(rows(&serde_json::from_str(&said).expect("JSON")), rows(&report));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_would_order_too_many_jobs_is_refused() {
    let mut shop = Shop::new(RULES);
    shop.more = "reload: {blast_limit: 2}\n".to_owned();
    let service = shop.start().ready().await;
    for nth in 0..4 {
        service.callback(&format!("C-{nth}"), "SOFT_KYC_FAILED", json!({})).await;
    }
    let soon = "  - {id: soon, when: SOFT_KYC_FAILED for 30m, do: [{email: hello}]}\n";
    shop.rules(&format!("{RULES}{soon}"));
    let refused = service.until("status", |status| !status["rules"]["error"].is_null()).await;
    let text = refused["rules"]["error"]["text"].as_str().expect("text");
    assert!(text.contains("more than 2 jobs within an hour") && text.contains("soon: 4"), "{text}");
    let dir = shop.path("rules").display().to_string();
    let (code, said, _) = service.command(&shop, &["check", "--rules", &dir, "--against-running"]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("added    soon") && said.contains("soon: 4"), "{said}");
    shop.rules(&format!("{RULES}{}", soon.replace("30m", "30d")));
    service.until("status", |status| status["rules"]["count"] == 2).await;
    let (code, said, _) = service.command(&shop, &["check", "--rules", &dir, "--against-running"]);
    assert!(code == Some(0) && said.contains("jobs within an hour of loading: 0"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn held_mails_that_a_reload_would_release_are_counted_too() {
    let mut shop = Shop::new(RULES);
    shop.more = "reload: {blast_limit: 0}\n".to_owned();
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    let late = RULES.replace("email: sorry", "email: {template: sorry, settle: 4s}");
    let before = service.get("status").await["rules"]["hash"].clone();
    shop.rules(&late);
    service.until("status", |status| status["rules"]["hash"] != before).await;
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    shop.rules(&late.replace("when:", "mode: paused, when:"));
    service.until_jobs("C-1", &["held"]).await;
    shop.rules(&late);
    let refused = service.until("status", |status| !status["rules"]["error"].is_null()).await;
    assert!(refused["rules"]["error"]["text"].as_str().is_some_and(|text| text.contains("sorry: 1")), "{refused}");
}

/// Returns rule, outcome and reason from `explain`, for the customer's latest event.
async fn explained(service: &Service, customer: &str) -> Vec<String> {
    let said = service.get(&format!("explain?customer={customer}")).await;
    let rules = said["events"][0]["rules"].as_array().expect("rules").clone();
    let text = |rule: &Value, key: &str| rule[key].as_str().unwrap_or_default().to_owned();
    rules.iter().map(|rule| format!("{} {} {}", text(rule, "rule"), text(rule, "outcome"), text(rule, "why"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_the_pauses_at_the_time_of_the_decision_not_the_present_ones() {
    let rules = format!(
        "{RULES}  - {{id: off, mode: paused, when: any -> SOFT_KYC_FAILED, do: record}}\n  \
         - {{id: try, mode: shadow, when: any -> SOFT_KYC_FAILED, do: [{{email: hello}}]}}\n  \
         - {{id: gone, mode: paused, when: FULL_USER -> any, do: record}}\n"
    );
    let shop = Shop::new(&rules);
    let service = shop.start().ready().await;
    assert_eq!(service.command(&shop, &["pause", "sorry"]).0, Some(0));
    let since = service.get("status").await["paused"]["rules"]["sorry"].as_str().expect("a time").to_owned();
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    assert_eq!(service.command(&shop, &["resume", "sorry"]).0, Some(0));
    service.callback("C-2", "SOFT_KYC_FAILED", json!({})).await;
    assert_eq!(service.command(&shop, &["pause", "try"]).0, Some(0));
    let off = "off paused by `mode: paused` in its file".to_owned();
    let shadow = "try shadow would have ordered: email hello".to_owned();
    let gone = "gone untriggered waits for FULL_USER -> any".to_owned();
    let paused = format!("sorry paused by an operator since {since}");
    assert_eq!(explained(&service, "C-1").await, [paused.clone(), off.clone(), shadow.clone(), gone.clone()]);
    assert_eq!(explained(&service, "C-2").await, ["sorry fired ".to_owned(), off, shadow, gone]);
    let entry = service.get("customers/C-1").await["timeline"][0].clone();
    assert_eq!(entry["paused"][0], json!({"id": "sorry", "why": format!("by an operator since {since}")}));
    assert_eq!((&entry["paused"][1]["id"], &entry["rules"][0]["id"]), (&json!("off"), &json!("try")));
    let (code, said, _) = service.command(&shop, &["customers", "show", "C-1"]);
    assert!(code == Some(0) && said.contains(&format!("sorry paused: by an operator since {since}")), "{said}");
    let (_, said, _) = service.command(&shop, &["explain", "C-1"]);
    assert!(said.contains(&format!("    paused       sorry: by an operator since {since}")), "{said}");
    // A made-up event is evaluated with the present pauses.
    let event = json!({"from": "new", "to": "SOFT_KYC_FAILED"});
    let (_, made_up) = service.ask("POST", "explain", Some(event)).await;
    assert_eq!((&made_up["rules"][0]["outcome"], &made_up["rules"][2]["outcome"]), (&json!("fired"), &json!("paused")));
    let (_, report) = service.ask("POST", "backtest", Some(json!({"since": "1h"}))).await;
    assert_eq!(report["paused"], json!(["try"]));
    let line = shop.journal().into_iter().find(|record| record["who"] == "C-1").expect("a record").to_string();
    assert!(line.len() < 450, "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_event_names_paused_rules_and_fired_rules() {
    let shop = Shop::new(
        "  - {id: remind, when: SOFT_KYC_FAILED for 1s, do: record}\n  \
         - {id: nudge, when: SOFT_KYC_FAILED for 1s, do: record}\n",
    );
    let service = shop.start().ready().await;
    assert_eq!(service.command(&shop, &["pause", "remind"]).0, Some(0));
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    service.until("explain?customer=C-1", |said| said["events"][0]["source"] == "timer").await;
    assert_eq!(service.command(&shop, &["resume", "remind"]).0, Some(0));
    let said = explained(&service, "C-1").await;
    assert!(said[0].starts_with("remind paused by an operator since ") && said[1] == "nudge fired ", "{said:?}");
}
