//! All connections of one listener: which of them exceed a timeout, and which are closed when there is no room.
//!
//! When a cap is reached, a new connection closes those that have waited longest, at most 1/64 of the cap, so that idle
//! connections cannot block new clients. A connection whose request is complete, or that has waited for less than [`GRACE_MS`],
//! is never closed for this reason.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use super::{
    activity::{ConnectionActivity, ConnectionPhase},
    limits::ListenerLimits,
};

/// The time that a peer has to read a response that was sent before its request ended, in milliseconds.
const LINGER_MS: u64 = 2_000;
/// The upper limit of every timeout while more than three quarters of the connections are in use, in milliseconds.
const PRESSED_MS: u64 = 5_000;
/// The time that each connection has to send its request before it may be closed to make room, in milliseconds.
const GRACE_MS: u64 = 100;

/// Whether a connection may be accepted, and how many others were closed for it.
pub(super) struct AdmitResult {
    pub(super) is_there: bool,
    pub(super) sent_away: usize,
}

pub(super) struct ConnectionTable {
    connections: Vec<Arc<ConnectionActivity>>,
    peers: HashMap<IpAddr, usize>,
    limits: ListenerLimits,
}

impl ConnectionTable {
    pub(super) fn new(limits: ListenerLimits) -> Self {
        Self { connections: Vec::new(), peers: HashMap::new(), limits }
    }

    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }

    fn is_full(&self) -> bool {
        self.connections.len() >= self.limits.connections
    }

    /// Returns whether there is room for one more connection, or whether room can be made.
    pub(super) fn has_room(&mut self, now: u64) -> bool {
        if self.is_full() {
            self.forget_gone();
        }
        !self.is_full() || self.connections.iter().any(|activity| waits(activity, now).is_some())
    }

    /// Makes room for one more connection by closing waiting ones, if any. Returns how many were closed.
    pub(super) fn make_room(&mut self, now: u64) -> usize {
        if self.is_full() { self.evict(None, (self.limits.connections / 64).max(1), now) } else { 0 }
    }

    /// Makes room for one more connection of this peer, within the cap for each peer.
    pub(super) fn make_room_for(&mut self, peer: IpAddr, now: u64) -> AdmitResult {
        let full = |connections: &Self| {
            connections.peers.get(&peer).is_some_and(|count| *count >= connections.limits.connections_per_peer)
        };
        if full(self) {
            self.forget_gone();
        }
        let mut sent_away = 0;
        if full(self) {
            sent_away = self.evict(Some(peer), (self.limits.connections_per_peer / 64).max(1), now);
        }
        AdmitResult { is_there: !full(self), sent_away }
    }

    pub(super) fn admit(&mut self, activity: Arc<ConnectionActivity>) {
        *self.peers.entry(activity.peer).or_default() += 1;
        self.connections.push(activity);
    }

    /// Closes the connections that have exceeded a timeout.
    pub(super) fn sweep(&mut self, now: u64) {
        self.forget_gone();
        let pressed = self.connections.len() > self.limits.connections / 4 * 3;
        for activity in &self.connections {
            connection_state(activity, now, pressed, &self.limits);
        }
    }

    /// Tells every connection to finish its request and then to close.
    pub(super) fn drain(&self) {
        self.connections.iter().for_each(|activity| activity.signal_drain());
    }

    fn forget_gone(&mut self) {
        self.forget(|activity| activity.phase() == ConnectionPhase::Gone);
    }

    fn forget(&mut self, which: impl Fn(&ConnectionActivity) -> bool) {
        let peers = &mut self.peers;
        self.connections.retain(|activity| {
            let goes = which(activity);
            if goes && let Some(count) = peers.get_mut(&activity.peer) {
                *count -= 1;
                if *count == 0 {
                    peers.remove(&activity.peer);
                }
            }
            !goes
        });
    }

    /// Closes the connections that have been waiting longest, at most `count`, of one peer or of all. They are
    /// removed from the count at once; their tasks end when they run next.
    pub(super) fn evict(&mut self, peer: Option<IpAddr>, count: usize, now: u64) -> usize {
        let mut waiting: Vec<(u64, &Arc<ConnectionActivity>)> = self
            .connections
            .iter()
            .filter(|activity| peer.is_none_or(|peer| activity.peer == peer))
            .filter_map(|activity| Some((waits(activity, now)?, activity)))
            .collect();
        if waiting.len() > count {
            waiting.select_nth_unstable_by_key(count, |(since, _)| *since);
            waiting.truncate(count);
        }
        let sent = waiting.len();
        waiting.into_iter().for_each(|(_, activity)| activity.signal_close());
        if sent > 0 {
            self.forget(|activity| activity.is_closing());
        }
        sent
    }
}

/// The time since which this connection has been waiting, if it may be closed.
fn waits(activity: &ConnectionActivity, now: u64) -> Option<u64> {
    match activity.now() {
        (ConnectionPhase::Work | ConnectionPhase::Gone, _) => None,
        (_, since) => (now.saturating_sub(since) >= GRACE_MS).then_some(since),
    }
}

fn connection_state(activity: &ConnectionActivity, now: u64, pressed: bool, limits: &ListenerLimits) {
    let (phase, since) = activity.now();
    let age = now.saturating_sub(since);
    let allowed = |limit: std::time::Duration| {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        if pressed { limit.min(PRESSED_MS) } else { limit }
    };
    let head = allowed(limits.header_timeout);
    match phase {
        ConnectionPhase::Fresh | ConnectionPhase::Head if age > head => activity.signal_late(),
        // First the handler may answer with 408. A handler that does not read the body is aborted later.
        ConnectionPhase::Body if age > allowed(limits.body_timeout).saturating_mul(2) => activity.signal_close(),
        ConnectionPhase::Body if age > allowed(limits.body_timeout) => activity.signal_body_late(),
        // Closes gracefully, because a request may be on its way.
        ConnectionPhase::Idle if age > allowed(limits.idle_timeout).saturating_add(head) => activity.signal_close(),
        ConnectionPhase::Idle if age > allowed(limits.idle_timeout) => activity.signal_drain(),
        ConnectionPhase::Linger if age > LINGER_MS => activity.signal_close(),
        _ => {}
    }
    let stalled = activity.stalled_since().map_or(0, |since| now.saturating_sub(since));
    if stalled > allowed(limits.write_timeout) {
        activity.signal_close();
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, time::Duration};

    use super::*;
    use crate::http::activity::SweepClock;

    struct TableState {
        ticks: Arc<SweepClock>,
        connections: ConnectionTable,
    }

    impl TableState {
        fn new(connections: usize, connections_per_peer: usize) -> Self {
            let limits = ListenerLimits { connections, connections_per_peer, ..ListenerLimits::default() };
            Self { ticks: Arc::default(), connections: ConnectionTable::new(limits) }
        }

        fn at(&mut self, ms: u64) -> &mut Self {
            self.ticks.set_ms(ms);
            self
        }

        fn enters(&mut self, peer: u8) -> Arc<ConnectionActivity> {
            let activity =
                Arc::new(ConnectionActivity::new(self.ticks.clone(), IpAddr::from(Ipv4Addr::new(192, 0, 2, peer))));
            self.connections.admit(activity.clone());
            activity
        }
    }

    #[test]
    fn a_new_connection_closes_the_longest_waiting_one_but_none_being_served() {
        let mut table = TableState::new(3, 3);
        let served = table.at(1).enters(1);
        served.begin(true);
        let (old, young) = (table.at(2).enters(1), table.at(3).enters(2));
        assert!(table.connections.has_room(1_000));
        table.connections.make_room(1_000);
        assert!(old.is_closing() && !young.is_closing() && !served.is_closing());
        assert_eq!(table.connections.len(), 2);
    }

    #[test]
    fn there_is_no_room_while_all_connections_are_served_or_new() {
        let mut table = TableState::new(2, 2);
        let served = table.enters(1);
        served.begin(true);
        let young = table.at(950).enters(1);
        assert!(!table.connections.has_room(1_000));
        table.connections.make_room(1_000);
        assert!(!young.is_closing() && !served.is_closing());
        assert!(table.connections.has_room(1_050));
        young.enter(ConnectionPhase::Gone);
        assert!(table.connections.has_room(1_000));
    }

    #[test]
    fn a_peer_over_its_cap_closes_only_its_own_connections() {
        let mut table = TableState::new(10, 2);
        let other = table.at(1).enters(9);
        let (first, second) = (table.at(2).enters(1), table.at(3).enters(1));
        let room = table.connections.make_room_for(first.peer, 1_000);
        assert!(room.is_there && room.sent_away == 1);
        assert!(first.is_closing() && !second.is_closing() && !other.is_closing());
    }

    #[test]
    fn each_phase_has_its_own_timeout() {
        let mut table = TableState::new(100, 100);
        let (fresh, idle, served, body) = (table.enters(1), table.enters(1), table.enters(1), table.enters(1));
        idle.enter(ConnectionPhase::Idle);
        served.begin(true);
        body.begin(false);
        table.at(10_001).connections.sweep(10_001);
        assert!(fresh.is_late() && body.is_body_late() && !body.is_closing() && !idle.is_draining());
        table.at(60_001).connections.sweep(60_001);
        assert!(idle.is_draining() && !idle.is_closing() && body.is_closing() && !served.is_closing());
        table.at(80_000).connections.sweep(80_000);
        assert!(idle.is_closing() && !served.is_closing());
    }

    #[test]
    fn timeouts_are_shorter_when_most_connections_are_in_use() {
        let mut table = TableState::new(4, 4);
        let connections: Vec<_> = (0..4).map(|_| table.enters(1)).collect();
        connections.iter().for_each(|activity| activity.enter(ConnectionPhase::Idle));
        let patience = u64::try_from(Duration::from_millis(PRESSED_MS).as_millis()).expect("small");
        table.at(patience + 1).connections.sweep(patience + 1);
        assert!(connections.iter().all(|activity| activity.is_draining()));
    }

    #[test]
    fn a_peer_that_reads_nothing_is_closed() {
        let mut table = TableState::new(4, 4);
        let reader = table.at(1).enters(1);
        reader.begin(true);
        reader.stalled();
        table.at(100_000).connections.sweep(100_000);
        assert!(reader.is_closing());
    }
}
