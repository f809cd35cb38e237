//! Records every disk operation of a store together with the commands and receipts, and lets operations fail.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use kyc_rules::store::{DiskObserver, DiskOperation};

use super::model::Done;

#[derive(Clone, Debug)]
pub enum Event {
    Done(Done),
    /// The store has opened, with these numbers of observations, one for each customer.
    Opened(Vec<u64>),
    /// The nth observation of a customer was submitted.
    Asked(usize, u64),
    Answered(usize, u64),
}

/// Which operation fails, and with which error.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub nth: u64,
    /// The number of consecutive write operations that fail; a read or a sync fails once.
    pub count: u64,
    pub kind: io::ErrorKind,
}

#[derive(Default)]
struct State {
    events: Vec<Event>,
    operations: u64,
    failed: u64,
}

pub struct Recorder {
    root: PathBuf,
    fault: Option<Fault>,
    state: Mutex<State>,
}

impl Recorder {
    pub fn new(root: &Path, fault: Option<Fault>) -> Self {
        Self { root: root.to_owned(), fault, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn note(&self, event: Event) {
        self.lock().events.push(event);
    }

    pub fn count(&self) -> usize {
        self.lock().events.len()
    }

    pub fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    pub fn has_failed(&self) -> bool {
        self.lock().failed > 0
    }

    /// Returns the path relative to the root; `None` if it is outside.
    fn below(&self, path: &Path) -> Option<PathBuf> {
        path.strip_prefix(&self.root).ok().map(Path::to_owned)
    }
}

impl DiskObserver for Recorder {
    fn before(&self, operation: DiskOperation<'_>) -> io::Result<()> {
        let mut state = self.lock();
        state.operations += 1;
        let needs_room = matches!(
            operation,
            DiskOperation::MakeDir { .. }
                | DiskOperation::Create { .. }
                | DiskOperation::Write { .. }
                | DiskOperation::Rename { .. }
        );
        let fails = self.fault.filter(|fault| {
            let full = fault.kind == io::ErrorKind::StorageFull;
            state.operations >= fault.nth && state.failed < fault.count && (!full || needs_room)
        });
        let failed = fails.is_some();
        let done = match operation {
            DiskOperation::SyncDir { path } => self.below(path).map(|path| Done::SyncDir { path, failed }),
            DiskOperation::Sync { file } => Some(Done::Sync { file, failed }),
            _ if failed => None,
            DiskOperation::MakeDir { path } => self.below(path).map(Done::MakeDir),
            DiskOperation::Create { path, file } => self.below(path).map(|path| Done::Create { path, file }),
            DiskOperation::Open { path, file } => self.below(path).map(|path| Done::Open { path, file }),
            DiskOperation::Write { file, offset, bytes } => Some(Done::Write { file, offset, bytes: bytes.into() }),
            DiskOperation::Rename { from, to } => {
                self.below(from).zip(self.below(to)).map(|(from, to)| Done::Rename { from, to })
            }
            DiskOperation::Remove { path } => self.below(path).map(Done::Remove),
            DiskOperation::Read { .. } | DiskOperation::OpenView | DiskOperation::ApplyView => None,
        };
        state.events.extend(done.map(Event::Done));
        match fails {
            Some(fault) => {
                state.failed += 1;
                Err(fault.kind.into())
            }
            None => Ok(()),
        }
    }
}
