//! Keeps connections for the next mail.
//!
//! A connection returns to the pool only if every command got its reply. It is closed when it was idle for its limit,
//! when it is two minutes old (so that a changed DNS entry takes effect), and after a hundred mails (many relays
//! accept no more per connection).

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::conversation::SmtpSession;

/// The maximum number of concurrent mails.
const MAX_KEPT: usize = 64;

/// The limits of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    /// The maximum time without a mail.
    pub idle: Duration,
    pub age: Duration,
    pub mails: u32,
}

pub(super) struct PooledConnection {
    pub conversation: SmtpSession,
    opened_at: Instant,
    used_at: Instant,
    mails: u32,
}

impl PooledConnection {
    pub fn new(conversation: SmtpSession) -> Self {
        let now = Instant::now();
        Self { conversation, opened_at: now, used_at: now, mails: 0 }
    }
}

pub(super) struct ConnectionPool {
    lifetimes: ConnectionLimits,
    kept: Mutex<Vec<PooledConnection>>,
    /// Connections that were opened before this time are no longer kept.
    cleared_at: Mutex<Option<Instant>>,
}

impl ConnectionPool {
    pub fn new(lifetimes: ConnectionLimits) -> Self {
        Self { lifetimes, kept: Mutex::default(), cleared_at: Mutex::default() }
    }

    fn idle_connection(&self) -> MutexGuard<'_, Vec<PooledConnection>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the connection that was used last.
    pub fn take(&self) -> Option<PooledConnection> {
        let mut kept = self.idle_connection();
        kept.retain(|connection| self.left(connection).is_some());
        kept.pop()
    }

    /// Keeps a connection for the next mail. Returns it instead if it has reached a limit.
    pub fn keep(&self, mut connection: PooledConnection) -> Option<PooledConnection> {
        connection.used_at = Instant::now();
        connection.mails += 1;
        let is_over = connection.mails >= self.lifetimes.mails || self.left(&connection).is_none();
        if is_over || self.is_outdated(&connection) {
            return Some(connection);
        }
        let mut kept = self.idle_connection();
        if kept.len() >= MAX_KEPT {
            return Some(connection);
        }
        kept.push(connection);
        None
    }

    /// Closes all idle connections; connections in use are closed when they return.
    pub fn clear(&self) {
        *self.cleared_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.idle_connection().clear();
    }

    fn is_outdated(&self, connection: &PooledConnection) -> bool {
        let cleared_at = *self.cleared_at.lock().unwrap_or_else(PoisonError::into_inner);
        cleared_at.is_some_and(|at| connection.opened_at <= at)
    }

    /// Closes expired connections. Returns the time until the next one expires.
    pub fn close_expired(&self) -> Option<Duration> {
        let mut kept = self.idle_connection();
        kept.retain(|connection| self.left(connection).is_some());
        kept.iter().filter_map(|connection| self.left(connection)).min()
    }

    /// The remaining time for which the connection may be kept.
    fn left(&self, connection: &PooledConnection) -> Option<Duration> {
        let idle = self.lifetimes.idle.checked_sub(connection.used_at.elapsed())?;
        let age = self.lifetimes.age.checked_sub(connection.opened_at.elapsed())?;
        Some(idle.min(age)).filter(|left| !left.is_zero())
    }
}
