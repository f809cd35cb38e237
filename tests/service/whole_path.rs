//! The whole path through real sockets: from a callback through a decision to an SMTP conversation.

use serde_json::{Value, json};

use crate::support::{
    service::{SECRET, Shop, TOKEN, signed},
    smtp::{Act, SmtpServer, Stage},
};

const SORRY: &str = "  - {id: sorry, when: any -> SOFT_KYC_FAILED, do: [{email: sorry}]}\n";

fn outcome_of<'v>(customer: &'v Value, rule: &str) -> &'v str {
    let rules = customer["timeline"][0]["rules"].as_array().expect("rules");
    rules.iter().find(|one| one["id"] == rule).map_or("absent", |one| one["outcome"].as_str().expect("outcome"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_sends_a_mail_and_a_repeated_one_does_not() {
    let relay = SmtpServer::start().await;
    let mut shop = Shop::new(SORRY);
    shop.transport = relay.url();
    let service = shop.start().ready().await;
    let contact = json!({"email": "ada@customer.example", "name": "Ada", "locale": "de-AT"});
    service.ask("PUT", "customers/C-1/contact", Some(contact)).await;
    let failed =
        json!({"docsMissing": [{"docType": "SELFIE"}, "PASSPORT"], "kycRejectLabel": "BAD_SELFIE, BAD_PASSPORT"});
    assert_eq!(service.callback("C-1", "SOFT_KYC_FAILED", failed.clone()).await, "accepted");
    for _ in 0..5 {
        assert_eq!(service.callback("C-1", "SOFT_KYC_FAILED", failed.clone()).await, "duplicate");
    }
    let jobs = service.until_jobs("C-1", &["done"]).await;
    let mails = relay.wait_for(1).await;
    assert_eq!(mails[0].to, ["ada@customer.example"]);
    assert_eq!(mails[0].header("Subject").as_deref(), Some("sorry auf Deutsch"));
    assert_eq!(mails[0].header("Auto-Submitted").as_deref(), Some("auto-generated"));
    let id = jobs[0]["id"].as_str().expect("id");
    assert_eq!(mails[0].header("Message-ID"), Some(format!("<{id}@shop.example>")));
    assert!(!mails[0].header("Message-ID").expect("id").contains("C-1"), "the id does not contain the customer");
    assert_eq!(mails[0].part("text/plain").as_deref().map(str::trim), Some("Hallo: Reisepass und Selfie."));
    assert!(mails[0].part("text/html").expect("HTML").contains("Reisepass und Selfie"));
    assert_eq!(relay.received().len(), 1, "one mail for six callbacks");

    let customer = service.get("customers/C-1").await;
    assert_eq!(customer["status"], "SOFT_KYC_FAILED");
    assert_eq!(customer["missing_docs"], json!(["PASSPORT", "SELFIE"]));
    assert_eq!(customer["reject_labels"], json!(["BAD_PASSPORT", "BAD_SELFIE"]));
    assert_eq!((&customer["visit"], &customer["message"]), (&json!(1), &Value::Null));
    let first = &customer["timeline"][1];
    assert_eq!(
        (&first["verdict"], &first["from"], &first["to"]),
        (&json!("moved"), &json!("new"), &json!("SOFT_KYC_FAILED"))
    );
    assert_eq!(first["rules"], json!([{"id": "sorry", "outcome": "fired", "why": null}]));
    assert_eq!(customer["timeline"][0]["verdict"], "duplicate");
    let (status, log) = service.stop();
    assert!(status.success(), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_is_cancelled_when_the_customer_has_left_the_status() {
    let shop = Shop::new(
        "  - {id: sorry, when: any -> SOFT_KYC_FAILED, do: [{email: {template: sorry, settle: 1s}}]}\n  \
         - {id: hello, when: any -> KYC_PENDING, do: [{email: {template: hello, settle: 1s}}]}\n",
    );
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    service.callback("C-1", "KYC_PENDING", json!({})).await;
    let jobs = service.until_jobs("C-1", &["cancelled", "done"]).await;
    let reason = jobs[0]["reason"].as_str().expect("a reason");
    assert_eq!(reason, "the customer has left SOFT_KYC_FAILED and is now in KYC_PENDING");
    let mails = shop.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].contains("Subject: hello KYC_PENDING"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_is_cancelled_when_its_condition_fails_or_a_newer_mail_replaces_it() {
    let shop = Shop::new(
        "  - id: sorry\n    when: [any -> SOFT_KYC_FAILED, SOFT_KYC_FAILED -> SOFT_KYC_FAILED]\n    \
             if: {missing_docs: [SELFIE]}\n    do: [{email: {template: sorry, settle: 1s}}]\n",
    );
    let service = shop.start().ready().await;
    for customer in ["gone", "newer"] {
        service.contact(customer, "ada@customer.example").await;
        service.callback(customer, "SOFT_KYC_FAILED", json!({"docsMissing": ["SELFIE"]})).await;
    }
    service.callback("gone", "SOFT_KYC_FAILED", json!({"docsMissing": ["PASSPORT"]})).await;
    service.callback("newer", "SOFT_KYC_FAILED", json!({"docsMissing": ["SELFIE", "PASSPORT"]})).await;
    let gone = service.until_jobs("gone", &["cancelled"]).await;
    assert_eq!(gone[0]["reason"], "the rule's condition no longer holds: missing_docs any of SELFIE: are PASSPORT");
    let newer = service.until_jobs("newer", &["cancelled", "done"]).await;
    assert_eq!(newer[0]["reason"], "replaced by a newer mail of rule sorry");
    assert!(shop.mails()[0].contains("passport and selfie"));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_limits_shadow_mode_and_tags_work_as_configured() {
    let shop = Shop::new(
        "  - {id: third, group: g, when: any -> SOFT_KYC_FAILED, if: {visit: \">= 3\"}, do: [{tag: needs-person}]}\n  \
         - {id: second, group: g, when: any -> SOFT_KYC_FAILED, do: [{email: {template: sorry, limit: 1 per 24h}}]}\n  \
         - {id: quiet, mode: shadow, when: any -> SOFT_KYC_FAILED, do: [{email: bye}]}\n  \
         - {id: off, mode: paused, when: any -> SOFT_KYC_FAILED, do: [{email: bye}]}\n  \
         - {id: marked, when: any -> KYC_PENDING, if: {tags: [needs-person]}, do: [{untag: needs-person}, record]}\n  \
         - {id: abroad, when: any -> SOFT_KYC_FAILED, if: {customer.country: [FR]}, do: record}\n",
    );
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
        // Waits until the mail is sent: if it were cancelled with its stay, it would not count for the limit.
        service.until_jobs("C-1", &["done"]).await;
        let customer = service.get("customers/C-1").await;
        let outcome = |rule| outcome_of(&customer, rule).to_owned();
        seen.push([outcome("third"), outcome("second"), outcome("quiet"), outcome("off"), outcome("abroad")]);
        service.callback("C-1", "KYC_PENDING", json!({})).await;
    }
    assert_eq!(
        seen,
        [
            ["no", "fired", "shadow", "absent", "undecidable"],
            ["no", "limited", "shadow", "absent", "undecidable"],
            ["fired", "no", "shadow", "absent", "undecidable"],
        ]
    );
    let customer = service.get("customers/C-1").await;
    assert_eq!(outcome_of(&customer, "marked"), "fired", "the next event saw the tag");
    assert_eq!(customer["tags"], json!([]));
    service.until_jobs("C-1", &["done"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_without_an_address_is_sent_when_the_address_arrives() {
    let shop = Shop::new(SORRY);
    let service = shop.start().ready().await;
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    service.callback("C-2", "SOFT_KYC_FAILED", json!({})).await;
    let jobs = service.until_jobs("C-1", &["problem"]).await;
    assert_eq!((&jobs[0]["problem"], &jobs[0]["attempts"]), (&json!("no_contact"), &json!(0)));
    service.until_jobs("C-2", &["problem"]).await;
    service.callback("C-2", "FULL_USER", json!({})).await;
    service.until_jobs("C-2", &["cancelled"]).await;
    service.contact("C-1", "ada@customer.example").await;
    service.contact("C-2", "bob@customer.example").await;
    service.until_jobs("C-1", &["done"]).await;
    assert_eq!(shop.mails().len(), 1, "the stale mail is not sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_until_its_rule_exists_again() {
    let waits = SORRY.replace("{email: sorry}", "{email: {template: sorry, settle: 6s}}");
    let shop = Shop::new(&waits);
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    shop.rules("  - {id: other, when: any -> FULL_USER, do: record}\n");
    service.until("status", |status| status["rules"]["count"] == 1 && status["jobs"]["held"] == 1).await;
    let jobs = service.until_jobs("C-1", &["held"]).await;
    assert_eq!(jobs[0]["reason"], "rule sorry is no longer in the rules");
    shop.rules(&waits);
    service.until_jobs("C-1", &["done"]).await;
    assert_eq!(shop.mails().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_error_is_retried_and_a_permanent_one_is_a_problem() {
    let relay = SmtpServer::scripted(&[
        (Stage::RcptTo, Act::Say("451 4.3.0 come back later")),
        (Stage::RcptTo, Act::Say("550 5.1.1 there is no such person")),
    ])
    .await;
    let mut shop = Shop::new(SORRY);
    shop.transport = relay.url();
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    let said = service
        .until("jobs?customer=C-1", |said| said["jobs"][0]["attempts"] == 1 && said["jobs"][0]["state"] == "queued")
        .await;
    let (id, next_at) = (said["jobs"][0]["id"].clone(), said["jobs"][0]["next_at"].clone());
    assert!(said["jobs"][0]["last_error"].as_str().expect("an error").contains("451"), "{said}");
    // The time of the next attempt is stored and survives a restart.
    service.kill();
    let service = shop.start().ready().await;
    let again = service.get("jobs?customer=C-1").await;
    assert_eq!((&again["jobs"][0]["id"], &again["jobs"][0]["next_at"]), (&id, &next_at));
    let jobs = service.until_jobs("C-1", &["problem"]).await;
    assert_eq!((&jobs[0]["problem"], &jobs[0]["attempts"]), (&json!("refused"), &json!(2)));
    assert!(jobs[0]["last_error"].as_str().expect("an error").contains("550"), "{jobs:?}");
    let problems = service.get("problems").await;
    assert_eq!(problems["jobs"][0]["id"], id);
    let (status, _) = service.ask("POST", &format!("jobs/{}/retry", id.as_str().expect("id")), None).await;
    assert_eq!(status, 200);
    service.until_jobs("C-1", &["done"]).await;
    assert_eq!(relay.received().len(), 1);
    let (status, _) = service.ask("POST", &format!("jobs/{}/drop", id.as_str().expect("id")), None).await;
    assert_eq!(status, 409, "a job that has ended cannot be dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_rules_handle_every_status() {
    let shop = Shop::shipped();
    let service = shop.start().ready().await;
    for status in [
        "CREATED",
        "KYC_NEEDED",
        "PENDING_KYC_DATA",
        "KYC_PENDING",
        "SOFT_KYC_FAILED",
        "HARD_KYC_FAILED",
        "FULL_USER",
        "none",
    ] {
        service.callback(status, status, json!({})).await;
        let customer = service.get(&format!("customers/{status}")).await;
        let rules = customer["timeline"][0]["rules"].as_array().expect("rules");
        assert!(rules.iter().any(|rule| rule["outcome"] == "fired"), "{status}: {rules:?}");
    }
    service.callback("X", "SUSPENDED", json!({"kycProcessingStatus": "SOMETHING_NEW"})).await;
    let unknown = service.get("customers/X").await;
    assert_eq!((&unknown["status"], &unknown["processing"]), (&json!("SUSPENDED"), &json!("SOMETHING_NEW")));
    let null = service.get("customers/none").await;
    assert_eq!((&null["status"], &null["timeline"][0]["to"]), (&Value::Null, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_json_fields_that_scripts_rely_on_exist() {
    let shop = Shop::new(SORRY);
    let service = shop.start().ready().await;
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    service.until_jobs("C-1", &["problem"]).await;
    let keys = |value: &Value, expected: &[&str]| {
        for key in expected {
            assert!(value.get(key).is_some(), "{key} is missing in {value:#}");
        }
    };
    let status = service.get("status").await;
    keys(&status, &["version", "uptime_s", "rules", "store", "jobs", "provider"]);
    keys(&status["rules"], &["hash", "loaded_at", "count", "error"]);
    assert_eq!(status["store"]["engine"], "journal");
    assert_eq!((&status["store"]["customers"], &status["jobs"]["problem"]), (&json!(1), &json!(1)));
    assert_eq!(status["provider"]["confirm"], false);
    let customer = service.get("customers/C-1").await;
    keys(
        &customer,
        &[
            "id",
            "status",
            "processing",
            "missing_docs",
            "reject_labels",
            "message",
            "visit",
            "entered_at",
            "tags",
            "contact",
            "timeline",
        ],
    );
    keys(&customer["timeline"][0], &["at", "source", "verdict", "from", "to", "rule_set", "rules"]);
    assert_eq!(customer["timeline"][0]["rule_set"], status["rules"]["hash"]);
    let jobs = service.get("jobs?state=problem").await;
    keys(
        &jobs["jobs"][0],
        &["id", "customer", "rule", "action", "to", "state", "attempts", "next_at", "last_error", "reason"],
    );
    assert_eq!((&jobs["jobs"][0]["action"], &jobs["jobs"][0]["to"]), (&json!("email"), &json!("customer")));
    assert_eq!(service.ask("GET", "jobs?state=lost", None).await.0, 400);
    assert_eq!(service.ask("GET", "customers/nobody", None).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_serves_one_process_and_failures_have_exit_codes() {
    let shop = Shop::new(SORRY);
    let service = shop.start().ready().await;
    let code = |arguments: &[&str]| shop.run(arguments).0.code();
    assert_eq!(code(&["serve"]), Some(69), "the data directory is in use");
    service.kill();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let config = std::fs::read_to_string(shop.path("kyc-rules.yaml")).expect("text");
    let address = taken.local_addr().expect("address").to_string();
    shop.write("other.yaml", &config.replacen("127.0.0.1:0", &address, 1));
    let other = shop.path("other.yaml");
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kyc-rules"));
        command.arg("--config").arg(&other).args(arguments).output().expect("runs").status.code()
    };
    assert_eq!(run(&["serve"]), Some(69), "the port is in use");
    assert_eq!(run(&["status"]), Some(69), "no server is running");
    shop.write("other.yaml", "callbck: {}\n");
    assert_eq!(run(&["serve"]), Some(78));
    assert_eq!(run(&["check"]), Some(78));
    let fresh = Shop::new("  - {id: x, when: any -> NOWHERE, do: record}\n");
    let (status, _, errors) = fresh.run(&["serve"]);
    assert_eq!(status.code(), Some(78));
    assert!(errors.contains("error[status]: unknown status NOWHERE"), "{errors}");
    assert_eq!(run(&["nonsense"]), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn log_and_metrics_contain_no_personal_data() {
    let mut shop = Shop::new(SORRY);
    shop.more = "log: {level: trace}\n".to_owned();
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    let body = signed("C-1", "SOFT_KYC_FAILED", json!({"kycEndUserErrorMessage": "Your birthday is wrong."}));
    let hash = body["hash"].as_str().expect("hash").to_owned();
    service.post(body.to_string()).await.expect("an answer");
    service.until_jobs("C-1", &["done"]).await;
    let metrics = service.metrics().await;
    assert!(metrics.contains("kyc_rules_callbacks_total{answer=\"accepted\"} 1"), "{metrics}");
    let log: String = service.log().lines().filter(|line| line.contains("kyc_rules")).collect();
    for secret in [&hash, SECRET, TOKEN, "ada@customer.example", "birthday", "Ada"] {
        assert!(!log.contains(secret), "the log contains {secret}");
        assert!(!metrics.contains(secret), "the metrics contain {secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_killed_at_any_step_is_retried_with_the_same_id_and_text() {
    for stage in [Stage::Greeting, Stage::Ehlo, Stage::MailFrom, Stage::RcptTo, Stage::Data, Stage::Content] {
        let relay = SmtpServer::scripted(&[(stage, Act::Hang)]).await;
        let mut shop = Shop::new(SORRY);
        shop.transport = relay.url();
        let service = shop.start().ready().await;
        service.contact("C-1", "ada@customer.example").await;
        service.callback("C-1", "SOFT_KYC_FAILED", json!({"docsMissing": ["SELFIE"]})).await;
        let running = service.until_jobs("C-1", &["running"]).await;
        service.until("status", |_| relay.script_is_over()).await;
        service.kill();
        // Changes the template in the meantime; the retried mail must keep its first text.
        let template = shop.path("rules/templates/sorry.en.md");
        let text = std::fs::read_to_string(&template).expect("a template");
        std::fs::write(&template, text.replace("Dear", "Hi there,")).expect("written");
        let service = shop.start().ready().await;
        let done = service.until_jobs("C-1", &["done"]).await;
        assert_eq!((&done[0]["id"], &done[0]["attempts"]), (&running[0]["id"], &json!(2)), "{stage:?}");
        service.logs("retried with the same id").await;
        let id = format!("<{}@shop.example>", done[0]["id"].as_str().expect("id"));
        let received = relay.received();
        assert!(!received.is_empty(), "{stage:?}");
        for mail in received {
            assert_eq!(mail.header("Message-ID").as_deref(), Some(&*id), "{stage:?}");
            assert!(mail.part("text/plain").is_some_and(|text| text.contains("Dear Ada")), "{stage:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unsupported_configuration_is_refused() {
    let shop = Shop::new(SORRY);
    let written = |arguments: &[&str]| {
        let mut command = shop.command();
        let config = std::fs::read_to_string(shop.path("kyc-rules.yaml")).expect("a configuration");
        shop.write("kyc-rules.yaml", &config.replace("data: ./data", "data: postgres://kyc@127.0.0.1/kyc"));
        command.args(arguments).output().expect("runs")
    };
    let output = written(&["serve"]);
    assert_eq!(output.status.code(), Some(78));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("keeps its data in a directory only"), "{errors}");
    let output = written(&["check"]);
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("error[unsupported]: data:"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_each_event_with_every_rule_and_mail() {
    let shop = Shop::new(&format!("{SORRY}  - {{id: late, when: FULL_USER -> any, do: record}}\n"));
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    service.callback("C-1", "SOFT_KYC_FAILED", json!({})).await;
    service.until_jobs("C-1", &["done"]).await;
    let (code, said, _) = service.command(&shop, &["explain", "C-1"]);
    assert_eq!(code, Some(0));
    for part in [
        "moved  new -> SOFT_KYC_FAILED",
        "fired        sorry",
        "untriggered  late: waits for FULL_USER -> any",
        "-> email sorry by rule sorry: done at",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let (code, _, error) = service.command(&shop, &["explain", "C-9"]);
    assert!(code == Some(1) && error.contains("this customer is unknown"), "{error}");
    let (status, made_up) =
        service.ask("POST", "explain", Some(json!({"from": "FULL_USER", "to": "KYC_NEEDED"}))).await;
    assert_eq!((status, &made_up["rules"][1]["outcome"]), (200, &json!("fired")));
    let (status, refused) = service.ask("POST", "explain", Some(json!({"from": "FULL_USR", "to": "KYC_NEEDED"}))).await;
    assert!(status == 422 && refused["detail"].as_str().is_some_and(|said| said.contains("FULL_USER")), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_to_one_domain_are_limited_and_do_not_delay_other_domains() {
    let relay = SmtpServer::start().await;
    let mut shop = Shop::new(SORRY);
    // The closing quote of the transport is used to add another key on the same line.
    shop.transport = format!("{}\", per_domain: \"4 per 1s", relay.url());
    let service = shop.start().ready().await;
    for nth in 0..8 {
        service.contact(&format!("C-{nth}"), &format!("c{nth}@Big.example")).await;
    }
    service.contact("other", "ada@small.example").await;
    let begun = std::time::Instant::now();
    for nth in 0..8 {
        service.callback(&format!("C-{nth}"), "SOFT_KYC_FAILED", json!({})).await;
    }
    service.callback("other", "SOFT_KYC_FAILED", json!({})).await;
    service.until_jobs("other", &["done"]).await;
    assert!(relay.received().len() < 5, "{}", relay.received().len());
    for nth in 0..8 {
        service.until_jobs(&format!("C-{nth}"), &["done"]).await;
    }
    assert!(begun.elapsed() >= std::time::Duration::from_millis(1_700), "{:?}", begun.elapsed());
    assert_eq!(service.get("jobs?state=done").await["jobs"][0]["attempts"], 1, "waiting does not count as an attempt");
}
