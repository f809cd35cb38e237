//! Timers in the running program: stays over restarts, kills and reloads; pausing, resuming and backlogs.

use std::{sync::Arc, time::Duration};

use kyc_rules::{
    clock::{Clock, Timestamp},
    decide::{Command, Control, Receipt},
    domain::{Codes, CustomerId, Observation, Processing, Source, Status},
    rules::{Environment, RuleId, RuleSet, TimerState},
    store::{OpenProgress, Overdue, Store, StoreOptions},
    timers::TimerLoop,
    yaml::Files,
};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::service::Shop;

const REMIND: &str = "  - {id: remind, when: \"PENDING_KYC_DATA for 1s, 3s\", do: [{email: hello}]}\n";
const START: Timestamp = Timestamp(1_795_419_000_000);
const HOUR: i64 = 3_600_000;

fn outcomes(customer: &Value) -> Vec<String> {
    let timeline = customer["timeline"].as_array().expect("a timeline");
    let timers = timeline.iter().rev().filter(|entry| entry["source"] == "timer");
    timers
        .map(|entry| format!("{} {}", entry["after"].as_str().expect("after"), entry["rules"][0]["outcome"]))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stay_causes_one_mail_for_each_duration() {
    let shop = Shop::new(REMIND);
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    service.callback("C-1", "PENDING_KYC_DATA", json!({})).await;
    service.callback("C-2", "PENDING_KYC_DATA", json!({})).await;
    service.callback("C-2", "KYC_PENDING", json!({})).await;
    service.until_jobs("C-1", &["done", "done"]).await;
    let customer = service.get("customers/C-1").await;
    assert_eq!(outcomes(&customer), ["1s \"fired\"", "3s \"fired\""]);
    assert_eq!(customer["timeline"][0]["to"], "PENDING_KYC_DATA");
    assert_eq!(shop.mails().len(), 2);
    assert!(outcomes(&service.get("customers/C-2").await).is_empty(), "no timer fires for a customer who has left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_due_while_no_process_ran_fires_late_and_once() {
    let shop = Shop::new(REMIND);
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    service.callback("C-1", "PENDING_KYC_DATA", json!({})).await;
    service.kill();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let service = shop.start().ready().await;
    service.until_jobs("C-1", &["done"]).await;
    assert_eq!(outcomes(&service.get("customers/C-1").await), ["3s \"fired\""], "only the longest duration");
    service.kill();
    let service = shop.start().ready().await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(outcomes(&service.get("customers/C-1").await).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_rule_does_not_fire_after_a_restart_and_has_a_backlog() {
    let shop = Shop::new(REMIND);
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    let (code, said, _) = service.command(&shop, &["pause", "remnd"]);
    assert_eq!((code, said.as_str()), (Some(1), ""));
    let (code, said, _) = service.command(&shop, &["pause", "remind"]);
    assert_eq!((code, said.as_str()), (Some(0), "rule remind paused by hand\n"));
    assert!(service.command(&shop, &["pause", "remind"]).1.contains("(no change)"));
    service.callback("C-1", "PENDING_KYC_DATA", json!({})).await;
    service.kill();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let service = shop.start().ready().await;
    let (_, status, _) = service.command(&shop, &["status"]);
    assert!(status.contains("paused     remind, since"), "{status}");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(service.command(&shop, &["resume", "remind"]).0, Some(0));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(outcomes(&service.get("customers/C-1").await).is_empty(), "it came due while the rule was paused");
    let (code, shown, refused) = service.command(&shop, &["backlog", "remind"]);
    assert!(shown.contains("C-1") && shown.contains("3s"), "{shown}");
    assert_eq!(code, Some(2), "there is no terminal for a confirmation: {refused}");
    let (code, sent, _) = service.command(&shop, &["backlog", "remind", "--yes"]);
    assert!(sent.contains("remind ran for 1 customer"), "{sent}");
    assert_eq!(code, Some(0));
    service.until_jobs("C-1", &["done"]).await;
    let (_, shown, _) = service.command(&shop, &["backlog", "remind"]);
    assert_eq!(shown, "remind has no backlog\n", "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_channel_queues_its_jobs_and_sends_them_after_resume() {
    let shop = Shop::new("  - {id: hello, when: any -> CREATED, do: [{email: hello}]}\n");
    let service = shop.start().ready().await;
    service.contact("C-1", "ada@customer.example").await;
    assert_eq!(service.command(&shop, &["pause", "--channel", "email"]).0, Some(0));
    let (code, _, said) = service.command(&shop, &["pause", "--channel", "fax"]);
    assert!(code == Some(1) && said.contains("configured channels: email"), "{said}");
    service.callback("C-1", "CREATED", json!({})).await;
    service.kill();
    let service = shop.start().ready().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(service.get("status").await["jobs"]["queued"], 1);
    assert!(shop.mails().is_empty());
    assert_eq!(service.command(&shop, &["resume", "--channel", "email"]).0, Some(0));
    service.until_jobs("C-1", &["done"]).await;
}

fn saw(status: Status) -> Observation {
    Observation {
        source: Source::Callback,
        status,
        processing: Some(Processing::None),
        missing_docs: Some(Codes::EMPTY),
        reject_labels: Some(Codes::EMPTY),
        message: Some("".into()),
    }
}

fn rules(text: &str) -> Arc<RuleSet> {
    let text = format!("format: 1\nrules:\n{text}");
    let files = [("kyc.yaml", &*text), ("templates/hello.en.md", "Subject: Hello\n\nHello.\n")];
    let files: Files = files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
    let context = Environment { email: true, locale: "en".to_owned(), ..Environment::default() };
    Arc::new(RuleSet::compile(&files, &context).set.expect("right rules"))
}

fn options(clock: &Clock) -> StoreOptions {
    StoreOptions { clock: clock.clone(), min_free_bytes: 0, view_cache_bytes: 4 << 20, ..StoreOptions::default() }
}

async fn open(dir: &std::path::Path, clock: &Clock) -> Store {
    Store::open(dir, &options(clock), Arc::new(OpenProgress::default()))
        .await
        .unwrap_or_else(|error| panic!("{error}"))
        .0
}

async fn callback(store: &Store, customer: &str, status: Status) {
    let customer = CustomerId::new(customer).expect("id");
    store.submit(Command::Observe { customer, saw: saw(status) }).await.expect("taken");
}

/// Runs the loop that proposes timers for a moment.
async fn let_timers_run(store: &Store, clock: &Clock) {
    let (stop, stopped) = watch::channel(false);
    let timers = tokio::spawn(TimerLoop::new(store.clone(), clock.clone(), None, None).run(stopped));
    tokio::time::sleep(Duration::from_millis(400)).await;
    stop.send(true).expect("runs");
    timers.await.expect("ended");
}

fn fired(store: &Store, customer: &str) -> usize {
    let customer = CustomerId::new(customer).expect("id");
    let timeline = store.timeline(&customer, None, 100).expect("readable").rows;
    timeline.iter().filter(|entry| entry.effects.came_due.is_some()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_engine_finds_overdue_customers() {
    let dir = tempfile::tempdir().expect("directory");
    let clocks = [Clock::manual(START), Clock::manual(START)];
    let stores = [open(dir.path(), &clocks[0]).await, Store::memory(&options(&clocks[1]))];
    for (store, clock) in stores.into_iter().zip(clocks) {
        store
            .activate(rules("  - {id: remind, when: PENDING_KYC_DATA for 48h, do: [{email: hello}]}\n"))
            .await
            .expect("taken");
        for nth in 0..10 {
            callback(&store, &format!("C-{nth}"), Status::PendingKycData).await;
            clock.advance_ms(HOUR);
        }
        callback(&store, "C-3", Status::KycPending).await;
        let of = Overdue {
            stay: TimerState::Status(Status::PendingKycData),
            after_ms: 48 * HOUR,
            entered_after: START,
            entered_until: START.plus_ms(5 * HOUR),
        };
        let all = store.overdue(&of, None, 10).await.expect("readable");
        let ids: Vec<&str> = all.iter().map(|(_, id)| id.as_str()).collect();
        assert_eq!(ids, ["C-1", "C-2", "C-4", "C-5"], "only stays within the interval that have not ended");
        let rest = store.overdue(&of, all.get(1), 1).await.expect("readable");
        assert_eq!(rest[0].1.as_str(), "C-4", "in pages");
        let next = store.next_stay(&of.stay, START.plus_ms(5 * HOUR)).await.expect("readable");
        assert_eq!(next, Some(START.plus_ms(6 * HOUR)));
        clock.advance_ms(42 * HOUR);
        let_timers_run(&store, &clock).await;
        let counts: Vec<usize> = (0..10).map(|nth| fired(&store, &format!("C-{nth}"))).collect();
        assert_eq!(counts, [1, 1, 1, 0, 1, 0, 0, 0, 0, 0], "after 52 hours");
        assert!(store.overdue(&of, None, 10).await.expect("readable").iter().all(|(_, id)| id.as_str() == "C-5"));
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn live_timers_and_pauses_survive_a_restart_and_a_lost_view() {
    let dir = tempfile::tempdir().expect("directory");
    let clock = Clock::manual(START);
    let set = rules(
        "  - {id: remind, when: PENDING_KYC_DATA for 48h, do: [{email: hello}]}\n  - {id: b, when: any -> CREATED, do: record}\n",
    );
    let store = open(dir.path(), &clock).await;
    store.activate(Arc::clone(&set)).await.expect("taken");
    store.control(Control::PauseRule(RuleId::new("b").expect("id"))).await.expect("taken");
    let again = store.control(Control::PauseRule(RuleId::new("b").expect("id"))).await;
    assert_eq!(again, Ok(Receipt::Unchanged));
    let before = store.global_state().borrow().clone();
    assert_eq!(before.timers().count(), 1);
    store.close().await;
    for lost in [false, true] {
        if lost {
            std::fs::remove_dir_all(dir.path().join("view")).expect("removed");
        }
        clock.advance_ms(HOUR);
        let store = open(dir.path(), &clock).await;
        assert_eq!(**store.global_state().borrow(), *before, "view lost: {lost}");
        store.activate(Arc::clone(&set)).await.expect("taken");
        assert_eq!(**store.global_state().borrow(), *before, "activating the same rules again changes nothing");
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_clock_jump_no_timer_fires_until_it_is_accepted() {
    let dir = tempfile::tempdir().expect("directory");
    let clock = Clock::manual(START);
    let store = open(dir.path(), &clock).await;
    store
        .activate(rules("  - {id: remind, when: PENDING_KYC_DATA for 12h, do: [{email: hello}]}\n"))
        .await
        .expect("taken");
    callback(&store, "C-1", Status::PendingKycData).await;
    clock.jump_ms(24 * HOUR);
    let_timers_run(&store, &clock).await;
    assert_eq!(fired(&store, "C-1"), 0);
    callback(&store, "C-2", Status::Created).await;
    clock.trust();
    let_timers_run(&store, &clock).await;
    assert_eq!(fired(&store, "C-1"), 1);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_does_not_end_the_hold_after_a_clock_jump() {
    let dir = tempfile::tempdir().expect("directory");
    let clock = Clock::manual(START);
    let set = rules("  - {id: remind, when: PENDING_KYC_DATA for 2h, do: [{email: hello}]}\n");
    let store = open(dir.path(), &clock).await;
    store.activate(Arc::clone(&set)).await.expect("taken");
    callback(&store, "C-1", Status::PendingKycData).await;
    clock.jump_ms(2 * HOUR);
    store.close().await;
    let mut last = clock;
    for _ in 0..2 {
        let clock = last.in_new_process();
        let store = open(dir.path(), &clock).await;
        let held = store.activate(Arc::clone(&set)).await;
        held.expect("taken");
        let_timers_run(&store, &clock).await;
        assert_eq!(fired(&store, "C-1"), 0, "the hold continues");
        store.close().await;
        last = clock;
    }
    let clock = last.in_new_process();
    let store = open(dir.path(), &clock).await;
    store.activate(set).await.expect("taken");
    assert_eq!(store.control(Control::AcceptClock).await, Ok(Receipt::Recorded));
    assert_eq!(store.control(Control::AcceptClock).await, Ok(Receipt::Unchanged));
    let_timers_run(&store, &clock).await;
    assert_eq!(fired(&store, "C-1"), 1);
    store.close().await;
    let clock = clock.in_new_process();
    let store = open(dir.path(), &clock).await;
    assert!(!clock.is_in_doubt(), "the acceptance persists");
    store.close().await;
}
