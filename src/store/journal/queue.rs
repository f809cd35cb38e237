//! The queue of the writer, bounded by count and by bytes.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use crate::{
    decide::{Command, Control, Receipt},
    rules::RuleSet,
    store::Refused,
};

const MAX_ITEMS: usize = 16_384;
const MAX_BYTES: usize = 32 << 20;

/// A request to the writer, and the channel for its answer.
pub enum QueueItem {
    Command { command: Command, reply: ReplySender },
    Activate { rules: Arc<RuleSet>, reply: ReplySender },
    Govern { act: Control, reply: ReplySender },
    Close { reply: ReplySender },
}

pub type ReplySender = oneshot::Sender<Result<Receipt, Refused>>;

#[derive(Default)]
pub struct CommitQueue {
    waiting: Mutex<QueueState>,
    came: Condvar,
}

#[derive(Default)]
struct QueueState {
    items: Vec<QueueItem>,
    bytes: usize,
    closed: bool,
    /// The disk has failed: the writer must end.
    abandoned: bool,
    /// The writer sleeps, and must be woken.
    asleep: bool,
}

impl CommitQueue {
    fn lock(&self) -> std::sync::MutexGuard<'_, QueueState> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn put(&self, item: QueueItem) -> Result<(), Refused> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(Refused::Closed);
        }
        let bytes = weight(&item);
        if waiting.items.len() >= MAX_ITEMS || waiting.bytes + bytes > MAX_BYTES {
            return Err(Refused::Busy);
        }
        waiting.closed = matches!(item, QueueItem::Close { .. });
        waiting.bytes += bytes;
        waiting.items.push(item);
        let wake = std::mem::take(&mut waiting.asleep);
        drop(waiting);
        if wake {
            self.came.notify_one();
        }
        Ok(())
    }

    /// Whether the queue accepts no more items.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Takes all waiting items. Empty after `patience` without an item; `None` if the queue is abandoned.
    pub fn take(&self, patience: Duration) -> Option<Vec<QueueItem>> {
        let mut waiting = self.lock();
        if waiting.items.is_empty() && !waiting.abandoned {
            waiting.asleep = true;
            waiting = self
                .came
                .wait_timeout_while(waiting, patience, |waiting| waiting.items.is_empty() && !waiting.abandoned)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            waiting.asleep = false;
        }
        waiting.bytes = 0;
        let items = std::mem::take(&mut waiting.items);
        (!waiting.abandoned).then_some(items)
    }

    /// Closes the queue and drops the waiting items; their callers get an error.
    pub fn abandon(&self) {
        let mut waiting = self.lock();
        (waiting.closed, waiting.abandoned) = (true, true);
        waiting.items.clear();
        drop(waiting);
        self.came.notify_all();
    }
}

/// The approximate size of an item in memory, in bytes.
fn weight(item: &QueueItem) -> usize {
    const FIXED: usize = 256;
    FIXED
        + match item {
            QueueItem::Command { command: Command::Observe { saw, .. }, .. } => {
                saw.message.as_ref().map_or(0, |message| message.len())
                    + [&saw.missing_docs, &saw.reject_labels]
                        .iter()
                        .map(|codes| codes.as_ref().map_or(0, weight_of))
                        .sum::<usize>()
            }
            _ => 0,
        }
}

fn weight_of(codes: &crate::domain::Codes) -> usize {
    codes.iter().map(|code| code.len() + 16).sum()
}
