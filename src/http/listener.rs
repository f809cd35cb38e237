//! A bound socket, and the loop that accepts, sweeps and finally drains its connections.
//!
//! The public and the admin side both use it. Each connection has one task; a request has no task of its own. The
//! loop's sweeps find connections that exceed a timeout or a cap, so that no connection needs a timer of its own.

use std::{
    convert::Infallible,
    fmt, io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use warp::{Filter, Reply};

use super::{
    access::{AddressFilter, counted_by},
    activity::{ConnectionActivity, ConnectionGuard, SweepClock},
    connection::{self, ListenerShared},
    connections::ConnectionTable,
    limits::ListenerLimits,
    tls::TlsConfig,
};
use crate::{
    clock::Clock,
    telemetry::{Refusal, Refusals},
};

/// The reason why a socket could not be bound.
#[derive(Debug)]
pub struct ListenError {
    pub address: SocketAddr,
    pub cause: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.cause.kind() {
            io::ErrorKind::AddrInUse => "another program already listens there",
            io::ErrorKind::PermissionDenied => "ports below 1024 need a permission that this process lacks",
            io::ErrorKind::AddrNotAvailable => "this machine has no such address",
            _ => return write!(f, "cannot listen on {}: {}", self.address, self.cause),
        };
        write!(f, "cannot listen on {}: {why}", self.address)
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// A bound socket that does not serve connections yet.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    limits: ListenerLimits,
    tls: Option<TlsConfig>,
    access: AddressFilter,
    refusals: Arc<Refusals>,
}

impl Listener {
    pub async fn bind(
        address: SocketAddr,
        limits: ListenerLimits,
        tls: Option<TlsConfig>,
        access: AddressFilter,
    ) -> Result<Self, ListenError> {
        let bound = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let socket = socket.listen(4096)?;
            let address = socket.local_addr()?;
            Ok((socket, address))
        };
        let (socket, address) = bound().map_err(|cause| ListenError { address, cause })?;
        let limits = ListenerLimits { connections: file_limit(limits.connections), ..limits };
        let refusals = Arc::new(Refusals::new("public", Clock::default()));
        Ok(Self { socket, address, limits, tls, access, refusals })
    }

    /// Counts refused requests and connections in `refusals`.
    #[must_use]
    pub fn counting(self, refusals: Arc<Refusals>) -> Self {
        Self { refusals, ..self }
    }

    /// The address that the listener is bound to, with the port that the system chose for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` resolves. Then running requests may finish, for at most [`ListenerLimits::drain`].
    pub async fn serve<F>(self, routes: F, shutdown: impl Future<Output = ()>)
    where
        F: Filter<Error = Infallible> + Clone + Send + Sync + 'static,
        F::Extract: Reply,
    {
        let Self { socket, limits, tls, access, refusals, .. } = self;
        let shared = Arc::new(ListenerShared::new(&limits, tls, access, refusals, warp::service(routes)));
        let mut accept_loop = AcceptLoop {
            shared,
            connections: ConnectionTable::new(limits.clone()),
            tasks: JoinSet::new(),
            ticks: Arc::default(),
            start: Instant::now(),
            limits,
        };
        accept_loop.receive(&socket, shutdown).await;
        drop(socket);
        accept_loop.drain().await;
    }
}

/// The state of the accept loop. `S` is the routes as a service.
struct AcceptLoop<S> {
    shared: Arc<ListenerShared<S>>,
    connections: ConnectionTable,
    tasks: JoinSet<()>,
    ticks: Arc<SweepClock>,
    start: Instant,
    limits: ListenerLimits,
}

impl<S: connection::Routes> AcceptLoop<S> {
    async fn receive(&mut self, socket: &TcpListener, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut sweeps = interval(self.limits.sweep_every());
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut room = true;
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                _ = sweeps.tick() => self.sweep(),
                accepted = socket.accept(), if room => match accepted {
                    Ok((stream, peer)) => self.admit(stream, peer),
                    Err(error) => self.cannot_accept(&error).await,
                },
                // No connection can be closed to make room. New connections wait in the system's queue.
                () = sleep(Duration::from_millis(5)), if !room => self.update_clock(),
            }
            room = self.connections.has_room(self.ticks.now_ms());
        }
    }

    fn update_clock(&self) {
        self.ticks.set_ms(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX >> 3));
    }

    fn sweep(&mut self) {
        self.update_clock();
        self.connections.sweep(self.ticks.now_ms());
        while self.tasks.try_join_next().is_some() {}
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        self.update_clock();
        let (counted, now) = (counted_by(peer.ip()), self.ticks.now_ms());
        let mut sent_away = 0;
        if !self.shared.access.is_many(peer.ip()) {
            let room = self.connections.make_room_for(counted, now);
            sent_away += room.sent_away;
            if !room.is_there {
                return self.reject_full(sent_away + 1, "one address has too many connections");
            }
        }
        sent_away += self.connections.make_room(now);
        self.reject_full(sent_away, "closed to make room for a new connection");
        let activity = Arc::new(ConnectionActivity::new(self.ticks.clone(), counted));
        self.connections.admit(activity.clone());
        let presence = ConnectionGuard(activity);
        self.tasks.spawn(connection::run(stream, peer, presence, self.shared.clone()));
    }

    fn reject_full(&self, connections: usize, reason: &'static str) {
        if connections > 0 {
            self.shared.refusals.note_many(Refusal::crowded, connections as u64, "connection", reason);
        }
    }

    async fn cannot_accept(&mut self, error: &io::Error) {
        // The connection was reset before it was accepted, which needs no action.
        if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
            return;
        }
        let sent_away = self.connections.evict(None, (self.connections.len() / 16).max(1), self.ticks.now_ms());
        self.shared.refusals.note(Refusal::no_descriptor, "accept", error);
        self.reject_full(sent_away, "the system accepts no more connections");
        sleep(Duration::from_millis(100)).await;
    }

    async fn drain(mut self) {
        let mut sweeps = interval(self.limits.sweep_every());
        self.connections.drain();
        let deadline = self.limits.drain;
        let drained = async {
            while !self.tasks.is_empty() {
                tokio::select! {
                    _ = self.tasks.join_next() => {}
                    _ = sweeps.tick() => self.sweep(),
                }
            }
        };
        if timeout(deadline, drained).await.is_err() {
            tracing::warn!(open = self.tasks.len(), "connections were closed at the end of the drain timeout");
            self.tasks.shutdown().await;
        }
    }
}

/// Returns the number of connections that the limit of open files allows. Raises the soft limit if necessary and
/// possible.
fn file_limit(connections: usize) -> usize {
    /// Files that the rest of the process needs: store, logs, outgoing connections, a second listener.
    const RESERVED: u64 = 512;
    let wanted = (connections as u64).saturating_add(RESERVED);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(mut soft) = current else { return connections };
    if soft < wanted {
        let raised = maximum.map_or(wanted, |hard| wanted.min(hard));
        if raised > soft && setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }).is_ok() {
            soft = raised;
        }
    }
    if soft >= wanted {
        return connections;
    }
    // If the limit is very low, two listeners together use half of it.
    let left = soft.saturating_sub(RESERVED).max(soft / 4);
    let fewer = usize::try_from(left).unwrap_or(connections).min(connections);
    tracing::warn!(open_files = soft, connections = fewer, "the limit of open files reduces the number of connections");
    fewer
}
