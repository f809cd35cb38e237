//! Mails through a real Postfix: its replies to every client, to connections that it closes, and to one recipient.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    dns::NameServer,
    postfix::{Postfix, is_there},
    service::{Service, Shop},
};

const SORRY: &str = "  - {id: sorry, when: any -> SOFT_KYC_FAILED, do: [{email: sorry}]}\n";

async fn shop_at(postfix: &Postfix, more: &str) -> (Shop, Service) {
    let mut shop = Shop::new(SORRY);
    shop.transport = postfix.url();
    shop.email = format!(", per_domain: off{more}");
    let service = shop.start().ready().await;
    (shop, service)
}

async fn order(service: &Service, customer: &str) {
    order_to(service, customer, &format!("{}@customer.example", customer.to_lowercase())).await;
}

async fn order_to(service: &Service, customer: &str, address: &str) {
    service.contact(customer, address).await;
    service.callback(customer, "SOFT_KYC_FAILED", json!({})).await;
}

/// Waits until the job is done in its first counted attempt.
async fn done_at_once(service: &Service, customer: &str) {
    let jobs = service.until_jobs(customer, &["done"]).await;
    assert_eq!((&jobs[0]["attempts"], &jobs[0]["last_error"]), (&json!(1), &Value::Null), "{jobs:?}");
}

/// A Postfix with these settings refuses each client for this cause with this code, until the settings are removed.
async fn is_paused_until_resumed(settings: &str, cause: &str, code: &str) {
    let postfix = Postfix::start(settings);
    let (shop, service) = shop_at(&postfix, "").await;
    for nth in 0..6 {
        order(&service, &format!("C-{nth}")).await;
    }
    let status =
        service.until("status", |status| status["relays"][0]["cause"] == cause && status["jobs"]["problem"] == 0).await;
    let reason = status["relays"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains(code) && !reason.contains('@'), "{settings}: {reason}");
    let problems = service.get("problems").await;
    assert_eq!((&problems["service"][0]["problem"], &problems["jobs"]), (&json!("relay"), &json!([])), "{settings}");
    postfix.reconfigure("");
    assert_eq!(service.command(&shop, &["resume", "--channel", "email"]).0, Some(0));
    postfix.delivered(6).await;
    for nth in 0..6 {
        let jobs = service.until_jobs(&format!("C-{nth}"), &["done"]).await;
        assert_eq!(jobs[0]["attempts"], 1, "{settings}: {jobs:?}");
    }
    service.until("status", |status| status["relays"] == json!([])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_every_client_pauses_the_channel_and_loses_no_mail() {
    if !is_there() {
        return;
    }
    // The cases do not depend on each other, so all run at the same time.
    let cases = [
        ("smtpd_client_restrictions = reject", "client", "554 5.7.1"),
        ("smtpd_helo_restrictions = reject", "hello", "554 5.7.1"),
        ("smtpd_sender_restrictions = reject", "sender", "554 5.7.1"),
        ("smtpd_delay_reject = no\nsmtpd_sender_restrictions = reject", "sender", "554 5.7.1"),
        ("smtpd_delay_reject = no\nsmtpd_client_restrictions = reject", "client", "554 5.7.1"),
        (
            "virtual_mailbox_domains = shop.example\nsmtpd_relay_restrictions = reject_unauth_destination",
            "client",
            "554 5.7.1",
        ),
        ("soft_bounce = yes\nsmtpd_client_restrictions = reject", "client", "454 4.7.1"),
        ("smtpd_recipient_restrictions = reject", "everyone", "554 5.7.1"),
    ];
    join_all(cases.map(|(settings, cause, code)| is_paused_until_resumed(settings, cause, code))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_accepts_a_full_name_or_an_address_in_ehlo() {
    if !is_there() {
        return;
    }
    let strict = "smtpd_helo_required = yes\nsmtpd_helo_restrictions = reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname";
    let postfix = Postfix::start(strict);
    for (nth, hello) in ["", ", hello: kyc.shop.example"].into_iter().enumerate() {
        let (_shop, service) = shop_at(&postfix, hello).await;
        order(&service, "C-1").await;
        done_at_once(&service, "C-1").await;
        let mails = postfix.delivered(nth + 1).await;
        assert!(nth == 0 || mails.iter().any(|mail| mail.contains("from kyc.shop.example (")), "{mails:?}");
    }
}

/// A Postfix with this limit delays mails, and each is done in its first counted attempt.
async fn is_obeyed(limit: &str) {
    let postfix = Postfix::start(&format!("{limit}\nanvil_rate_time_unit = 4s"));
    let (_shop, service) = shop_at(&postfix, "").await;
    for nth in 0..6 {
        order(&service, &format!("C-{nth}")).await;
    }
    let status = service.until("status", |status| status["relays"][0]["cause"] == "limit").await;
    assert_eq!(status["jobs"]["problem"], 0, "{limit}");
    postfix.delivered(6).await;
    for nth in 0..6 {
        let jobs = service.until_jobs(&format!("C-{nth}"), &["done"]).await;
        assert_eq!(jobs[0]["attempts"], 1, "{limit}: {jobs:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_messages_delays_mails_and_makes_none_a_problem() {
    if !is_there() {
        return;
    }
    tokio::join!(is_obeyed("smtpd_client_message_rate_limit = 2"), is_obeyed("smtpd_client_recipient_rate_limit = 2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_postfix_closes_costs_no_mail_an_attempt() {
    if !is_there() {
        return;
    }
    // Postfix sends 421 after two seconds without a command, and closes the connection.
    let postfix = Postfix::start("smtpd_timeout = 2s\nsmtpd_per_record_deadline = yes");
    let (_shop, service) = shop_at(&postfix, "").await;
    order(&service, "C-1").await;
    done_at_once(&service, "C-1").await;
    postfix.logs("timeout after").await;
    order(&service, "C-2").await;
    done_at_once(&service, "C-2").await;
    drop(service);

    // Postfix sends 421 to every command after two errors on one connection, and closes it.
    let unknown =
        "smtpd_recipient_restrictions = check_recipient_access inline:{{gone@customer.example = 550 5.1.1 unknown}}";
    let postfix = Postfix::start(&format!("{unknown}\nsmtpd_hard_error_limit = 2"));
    let (_shop, service) = shop_at(&postfix, ", concurrency: 1").await;
    for nth in 0..4 {
        for gone in [format!("gone-{nth}"), format!("left-{nth}")] {
            order_to(&service, &gone, "gone@customer.example").await;
            let jobs = service.until_jobs(&gone, &["problem"]).await;
            assert_eq!(jobs[0]["problem"], "refused");
        }
        let known = format!("C-{nth}");
        order(&service, &known).await;
        done_at_once(&service, &known).await;
    }
    assert!(postfix.log().contains("too many errors after"), "{}", postfix.log());
    assert_eq!(service.get("status").await["relays"], json!([]));
    postfix.delivered(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_reports_the_reply_of_postfix_to_the_recipient_and_sends_nothing() {
    if !is_there() {
        return;
    }
    let names = NameServer::knowing(&[]).await;
    let dns = names.address.to_string();
    let mail_of = |shop: &Shop| -> (String, String) {
        let (_, said, errors) = shop.run(&["--json", "doctor", "--dns", &dns]);
        let said: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}{errors}"));
        let mut checks = said["checks"].as_array().expect("checks").iter();
        let found = checks.find(|one| one["check"] == "mail").expect("mail");
        let text = |key: &str| found[key].as_str().expect("text").to_owned();
        (text("result"), text("said"))
    };
    let postfix = Postfix::start("");
    let mut shop = Shop::new(SORRY);
    shop.transport = postfix.url();
    let (result, said) = mail_of(&shop);
    assert!(result == "ok" && said.contains("accepts a sender and a recipient"), "{said}");
    for (settings, expected, words) in [
        ("smtpd_client_restrictions = reject", "fail", "the relay rejects this machine"),
        ("smtpd_helo_restrictions = reject", "fail", "set `email.hello`"),
        ("virtual_mailbox_maps = inline:{ada@shop.example=inbox/}", "warn", "the sender's own address accepts no mail"),
    ] {
        postfix.reconfigure(settings);
        let (result, said) = mail_of(&shop);
        assert!(result == expected && said.contains(words), "{settings}: {result}: {said}");
    }
    for never in ["(queue active)", "lost connection after RCPT", "lost connection after RSET"] {
        assert!(!postfix.log().contains(never), "{}", postfix.log());
    }
}
