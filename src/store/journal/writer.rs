//! The one thread that decides commands and writes records.
//!
//! It takes all waiting commands and decides each in order, on top of the durable state and of its own earlier
//! decisions. Then it writes the records with one `pwrite` of whole lines, makes them durable with one `fdatasync`,
//! publishes the new state, and sends the answers last. Nothing is visible or answered before it is durable.

use std::{collections::HashMap, fmt, io, sync::Arc, time::Duration};

use super::{
    commit_step::CommitStep,
    disk::is_no_room,
    queue::{QueueItem, ReplySender},
    segment::{Segment, SegmentSizes},
    shared::JournalShared,
    witness::Witness,
};
use crate::{
    decide::{Changes, Command, Control, CustomerState, Receipt, RecordKind},
    domain::CustomerId,
    rules::RuleSet,
    store::{
        Refused,
        decider::{Decider, Written},
        record::{self, RecordHeader},
    },
};

/// A batch of this size is committed at once, in bytes.
const MAX_BATCH_BYTES: usize = 1 << 20;

/// How long the thread sleeps without a command; then it records the counts of duplicates.
const IDLE: Duration = Duration::from_secs(10);

/// A failure of the disk. Nothing more is written, answered or cleaned up.
#[derive(Debug)]
pub struct DiskFailed {
    pub doing: &'static str,
    pub error: io::Error,
}

impl fmt::Display for DiskFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.doing, self.error)
    }
}

/// The decisions since the last commit.
#[derive(Default)]
struct CommitBatch {
    lines: Vec<u8>,
    cases: HashMap<CustomerId, Arc<CustomerState>>,
    written: Vec<Written>,
    answers: Vec<(ReplySender, Result<Receipt, Refused>)>,
    activated: Option<String>,
}

pub struct Writer {
    shared: Arc<JournalShared>,
    decider: Decider,
    segment: Segment,
    sizes: SegmentSizes,
    witness: Witness,
    durable: u64,
    batch: CommitBatch,
}

impl Writer {
    pub fn new(
        shared: Arc<JournalShared>,
        decider: Decider,
        segment: Segment,
        witness: Witness,
        sizes: SegmentSizes,
    ) -> Self {
        let durable = decider.next() - 1;
        Self { shared, decider, segment, sizes, witness, durable, batch: CommitBatch::default() }
    }

    /// Runs until the store is closed or the disk fails.
    pub fn run(mut self) -> Result<(), DiskFailed> {
        let opened = self.decider.opened(&self.shared.process, self.durable);
        self.add(opened)?;
        self.commit()?;
        loop {
            let Some(items) = self.shared.queue.take(IDLE) else { return Ok(()) };
            if items.is_empty() {
                self.write_repeats()?;
            }
            self.shared.wait_for_room_in_memory();
            if let Some(written) = self.decider.clock(self.durable) {
                self.add(written)?;
            }
            for item in items {
                match item {
                    QueueItem::Command { command, reply } => self.command(&command, reply)?,
                    QueueItem::Activate { rules, reply } => self.activate(rules, reply)?,
                    QueueItem::Govern { act, reply } => self.control(&act, reply)?,
                    QueueItem::Close { reply } => {
                        self.write_repeats()?;
                        self.commit()?;
                        self.mark(RecordKind::Closed)?;
                        self.say_closed()?;
                        let _ = reply.send(Ok(Receipt::Recorded));
                        return Ok(());
                    }
                }
            }
            self.commit()?;
        }
    }

    fn state(&self, who: &CustomerId) -> Result<Arc<CustomerState>, Refused> {
        match self.batch.cases.get(who) {
            Some(case) => Ok(Arc::clone(case)),
            None => Ok(self.shared.state(who).map_err(|_| Refused::NotReady)?.unwrap_or_default()),
        }
    }

    /// Adds the job that the command names to the customer's state, if the job was left out by the limit on open jobs.
    fn with_named_job(&self, case: Arc<CustomerState>, command: &Command) -> Result<Arc<CustomerState>, Refused> {
        let Some(id) = command.job().filter(|id| case.job(*id).is_none()) else { return Ok(case) };
        let in_batch = self.batch.written.iter().rev().filter_map(|written| written.touched.as_ref());
        let decided = in_batch.flat_map(|(_, touched)| &touched.jobs).find(|job| job.id() == id).map(Arc::clone);
        let job = match decided {
            Some(job) => Some(job),
            None => self.shared.job(command.customer(), id).map_err(|_| Refused::NotReady)?,
        };
        Ok(job.filter(|job| job.is_flood()).map_or_else(|| Arc::clone(&case), |job| Arc::new(case.with_job(job))))
    }

    fn command(&mut self, command: &Command, reply: ReplySender) -> Result<(), DiskFailed> {
        let case = match self.state(command.customer()).and_then(|case| self.with_named_job(case, command)) {
            Ok(case) => case,
            Err(refused) => {
                self.batch.answers.push((reply, Err(refused)));
                return Ok(());
            }
        };
        let answer = match self.decider.decide(command, &case, self.durable) {
            None => Err(Refused::Failed),
            Some(decided) => {
                if let Some(written) = decided.written {
                    let pauses = self.decider.brake(&written, self.durable);
                    self.add(written)?;
                    for pause in pauses {
                        self.add(pause)?;
                    }
                }
                Ok(decided.receipt)
            }
        };
        self.batch.answers.push((reply, answer));
        Ok(())
    }

    fn activate(&mut self, rules: Arc<RuleSet>, reply: ReplySender) -> Result<(), DiskFailed> {
        self.batch.activated = Some(rules.hash().to_owned());
        let written = self.decider.activate(rules, self.durable);
        self.add(written)?;
        self.batch.answers.push((reply, Ok(Receipt::Recorded)));
        Ok(())
    }

    fn control(&mut self, act: &Control, reply: ReplySender) -> Result<(), DiskFailed> {
        let receipt = match self.decider.control(act, self.durable) {
            None => Receipt::Unchanged,
            Some(written) => {
                self.add(written)?;
                Receipt::Recorded
            }
        };
        self.batch.answers.push((reply, Ok(receipt)));
        Ok(())
    }

    fn write_repeats(&mut self) -> Result<(), DiskFailed> {
        for (who, count) in self.decider.take_repeats() {
            // If the count cannot be recorded now, it is lost; it is only a statistic.
            if let Ok(case) = self.state(&who) {
                let written = self.decider.repeats(&who, count, &case, self.durable);
                self.add(written)?;
            }
        }
        self.commit()
    }

    fn mark(&mut self, kind: RecordKind) -> Result<(), DiskFailed> {
        let note = Some(self.shared.process.clone().into());
        let written = self.decider.mark(Changes { note, ..Changes::mark(kind) }, self.durable);
        self.add(written)?;
        self.commit()
    }

    /// Adds a record to the batch; later decisions of the batch see its changes.
    fn add(&mut self, written: Written) -> Result<(), DiskFailed> {
        let start = self.batch.lines.len();
        record::encode(&mut self.batch.lines, written.header, &written.effects)
            .map_err(|error| DiskFailed { doing: "encoding a record", error: error.into() })?;
        if let Some((who, touched)) = &written.touched {
            self.batch.cases.insert(who.clone(), Arc::clone(&touched.case));
        }
        if self.batch.lines.len() as u64 > self.segment.room() {
            // The earlier records of the batch still fit into this segment.
            let line = self.batch.lines.split_off(start);
            self.commit()?;
            self.rotate(written.header.n)?;
            self.batch.lines = line;
        }
        self.batch.written.push(written);
        if self.batch.lines.len() >= MAX_BATCH_BYTES {
            self.commit()?;
        }
        Ok(())
    }

    fn interrupt(&self, step: CommitStep) -> Result<(), DiskFailed> {
        match &self.shared.interrupt {
            Some(interrupt) => interrupt(step).map_err(|error| DiskFailed { doing: "a test's step", error }),
            None => Ok(()),
        }
    }

    fn commit(&mut self) -> Result<(), DiskFailed> {
        if !self.batch.lines.is_empty() {
            self.interrupt(CommitStep::Decided)?;
            self.segment
                .write(&self.batch.lines)
                .map_err(|error| DiskFailed { doing: "writing the journal", error })?;
            self.interrupt(CommitStep::Written)?;
            self.segment.sync().map_err(|error| DiskFailed { doing: "syncing the journal", error })?;
            self.interrupt(CommitStep::Synced)?;
            self.batch.lines.clear();
            self.publish();
            self.interrupt(CommitStep::Published)?;
        }
        for (reply, answer) in self.batch.answers.drain(..) {
            // The caller may have gone; the decision is valid all the same.
            let _ = reply.send(answer);
        }
        self.interrupt(CommitStep::Answered)
    }

    fn publish(&mut self) {
        let Some(last) = self.batch.written.last() else { return };
        self.durable = last.header.n;
        self.batch.cases.clear();
        self.shared.publish(self.batch.written.drain(..), self.durable, self.batch.activated.take());
    }

    /// Seals the segment and continues in the next one, which begins with record `first`. Waits while the disk has too
    /// little space for it; callbacks are refused meanwhile.
    fn rotate(&mut self, first: u64) -> Result<(), DiskFailed> {
        let header = RecordHeader { n: first, d: self.durable, p: 0, at: self.decider.now() };
        let mut seal = Vec::new();
        record::encode(&mut seal, header, &Changes::mark(RecordKind::Sealed))
            .map_err(|error| DiskFailed { doing: "encoding a seal", error: error.into() })?;
        self.segment.write(&seal).map_err(|error| DiskFailed { doing: "sealing a segment", error })?;
        self.segment.sync().map_err(|error| DiskFailed { doing: "sealing a segment", error })?;
        self.interrupt(CommitStep::Sealed)?;
        // The prepared segment is twice as large as this one, and the one after it twice as large again.
        let size = self.sizes.next(self.sizes.next(self.segment.size()));
        self.segment = self
            .shared
            .ahead
            .take(size)
            .and_then(|prepared| prepared.join(&self.shared.disk, &self.shared.journal_dir, first, 0))
            .map_err(|error| DiskFailed { doing: "starting a segment", error })?;
        self.shared
            .reader
            .joined(first, &self.segment)
            .map_err(|error| DiskFailed { doing: "starting a segment", error })?;
        self.interrupt(CommitStep::Joined)?;
        self.write_witness().map_err(|error| DiskFailed { doing: "writing the journal's witness", error })?;
        self.interrupt(CommitStep::Witnessed)
    }

    /// Writes the current segment and the last durable record to the witness. Waits while the disk has too little
    /// space.
    fn write_witness(&mut self) -> io::Result<()> {
        (self.witness.active, self.witness.last) = (self.segment.first(), self.durable);
        let (witness, shared) = (&self.witness, &self.shared);
        shared.ahead.prepare_until_space(|| witness.write(&shared.disk, &shared.path))
    }

    /// Writes to the witness that the closing record is durable. If there is no space for that, the next start treats
    /// the end as unclean.
    fn say_closed(&mut self) -> Result<(), DiskFailed> {
        (self.witness.active, self.witness.last) = (self.segment.first(), self.durable);
        match self.witness.write(&self.shared.disk, &self.shared.path) {
            Err(error) if is_no_room(&error) => {
                tracing::warn!(%error, "the witness cannot be written on closing; the next start takes longer");
                Ok(())
            }
            written => written.map_err(|error| DiskFailed { doing: "writing the journal's witness", error }),
        }
    }
}
