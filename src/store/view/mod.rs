//! The view: the current state of every customer and job, in sled, so that reads need not go through the journal.
//!
//! The view is never the only copy: when anything is wrong with it, it is deleted and rebuilt from the journal. No type
//! of sled leaves this folder. There is one tree; the first byte of a key is the kind of the row:
//!
//! | key | value |
//! | --- | --- |
//! | `c` customer | state, tags, timers, the sends that limits count, ids of open jobs |
//! | `k` customer | contact |
//! | `q` customer, number | a callback that waits for confirmation |
//! | `j` job id | customer and job |
//! | `o` number, index | job id: all jobs, in the order in which they were ordered |
//! | `s` state, number, index | job id: the jobs of one state, in the same order |
//! | `t` status or processing, name, start time, customer | the durations decided: all stays, in the order of timers |
//! | `m` name | the latest record applied, the version of this layout, the active rule set |
//! | `+` key, 0, number | the rest of a value that is too long for one row ([`pieces`]) |

mod error;
mod files;
mod keys;
mod pieces;

use std::{
    fs::File,
    io,
    panic::AssertUnwindSafe,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

pub use self::error::ViewError;
use self::{
    error::Result,
    files::{forget_unfinished_snapshots, make_private},
    keys::{customer_key, decided_ms, job_key, meta_key, place_key, state_key, stay_key, stay_place, waiting_key},
};
use super::{
    change::{AppliedUpTo, CustomerDelta, JobPosition},
    stays::{self, Overdue, StayPlace, StayRow},
};
use crate::{
    clock::Timestamp,
    decide::{Confirmation, ConfirmationUpdate, CountedOrder, CustomerState, LookupState, PendingCallback, StayTimers},
    domain::{Codes, Contact, Customer, CustomerId},
    outbox::{Job, JobId, JobState},
    rules::TimerState,
};

/// The version of the layout. A view with another version is rebuilt.
const VERSION: &str = "3";

/// Rows in one batch, at most. Larger batches cost memory that sled does not release soon.
const BATCH_ROWS: usize = 200;

/// The value of a customer's row. The contact and the jobs have rows of their own, so that each row stays small.
#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    customer: Option<Customer>,
    #[serde(default, skip_serializing_if = "Codes::is_empty")]
    tags: Codes,
    #[serde(default, skip_serializing_if = "StayTimers::is_empty")]
    timers: StayTimers,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    looked: Option<LookupState>,
    /// The state of the question to the provider; each waiting callback has a row of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asks: Option<ConfirmationUpdate>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    counted: Vec<CountedOrder>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    open: Vec<JobId>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    contact: bool,
    first: u64,
    last: u64,
}

#[derive(Serialize, Deserialize)]
struct JobRow {
    who: CustomerId,
    #[serde(flatten)]
    job: Job,
}

pub struct View {
    db: sled::Db,
    /// The file that sled writes, opened again to sync it: sled's own flush does not reach the disk.
    file: File,
}

impl View {
    /// Opens the view, or creates an empty one. `cache_bytes` limits sled's cache (sled's default is 1 GiB).
    pub fn open(path: &Path, cache_bytes: u64) -> Result<Self> {
        forget_unfinished_snapshots(path)?;
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(cache_bytes)
            .flush_every_ms(Some(5_000))
            .print_profile_on_drop(false);
        // On some damage sled panics instead of returning an error.
        let db = std::panic::catch_unwind(AssertUnwindSafe(|| config.open()))
            .map_err(|_| ViewError("sled panicked while opening the view".to_owned()))??;
        make_private(path)?;
        let file = File::open(path.join("db"))?;
        let view = Self { db, file };
        match view.meta("version")?.as_deref() {
            Some(VERSION) => {}
            None if view.db.is_empty() => {
                view.db.insert(meta_key("version"), VERSION)?;
            }
            _ => return Err(ViewError("the view has another layout".to_owned())),
        }
        Ok(view)
    }

    pub fn throw_away(path: &Path) -> io::Result<()> {
        files::throw_away(path)
    }

    fn meta(&self, name: &str) -> Result<Option<String>> {
        let value = self.db.get(meta_key(name))?;
        value
            .map(|bytes| String::from_utf8(bytes.to_vec()).map_err(|_| ViewError("a row is not text".to_owned())))
            .transpose()
    }

    pub fn mark(&self) -> Result<AppliedUpTo> {
        let number = |name: &str| -> Result<u64> {
            let Some(digits) = self.meta(name)? else { return Ok(0) };
            digits.parse().map_err(|_| ViewError(format!("{name:?} is not a number")))
        };
        Ok(AppliedUpTo {
            applied: number("applied")?,
            customers: number("customers")?,
            active_set: self.meta("set")?,
            standing: number("standing")?,
        })
    }

    pub fn state(&self, id: &CustomerId) -> Result<Option<CustomerState>> {
        let Some(bytes) = pieces::read(&self.db, &customer_key(b'c', id))? else { return Ok(None) };
        let row: Row = serde_json::from_slice(&bytes)?;
        let contact: Option<Contact> = match row.contact {
            true => pieces::read(&self.db, &customer_key(b'k', id))?
                .map(|bytes| serde_json::from_slice(&bytes))
                .transpose()?,
            false => None,
        };
        let mut open = Vec::with_capacity(row.open.len());
        for job in row.open {
            let (_, job) = self.job(job)?.ok_or_else(|| ViewError(format!("the row of job {job} is missing")))?;
            open.push(Arc::new(job));
        }
        let question = row.asks.map(|asks| self.confirmation(id, &asks)).transpose()?;
        let Row { customer, tags, timers, looked, counted, first, last, .. } = row;
        Ok(Some(CustomerState { customer, contact, looked, tags, timers, question, counted, open, first, last }))
    }

    fn confirmation(&self, id: &CustomerId, asks: &ConfirmationUpdate) -> Result<Confirmation> {
        let mut waiting = Vec::with_capacity(asks.waiting.len());
        for number in &asks.waiting {
            let missing = || ViewError(format!("the row of callback {number} is missing"));
            let bytes = pieces::read(&self.db, &waiting_key(id, *number))?.ok_or_else(missing)?;
            waiting.push(serde_json::from_slice::<PendingCallback>(&bytes)?);
        }
        Ok(Confirmation { waiting, asked: asks.asked, next_at: asks.next_at, contact: asks.contact })
    }

    /// All customers with a callback that waits for confirmation.
    pub fn asked_about(&self) -> impl Iterator<Item = Result<CustomerId>> {
        let mut last: Option<CustomerId> = None;
        let keys = self.db.range(vec![b'q']..vec![b'q' + 1]).keys();
        keys.filter_map(move |key| {
            let id = key.map_err(ViewError::from).and_then(|key| {
                let broken = || ViewError("a key is not text".to_owned());
                let text = key.get(1..key.len().saturating_sub(9)).and_then(|id| std::str::from_utf8(id).ok());
                CustomerId::new(text.ok_or_else(broken)?).map_err(|_| broken())
            });
            match id {
                Ok(id) if last.as_ref() == Some(&id) => None,
                Ok(id) => {
                    last = Some(id.clone());
                    Some(Ok(id))
                }
                Err(error) => Some(Err(error)),
            }
        })
    }

    pub fn job(&self, id: JobId) -> Result<Option<(CustomerId, Job)>> {
        let Some(bytes) = pieces::read(&self.db, &job_key(id))? else { return Ok(None) };
        let row: JobRow = serde_json::from_slice(&bytes)?;
        Ok(Some((row.who, row.job)))
    }

    /// Jobs of one state, or of all, newest first, before the place `before`.
    pub fn jobs(
        &self,
        state: Option<JobState>,
        before: Option<JobPosition>,
    ) -> impl Iterator<Item = Result<(CustomerId, Job)>> {
        let prefix = match state {
            Some(state) => vec![b's', state as u8],
            None => vec![b'o'],
        };
        let to = [&prefix[..], &place_key(before.unwrap_or((u64::MAX, u32::MAX)))].concat();
        self.db.range(prefix..to).rev().map(|entry| {
            let (_, id) = entry?;
            let bytes: [u8; 16] =
                id.as_ref().try_into().map_err(|_| ViewError("an index row does not name a job".to_owned()))?;
            let id = JobId::from_bytes(bytes);
            self.job(id)?.ok_or_else(|| ViewError(format!("the row of job {id} is missing")))
        })
    }

    /// Customers ordered by id, after `after`.
    pub fn customers(&self, after: Option<&CustomerId>) -> impl Iterator<Item = Result<CustomerId>> {
        let from = match after {
            Some(id) => [&customer_key(b'c', id)[..], &[0]].concat(),
            None => vec![b'c'],
        };
        self.db.range(from..vec![b'c' + 1]).keys().map(|key| {
            let key = key?;
            let text = std::str::from_utf8(&key[1..]).map_err(|_| ViewError("a key is not text".to_owned()))?;
            CustomerId::new(text).map_err(|error| ViewError(error.to_string()))
        })
    }

    /// Overdue stays ordered by start time, after the place `after`.
    pub fn overdue(&self, of: &Overdue, after: Option<&StayPlace>, max: usize) -> Result<Vec<StayPlace>> {
        let mut from = match after {
            Some((entered_at, id)) => stay_key(&of.stay, *entered_at, Some(id)),
            None => stay_key(&of.stay, of.entered_after.plus_ms(1), None),
        };
        if after.is_some() {
            // The key directly after it.
            from.push(0);
        }
        let to = stay_key(&of.stay, of.entered_until.plus_ms(1), None);
        let mut found = Vec::new();
        if from >= to {
            return Ok(found);
        }
        for entry in self.db.range(from..to) {
            let (key, value) = entry?;
            if decided_ms(&value)? < of.after_ms {
                found.push(stay_place(&of.stay, &key)?);
                if found.len() == max {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// The start time of the first stay of this kind that began after `after`.
    pub fn next_stay(&self, stay: &TimerState, after: Timestamp) -> Result<Option<Timestamp>> {
        let (from, to) = (stay_key(stay, after.plus_ms(1), None), stay_key(stay, Timestamp(i64::MAX), None));
        let Some(entry) = self.db.range(from..to).next() else { return Ok(None) };
        Ok(Some(stay_place(stay, &entry?.0)?.0))
    }

    /// Writes the touched customers, and then the mark. The result is on the disk when this returns. After each batch
    /// it calls `rest` with the duration of that batch.
    pub fn apply<'a>(
        &self,
        touched: impl Iterator<Item = (&'a CustomerId, &'a CustomerDelta)>,
        mark: &AppliedUpTo,
        rest: &dyn Fn(Duration),
    ) -> Result<()> {
        let mut sorted: Vec<_> = touched.collect();
        sorted.sort_unstable_by_key(|(id, _)| *id);
        let mut batch = sled::Batch::default();
        let mut rows = 0;
        let mut began = Instant::now();
        for (id, touched) in sorted {
            // All rows of one customer are in one batch, so that they are consistent wherever this stops.
            rows += self.touch(&mut batch, id, touched)?;
            if rows >= BATCH_ROWS {
                self.db.apply_batch(std::mem::take(&mut batch))?;
                rows = 0;
                rest(began.elapsed());
                began = Instant::now();
            }
        }
        self.db.apply_batch(batch)?;
        self.db.flush()?;
        let mut last = sled::Batch::default();
        last.insert(meta_key("applied"), mark.applied.to_string().into_bytes());
        last.insert(meta_key("customers"), mark.customers.to_string().into_bytes());
        last.insert(meta_key("standing"), mark.standing.to_string().into_bytes());
        if let Some(hash) = &mark.active_set {
            last.insert(meta_key("set"), hash.as_bytes());
        }
        self.db.apply_batch(last)?;
        self.db.flush()?;
        self.file.sync_data()?;
        Ok(())
    }

    fn touch(&self, batch: &mut sled::Batch, id: &CustomerId, touched: &CustomerDelta) -> Result<usize> {
        let case = &touched.case;
        let row = Row {
            customer: case.customer.clone(),
            tags: case.tags.clone(),
            timers: case.timers.clone(),
            looked: case.looked.clone(),
            asks: case.question.as_ref().map(|question| ConfirmationUpdate {
                waiting: question.waiting.iter().map(|pending| pending.number).collect(),
                asked: question.asked,
                next_at: question.next_at,
                contact: question.contact,
            }),
            counted: case.counted.clone(),
            open: case.open.iter().map(|job| job.id()).collect(),
            contact: case.contact.is_some(),
            first: case.first,
            last: case.last,
        };
        let key = customer_key(b'c', id);
        let before = if touched.new { 0 } else { pieces::count(&self.db, &key)? };
        let mut rows = pieces::insert(batch, &key, &serde_json::to_vec(&row)?, before)?;
        rows += touch_stays(batch, id, &touched.stays_before, &stays::rows(case));
        rows += self.touch_waiting(batch, id, &touched.waiting_before, case.question.as_ref())?;
        if let (Some(contact), true) = (&case.contact, touched.contact) {
            let key = customer_key(b'k', id);
            rows += pieces::insert(batch, &key, &serde_json::to_vec(contact)?, pieces::count(&self.db, &key)?)?;
        }
        for job in &touched.jobs {
            let place = (job.order.number, job.order.index);
            let id_bytes = job.id().as_bytes().to_vec();
            let key = job_key(job.id());
            let before = self.job(job.id())?;
            let pieces_before = if before.is_some() { pieces::count(&self.db, &key)? } else { 0 };
            match before {
                Some((_, before)) if before.fate.state != job.fate.state => {
                    batch.remove(state_key(before.fate.state, place));
                    batch.insert(state_key(job.fate.state, place), id_bytes);
                }
                Some(_) => {}
                None => {
                    batch.insert([&b"o"[..], &place_key(place)].concat(), id_bytes.clone());
                    batch.insert(state_key(job.fate.state, place), id_bytes);
                }
            }
            let row = serde_json::to_vec(&JobRow { who: id.clone(), job: Job::clone(job) })?;
            rows += 2 + pieces::insert(batch, &key, &row, pieces_before)?;
        }
        Ok(rows)
    }

    /// Removes the callbacks that no longer wait, and writes the new ones.
    fn touch_waiting(
        &self,
        batch: &mut sled::Batch,
        id: &CustomerId,
        before: &[u64],
        question: Option<&Confirmation>,
    ) -> Result<usize> {
        let waiting = question.map_or(&[][..], |question| &question.waiting);
        for number in before.iter().filter(|number| waiting.iter().all(|pending| pending.number != **number)) {
            let key = waiting_key(id, *number);
            pieces::remove(batch, &key, pieces::count(&self.db, &key)?);
        }
        for pending in waiting.iter().filter(|pending| !before.contains(&pending.number)) {
            pieces::insert(batch, &waiting_key(id, pending.number), &serde_json::to_vec(pending)?, 0)?;
        }
        Ok(before.len() + waiting.len())
    }

    pub fn size_on_disk(&self) -> u64 {
        self.db.size_on_disk().unwrap_or_default()
    }
}

/// Removes the stays that have ended, and writes those that are new or were decided for a longer duration.
fn touch_stays(batch: &mut sled::Batch, id: &CustomerId, before: &[StayRow], after: &[StayRow]) -> usize {
    let key = |row: &StayRow| stay_key(&row.stay, row.entered_at, Some(id));
    let same = |one: &StayRow, other: &StayRow| one.stay == other.stay && one.entered_at == other.entered_at;
    let ended = before.iter().filter(|row| !after.iter().any(|other| same(row, other)));
    let written = after.iter().filter(|row| !before.contains(row));
    let mut rows = 0;
    for row in ended {
        batch.remove(key(row));
        rows += 1;
    }
    for row in written {
        batch.insert(key(row), &row.decided_ms.to_be_bytes());
        rows += 1;
    }
    rows
}
