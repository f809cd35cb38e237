//! A relay that is down, refuses us or says too much: what the whole service does about it.

mod support;

use std::time::Duration;

use serde_json::json;
use support::{
    service::{Service, Shop},
    smtp::{Act, Setup, SmtpServer, Stage},
};

const SORRY: &str = "  - {id: sorry, when: any -> SOFT_KYC_FAILED, do: [{email: sorry}]}\n";

async fn order(service: &Service, customer: &str) {
    service.contact(customer, &format!("{}@customer.example", customer.to_lowercase())).await;
    service.callback(customer, "SOFT_KYC_FAILED", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_repeats_neither_relays_nor_customers_whatever_it_is_asked_for() {
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
    service.logs("said to the recipient: 550").await;
    order(&service, "zebra-2").await;
    service.logs("said to the mail: 451").await;
    let (_, log) = service.stop();
    assert!(!log.contains("zebra"), "{log}");
    let told = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        let (level, from) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        matches!(level, "TRACE" | "DEBUG" | "INFO") && !from.starts_with("kyc_rules")
    };
    assert_eq!(log.lines().find(told), None, "libraries say nothing below a warning");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_away_is_asked_now_and_then_and_not_by_each_mail() {
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
    assert!(said["jobs"][0]["last_error"].as_str().is_some_and(|error| error.contains("421 4.3.2 too busy")), "{said}");
    relay.forget_script();
    relay.wait_for_within(1, Duration::from_secs(30)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_is_told_once_and_is_no_problem_of_each_mail() {
    let relay = SmtpServer::with(Setup { login: Some(("shop", "right")), ..Setup::default() }).await;
    let mut shop = Shop::new(SORRY);
    shop.transport = format!("smtp://shop:mistyped@{}?tls=none", relay.address);
    shop.email = ", per_domain: off".to_owned();
    let service = shop.start().ready().await;
    for nth in 0..40 {
        order(&service, &format!("C-{nth}")).await;
    }
    service.logs("the mail relay refuses us").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(relay.connections() <= 8, "{} logins", relay.connections());
    let status = service.get("status").await;
    assert_eq!(status["jobs"]["problem"], 0, "{status}");
    let log = service.log();
    assert_eq!(log.lines().filter(|line| line.contains(" ERROR ")).count(), 1, "{log}");
    assert!(log.contains("said to the login: 535"), "{log}");
    let (code, _, said) = {
        let (status, out, said) = shop.run(&["email", "test", "ada@customer.example"]);
        (status.code(), out, said)
    };
    assert!(code == Some(69) && said.contains("535 5.7.8 user or password is wrong"), "{said}");
    assert!(!said.contains("may go well later"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_does_not_leave_takes_no_space_of_those_to_its_domain() {
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
    // Their mails say nothing true any more. The last one's does, and so does one that comes now.
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
