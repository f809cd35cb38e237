//! Measures the cost of customers that wait for a timer: one query for overdue stays, none of which is due, with 100
//! customers and with many.
//!
//! `cargo bench --bench timers`; `-- --customers 1000000` for more customers. The store is created in the temporary
//! directory.
#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use kyc_rules::{
    clock::{Clock, Timestamp},
    decide::Command,
    domain::{Codes, CustomerId, Observation, Processing, Source, Status},
    rules::{Environment, RuleSet, TimerState},
    store::{OpenProgress, Overdue, Store, StoreOptions},
    yaml::Files,
};

const DAY_MS: i64 = 86_400_000;
const LOOKS: usize = 201;

fn rules() -> Arc<RuleSet> {
    let text = "format: 1\nrules:\n  - {id: remind, when: PENDING_KYC_DATA for 30d, do: record}\n";
    let files: Files = [("kyc.yaml".to_owned(), text.to_owned())].into_iter().collect();
    Arc::new(RuleSet::compile(&files, &Environment::assumed_by(&files)).set.expect("valid rules"))
}

fn callback(nth: usize) -> Command {
    let saw = Observation {
        source: Source::Callback,
        status: Status::PendingKycData,
        processing: Some(Processing::None),
        missing_docs: Some(Codes::EMPTY),
        reject_labels: Some(Codes::EMPTY),
        message: Some("".into()),
    };
    Command::Observe { customer: CustomerId::new(&format!("C-{nth}")).expect("an id"), saw }
}

/// A store in which this many customers wait, and none is due.
async fn waiting(customers: usize) -> (tempfile::TempDir, Store, Clock) {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Clock::manual(Timestamp(1_795_419_000_000));
    let options = StoreOptions { clock: clock.clone(), min_free_bytes: 0, ..StoreOptions::default() };
    let opened = Store::open(dir.path(), &options, Arc::new(OpenProgress::default())).await;
    let store = opened.unwrap_or_else(|error| panic!("{error}")).0;
    store.activate(rules()).await.expect("accepted");
    for chunk in (0..customers).collect::<Vec<_>>().chunks(2_000) {
        clock.advance_ms(1_000);
        for answer in join_all(chunk.iter().map(|nth| store.submit(callback(*nth)))).await {
            answer.expect("accepted");
        }
    }
    clock.advance_ms(DAY_MS);
    (dir, store, clock)
}

/// The median time of one query, in microseconds.
async fn look(store: &Store, clock: &Clock) -> f64 {
    let stay = TimerState::Status(Status::PendingKycData);
    let mut times = Vec::with_capacity(LOOKS);
    for _ in 0..LOOKS {
        let until = clock.now().plus_ms(-30 * DAY_MS);
        let of =
            Overdue { stay: stay.clone(), after_ms: 30 * DAY_MS, entered_after: Timestamp(0), entered_until: until };
        let began = Instant::now();
        let found = store.overdue(&of, None, 256).await.expect("readable");
        let next = store.next_stay(&stay, until).await.expect("readable");
        times.push(began.elapsed().as_secs_f64() * 1e6);
        assert!(found.is_empty() && next.is_some());
    }
    times.sort_by(f64::total_cmp);
    times[LOOKS / 2]
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let asked = arguments.iter().position(|argument| argument == "--customers").and_then(|at| arguments.get(at + 1));
    let many = asked.map_or(100_000, |text| text.parse().expect("--customers"));
    let few_store = waiting(100).await;
    let began = Instant::now();
    let many_store = waiting(many).await;
    println!("{many} customers in a status, {:.0} s to create", began.elapsed().as_secs_f64());
    // The first query waits until the view is complete.
    look(&many_store.1, &many_store.2).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let few_us = look(&few_store.1, &few_store.2).await;
    let many_us = look(&many_store.1, &many_store.2).await;
    println!("one query for overdue stays, median of {LOOKS}, none due:");
    println!("  {:>9} customers: {few_us:>6.0} us", 100);
    println!("  {many:>9} customers: {many_us:>6.0} us");
    println!("  ratio {:.1}", many_us / few_us);
    few_store.1.close().await;
    many_store.1.close().await;
}
