//! A relay that is down, rejects this client or repeats customer data: the behaviour of the whole service.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    service::{Service, Shop},
    smtp::{Act, Hangup, Setup, SmtpServer, Stage},
};

const SORRY: &str = "  - {id: sorry, when: any -> SOFT_KYC_FAILED, do: [{email: sorry}]}\n";

async fn order(service: &Service, customer: &str) {
    service.contact(customer, &format!("{}@customer.example", customer.to_lowercase())).await;
    service.callback(customer, "SOFT_KYC_FAILED", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_contains_no_text_of_relays_and_customers_at_any_level() {
    let relay = SmtpServer::scripted(&[
        (Stage::RcptTo, Act::Say("550 5.1.1 zebra-1=40customer.example unknown")),
        (Stage::Content, Act::Say("451 rejected, spam. Subject: zebra")),
    ])
    .await;
    let mut shop = Shop::new(SORRY);
    shop.transport = relay.url();
    shop.more = "log: {level: trace}\n".to_owned();
    let mut command = shop.command();
    command.env("RUST_LOG", "trace");
    let service = Service::start(command).ready().await;
    order(&service, "zebra-1").await;
    let jobs = service.until_jobs("zebra-1", &["problem"]).await;
    assert!(jobs[0]["last_error"].as_str().is_some_and(|error| error.contains("zebra-1=40")), "{jobs:?}");
    service.logs("replied to RCPT TO: 550").await;
    order(&service, "zebra-2").await;
    service.logs("replied to DATA: 451").await;
    let (_, log) = service.stop();
    assert!(!log.contains("zebra"), "{log}");
    let told = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        let (level, from) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        matches!(level, "TRACE" | "DEBUG" | "INFO") && !from.starts_with("kyc_rules")
    };
    assert_eq!(log.lines().find(told), None, "libraries log nothing below a warning");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_down_is_tried_at_intervals_and_not_by_each_mail() {
    let busy: Vec<_> = std::iter::repeat_n((Stage::Greeting, Act::Say("421 4.3.2 too busy")), 1_000).collect();
    let relay = SmtpServer::scripted(&busy).await;
    let mut shop = Shop::new(SORRY);
    shop.transport = relay.url();
    shop.email = ", per_domain: off".to_owned();
    let service = shop.start().ready().await;
    for nth in 0..40 {
        order(&service, &format!("C-{nth}")).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let connections = relay.connections();
    assert!((1..=8).contains(&connections), "{connections} connections");
    let said = service.get("jobs?customer=C-39").await;
    assert!(said["jobs"][0]["reason"].as_str().is_some_and(|reason| reason.contains("421 4.3.2;")), "{said}");
    relay.forget_script();
    relay.wait_for_within(1, Duration::from_secs(30)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_login_is_logged_once_and_is_no_problem_of_each_mail() {
    let relay = SmtpServer::with(Setup { login: Some(("shop", "right")), ..Setup::default() }).await;
    let mut shop = Shop::new(SORRY);
    shop.transport = format!("smtp://shop:mistyped@{}?tls=none", relay.address);
    shop.email = ", per_domain: off".to_owned();
    let service = shop.start().ready().await;
    for nth in 0..40 {
        order(&service, &format!("C-{nth}")).await;
    }
    service.logs("the mail relay rejects this client").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(relay.connections() <= 8, "{} logins", relay.connections());
    let status = service.get("status").await;
    assert_eq!(status["jobs"]["problem"], 0, "{status}");
    let log = service.log();
    assert_eq!(log.lines().filter(|line| line.contains(" ERROR ")).count(), 1, "{log}");
    assert!(log.contains("replied to AUTH: 535"), "{log}");
    let (code, _, said) = {
        let (status, out, said) = shop.run(&["email", "test", "ada@customer.example"]);
        (status.code(), out, said)
    };
    assert!(code == Some(69) && said.contains("535 5.7.8 user or password is wrong"), "{said}");
    assert!(!said.contains("a later attempt may succeed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_does_not_leave_uses_no_slot_of_its_domain() {
    let relay = SmtpServer::start().await;
    let mut shop = Shop::new(SORRY);
    shop.transport = relay.url();
    shop.email = ", per_domain: 1 per 2s".to_owned();
    let service = shop.start().ready().await;
    let began = std::time::Instant::now();
    for nth in 0..8 {
        order(&service, &format!("C-{nth}")).await;
    }
    relay.wait_for(1).await;
    // The conditions of their mails are false by now. The last mail is still valid, and so is a new one.
    for nth in 1..7 {
        service.callback(&format!("C-{nth}"), "KYC_PENDING", json!({})).await;
        service.until_jobs(&format!("C-{nth}"), &["cancelled"]).await;
    }
    order(&service, "C-8").await;
    service.until_jobs("C-7", &["done"]).await;
    service.until_jobs("C-8", &["done"]).await;
    let took = began.elapsed();
    assert!((Duration::from_millis(3_500)..Duration::from_millis(7_500)).contains(&took), "{took:?}");
    assert_eq!(relay.received().len(), 3);
}

/// The kind and the channel of each service problem in `problems`.
fn problems_of(said: &Value) -> Vec<(&str, &str)> {
    let found = said["service"].as_array().expect("a list").iter();
    found.map(|one| (one["problem"].as_str().expect("a kind"), one["channel"].as_str().unwrap_or_default())).collect()
}

async fn a_shop(transport: String, more: &str) -> (Shop, Service) {
    let mut shop = Shop::new(SORRY);
    shop.transport = transport;
    shop.email = format!(", per_domain: off{more}");
    let service = shop.start().ready().await;
    (shop, service)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_every_mail_is_one_problem_and_no_problem_of_a_mail() {
    for (stage, said, cause) in [
        (Stage::RcptTo, "554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: ZEBRA", "client"),
        (Stage::RcptTo, "554 5.7.1 <zebra@customer.example>: Relay access denied", "client"),
        (Stage::RcptTo, "504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname ZEBRA", "hello"),
        (Stage::RcptTo, "530 5.7.0 Authentication required ZEBRA", "login_missing"),
        (Stage::RcptTo, "550 5.4.5 Daily user sending limit exceeded ZEBRA", "limit"),
        (Stage::MailFrom, "553 5.1.8 ZEBRA", "sender"),
        (Stage::Content, "554 5.7.0 ZEBRA: sending quota exceeded", "limit"),
    ] {
        let refusals: Vec<_> = std::iter::repeat_n((stage, Act::Say(said)), 1_000).collect();
        let relay = SmtpServer::scripted(&refusals).await;
        let (shop, service) = a_shop(relay.url(), "").await;
        for nth in 0..8 {
            order(&service, &format!("C-{nth}")).await;
        }
        let status = service.until("status", |status| status["relays"][0]["cause"] == cause).await;
        assert_eq!(status["relays"][0]["channel"], "email", "{said}: {status}");
        let problems = service.get("problems").await;
        assert_eq!((problems_of(&problems), &problems["jobs"]), (vec![("relay", "email")], &json!([])), "{said}");
        let reason = problems["service"][0]["reason"].as_str().expect("a reason");
        assert!(reason.contains(&said[..9]) && !reason.contains("ZEBRA") && !reason.contains('@'), "{reason}");
        assert!(problems["service"][0]["since"].is_string() && !status.to_string().contains("ZEBRA"), "{status}");
        assert!(service.metrics().await.contains("kyc_rules_relay_down{channel=\"email\"} 1"));
        let jobs = service.get("jobs").await;
        for job in jobs["jobs"].as_array().expect("jobs") {
            assert!(matches!(job["state"].as_str(), Some("queued" | "running")), "{said}: {job}");
            assert!(job["attempts"].as_u64().is_some_and(|count| count <= 1), "{said}: {job}");
        }
        let (_, shown, _) = service.command(&shop, &["status"]);
        assert!(shown.contains("relay      no email has been sent since"), "{shown}");
        let (_, shown, _) = service.command(&shop, &["problems"]);
        assert!(shown.starts_with("relay: no email has been sent since"), "{shown}");
        relay.forget_script();
        let (_, shown, _) = service.command(&shop, &["resume", "--channel", "email"]);
        assert!(shown.ends_with("its relay is being retried now\n"), "{shown}");
        relay.wait_for_within(8, Duration::from_secs(30)).await;
        for nth in 0..8 {
            let jobs = service.until_jobs(&format!("C-{nth}"), &["done"]).await;
            assert_eq!(jobs[0]["attempts"], 1, "a refusal of every mail counts no attempt: {said}");
        }
        let status = service.get("status").await;
        assert_eq!((&status["relays"], &status["jobs"]["problem"]), (&json!([]), &json!(0)), "{said}");
        assert_eq!(problems_of(&service.get("problems").await), []);
        assert!(service.metrics().await.contains("kyc_rules_relay_down{channel=\"email\"} 0"));
        service.logs("the mail relay accepts mails again").await;
        let (_, log) = service.stop();
        assert!(!log.contains("ZEBRA"), "{log}");
        assert!(log.lines().filter(|line| line.contains(" ERROR ")).count() <= 1, "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_refusals_in_a_row_with_one_text_queue_their_mails_again() {
    let said = "554 5.7.1 We do not like you, see id 4Cx9zT2f";
    let refusals: Vec<_> = std::iter::repeat_n((Stage::Content, Act::Say(said)), 1_000).collect();
    let relay = SmtpServer::scripted(&refusals).await;
    let (_shop, service) = a_shop(relay.url(), "").await;
    for nth in 0..4 {
        order(&service, &format!("C-{nth}")).await;
        service.until_jobs(&format!("C-{nth}"), &["problem"]).await;
    }
    assert_eq!(service.get("status").await["relays"], json!([]), "the refusals may be about these mails");
    order(&service, "C-4").await;
    service.until("status", |status| status["relays"][0]["cause"] == "everyone").await;
    for nth in 0..5 {
        service
            .until(&format!("jobs?customer=C-{nth}"), |said| {
                matches!(said["jobs"][0]["state"].as_str(), Some("queued" | "running"))
            })
            .await;
    }
    assert_eq!(service.get("status").await["jobs"]["problem"], 0);
    relay.forget_script();
    relay.wait_for_within(5, Duration::from_secs(60)).await;
    for nth in 0..5 {
        service.until_jobs(&format!("C-{nth}"), &["done"]).await;
    }
    service.until("status", |status| status["relays"] == json!([])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_unknown_recipients_are_problems_of_their_own() {
    let unknown = (Stage::RcptTo, Act::Say("550 5.1.1 no such user"));
    let relay = SmtpServer::scripted(&vec![unknown; 7]).await;
    let (_shop, service) = a_shop(relay.url(), "").await;
    for nth in 0..7 {
        order(&service, &format!("C-{nth}")).await;
        let jobs = service.until_jobs(&format!("C-{nth}"), &["problem"]).await;
        assert_eq!(jobs[0]["problem"], "refused");
    }
    assert_eq!(service.get("status").await["relays"], json!([]));
    order(&service, "C-7").await;
    service.until_jobs("C-7", &["done"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_down_is_shown_and_its_mails_leave_when_it_is_back() {
    let address = {
        let relay = SmtpServer::start().await;
        relay.address
    };
    let (shop, service) = a_shop(format!("smtp://{address}?tls=none"), "").await;
    for nth in 0..6 {
        order(&service, &format!("C-{nth}")).await;
    }
    let status = service.until("status", |status| status["relays"][0]["cause"] == "unreachable").await;
    assert!(
        status["relays"][0]["reason"].as_str().is_some_and(|reason| reason.contains("nothing answers on this port")),
        "{status}"
    );
    assert_eq!(problems_of(&service.get("problems").await), [("relay", "email")]);
    let said = service
        .until("jobs?customer=C-5", |said| {
            said["jobs"][0]["reason"]
                .as_str()
                .is_some_and(|reason| reason.starts_with("email waits for its relay since"))
        })
        .await;
    assert_eq!(said["jobs"][0]["attempts"], 0, "{said}");
    service.until("status", |status| status["jobs"]["running"] == 0).await;
    let records = shop.journal().len();
    // A pause of some seconds has begun, and no mail is tried during it.
    service.until("status", |status| status["relays"][0]["again_in_s"].as_u64() >= Some(3)).await;
    assert_eq!(shop.journal().len(), records, "an outage writes no records");
    let relay = SmtpServer::at(address, Setup::default()).await;
    let job = said["jobs"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(service.command(&shop, &["retry", &job]).0, Some(0));
    relay.wait_for_within(6, Duration::from_secs(30)).await;
    service.until("status", |status| status["relays"] == json!([]) && status["jobs"]["queued"] == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_on_a_closing_connection_leaves_in_its_first_attempt() {
    let goodbye = (Stage::Content, Act::KeepThen("221 2.0.0 closing", Hangup::Yes));
    let relay = SmtpServer::scripted(&[goodbye]).await;
    let (_shop, service) = a_shop(relay.url(), "").await;
    order(&service, "C-1").await;
    service.until("status", |_| relay.unasked() == 1).await;
    order(&service, "C-2").await;
    let jobs = service.until_jobs("C-2", &["done"]).await;
    assert_eq!((&jobs[0]["attempts"], &jobs[0]["last_error"]), (&json!(1), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_that_are_refused_individually_delay_no_others() {
    // The cases do not depend on each other, so all run at the same time.
    let cases = [
        ("550 5.7.1 rejected by policy", Some("problem")),
        ("550 No such user here", Some("problem")),
        ("554 5.7.1 Relay access denied", Some("problem")),
        ("452 4.3.1 Insufficient system storage", None),
    ];
    let runs = cases.map(|(said, ends_as)| async move {
        let relay = SmtpServer::with(Setup { refused: Some(("bad", said)), ..Setup::default() }).await;
        let (_shop, service) = a_shop(relay.url(), "").await;
        for nth in 0..12 {
            order(&service, &format!("BAD-{nth}")).await;
        }
        for nth in 0..20 {
            order(&service, &format!("C-{nth}")).await;
        }
        relay.wait_for_within(20, Duration::from_secs(40)).await;
        for nth in 0..12 {
            if let Some(state) = ends_as {
                service.until(&format!("jobs?customer=BAD-{nth}"), |said| said["jobs"][0]["state"] == state).await;
            }
        }
        order(&service, "C-20").await;
        relay.wait_for_within(21, Duration::from_secs(10)).await;
    });
    join_all(runs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refusal_that_reads_like_an_outage_does_not_delay_the_next_mail() {
    let said = "550 5.7.1 Client host rejected";
    let relay = SmtpServer::with(Setup { refused: Some(("bad", said)), ..Setup::default() }).await;
    let (_shop, service) = a_shop(relay.url(), "").await;
    order(&service, "BAD-1").await;
    service.until("status", |status| status["relays"][0]["again_in_s"].as_u64() >= Some(6)).await;
    order(&service, "C-1").await;
    relay.wait_for_within(1, Duration::from_secs(4)).await;
    service.until("status", |status| status["relays"] == json!([])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_flaps_writes_few_lines_and_is_one_outage() {
    let turns = ["250 ok", "421 4.3.2 busy", "421 4.3.2 busy"].map(|said| (Stage::MailFrom, Act::Say(said)));
    let relay = SmtpServer::scripted(&std::iter::repeat_n(turns, 500).flatten().collect::<Vec<_>>()).await;
    let (_shop, service) = a_shop(relay.url(), "").await;
    for nth in 0..12 {
        order(&service, &format!("C-{nth}")).await;
        relay.wait_for_within(nth + 1, Duration::from_secs(60)).await;
    }
    let log = service.log();
    let lines =
        |level: &str| log.lines().filter(|line| line.contains(level) && line.contains("the mail relay")).count();
    assert!((1..=3).contains(&lines(" WARN ")) && lines(" INFO ") <= lines(" WARN "), "{log}");
    assert_eq!(lines(" ERROR "), 0, "{log}");
}
