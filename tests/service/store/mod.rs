//! The contract of the store, for both engines; and the journal after a kill, and with truncated, torn, changed or
//! missing files.

mod open_jobs;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use kyc_rules::{
    clock::{Clock, Timestamp},
    decide::{Command, Receipt},
    domain::{CallbackOutcome, Codes, CustomerId, Observation, Processing, Source, Status},
    outbox::{AttemptOutcome, Channel, JobState},
    rules::{Environment, RuleSet},
    store::{CommitStep, JobFilter, OpenError, OpenProgress, Refused, Store, StoreOptions},
    yaml::Files,
};
use proptest::prelude::*;

const START: Timestamp = Timestamp(1_795_419_000_000);

fn id(text: &str) -> CustomerId {
    CustomerId::new(text).expect("id")
}

fn saw(status: &str, docs: &[&str]) -> Observation {
    Observation {
        source: Source::Callback,
        status: Status::from_wire(Some(status)).expect("status"),
        processing: Some(Processing::None),
        missing_docs: Some(Codes::new(docs.iter().copied()).expect("docs")),
        reject_labels: Some(Codes::EMPTY),
        message: Some("".into()),
    }
}

fn callback(customer: &str, status: &str) -> Command {
    Command::Observe { customer: id(customer), saw: saw(status, &[]) }
}

fn options() -> StoreOptions {
    StoreOptions {
        clock: Clock::manual(START),
        min_free_bytes: 0,
        view_cache_bytes: 4 << 20,
        ..StoreOptions::default()
    }
}

async fn open(path: &Path, options: &StoreOptions) -> Store {
    try_open(path, options).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn try_open(path: &Path, options: &StoreOptions) -> Result<Store, OpenError> {
    Store::open(path, options, Arc::new(OpenProgress::default())).await.map(|(store, _)| store)
}

async fn seen(store: &Store, customer: &str, status: &str) -> CallbackOutcome {
    match store.submit(callback(customer, status)).await {
        Ok(Receipt::Seen(verdict)) => verdict,
        other => panic!("{customer} {status}: {other:?}"),
    }
}

fn status_of(store: &Store, customer: &str) -> Option<String> {
    let case = store.customer(&id(customer)).expect("readable")?;
    Some(case.customer.as_ref()?.status.to_string())
}

/// Runs a test with each engine.
async fn each_engine<F: Future<Output = ()>>(test: impl Fn(Store, Clock) -> F) {
    let dir = tempfile::tempdir().expect("directory");
    let with = options();
    let journal = open(dir.path(), &with).await;
    test(journal.clone(), with.clock.clone()).await;
    journal.close().await;
    let with = options();
    test(Store::memory(&with), with.clock.clone()).await;
}

#[tokio::test]
async fn a_callback_moves_a_customer_once() {
    each_engine(|store, _| async move {
        assert_eq!(seen(&store, "C-1", "CREATED").await, CallbackOutcome::Moved);
        assert_eq!(seen(&store, "C-1", "CREATED").await, CallbackOutcome::Duplicate);
        assert_eq!(seen(&store, "C-1", "KYC_PENDING").await, CallbackOutcome::Moved);
        let case = store.customer(&id("C-1")).expect("readable").expect("known");
        let customer = case.customer.as_ref().expect("observed");
        assert_eq!((customer.status.name(), customer.visit()), ("KYC_PENDING", 1));
        assert_eq!(customer.from.as_ref().map(Status::name), Some("CREATED"));
        assert_eq!(store.customer(&id("C-2")).expect("readable"), None);
        assert_eq!(store.figures().customers, 1);
    })
    .await;
}

#[tokio::test]
async fn repeated_duplicates_are_recorded_once_a_minute_and_counted() {
    each_engine(|store, clock| async move {
        seen(&store, "C-1", "CREATED").await;
        for _ in 0..10 {
            assert_eq!(seen(&store, "C-1", "CREATED").await, CallbackOutcome::Duplicate);
        }
        assert_eq!(store.timeline(&id("C-1"), None, 100).expect("readable").rows.len(), 2);
        clock.advance_ms(60_000);
        seen(&store, "C-1", "CREATED").await;
        let rows = store.timeline(&id("C-1"), None, 100).expect("readable").rows;
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0].effects.repeats, 9, "the newest record has the count of unrecorded duplicates");
    })
    .await;
}

#[tokio::test]
async fn a_timeline_is_read_in_pages() {
    each_engine(|store, _| async move {
        for status in ["CREATED", "KYC_NEEDED", "PENDING_KYC_DATA", "KYC_PENDING", "FULL_USER"] {
            seen(&store, "C-1", status).await;
            seen(&store, "C-2", status).await;
        }
        let first = store.timeline(&id("C-1"), None, 3).expect("readable");
        let rest = store.timeline(&id("C-1"), first.next, 3).expect("readable");
        let edges: Vec<String> = first
            .rows
            .iter()
            .chain(&rest.rows)
            .map(|entry| {
                let (from, to) = entry.edge().expect("an observation");
                format!("{} -> {to}", from.map_or("new", Status::name))
            })
            .collect();
        assert_eq!(
            edges,
            [
                "KYC_PENDING -> FULL_USER",
                "PENDING_KYC_DATA -> KYC_PENDING",
                "KYC_NEEDED -> PENDING_KYC_DATA",
                "CREATED -> KYC_NEEDED",
                "new -> CREATED",
            ]
        );
        assert_eq!(rest.next, None);
    })
    .await;
}

#[tokio::test]
async fn customers_are_listed_in_pages() {
    each_engine(|store, _| async move {
        for n in 0..25 {
            seen(&store, &format!("C-{n:02}"), "CREATED").await;
        }
        let mut listed = Vec::new();
        let mut after = None;
        loop {
            let page = store.customers(after.as_ref(), 10).await.expect("readable");
            listed.extend(page.rows);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let expected: Vec<CustomerId> = (0..25).map(|n| id(&format!("C-{n:02}"))).collect();
        assert_eq!(listed, expected);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_concurrent_commands_are_decided_in_order() {
    each_engine(|store, _| async move {
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let store = store.clone();
                tokio::spawn(async move {
                    for n in 0..50 {
                        let customer = format!("C-{}", (task * 7 + n) % 40);
                        let status = ["KYC_PENDING", "SOFT_KYC_FAILED", "FULL_USER"][(task + n) % 3];
                        seen(&store, &customer, status).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        assert_eq!(store.figures().customers, 40);
        for n in 0..40 {
            let customer = format!("C-{n}");
            let rows = store.timeline(&id(&customer), None, 10_000).expect("readable").rows;
            let moves: Vec<_> = rows.iter().filter(|entry| entry.verdict() == Some(CallbackOutcome::Moved)).collect();
            for pair in moves.windows(2) {
                let (from, _) = pair[0].edge().expect("edge");
                let (_, to) = pair[1].edge().expect("edge");
                assert_eq!(from, Some(to), "each move begins with the status in which the previous one ended");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn acknowledged_callbacks_survive_a_restart() {
    let dir = tempfile::tempdir().expect("directory");
    for round in 0..5 {
        let store = open(dir.path(), &options()).await;
        for n in 0..20 {
            let before = status_of(&store, &format!("C-{n}"));
            assert_eq!(before.is_some(), round > 0, "round {round}, C-{n}");
            seen(&store, &format!("C-{n}"), if round % 2 == 0 { "KYC_PENDING" } else { "FULL_USER" }).await;
        }
        assert_eq!(store.figures().customers, 20);
        store.close().await;
    }
}

#[tokio::test]
async fn everything_under_the_data_directory_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("directory");
    let store = open(dir.path(), &options()).await;
    seen(&store, "C-1", "CREATED").await;
    store.customers(None, 1).await.expect("flushed");
    let mut todo = vec![dir.path().to_owned()];
    while let Some(path) = todo.pop() {
        for entry in fs::read_dir(&path).expect("readable") {
            let path = entry.expect("entry").path();
            let mode = path.metadata().expect("metadata").permissions().mode() & 0o777;
            if path.is_dir() {
                assert_eq!(mode, 0o700, "{}", path.display());
                todo.push(path);
            } else {
                assert_eq!(mode, 0o600, "{}", path.display());
            }
        }
    }
    store.close().await;
}

#[tokio::test]
async fn one_data_directory_serves_one_process() {
    let dir = tempfile::tempdir().expect("directory");
    let store = open(dir.path(), &options()).await;
    assert!(matches!(try_open(dir.path(), &options()).await, Err(OpenError::Locked(_))));
    store.close().await;
    open(dir.path(), &options()).await.close().await;
}

/// Stops the writer when it reaches a step for the nth time, like a kill.
fn stop_at(step: CommitStep, nth: usize) -> StoreOptions {
    let count = AtomicUsize::new(0);
    let interrupt = move |at: CommitStep| {
        if at == step && count.fetch_add(1, Ordering::SeqCst) == nth {
            return Err(std::io::Error::other("killed"));
        }
        Ok(())
    };
    StoreOptions { interrupt: Some(Arc::new(interrupt)), ..options() }
}

#[tokio::test]
async fn a_kill_between_any_two_steps_loses_no_acknowledged_callback() {
    const STATUSES: [&str; 3] = ["KYC_PENDING", "SOFT_KYC_FAILED", "FULL_USER"];
    for step in CommitStep::ALL
        .iter()
        .filter(|step| !matches!(step, CommitStep::Sealed | CommitStep::Joined | CommitStep::Witnessed))
    {
        for nth in [1, 2, 5, 9] {
            let dir = tempfile::tempdir().expect("directory");
            let store = open(dir.path(), &stop_at(*step, nth)).await;
            let mut answered: BTreeMap<String, usize> = BTreeMap::new();
            let mut refused = None;
            for n in 0..30 {
                let customer = format!("C-{}", n % 4);
                match store.submit(callback(&customer, STATUSES[n % 3])).await {
                    Ok(_) => {
                        answered.insert(customer, n);
                    }
                    Err(error) => {
                        assert_eq!(error, Refused::Closed);
                        refused.get_or_insert((customer, n));
                    }
                }
            }
            let (who, lost) = refused.expect("it was killed");
            store.close().await;
            let store = open(dir.path(), &options()).await;
            for (customer, n) in &answered {
                let status = status_of(&store, customer);
                let decided = *customer == who && status.as_deref() == Some(STATUSES[lost % 3]);
                assert!(
                    status.as_deref() == Some(STATUSES[n % 3]) || decided,
                    "{step:?} {nth}: {customer}: step {n} was acknowledged, the status is {status:?}"
                );
            }
            // The provider retries, and the callback counts exactly once.
            seen(&store, &who, STATUSES[lost % 3]).await;
            let rows = store.timeline(&id(&who), None, 100).expect("readable").rows;
            let moves = rows.iter().filter(|entry| entry.verdict() == Some(CallbackOutcome::Moved)).count();
            let expected = (0..=lost).filter(|n| n % 4 == lost % 4).count();
            assert_eq!(moves, expected, "{step:?} {nth}");
            store.close().await;
        }
    }
}

/// The segments, without the format marker.
fn journal_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir.join("journal"))
        .expect("journal")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl") && !path.ends_with(MARKER))
        .collect();
    files.sort();
    files
}

/// The marker of the journal's format.
const MARKER: &str = "00000000000000000000.jsonl";

#[tokio::test]
async fn segments_are_sealed_and_timelines_cross_them() {
    let dir = tempfile::tempdir().expect("directory");
    let store = open(dir.path(), &options()).await;
    // About 3 MB of records: the first segment has 1 MB, the second 2.
    let message: Box<str> = "x".repeat(450).into();
    for n in 0..3_000 {
        let observation = Observation { message: Some(format!("{n} {message}").into()), ..saw("KYC_PENDING", &[]) };
        let customer = id(&format!("C-{}", n % 10));
        store.submit(Command::Observe { customer, saw: observation }).await.expect("accepted");
    }
    let files = journal_files(dir.path());
    assert!(files.len() >= 2, "{files:?}");
    assert!(fs::read_to_string(&files[0]).expect("text").trim_end().ends_with("\"k\":\"sealed\"}"));
    assert_eq!(store.timeline(&id("C-3"), None, 1_000).expect("readable").rows.len(), 300);
    store.close().await;
    let store = open(dir.path(), &options()).await;
    let rows = store.timeline(&id("C-3"), None, 1_000).expect("readable").rows;
    assert_eq!(rows.len(), 300);
    assert_eq!(rows[299].verdict(), Some(CallbackOutcome::Moved));
    store.close().await;
}

#[tokio::test]
async fn a_kill_while_a_segment_is_sealed_loses_nothing() {
    let message: Box<str> = "x".repeat(480).into();
    for step in [CommitStep::Sealed, CommitStep::Joined, CommitStep::Witnessed] {
        let dir = tempfile::tempdir().expect("directory");
        let store = open(dir.path(), &stop_at(step, 0)).await;
        let mut answered = 0;
        for n in 0..3_000 {
            let observation = Observation { message: Some(format!("{n} {message}").into()), ..saw("KYC_PENDING", &[]) };
            if store.submit(Command::Observe { customer: id("C-1"), saw: observation }).await.is_err() {
                break;
            }
            answered = n;
        }
        store.close().await;
        let store = open(dir.path(), &options()).await;
        let case = store.customer(&id("C-1")).expect("readable").expect("known");
        let message = case.customer.as_ref().and_then(|customer| customer.message.clone()).expect("message");
        assert!(message.starts_with(&format!("{answered} ")), "{step:?}");
        assert_eq!(seen(&store, "C-1", "FULL_USER").await, CallbackOutcome::Moved);
        store.close().await;
    }
}

/// A journal of a clean run without its view, and the last status of its customers. Its witness is the one written on
/// opening, as after a kill.
async fn some_journal() -> (tempfile::TempDir, BTreeMap<String, String>) {
    let dir = tempfile::tempdir().expect("directory");
    let store = open(dir.path(), &options()).await;
    let witness = fs::read(dir.path().join("witness.json")).expect("a witness");
    let mut last = BTreeMap::new();
    for n in 0..12 {
        let (customer, status) = (format!("C-{}", n % 5), ["KYC_PENDING", "SOFT_KYC_FAILED", "FULL_USER"][n % 3]);
        seen(&store, &customer, status).await;
        last.insert(customer, status.to_owned());
    }
    store.close().await;
    fs::remove_dir_all(dir.path().join("view")).expect("removed");
    fs::write(dir.path().join("witness.json"), witness).expect("written");
    (dir, last)
}

fn content_length(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != b'\n').map_or(0, |last| last + 2)
}

#[derive(Clone, Debug)]
enum Harm {
    Flip { at: usize, bit: u8 },
    Cut { at: usize },
    Tear { at: usize, length: usize },
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = 0..1_000_000_usize;
    prop_oneof![
        (at.clone(), 0..8_u8).prop_map(|(at, bit)| Harm::Flip { at, bit }),
        at.clone().prop_map(|at| Harm::Cut { at }),
        (at, 1..2_000_usize).prop_map(|(at, length)| Harm::Tear { at, length }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens to the bytes: either the journal opens and contains everything before the harm, in order, or it
    /// is refused as damaged. A record that a later record proves durable is never lost silently.
    #[test]
    fn a_damaged_journal_is_refused_or_ends_before_the_damage(harm in harm()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(async {
            let (dir, last) = some_journal().await;
            let file = journal_files(dir.path()).pop().expect("a segment");
            let mut bytes = fs::read(&file).expect("bytes");
            let whole = bytes.clone();
            let length = content_length(&bytes);
            let mark = bytes[..length - 1].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            match &harm {
                Harm::Flip { at, bit } => bytes[at % length] ^= 1 << bit,
                Harm::Cut { at } => bytes.truncate(at % length),
                Harm::Tear { at, length: torn } => {
                    let at = at % length;
                    bytes[at..(at + torn).min(length)].fill(b'\n');
                }
            }
            // A tear may begin with a newline, which it does not change.
            let spot = bytes.iter().zip(&whole).position(|(is, was)| is != was).unwrap_or(bytes.len());
            // Some tears change nothing.
            prop_assume!(bytes != whole);
            let lines_before = bytes[..spot.min(bytes.len())].iter().filter(|byte| **byte == b'\n').count();
            let lines = 14; // opened, twelve callbacks, closed
            fs::write(&file, &bytes).expect("written");
            match try_open(dir.path(), &options()).await {
                Err(OpenError::Damage(damage)) => {
                    prop_assert!(!matches!(harm, Harm::Cut { .. }), "no record remains after a cut");
                    prop_assert_eq!(damage.number, lines_before as u64 + 1);
                }
                Err(other) => prop_assert!(false, "{}", other),
                Ok(store) => {
                    let kept = (0..12).filter(|n| n + 2 <= lines_before).count();
                    // A callback is proven only by a later record; the record of a clean end proves all callbacks.
                    if !matches!(harm, Harm::Cut { .. }) {
                        let harmless = lines_before + 1 >= lines;
                        let tail_torn = matches!(harm, Harm::Tear { at, length: torn } if at % length + torn > mark);
                        prop_assert!(harmless || tail_torn, "{} lines before the harm", lines_before);
                    }
                    let mut expected = BTreeMap::new();
                    for n in 0..kept {
                        let status = ["KYC_PENDING", "SOFT_KYC_FAILED", "FULL_USER"][n % 3];
                        expected.insert(format!("C-{}", n % 5), status.to_owned());
                    }
                    for customer in last.keys() {
                        prop_assert_eq!(status_of(&store, customer), expected.get(customer).cloned(), "{}", customer);
                    }
                    store.close().await;
                }
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_missing_truncated_or_overwritten_view_is_rebuilt() {
    for harm in ["gone", "cut", "scribbled"] {
        let dir = tempfile::tempdir().expect("directory");
        let store = open(dir.path(), &options()).await;
        for n in 0..50 {
            seen(&store, &format!("C-{n}"), "KYC_PENDING").await;
        }
        store.close().await;
        let view = dir.path().join("view");
        let db = view.join("db");
        match harm {
            "gone" => fs::remove_dir_all(&view).expect("removed"),
            "cut" => {
                let length = db.metadata().expect("metadata").len();
                fs::OpenOptions::new().write(true).open(&db).expect("open").set_len(length / 3).expect("cut");
            }
            _ => fs::write(&db, vec![0xA5; 100_000]).expect("scribbled"),
        }
        let store = open(dir.path(), &options()).await;
        for n in 0..50 {
            assert_eq!(status_of(&store, &format!("C-{n}")).as_deref(), Some("KYC_PENDING"), "{harm}");
        }
        assert_eq!(store.figures().customers, 50, "{harm}");
        store.close().await;
    }
}

/// A store of ten customers whose journal is cut after its sixth line, and the witness as it was on opening.
async fn cut_journal() -> (tempfile::TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().expect("directory");
    let store = open(dir.path(), &options()).await;
    let witness = fs::read(dir.path().join("witness.json")).expect("a witness");
    for n in 0..10 {
        seen(&store, &format!("C-{n}"), "KYC_PENDING").await;
    }
    store.close().await;
    let file = journal_files(dir.path()).pop().expect("a segment");
    let bytes = fs::read(&file).expect("bytes");
    let end = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(5).expect("six lines").0;
    fs::write(&file, &bytes[..=end]).expect("cut");
    (dir, witness)
}

#[tokio::test]
async fn a_view_ahead_of_the_journal_is_refused_with_both_numbers() {
    let (dir, witness) = cut_journal().await;
    fs::write(dir.path().join("witness.json"), witness).expect("written");
    // A torn line follows the end: until the view was read, it is not known whether it may be cut off.
    let newest = journal_files(dir.path()).pop().expect("a segment");
    let mut bytes = fs::read(&newest).expect("readable");
    bytes.extend_from_slice(b"{\"c\":\"torn");
    fs::write(&newest, bytes).expect("written");
    let files = || -> Vec<_> {
        let files = journal_files(dir.path()).into_iter().chain([dir.path().join("witness.json")]);
        files.map(|file| fs::read(file).expect("readable")).collect()
    };
    let before = files();
    match try_open(dir.path(), &options()).await {
        Err(OpenError::Ahead { view: 12, journal: 6 }) => {}
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("acknowledged records are missing, but the store opened"),
    }
    assert_eq!(files(), before, "a refused start changes no file");
}

#[tokio::test]
async fn a_journal_that_ends_before_a_durable_record_is_refused_even_without_a_view() {
    let (dir, _) = cut_journal().await;
    for view_is_there in [true, false] {
        match try_open(dir.path(), &options()).await {
            Err(OpenError::End { found: 6, expected: 12, .. }) => {}
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("acknowledged records are missing, but the store opened"),
        }
        if view_is_there {
            fs::remove_dir_all(dir.path().join("view")).expect("removed");
        }
    }
}

#[tokio::test]
async fn after_a_disk_failure_every_command_is_refused() {
    let dir = tempfile::tempdir().expect("directory");
    let store = open(dir.path(), &stop_at(CommitStep::Written, 3)).await;
    let mut refused = 0;
    for n in 0..10 {
        refused += usize::from(store.submit(callback(&format!("C-{n}"), "CREATED")).await.is_err());
    }
    assert_eq!(refused, 8, "the command of the failed write, and all later ones");
    store.close().await;
}

#[tokio::test]
async fn with_too_little_free_space_callbacks_are_refused() {
    let dir = tempfile::tempdir().expect("directory");
    let store = open(dir.path(), &StoreOptions { min_free_bytes: u64::MAX, ..options() }).await;
    while store.trouble().is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(store.submit(callback("C-1", "CREATED")).await, Err(Refused::NoSpace));
    assert_eq!(store.customer(&id("C-1")).expect("readable"), None);
    store.close().await;
}

/// Rules with a mail for each of two statuses, and a tag.
fn rules() -> Arc<RuleSet> {
    let rules = "format: 1\nrules:\n  - {id: sorry, when: any -> SOFT_KYC_FAILED, do: [{email: sorry}]}\n  \
                 - {id: done, when: any -> FULL_USER, do: [{tag: done}, {email: sorry}]}\n";
    let files = [("kyc.yaml", rules), ("templates/sorry.en.md", "Subject: Sorry\n\nSorry.\n")];
    let files: Files = files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
    let context = Environment { email: true, locale: "en".to_owned(), ..Environment::default() };
    Arc::new(RuleSet::compile(&files, &context).set.expect("valid rules"))
}

fn contact(customer: &str) -> Command {
    let contact = serde_json::from_value(serde_json::json!({"email": "ada@customer.example"})).expect("a contact");
    Command::Contact { customer: id(customer), contact }
}

#[tokio::test]
async fn jobs_are_ordered_claimed_and_finished_once() {
    each_engine(|store, clock| async move {
        store.activate(rules()).await.expect("accepted");
        for nth in 0..5 {
            let customer = format!("C-{nth}");
            store.submit(contact(&customer)).await.expect("accepted");
            seen(&store, &customer, "SOFT_KYC_FAILED").await;
        }
        assert_eq!(store.figures().queued, 5);
        let first = store.claim(&Channel::email(), 3).await.expect("claimed");
        let second = store.claim(&Channel::email(), 10).await.expect("claimed");
        assert_eq!((first.len(), second.len()), (3, 2), "each is claimed once");
        assert!(store.claim(&Channel::email(), 10).await.expect("claimed").is_empty());
        assert_eq!(store.figures().running, 5);
        assert_eq!(store.finish(&first[0], AttemptOutcome::Done).await, Ok(Receipt::Recorded));
        assert_eq!(store.finish(&first[0], AttemptOutcome::Done).await, Ok(Receipt::Gone), "it has ended already");
        let later = AttemptOutcome::Retry { error: "451 later".to_owned(), after_ms: None };
        assert_eq!(store.finish(&first[1], later).await, Ok(Receipt::Recorded));
        assert!(store.claim(&Channel::email(), 10).await.expect("claimed").is_empty(), "the delay has not passed");
        clock.advance_ms(10_000);
        let again = store.claim(&Channel::email(), 10).await.expect("claimed");
        assert_eq!((again.len(), again[0].job.fate.attempts), (1, 2));
        assert_eq!(again[0].job.letter, first[1].job.letter, "a repeated attempt sends the same letter");
        let all = store.jobs(&JobFilter::default(), None, 100).await.expect("readable").rows;
        let states: Vec<JobState> = all.iter().rev().map(|(_, job)| job.fate.state).collect();
        assert_eq!(
            states,
            [JobState::Done, JobState::Running, JobState::Running, JobState::Running, JobState::Running]
        );
        let done = JobFilter { state: Some(JobState::Done), ..JobFilter::default() };
        assert_eq!(store.jobs(&done, None, 100).await.expect("readable").rows.len(), 1);
        let paged = store.jobs(&JobFilter::default(), None, 2).await.expect("readable");
        let next = store.jobs(&JobFilter::default(), paged.next, 100).await.expect("readable");
        assert_eq!((paged.rows.len(), next.rows.len()), (2, 3));
    })
    .await;
}

#[tokio::test]
async fn attempts_end_after_a_day_and_an_operator_can_retry_the_job() {
    each_engine(|store, clock| async move {
        store.activate(rules()).await.expect("accepted");
        store.submit(contact("C-1")).await.expect("accepted");
        seen(&store, "C-1", "SOFT_KYC_FAILED").await;
        let mut attempts = 0;
        loop {
            let claimed = store.claim(&Channel::email(), 1).await.expect("claimed");
            if let Some(attempt) = claimed.first() {
                attempts += 1;
                let later = AttemptOutcome::Retry { error: "421 busy".to_owned(), after_ms: None };
                store.finish(attempt, later).await.expect("recorded");
            }
            if store.figures().problem == 1 {
                break;
            }
            clock.advance_ms(60_000);
        }
        assert!((20..60).contains(&attempts), "{attempts} attempts in a day");
        let job = store.jobs_of(&id("C-1")).expect("readable").remove(0);
        assert!(job.fate.reason.as_deref().expect("a reason").contains("gave up"), "{job:?}");
        store.submit(Command::Retry { customer: id("C-1"), job: job.id() }).await.expect("accepted");
        assert_eq!(store.claim(&Channel::email(), 1).await.expect("claimed").len(), 1);
    })
    .await;
}

#[tokio::test]
async fn jobs_rule_sets_and_marks_survive_a_restart_and_a_lost_view() {
    let dir = tempfile::tempdir().expect("directory");
    let store = open(dir.path(), &options()).await;
    let rules = rules();
    store.activate(Arc::clone(&rules)).await.expect("accepted");
    store.submit(contact("C-1")).await.expect("accepted");
    seen(&store, "C-1", "SOFT_KYC_FAILED").await;
    seen(&store, "C-2", "FULL_USER").await;
    let begun = store.claim(&Channel::email(), 1).await.expect("claimed");
    assert_eq!(begun[0].customer, id("C-1"));
    let before = (store.customer(&id("C-1")).expect("readable"), store.customer(&id("C-2")).expect("readable"));
    store.close().await;
    for lost in [false, true] {
        if lost {
            fs::remove_dir_all(dir.path().join("view")).expect("removed");
        }
        let (store, in_doubt) = Store::open(dir.path(), &options(), Arc::new(OpenProgress::default()))
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(in_doubt, usize::from(!lost), "an attempt had begun");
        assert_eq!(store.active_set().as_deref(), Some(rules.hash()));
        assert_eq!(store.rule_set(rules.hash()).expect("readable").as_ref(), Some(rules.files()));
        let tagged = store.customer(&id("C-2")).expect("readable").expect("known");
        assert_eq!(tagged.tags, before.1.as_ref().expect("known").tags);
        let jobs = store.jobs_of(&id("C-1")).expect("readable");
        assert_eq!((jobs.len(), jobs[0].fate.state, jobs[0].fate.attempts), (1, JobState::Queued, 1));
        assert_eq!(jobs[0].order, before.0.as_ref().expect("known").open[0].order);
        store.close().await;
    }
}

#[tokio::test]
async fn an_unstable_hour_loses_no_job_and_repeats_only_attempts_in_doubt() {
    each_engine(|store, clock| async move {
        store.activate(rules()).await.expect("accepted");
        let customers = 40;
        for nth in 0..customers {
            let customer = format!("C-{nth}");
            store.submit(contact(&customer)).await.expect("accepted");
            seen(&store, &customer, "SOFT_KYC_FAILED").await;
        }
        // How often the other side has accepted each mail, and how often the process did not record that.
        let mut taken: BTreeMap<String, u32> = BTreeMap::new();
        let mut in_doubt = 0;
        let mut random = 88_172_645_463_325_252_u64;
        for minute in 0..26 * 60 {
            let flaps = minute < 60;
            let is_up = !flaps || minute / 3 % 2 == 0;
            while let Some(attempt) = store.claim(&Channel::email(), 1).await.expect("claimed").pop() {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let (customer, job) = (attempt.customer.clone(), attempt.job.id());
                if !is_up {
                    let later = AttemptOutcome::Retry { error: "421 away".to_owned(), after_ms: None };
                    store.finish(&attempt, later).await.expect("recorded");
                    continue;
                }
                *taken.entry(job.to_string()).or_default() += 1;
                if flaps && random.is_multiple_of(3) {
                    // The process ends between the other side's response and its record.
                    in_doubt += 1;
                    store.submit(Command::Doubt { customer, job }).await.expect("accepted");
                } else {
                    store.finish(&attempt, AttemptOutcome::Done).await.expect("recorded");
                }
            }
            clock.advance_ms(60_000);
        }
        let jobs = store.jobs(&JobFilter::default(), None, 1_000).await.expect("readable").rows;
        assert!(jobs.iter().all(|(_, job)| job.fate.state == JobState::Done), "no job is lost");
        assert_eq!((jobs.len(), taken.len()), (customers, customers), "each with one id");
        let repeated: u32 = taken.values().map(|times| times - 1).sum();
        assert!(in_doubt > 5, "{in_doubt}");
        assert_eq!(repeated, in_doubt, "only attempts in doubt are repeated");
    })
    .await;
}
