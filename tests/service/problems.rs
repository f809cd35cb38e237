//! The `problems`, `jobs`, `retry` and `drop` commands.

use serde_json::{Value, json};

use crate::support::{
    hooks::{HookServer, Reply},
    service::{Service, Shop},
    smtp::{Act, SmtpServer, Stage},
};

const RULES: &str = "  - {id: sorry, when: any -> SOFT_KYC_FAILED, do: [{email: sorry}]}\n  \
                     - {id: hello, when: any -> KYC_PENDING, do: [{email: hello}]}\n";

async fn act(service: &Service, how: &str, chosen: Value) -> Value {
    let (status, answer) = service.ask("POST", &format!("jobs/{how}"), Some(chosen.clone())).await;
    assert_eq!(status, 200, "{chosen}: {answer}");
    answer
}

/// Creates six customers with a problem each. The mail `sorry` was refused by the relay for two of them and has no
/// address for two; the mail `hello` has no address for two.
async fn six_problems() -> (SmtpServer, Shop, Service) {
    let unknown = (Stage::RcptTo, Act::Say("550 5.1.1 there is no such person"));
    let relay = SmtpServer::scripted(&[unknown.clone(), unknown]).await;
    let mut shop = Shop::new(RULES);
    shop.transport = relay.url();
    let service = shop.start().ready().await;
    for customer in ["C-1", "C-2"] {
        service.contact(customer, "ada@customer.example").await;
        service.callback(customer, "SOFT_KYC_FAILED", json!({})).await;
        service.until_jobs(customer, &["problem"]).await;
    }
    for (customer, status) in
        [("C-3", "SOFT_KYC_FAILED"), ("C-4", "SOFT_KYC_FAILED"), ("C-5", "KYC_PENDING"), ("C-6", "KYC_PENDING")]
    {
        service.callback(customer, status, json!({})).await;
        service.until_jobs(customer, &["problem"]).await;
    }
    (relay, shop, service)
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_are_retried_and_dropped_by_filters() {
    let (relay, _shop, service) = six_problems().await;
    for (chosen, count) in [
        (json!({"rule": "sorry"}), 4),
        (json!({"error": "NO SUCH PERSON"}), 2),
        (json!({"error": "no_contact"}), 4),
        (json!({"rule": "sorry", "error": "no_contact"}), 2),
        (json!({"channel": "email", "since": "2h"}), 6),
        (json!({"channel": "webhook:shop"}), 0),
        (json!({"since": "2099-01-01T00:00:00Z"}), 0),
        (json!({"rule": "gone"}), 0),
    ] {
        let mut chosen = chosen;
        chosen["dry"] = json!(true);
        let found = act(&service, "drop", chosen.clone()).await;
        assert_eq!((&found["count"], &found["done"]), (&json!(count), &json!(0)), "{chosen}");
        assert_eq!(found["examples"].as_array().map(Vec::len), Some(count.min(5)), "{chosen}");
    }
    assert_eq!(service.get("status").await["jobs"]["problem"], 6, "a dry run changes nothing");
    let tried = act(&service, "retry", json!({"error": "550"})).await;
    assert_eq!((&tried["count"], &tried["done"]), (&json!(2), &json!(2)));
    for customer in ["C-1", "C-2"] {
        service.until_jobs(customer, &["done"]).await;
    }
    assert_eq!(relay.received().len(), 2);
    let dropped = act(&service, "drop", json!({"rule": "hello"})).await;
    assert_eq!(dropped["done"], 2);
    let jobs = service.until_jobs("C-5", &["cancelled"]).await;
    assert_eq!(jobs[0]["reason"], "dropped by hand");
    service.until_jobs("C-3", &["problem"]).await;
    for wrong in [json!({"error": ""}), json!({"error": " ", "rule": "sorry"})] {
        let (status, answer) = service.ask("POST", "jobs/drop", Some(wrong.clone())).await;
        assert!(
            status == 422 && answer["detail"].as_str().is_some_and(|detail| detail.contains("is empty")),
            "{answer}"
        );
    }
    for wrong in [json!({}), json!({"since": "soon"}), json!({"channel": "fax"}), json!({"rules": "sorry"})] {
        let (status, answer) = service.ask("POST", "jobs/drop", Some(wrong.clone())).await;
        assert!(matches!(status, 400 | 422), "{wrong}: {answer}");
    }
    assert_eq!(service.get("status").await["jobs"]["problem"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_and_drop_print_a_count_first_and_jobs_are_filtered() {
    let (_relay, shop, service) = six_problems().await;
    let (code, said, refused) = service.command(&shop, &["drop", "--rule", "sorry"]);
    assert!(
        code == Some(2) && refused.contains("Drop these 4 problems for good? Confirmation is not possible here"),
        "{refused}"
    );
    assert!(said.starts_with("4 problems match:\n") && said.contains("there is no such person"), "{said}");
    assert!(said.contains("the address of this customer is unknown"), "the reason is in the list: {said}");
    let (code, said, _) = service.command(&shop, &["drop", "--rule", "sorry", "--error", "no_contact", "--yes"]);
    assert!(code == Some(0) && said.ends_with("2 of 2 dropped\n"), "{said}");
    let (code, said, _) = service.command(&shop, &["retry", "--since", "1h", "--error", "greylisted", "--yes"]);
    assert_eq!((code, said.as_str()), (Some(0), "no problem matches\n"));
    let (code, said, _) = service.command(&shop, &["--json", "retry", "--error", "550", "--yes"]);
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &said["done"]), (Some(0), &json!(2)));
    let (code, _, refused) = service.command(&shop, &["retry"]);
    assert!(code == Some(2) && refused.contains("--rule"), "{refused}");
    assert_eq!(service.command(&shop, &["retry", "some-id", "--rule", "sorry"]).0, Some(2));
    for customer in ["C-1", "C-2"] {
        service.until_jobs(customer, &["done"]).await;
    }
    for (arguments, customers) in [
        (&["jobs", "--rule", "hello", "--state", "problem"][..], &["C-5", "C-6"][..]),
        (&["jobs", "--channel", "email", "--customer", "C-1"], &["C-1"]),
        (&["problems", "--rule", "sorry"], &[]),
        (&["jobs", "--channel", "chat:ops"], &[]),
    ] {
        let (code, said, _) = service.command(&shop, arguments);
        assert_eq!(code, Some(0));
        let listed = ["C-1", "C-2", "C-3", "C-4", "C-5", "C-6"].into_iter().filter(|id| said.contains(*id));
        assert_eq!(listed.collect::<Vec<_>>(), customers, "{arguments:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_rule_or_channel_gives_a_hint_if_nothing_matches() {
    let target = HookServer::always(Reply::Status(400)).await;
    let mut shop = Shop::new("  - {id: needed, when: any -> any, do: [{webhook: {to: shop, event: a}}]}\n");
    let configured = format!(
        "webhooks: {{shop: {{url: \"{}\", secret: a-secret-of-more-than-24-bytes, private: true}}}}\n",
        target.url("/hook")
    );
    shop.more = configured.clone();
    let service = shop.start().ready().await;
    let rule = "there is no rule \"nedeed\"; did you mean needed?";
    let channel = "there is no channel \"webhook:shpo\"; did you mean webhook:shop?";
    for (chosen, hint) in [(["--rule", "nedeed"], rule), (["--channel", "webhook:shpo"], channel)] {
        for list in ["jobs", "problems"] {
            let (code, said, _) = service.command(&shop, &[list, chosen[0], chosen[1]]);
            assert_eq!((code, said), (Some(0), format!("none\n{hint}\n")));
            let found = service.get(&format!("{list}?{}={}", &chosen[0][2..], chosen[1])).await;
            assert_eq!((&found["jobs"], &found["hint"]), (&json!([]), &json!(hint)));
            let (_, said, _) = service.command(&shop, &["--json", list, chosen[0], chosen[1]]);
            assert_eq!(serde_json::from_str::<Value>(&said).expect("JSON")["hint"], hint);
        }
        for act in ["retry", "drop"] {
            let (code, said, wrong) = service.command(&shop, &[act, chosen[0], chosen[1], "--yes"]);
            assert_eq!((code, &*said, wrong), (Some(1), "", format!("kyc-rules: no problem matches: {hint}\n")));
        }
    }
    let (code, said, _) = service.command(&shop, &["jobs", "--rule", "needed", "--channel", "webhook:shop"]);
    assert_eq!((code, &*said), (Some(0), "none\n"), "both are known");
    assert_eq!(service.command(&shop, &["retry", "--rule", "needed", "--yes"]).1, "no problem matches\n");
    assert_eq!(service.get("jobs?rule=needed").await.get("hint"), None);
    let (_, said, _) = service.command(&shop, &["jobs", "--channel", "chat:op"]);
    assert_eq!(said, "none\nthere is no channel \"chat:op\"; configured channels: email, webhook:shop\n");
    // A removed rule or channel that still has jobs gives no hint.
    service.callback("C-1", "KYC_PENDING", json!({})).await;
    service.until_jobs("C-1", &["problem"]).await;
    service.kill();
    shop.more = configured.replace("shop:", "other:");
    shop.rules("  []\n");
    let service = shop.start().ready().await;
    for chosen in ["rule=needed", "channel=webhook:shop"] {
        let found = service.get(&format!("problems?{chosen}")).await;
        assert!(found["jobs"][0]["customer"] == "C-1" && found.get("hint").is_none(), "{found}");
    }
    assert_eq!(service.command(&shop, &["drop", "--rule", "needed", "--yes"]).0, Some(0));
    let found = service.get("problems?rule=needed").await;
    assert_eq!(found["hint"], "there is no rule \"needed\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_list_says_so_and_has_a_cursor() {
    let (_relay, shop, service) = six_problems().await;
    for (list, jobs) in [("jobs", 6), ("problems", 6)] {
        let (_, said, _) = service.command(&shop, &[list, "--max", "4"]);
        assert!(
            said.ends_with("\nthere are more: `--max 40` shows more of them\n") && said.lines().count() == 6,
            "{said}"
        );
        let (_, said, _) = service.command(&shop, &["--json", list, "--max", "4"]);
        let found: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(found["jobs"].as_array().map(Vec::len), Some(4));
        let rest = service.get(&format!("{list}?cursor={}", found["next"].as_str().expect("a cursor"))).await;
        assert_eq!((rest["jobs"].as_array().map(Vec::len), &rest["next"]), (Some(jobs - 4), &Value::Null));
        assert_ne!(rest["jobs"][0]["id"], found["jobs"][3]["id"]);
        for all in [&["--json", list, "--max", "6"][..], &["--json", list]] {
            let (_, said, _) = service.command(&shop, all);
            let found: Value = serde_json::from_str(&said).expect("JSON");
            assert_eq!((found["jobs"].as_array().map(Vec::len), found.get("next")), (Some(jobs), Some(&Value::Null)));
        }
        assert!(!service.command(&shop, &[list]).1.contains("more"));
    }
}

#[test]
fn wrong_filters_are_usage_errors() {
    // No server runs in this test, and none is needed.
    let shop = Shop::new(RULES);
    for (arguments, said) in [
        (&["jobs", "--state", "bogus"][..], "possible values: queued, held, running, done, cancelled, problem"),
        (&["jobs", "--max", "0"], "0 is not in 1.."),
        (&["jobs", "--customer", ""], "the customer id is empty"),
        (&["problems", "--channel", "fax"], "write email, webhook:NAME or chat:NAME"),
        (&["drop", "--rule", "a b"], "letters, digits"),
        (&["retry", "--since", "bogus"], "write one number and one unit, as `30s`"),
        (&["retry", "--error", ""], "an empty text matches every error"),
        (&["drop", "--error", " ", "--yes"], "an empty text matches every error"),
    ] {
        let (status, _, wrong) = shop.run(arguments);
        assert!(status.code() == Some(2) && wrong.contains(said), "{arguments:?}: {wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_job_has_the_reason_it_waits() {
    let target = HookServer::always(Reply::Status(503)).await;
    let mut shop = Shop::new(
        "  - {id: told, when: any -> any, do: [{webhook: {to: shop, event: a}}, {webhook: {to: shop, event: b}}]}\n",
    );
    let configured = format!(
        "webhooks: {{shop: {{url: \"{}\", secret: a-secret-of-more-than-24-bytes, private: true}}}}\n",
        target.url("/hook")
    );
    shop.more = configured.clone();
    let service = shop.start().ready().await;
    service.callback("C-1", "KYC_PENDING", json!({})).await;
    let said = service.until("jobs?customer=C-1", |said| said["jobs"][1]["last_error"].is_string()).await;
    let reason = said["jobs"][0]["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("an earlier job to the same target has not ended"), "{reason}");
    assert_eq!(service.command(&shop, &["pause", "--channel", "webhook:shop"]).0, Some(0));
    let said = service.get("customers/C-1").await;
    for job in said["jobs"].as_array().expect("jobs") {
        let reason = "channel webhook:shop is paused; resume it with `kyc-rules resume --channel webhook:shop`";
        assert_eq!(job["reason"], reason);
    }
    service.kill();
    shop.more = configured.replace("shop:", "other:");
    shop.rules("  []\n");
    let service = shop.start().ready().await;
    let said = service.get("jobs").await;
    assert_eq!(said["jobs"][1]["reason"], "webhook:shop is not configured");
    service.logs("jobs wait for a channel that is not configured").await;
    let (_, said, _) = service.command(&shop, &["problems"]);
    assert!(said.contains("channel_gone: jobs wait for webhook:shop, which is not configured"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_uses_the_corrected_address() {
    let relay = SmtpServer::start().await;
    let mut shop = Shop::new(RULES);
    shop.transport = relay.url();
    let service = shop.start().ready().await;
    // One address is refused, the other is deferred.
    for (customer, said, state) in [("C-1", "550 5.1.1 no such user", "problem"), ("C-2", "450 4.2.0 later", "queued")]
    {
        relay.then(Stage::RcptTo, Act::Say(said));
        service.contact(customer, "typo@customer.example").await;
        service.callback(customer, "SOFT_KYC_FAILED", json!({})).await;
        let path = format!("jobs?customer={customer}");
        let failed = |said: &Value| said["jobs"][0]["state"] == state && said["jobs"][0]["attempts"] == 1;
        let job = service.until(&path, failed).await["jobs"][0]["id"].as_str().expect("an id").to_owned();
        service.contact(customer, "right@customer.example").await;
        assert_eq!(service.command(&shop, &["retry", &job]).0, Some(0));
        service.until_jobs(customer, &["done"]).await;
        let mails = relay.received();
        let mail = mails.last().expect("a mail");
        assert_eq!(mail.to, ["right@customer.example"], "{said}");
        assert!(mail.header("Message-ID").is_some_and(|id| id.contains(&job)), "the id must be the same");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_uses_the_corrected_template() {
    let shop = Shop::new(RULES);
    let template = "Subject: sorry\n\nHello {% if message == 'boom' %}{{ customer.name }}{% endif %}, there you are.\n";
    shop.write("rules/templates/sorry.en.md", template);
    let service = shop.start().ready().await;
    let contact = json!({"email": "ada@customer.example"});
    assert_eq!(service.ask("PUT", "customers/C-1/contact", Some(contact)).await.0, 200);
    service.callback("C-1", "SOFT_KYC_FAILED", json!({"kycEndUserErrorMessage": "boom"})).await;
    let jobs = service.until_jobs("C-1", &["problem"]).await;
    assert_eq!(jobs[0]["problem"], "unrenderable");
    let hash = service.get("status").await["rules"]["hash"].clone();
    shop.write("rules/templates/sorry.en.md", "Subject: mended\n\nNothing to fill in.\n");
    service.until("status", |status| status["rules"]["hash"] != hash).await;
    assert_eq!(service.command(&shop, &["retry", jobs[0]["id"].as_str().expect("an id")]).0, Some(0));
    service.until_jobs("C-1", &["done"]).await;
    assert!(shop.mails()[0].contains("Subject: mended"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_panics_is_a_problem_and_is_not_retried_forever() {
    let shop = Shop::new(RULES);
    let panics = "{{ [1, 2, 3][::((0 - 9223372036854775807 - visit) if message == 'boom' else 1)] | length }}";
    shop.write("rules/templates/sorry.en.md", &format!("Subject: sorry\n\nHello {panics}\n"));
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    service.callback("C-1", "SOFT_KYC_FAILED", json!({"kycEndUserErrorMessage": "boom"})).await;
    let jobs = service.until_jobs("C-1", &["problem"]).await;
    assert_eq!(jobs[0]["problem"], "unrenderable");
    assert!(jobs[0]["reason"].as_str().is_some_and(|reason| reason.contains("rendering panicked")), "{jobs:?}");
    shop.write("rules/templates/sorry.en.md", "Subject: x\n\n{{ [1, 2, 3][::-9223372036854775808] | length }}\n");
    let status = service.until("status", |status| status["rules"]["error"] != json!(null)).await;
    let why = status["rules"]["error"]["text"].as_str().expect("why");
    assert!(why.contains("sorry.en.md") && why.contains("rendering panicked"), "{why}");
    assert!(!shop.path("data/judging").exists(), "the check has ended");
    let (status, said, errors) = shop.run(&["check"]);
    assert_eq!(status.code(), Some(78), "{said}");
    assert!(said.contains("sorry.en.md") && !errors.contains("backtrace"), "{said}{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_is_cancelled_when_the_customer_moves_on() {
    let (_relay, _shop, service) = six_problems().await;
    for customer in ["C-1", "C-3"] {
        service.callback(customer, "FULL_USER", json!({})).await;
        let jobs = service.until_jobs(customer, &["cancelled"]).await;
        assert!(
            jobs[0]["reason"].as_str().is_some_and(|reason| reason.contains("has left SOFT_KYC_FAILED")),
            "{jobs:?}"
        );
    }
    assert_eq!(service.get("status").await["jobs"]["problem"], 4);
}
