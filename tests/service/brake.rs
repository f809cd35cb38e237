//! The brake: a wrong rule cannot send mails to all customers, even across restarts, and an operator decides how it
//! continues.

use serde_json::{Value, json};

use crate::support::{
    hooks::HookServer,
    service::{Service, Shop},
};

const RULES: &str = "  - {id: sorry, when: any -> SOFT_KYC_FAILED, do: [{email: sorry}]}\n  \
                     - {id: bye, when: any -> FULL_USER, do: [{email: {template: bye, to: audit@shop.example}}]}\n";

fn shop() -> Shop {
    let mut shop = Shop::new(RULES);
    shop.email = ", brake: 3 per 1h".to_owned();
    shop
}

/// This range of customers, each with an address, enters this status.
async fn enter(service: &Service, customers: std::ops::Range<usize>, status: &str) {
    for nth in customers {
        service.contact(&format!("C-{nth}"), "ada@customer.example").await;
        service.callback(&format!("C-{nth}"), status, json!({})).await;
    }
}

async fn done(service: &Service, count: u64) {
    let listed = |said: &Value| said["jobs"].as_array().map_or(0, |jobs| jobs.len() as u64);
    service.until("jobs?state=done", |said| listed(said) == count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hint_names_the_rule_whose_jobs_wait_and_not_the_one_with_the_most_orders_before() {
    let shop = shop();
    let service = shop.start().ready().await;
    enter(&service, 0..3, "FULL_USER").await;
    done(&service, 3).await;
    enter(&service, 3..6, "SOFT_KYC_FAILED").await;
    let status = service.until("status", |said| said["jobs"]["queued"] == 3).await;
    assert_eq!(status["brakes"][0]["orders"][0]["rule"], "bye");
    let jobs = service.get("jobs?state=queued").await;
    let problems = service.get("problems").await;
    for said in [&status["brakes"][0]["hint"], &problems["brakes"][0]["hint"], &jobs["jobs"][0]["reason"]] {
        let said = said.as_str().expect("a hint");
        assert!(said.contains("--drop-rule sorry") && !said.contains("--drop-rule bye"), "{said}");
    }
    let (code, said, error) =
        service.command(&shop, &["resume", "--channel", "email", "--drop-rule", "sorry", "--yes"]);
    assert_eq!(code, Some(0), "{said}{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_brake_nothing_leaves_until_an_operator_resumes() {
    let shop = shop();
    let service = shop.start().ready().await;
    enter(&service, 0..2, "SOFT_KYC_FAILED").await;
    enter(&service, 2..3, "FULL_USER").await;
    done(&service, 3).await;
    let status = service.get("status").await;
    assert_eq!((&status["brakes"], &status["paused"]["channels"]), (&json!([]), &json!({})));
    // One order too many, and those that follow before an operator looks.
    enter(&service, 3..6, "SOFT_KYC_FAILED").await;
    let status = service.until("status", |said| said["jobs"]["queued"] == 3).await;
    let brake = &status["brakes"][0];
    assert_eq!((&brake["channel"], &brake["brake"]), (&json!("email"), &json!("3 per 1h")));
    assert_eq!(brake["orders"], json!([{"rule": "sorry", "count": 3}, {"rule": "bye", "count": 1}]));
    assert!(status["paused"]["channels"]["email"].is_string());
    assert_eq!(service.get("problems").await["brakes"][0]["orders"], brake["orders"]);
    let metrics = service.metrics().await;
    assert!(metrics.contains("kyc_rules_channels_braked 1\n"), "{metrics}");
    service.logs("channel email paused by its brake: more than 3 per 1h were ordered: sorry 3, bye 1").await;
    assert!(service.log().contains("ERROR"));
    let (code, said, _) = service.command(&shop, &["problems"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("email is paused by its brake since") && said.contains("sorry 3, bye 1"), "{said}");
    assert!(service.command(&shop, &["status"]).1.contains("brake      email: more than 3 per 1h"));
    assert_eq!(shop.mails().len(), 3);

    // Each waiting mail shows why it waits and how an operator continues.
    let jobs = service.get("jobs?state=queued").await;
    let reason = jobs["jobs"][0]["reason"].as_str().expect("a reason").to_owned();
    for part in [
        "channel email is paused by its brake: more than 3 per 1h were ordered: sorry 3, bye 1",
        "`kyc-rules resume --channel email --drop-rule sorry` drops the jobs of sorry",
        "The command prints the number of jobs and asks for confirmation",
    ] {
        assert!(reason.contains(part), "{reason}");
    }
    assert!(said.contains("--drop-rule sorry") && service.log().contains("--drop-rule sorry"), "{said}");
    // Without a terminal the question gets no answer, so no job is released.
    let (code, said, error) = service.command(&shop, &["resume", "--channel", "email"]);
    assert_eq!(code, Some(2), "{said}{error}");
    assert!(said.contains("sorry  3        to be sent"), "{said}");
    assert!(error.contains("Resume email and send 3 jobs?") && error.contains("use --yes"), "{error}");
    let (code, said, _) = service.command(&shop, &["resume", "--channel", "email", "--json"]);
    assert_eq!((code, &*said), (Some(2), ""));
    let (status, problem) = service.ask("POST", "channels/email/resume", None).await;
    assert_eq!(status, 409);
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.contains("3 jobs would be released: sorry 3. Repeat with `confirm=3`"), "{detail}");
    assert_eq!(service.ask("POST", "channels/email/resume?confirm=2", None).await.0, 409);
    let (_, dry) = service.ask("POST", "channels/email/resume?dry=true&drop_rule=sorry", None).await;
    assert_eq!((&dry["drops"], &dry["releases"]), (&json!(3), &json!(0)));
    assert_eq!(dry["waiting"], json!([{"rule": "sorry", "count": 3, "drop": true}]));
    assert_eq!(service.get("status").await["brakes"][0]["channel"], "email");
    assert_eq!(shop.mails().len(), 3);
    let (code, said, error) = service.command(&shop, &["resume", "--channel", "email", "--yes"]);
    assert_eq!((code, said.trim()), (Some(0), "channel email resumed by hand, 3 waiting jobs released"), "{error}");
    done(&service, 6).await;
    // After that the count starts again.
    enter(&service, 6..9, "SOFT_KYC_FAILED").await;
    done(&service, 9).await;
    assert_eq!(service.get("status").await["brakes"], json!([]));
    enter(&service, 9..10, "SOFT_KYC_FAILED").await;
    service.until("status", |said| said["brakes"][0]["orders"][0]["count"] == 4).await;
    assert_eq!(shop.mails().len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_the_count_of_orders_the_pause_and_the_resumption() {
    let shop = shop();
    let service = shop.start().ready().await;
    enter(&service, 0..3, "SOFT_KYC_FAILED").await;
    done(&service, 3).await;
    service.kill();
    let service = shop.start().ready().await;
    enter(&service, 3..4, "SOFT_KYC_FAILED").await;
    service.until("status", |said| said["brakes"][0]["orders"] == json!([{"rule": "sorry", "count": 4}])).await;
    service.kill();
    let service = shop.start().ready().await;
    assert_eq!(service.get("status").await["brakes"][0]["channel"], "email");
    assert_eq!(shop.mails().len(), 3);
    assert_eq!(service.ask("POST", "channels/email/resume?confirm=1", None).await.0, 200);
    done(&service, 4).await;
    service.kill();
    let service = shop.start().ready().await;
    enter(&service, 4..7, "SOFT_KYC_FAILED").await;
    done(&service, 7).await;
    assert_eq!(service.get("status").await["brakes"], json!([]), "orders before the resumption no longer count");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_of_a_wrong_rule_are_dropped_and_the_rest_is_sent() {
    let shop = shop();
    let service = shop.start().ready().await;
    service.ask("POST", "channels/email/pause", None).await;
    enter(&service, 0..4, "SOFT_KYC_FAILED").await;
    enter(&service, 4..6, "FULL_USER").await;
    service.until("status", |said| said["jobs"]["queued"] == 6).await;
    let (code, _, error) = service.command(&shop, &["resume", "--drop-rule", "sorry"]);
    assert_eq!(code, Some(2), "{error}");
    for ignored in [&["--drop-rule", "sorry"][..], &["--yes"]] {
        let (code, _, error) = service.command(&shop, &[&["resume", "bye"], ignored].concat());
        assert_eq!(code, Some(2), "{error}");
    }
    let (code, _, error) = service.command(&shop, &["resume", "--channel", "email", "--drop-rule", "sory"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("was not resumed. Did you mean sorry? Waiting jobs: bye (2), sorry (4)"), "{error}");
    assert!(service.get("status").await["paused"]["channels"]["email"].is_string() && shop.mails().is_empty());
    let (code, said, error) = service.command(&shop, &["resume", "--channel", "email", "--drop-rule", "sorry"]);
    let done_so = "channel email resumed by hand, 4 jobs dropped, 2 waiting jobs released";
    assert_eq!((code, said.trim()), (Some(0), done_so), "{error}");
    done(&service, 2).await;
    let jobs = service.until_jobs("C-0", &["cancelled"]).await;
    assert_eq!(jobs[0]["reason"], "dropped by hand");
    assert!(shop.mails().iter().all(|mail| mail.contains("Subject: bye")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_or_a_room_has_a_brake_if_one_is_configured() {
    let server = HookServer::start().await;
    let mut shop = Shop::new(
        "  - id: told\n    when: any -> any\n    do:\n      - webhook: {to: braked, event: a}\n      \
         - webhook: {to: free, event: a}\n      - chat: {to: ops, text: x}\n",
    );
    let target = |path: &str, more: &str| format!("{{url: \"{}\", private: true{more}}}", server.url(path));
    shop.more = format!(
        "webhooks:\n  braked: {}\n  free: {}\nchats:\n  ops: {}\n",
        target("/braked", ", secret: a-secret-of-more-than-24-bytes, brake: 2 per 1d"),
        target("/free", ", secret: a-secret-of-more-than-24-bytes"),
        target("/ops", ", kind: slack, brake: 2 per 1d"),
    );
    let service = shop.start().ready().await;
    for nth in 0..5 {
        service.callback(&format!("C-{nth}"), "CREATED", json!({})).await;
    }
    service.until("status", |said| said["jobs"]["queued"].as_u64() >= Some(6)).await;
    server.wait_for(5).await;
    let status = service.get("status").await;
    let mut braked: Vec<&str> =
        status["brakes"].as_array().expect("brakes").iter().filter_map(|brake| brake["channel"].as_str()).collect();
    braked.sort_unstable();
    assert_eq!(braked, ["chat:ops", "webhook:braked"]);
    service.until("jobs?state=done", |_| server.calls().iter().filter(|call| call.path == "/free").count() == 5).await;
    assert!(server.calls().iter().filter(|call| call.path == "/braked").count() <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_above_the_brake_is_reported() {
    let mut shop = shop();
    shop.rules("  - {id: remind, when: PENDING_KYC_DATA for 1s, do: [{email: hello}, {tag: reminded}]}\n");
    shop.email = ", brake: 2 per 1h".to_owned();
    let service = shop.start().ready().await;
    assert_eq!(service.command(&shop, &["pause", "remind"]).0, Some(0));
    enter(&service, 0..5, "PENDING_KYC_DATA").await;
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert_eq!(service.command(&shop, &["resume", "remind"]).0, Some(0));
    let (code, said, error) = service.command(&shop, &["backlog", "remind", "--yes"]);
    assert_eq!(code, Some(0), "{error}");
    let told = "remind ran for 5 customers\nbut email is paused by its brake: more than 2 per 1h were ordered: remind 3\n  \
                unsent jobs are kept: correct the rules, then run `kyc-rules resume --channel email [--drop-rule RULE]`\n";
    assert!(said.ends_with(told), "{said}");
}
