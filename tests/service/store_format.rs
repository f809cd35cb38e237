//! The files around the journal: the witness, the format marker, the key, stored rule sets, and directories of version
//! 0.1.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use kyc_rules::{
    clock::{Clock, Timestamp},
    decide::{Command, Receipt},
    domain::{CustomerId, Observation, Source, Status},
    outbox::{Channel, JobState},
    rules::{Environment, RuleSet},
    store::{JobFilter, OpenError, OpenProgress, SegmentSizes, Store, StoreOptions},
    yaml::Files,
};

use crate::support::repository::data_of_version_0_1;

const START: Timestamp = Timestamp(1_795_419_000_000);
const MARKER: &str = "journal/00000000000000000000.jsonl";

fn options() -> StoreOptions {
    StoreOptions {
        clock: Clock::manual(START),
        min_free_bytes: 0,
        view_cache_bytes: 4 << 20,
        segments: SegmentSizes { smallest: 4 << 10, largest: 8 << 10 },
        ..StoreOptions::default()
    }
}

async fn try_open(path: &Path) -> Result<Store, OpenError> {
    Store::open(path, &options(), Arc::new(OpenProgress::default())).await.map(|(store, _)| store)
}

async fn open(path: &Path) -> Store {
    try_open(path).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn refusal(path: &Path) -> OpenError {
    match try_open(path).await {
        Err(error) => error,
        Ok(_) => panic!("the store opened"),
    }
}

fn id(text: &str) -> CustomerId {
    CustomerId::new(text).expect("id")
}

async fn seen(store: &Store, customer: &str, status: &str) {
    let status = Status::from_wire(Some(status)).expect("status");
    let saw = Observation {
        source: Source::Callback,
        status,
        processing: None,
        missing_docs: None,
        reject_labels: None,
        message: None,
    };
    let receipt = store.submit(Command::Observe { customer: id(customer), saw }).await;
    assert!(matches!(receipt, Ok(Receipt::Seen(_))), "{receipt:?}");
}

/// A closed store of several segments, with one record per customer.
async fn some_store() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("directory");
    let store = open(dir.path()).await;
    for nth in 0..200 {
        seen(&store, &format!("C-{nth}"), "KYC_PENDING").await;
    }
    store.close().await;
    assert!(segments(dir.path()).len() > 3);
    dir
}

fn segments(data: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data.join("journal")).expect("journal");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl") && *path != data.join(MARKER));
    paths.sort();
    paths
}

fn first_of(segment: &Path) -> u64 {
    segment.file_stem().and_then(|name| name.to_str()).and_then(|digits| digits.parse().ok()).expect("a number")
}

/// The files in a directory, except sled's and temporary ones.
fn content(data: &Path) -> BTreeSet<(PathBuf, Vec<u8>)> {
    let mut found = BTreeSet::new();
    for dir in [data.to_owned(), data.join("journal"), data.join("rule-sets")] {
        for entry in fs::read_dir(dir).expect("listed") {
            let path = entry.expect("entry").path();
            if path.is_file() && path.extension().is_none_or(|extension| extension != "tmp") {
                found.insert((path.clone(), fs::read(path).expect("bytes")));
            }
        }
    }
    found
}

#[tokio::test]
async fn a_missing_first_or_last_segment_is_refused_with_both_numbers_even_without_a_view() {
    for (nth, keeps_view) in [(0, true), (0, false), (usize::MAX, true), (usize::MAX, false)] {
        let dir = some_store().await;
        let all = segments(dir.path());
        let gone = &all[nth.min(all.len() - 1)];
        fs::remove_file(gone).expect("removed");
        if !keeps_view {
            fs::remove_dir_all(dir.path().join("view")).expect("removed");
        }
        let before = content(dir.path());
        let (error, expected) = (refusal(dir.path()).await, first_of(gone));
        let found = match &error {
            OpenError::FirstSegment { found: Some(found), expected: 1, .. } if nth == 0 => *found,
            OpenError::NewestSegment { found, expected: number, .. } if nth > 0 && *number == expected => *found,
            other => panic!("{other}"),
        };
        let text = error.to_string();
        assert!(text.contains(&format!("record {found}")) && text.contains(&format!("record {expected}")), "{text}");
        assert!(content(dir.path()) == before, "nothing is changed");
    }
}

#[tokio::test]
async fn a_journal_without_segments_is_refused() {
    let dir = some_store().await;
    for segment in segments(dir.path()) {
        fs::remove_file(segment).expect("removed");
    }
    fs::remove_dir_all(dir.path().join("view")).expect("removed");
    assert!(matches!(refusal(dir.path()).await, OpenError::FirstSegment { found: None, expected: 1, .. }));
}

#[tokio::test]
async fn a_missing_or_damaged_witness_and_a_later_format_are_refused() {
    let dir = some_store().await;
    let path = dir.path().join("witness.json");
    let witness = fs::read_to_string(&path).expect("a witness");
    fs::remove_file(&path).expect("removed");
    let error = refusal(dir.path()).await;
    assert!(matches!(error, OpenError::WitnessMissing(_)) && error.to_string().contains("witness.json"), "{error}");
    fs::write(&path, witness.replace("\"first\":1", "\"first\":2")).expect("written");
    assert!(matches!(refusal(dir.path()).await, OpenError::WitnessDamaged(_)));
    fs::write(&path, witness.replace("\"format\":2", "\"format\":3")).expect("written");
    assert!(matches!(refusal(dir.path()).await, OpenError::Later { format: 3 }));
    fs::write(&path, witness).expect("written");
    open(dir.path()).await.close().await;
}

#[tokio::test]
async fn the_witness_names_the_segments_and_is_never_ahead_of_the_journal() {
    let dir = tempfile::tempdir().expect("directory");
    let witness = || -> serde_json::Value {
        serde_json::from_slice(&fs::read(dir.path().join("witness.json")).expect("a witness")).expect("JSON")
    };
    let store = open(dir.path()).await;
    assert_eq!((&witness()["format"], &witness()["first"], &witness()["base"]), (&2.into(), &1.into(), &().into()));
    assert_eq!((&witness()["active"], &witness()["last"]), (&1.into(), &0.into()));
    for nth in 0..100 {
        seen(&store, &format!("C-{nth}"), "KYC_PENDING").await;
        let newest = first_of(segments(dir.path()).last().expect("a segment"));
        assert_eq!(
            witness()["active"].as_u64(),
            Some(newest),
            "the witness names a segment before the first answer from it"
        );
        assert!(witness()["last"].as_u64().expect("a number") <= store.figures().durable);
    }
    store.close().await;
    assert_eq!(witness()["last"].as_u64(), Some(102), "opened, a hundred callbacks, closed");
}

#[tokio::test]
async fn a_missing_seal_is_no_damage_and_all_records_are_read() {
    let dir = some_store().await;
    let second = &segments(dir.path())[1];
    let mut bytes = fs::read(second).expect("bytes");
    let seal =
        bytes.split(|byte| *byte == b'\n').find(|line| line.ends_with(b"\"k\":\"sealed\"}")).expect("a seal").to_vec();
    let at = bytes.windows(seal.len()).position(|window| window == seal).expect("there");
    // A part of the seal may be on the disk.
    bytes[at + 40..at + seal.len()].fill(b'\n');
    fs::write(second, bytes).expect("written");
    for without_view in [false, true] {
        if without_view {
            fs::remove_dir_all(dir.path().join("view")).expect("removed");
        }
        let store = open(dir.path()).await;
        assert_eq!(store.figures().customers, 200);
        let mut numbers = Vec::new();
        while let Some(records) =
            Some(store.records(numbers.last().map_or(1, |last| last + 1), 1_000).await.expect("read"))
                .filter(|records| !records.is_empty())
        {
            numbers.extend(records.iter().map(|record| record.number));
        }
        assert_eq!(numbers, (1..=store.figures().durable).collect::<Vec<_>>());
        store.close().await;
    }
}

#[tokio::test]
async fn a_different_or_missing_job_key_is_refused() {
    let dir = some_store().await;
    let path = dir.path().join("job.key");
    let key = fs::read(&path).expect("a key");
    let mut other = key.clone();
    other[31] ^= 1;
    let harms: [Option<&[u8]>; 4] = [None, Some(&other), Some(&key[..31]), Some(b"")];
    for harm in harms {
        match harm {
            None => fs::remove_file(&path).expect("removed"),
            Some(bytes) => fs::write(&path, bytes).expect("written"),
        }
        let error = refusal(dir.path()).await;
        let text = error.to_string();
        assert!(matches!(error, OpenError::Key(_)) && text.contains("job.key") && text.contains("Restore"), "{text}");
        assert_eq!(path.exists(), harm.is_some(), "no new key is created");
    }
    fs::write(&path, key).expect("written");
    open(dir.path()).await.close().await;
}

fn some_rules() -> Arc<RuleSet> {
    let rules = "format: 1\nrules:\n  - {id: mark, when: any -> FULL_USER, do: [{tag: done}]}\n";
    let files: Files = [("kyc.yaml".to_owned(), rules.to_owned())].into_iter().collect();
    Arc::new(RuleSet::compile(&files, &Environment::default()).set.expect("valid rules"))
}

#[tokio::test]
async fn a_changed_rule_set_is_refused_and_rewritten_when_it_is_loaded() {
    let dir = tempfile::tempdir().expect("directory");
    let (store, rules) = (open(dir.path()).await, some_rules());
    store.activate(Arc::clone(&rules)).await.expect("accepted");
    let path = dir.path().join(format!("rule-sets/{}.json", rules.hash()));
    let text = fs::read_to_string(&path).expect("stored");
    fs::write(&path, text.replace("done", "gone")).expect("edited");
    let error = store.rule_set(rules.hash()).expect_err("changed").to_string();
    assert!(error.contains(rules.hash()) && error.contains("Restore"), "{error}");
    store.activate(Arc::clone(&rules)).await.expect("accepted");
    assert_eq!(store.rule_set(rules.hash()).expect("readable").as_ref(), Some(rules.files()));
    store.close().await;
}

fn version_0_1() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("directory");
    for (path, bytes) in data_of_version_0_1() {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, bytes).expect("written");
    }
    dir
}

async fn check_version_0_1(store: &Store) {
    assert_eq!(store.figures().customers, 12);
    let jobs = store.jobs(&JobFilter::default(), None, 100).await.expect("readable").rows;
    let count = |state| jobs.iter().filter(|(_, job)| job.fate.state == state).count();
    let counts =
        [JobState::Queued, JobState::Held, JobState::Running, JobState::Done, JobState::Cancelled, JobState::Problem]
            .map(count);
    assert_eq!(counts, [2, 1, 0, 3, 1, 2], "the running job is in doubt, and waits: {jobs:#?}");
    let standing = store.global_state().borrow().clone();
    let paused: Vec<&str> = standing.paused_rules().map(|(rule, _)| rule.as_str()).collect();
    assert_eq!((standing.is_paused(&Channel::email()), &*paused), (true, &["remind-them"][..]));
    for (customer, status) in [("C-1", "FULL_USER"), ("C-2", "SOFT_KYC_FAILED"), ("C-12", "HARD_KYC_FAILED")] {
        let case = store.customer(&id(customer)).expect("readable").expect("known");
        assert_eq!(case.customer.as_ref().map(|customer| customer.status.name()), Some(status), "{customer}");
    }
    let set = store.active_set().expect("a set");
    assert!(store.rule_set(&set).expect("readable").is_some());
}

#[tokio::test]
async fn a_directory_of_0_1_opens_and_is_converted() {
    let dir = version_0_1();
    let key = fs::read(dir.path().join("job.key")).expect("a key");
    for opening in 0..3 {
        let store = open(dir.path()).await;
        check_version_0_1(&store).await;
        store.close().await;
        assert!(dir.path().join("witness.json").exists() && dir.path().join(MARKER).exists());
        assert_eq!(fs::read(dir.path().join("job.key")).expect("a key"), key);
        if opening == 1 {
            fs::remove_dir_all(dir.path().join("view")).expect("removed");
        }
    }
}

#[tokio::test]
async fn a_directory_of_0_1_without_its_key_or_its_first_segment_is_refused() {
    let dir = version_0_1();
    let key = fs::read(dir.path().join("job.key")).expect("a key");
    fs::remove_file(dir.path().join("job.key")).expect("removed");
    assert!(matches!(refusal(dir.path()).await, OpenError::Key(_)));
    fs::write(dir.path().join("job.key"), key).expect("written");
    let first = segments(dir.path()).remove(0);
    let away = dir.path().join("away");
    fs::rename(&first, &away).expect("moved");
    assert!(matches!(refusal(dir.path()).await, OpenError::FirstSegment { found: None, expected: 1, .. }));
    fs::rename(&away, dir.path().join("journal/00000000000000000002.jsonl")).expect("moved");
    assert!(matches!(refusal(dir.path()).await, OpenError::FirstSegment { found: Some(2), expected: 1, .. }));
    assert!(!dir.path().join("witness.json").exists(), "nothing is converted before everything was checked");
}

#[tokio::test]
async fn opening_a_view_that_does_not_respond_times_out() {
    let dir = some_store().await;
    // sled reads this file first, and no process ever writes to it.
    let conf = dir.path().join("view/conf");
    fs::remove_file(&conf).expect("removed");
    assert!(std::process::Command::new("mkfifo").arg(&conf).status().expect("mkfifo runs").success());
    let hasty = StoreOptions { view_patience: std::time::Duration::from_millis(300), ..options() };
    match Store::open(dir.path(), &hasty, Arc::new(OpenProgress::default())).await {
        Err(error @ OpenError::Late { .. }) => assert!(error.to_string().contains("view"), "{error}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the store opened"),
    }
    fs::remove_dir_all(dir.path().join("view")).expect("removed");
    open(dir.path()).await.close().await;
}

/// Makes every write to the view hang once the store is open.
struct Hangs(std::sync::atomic::AtomicBool);

impl kyc_rules::store::DiskObserver for Hangs {
    fn before(&self, operation: kyc_rules::store::DiskOperation<'_>) -> std::io::Result<()> {
        while operation == kyc_rules::store::DiskOperation::ApplyView
            && self.0.load(std::sync::atomic::Ordering::SeqCst)
        {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_that_hangs_ends_the_store() {
    let dir = tempfile::tempdir().expect("directory");
    let hangs = Arc::new(Hangs(true.into()));
    let options = StoreOptions {
        view_patience: std::time::Duration::from_millis(500),
        disk: kyc_rules::store::Disk::observed(Arc::clone(&hangs) as Arc<dyn kyc_rules::store::DiskObserver>),
        ..options()
    };
    let (store, _) = Store::open(dir.path(), &options, Arc::new(OpenProgress::default())).await.expect("opens");
    let mut nth = 0;
    let refused = loop {
        let receipt = store.submit(Command::Tag { customer: id("C-1"), name: format!("t{nth}").into() }).await;
        nth += 1;
        match receipt {
            Err(refused) => break refused,
            Ok(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    };
    assert_eq!(refused, kyc_rules::store::Refused::Closed, "outside of tests the process ends with exit code 74");
    hangs.0.store(false, std::sync::atomic::Ordering::SeqCst);
    store.close().await;
}

#[tokio::test]
async fn opening_without_space_for_its_copy_is_refused_until_there_is_space() {
    let dir = some_store().await;
    // As after a kill: the witness does not have the last record.
    let path = dir.path().join("witness.json");
    let witness = fs::read_to_string(&path).expect("a witness");
    let line: serde_json::Value = serde_json::from_str(&witness).expect("JSON");
    let mut lags = line.as_object().expect("an object").clone();
    lags.remove("c");
    lags["last"] = 1.into();
    let bytes = kyc_rules::store::record::with_checksum(&serde_json::to_vec(&lags).expect("JSON"));
    fs::write(&path, bytes).expect("written");
    let before = content(dir.path());
    let full = StoreOptions { min_free_bytes: u64::MAX, ..options() };
    match Store::open(dir.path(), &full, Arc::new(OpenProgress::default())).await {
        Err(error @ OpenError::NoRoom { needed_bytes: u64::MAX, .. }) => {
            assert!(error.to_string().contains("free space"), "{error}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the store opened"),
    }
    assert!(content(dir.path()) == before, "nothing is changed");
    let store = open(dir.path()).await;
    assert_eq!(store.figures().customers, 200);
    store.close().await;
}
