//! Connections that are kept for the next mail.
//!
//! A connection comes back only after every command has had its answer. It is closed when it was not used for a while, when it has
//! lived for two minutes (so that a moved name is followed), and after a hundred mails (many relays take no more over one).

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::conversation::Conversation;

/// As many as mails may be sent at once.
const MAX_KEPT: usize = 64;

/// How long connections live.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetimes {
    /// Without a mail.
    pub idle: Duration,
    pub age: Duration,
    pub mails: u32,
}

pub(super) struct Connection {
    pub conversation: Conversation,
    opened_at: Instant,
    used_at: Instant,
    mails: u32,
}

impl Connection {
    pub fn new(conversation: Conversation) -> Self {
        let now = Instant::now();
        Self { conversation, opened_at: now, used_at: now, mails: 0 }
    }
}

pub(super) struct Pool {
    lifetimes: Lifetimes,
    kept: Mutex<Vec<Connection>>,
    /// Connections that are older than this are not kept any more.
    cleared_at: Mutex<Option<Instant>>,
}

impl Pool {
    pub fn new(lifetimes: Lifetimes) -> Self {
        Self { lifetimes, kept: Mutex::default(), cleared_at: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that was used last.
    pub fn take(&self) -> Option<Connection> {
        let mut kept = self.kept();
        kept.retain(|connection| self.left(connection).is_some());
        kept.pop()
    }

    /// Keeps a connection for the next mail, or returns one that has served for long enough.
    pub fn keep(&self, mut connection: Connection) -> Option<Connection> {
        connection.used_at = Instant::now();
        connection.mails += 1;
        let is_over = connection.mails >= self.lifetimes.mails || self.left(&connection).is_none();
        if is_over || self.is_outdated(&connection) {
            return Some(connection);
        }
        let mut kept = self.kept();
        if kept.len() >= MAX_KEPT {
            return Some(connection);
        }
        kept.push(connection);
        None
    }

    /// Closes all connections, and those in use when they come back.
    pub fn clear(&self) {
        *self.cleared_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.kept().clear();
    }

    fn is_outdated(&self, connection: &Connection) -> bool {
        let cleared_at = *self.cleared_at.lock().unwrap_or_else(PoisonError::into_inner);
        cleared_at.is_some_and(|at| connection.opened_at <= at)
    }

    /// Closes the connections whose time is over. Returns when the next one's will be.
    pub fn close_expired(&self) -> Option<Duration> {
        let mut kept = self.kept();
        kept.retain(|connection| self.left(connection).is_some());
        kept.iter().filter_map(|connection| self.left(connection)).min()
    }

    /// How much longer it may be kept.
    fn left(&self, connection: &Connection) -> Option<Duration> {
        let idle = self.lifetimes.idle.checked_sub(connection.used_at.elapsed())?;
        let age = self.lifetimes.age.checked_sub(connection.opened_at.elapsed())?;
        Some(idle.min(age)).filter(|left| !left.is_zero())
    }
}
