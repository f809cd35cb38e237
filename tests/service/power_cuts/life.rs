//! One run of a store on a modelled disk: opens it, compares it with the acknowledged commands, applies load, and ends.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use kyc_rules::{
    clock::{Clock, Timestamp},
    decide::{Command, Receipt},
    domain::{CallbackOutcome, CustomerId, Observation, Source, Status},
    store::{self, OpenError, OpenProgress, Refused, SegmentSizes, Store, StoreOptions},
};
use proptest::{
    prelude::{Rng, RngExt},
    test_runner::TestRng,
};

use super::{
    model::Model,
    recorder::{Event, Fault, Recorder},
};

/// The data directory, relative to the disk's root. Neither of its two levels exists at first.
pub const DATA: &str = "shop/data";

const CUSTOMERS: usize = 4;

/// The time for which the store may still refuse commands after the disk works again.
const PATIENCE: Duration = Duration::from_secs(60);
const STATUSES: [&str; 3] = ["KYC_PENDING", "SOFT_KYC_FAILED", "FULL_USER"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The store is closed.
    Closed,
    /// The store is closed, then the power fails.
    ClosedAndCut,
    /// The process is killed at a random moment; the system still writes its caches.
    Killed,
    /// The power fails at a random moment.
    Cut,
}

pub struct Plan {
    pub steps: u64,
    pub fault: Option<Fault>,
    pub end: End,
}

/// A disk, and the facts that must hold for the store on it.
pub struct Disk {
    model: Model,
    /// A copy of the view from an earlier moment.
    view: Option<tempfile::TempDir>,
    /// For each customer: the minimum and the maximum number of observations that may be present.
    least: Vec<u64>,
    most: Vec<u64>,
    /// The number of customers that existed before the test.
    others: u64,
    answered: u64,
}

fn id(customer: usize) -> CustomerId {
    CustomerId::new(&format!("P-{customer}")).expect("id")
}

fn observe(customer: usize, nth: u64) -> Command {
    let status = Status::from_wire(Some(STATUSES[(nth % 3) as usize])).expect("status");
    let message = Some(format!("{nth}").into());
    let saw = Observation {
        source: Source::Callback,
        status,
        processing: None,
        missing_docs: None,
        reject_labels: None,
        message,
    };
    Command::Observe { customer: id(customer), saw }
}

impl Disk {
    pub fn of(model: Model, others: u64) -> Self {
        Self { model, view: None, least: vec![0; CUSTOMERS], most: vec![0; CUSTOMERS], others, answered: 0 }
    }

    /// Runs the store once. Returns `Err` if the state found on the disk is wrong.
    pub async fn live(&mut self, plan: Plan, random: &mut TestRng) -> Result<(), String> {
        let root = self.show(random);
        let path = root.path().canonicalize().expect("there");
        let recorder = Arc::new(Recorder::new(&path, plan.fault));
        let data = path.join(DATA);
        let before_close = match try_open(&data, &recorder).await {
            Err(error) => {
                let may = plan.fault.is_some() && recorder.has_failed();
                if !may || !matches!(error, OpenError::Io { .. } | OpenError::NoRoom { .. } | OpenError::View(_)) {
                    return Err(format!("it does not open: {error}"));
                }
                recorder.count()
            }
            Ok(store) => {
                let found = self.found(&store)?;
                recorder.note(Event::Opened(found.clone()));
                load(&store, &recorder, found, plan.steps).await?;
                let before_close = recorder.count();
                store.close().await;
                before_close
            }
        };
        let events = recorder.events();
        let is_whole = matches!(plan.end, End::Closed | End::ClosedAndCut);
        let count = match is_whole {
            true => events.len(),
            // Half of the time at the end of the load, where most operations are unfinished.
            false if random.random_bool(0.5) => before_close,
            false => random.next_u64() as usize % (events.len() + 1),
        };
        self.happened(&events[..count]);
        if is_whole && !recorder.has_failed() {
            self.view = keep_view(&data);
        }
        if matches!(plan.end, End::Cut | End::ClosedAndCut) {
            self.model = self.model.cut(random);
        }
        self.model.close_all();
        Ok(())
    }

    /// Opens the store a last time. Returns the number of acknowledged observations.
    pub async fn check(&mut self, random: &mut TestRng) -> Result<u64, String> {
        self.live(Plan { steps: 1, fault: None, end: End::Closed }, random).await?;
        Ok(self.answered)
    }

    /// Writes the disk as the running system sees it, with or without a view.
    fn show(&self, random: &mut TestRng) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("directory");
        self.model.show(root.path());
        if let Some(view) = self.view.as_ref().filter(|_| random.random_bool(0.5)) {
            let data = root.path().join(DATA);
            if data.is_dir() {
                copy_view(view.path(), &data.join("view"));
            }
        }
        root
    }

    /// Returns the number of observations of each customer. Fails if one is missing or was never submitted.
    fn found(&self, store: &Store) -> Result<Vec<u64>, String> {
        let unreadable = |error: store::StoreError| error.to_string();
        let mut found = Vec::new();
        for customer in 0..CUSTOMERS {
            let rows = store.timeline(&id(customer), None, 100_000).map_err(unreadable)?.rows;
            let moves: Vec<_> =
                rows.iter().rev().filter(|entry| entry.verdict() == Some(CallbackOutcome::Moved)).collect();
            let count = moves.len() as u64;
            let (least, most) = (self.least[customer], self.most[customer]);
            if count < least || count > most {
                return Err(format!("{}: found {count} observations, expected {least} to {most}", id(customer)));
            }
            for (entry, nth) in moves.iter().zip(1..) {
                let to = entry.edge().map(|(_, to)| to.name().to_owned());
                if to.as_deref() != Some(STATUSES[nth % 3]) {
                    return Err(format!("{}: observation {nth} is {to:?}", id(customer)));
                }
            }
            let case = store.customer(&id(customer)).map_err(unreadable)?;
            let message = case.and_then(|case| case.customer.as_ref()?.message.clone());
            let last = message.map_or(Ok(0), |message| message.parse()).unwrap_or(u64::MAX);
            if last != count {
                return Err(format!("{}: the history has {count} observations, and the state {last}", id(customer)));
            }
            found.push(count);
        }
        let customers = store.figures().customers;
        let expected = self.others + found.iter().filter(|count| **count > 0).count() as u64;
        if customers != expected {
            return Err(format!("found {customers} customers, expected {expected}"));
        }
        Ok(found)
    }

    fn happened(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Done(done) => self.model.apply(done),
                Event::Opened(found) => {
                    self.least.clone_from(found);
                    self.most.clone_from(found);
                }
                Event::Asked(customer, nth) => self.most[*customer] = *nth,
                Event::Answered(customer, nth) => {
                    self.least[*customer] = *nth;
                    self.answered += 1;
                }
            }
        }
    }
}

async fn try_open(data: &Path, recorder: &Arc<Recorder>) -> Result<Store, OpenError> {
    let options = StoreOptions {
        clock: Clock::manual(Timestamp(1_795_419_000_000)),
        min_free_bytes: 0,
        view_cache_bytes: 1 << 20,
        segments: SegmentSizes { smallest: 2 << 10, largest: 8 << 10 },
        disk: store::Disk::observed(Arc::clone(recorder) as Arc<dyn store::DiskObserver>),
        ..StoreOptions::default()
    };
    Store::open(data, &options, Arc::new(OpenProgress::default())).await.map(|(store, _)| store)
}

/// Submits observations of all customers concurrently, until `steps` are done or the store is closed.
async fn load(store: &Store, recorder: &Recorder, found: Vec<u64>, steps: u64) -> Result<(), String> {
    let writers = found.into_iter().enumerate().map(|(customer, found)| async move {
        for nth in found + 1..=found + steps.div_ceil(1 + customer as u64) {
            recorder.note(Event::Asked(customer, nth));
            let began = Instant::now();
            loop {
                match store.submit(observe(customer, nth)).await {
                    Ok(Receipt::Seen(CallbackOutcome::Moved)) => break recorder.note(Event::Answered(customer, nth)),
                    Ok(other) => return Err(format!("{}: observation {nth} is {other:?}", id(customer))),
                    Err(Refused::Closed) => return Ok(()),
                    Err(refused) if began.elapsed() > PATIENCE => {
                        return Err(format!("{}: observation {nth} is refused permanently: {refused}", id(customer)));
                    }
                    // The command had no effect; it is submitted again.
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        }
        Ok(())
    });
    join_all(writers).await.into_iter().collect()
}

fn keep_view(data: &Path) -> Option<tempfile::TempDir> {
    let kept = tempfile::tempdir().expect("directory");
    let view = data.join("view");
    view.is_dir().then(|| copy_view(&view, kept.path()))?;
    Some(kept)
}

fn copy_view(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("listed") {
        let path: PathBuf = entry.expect("entry").path();
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("copied");
        }
    }
}
