//! The limits of a listener: connections, times and sizes.

use std::time::Duration;

/// The limits of one listener.
#[derive(Clone, Debug)]
pub struct ListenerLimits {
    /// The maximum number of open connections. One more closes the connection that has been waiting longest, but never
    /// one whose request is being served.
    pub connections: usize,
    /// The maximum number of connections from one peer. Loopback and trusted proxies are exempt.
    pub connections_per_peer: usize,
    /// From the accept, or from the first byte of a later request, to the end of the request's head. Includes the TLS
    /// handshake.
    pub header_timeout: Duration,
    /// From the end of a request's head to the end of its body.
    pub body_timeout: Duration,
    /// The maximum time between two requests.
    pub idle_timeout: Duration,
    /// The maximum time in which the peer accepts no byte of a response.
    pub write_timeout: Duration,
    /// From the shutdown to the end of the last connection.
    pub drain: Duration,
    /// The maximum size of the request line and the headers together, in bytes.
    pub max_header_bytes: usize,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self::of(4096)
    }
}

impl ListenerLimits {
    /// The default limits for this number of connections.
    pub fn of(connections: usize) -> Self {
        Self {
            connections,
            connections_per_peer: (connections / 4).max(1),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(10),
            max_header_bytes: 16 * 1024,
        }
    }

    /// Returns the interval of the sweeps. No timeout is detected later than an eighth of its duration.
    pub(super) fn sweep_every(&self) -> Duration {
        let shortest =
            [self.header_timeout, self.body_timeout, self.idle_timeout, self.write_timeout].into_iter().min();
        (shortest.unwrap_or_default() / 8).clamp(Duration::from_millis(10), Duration::from_millis(250))
    }
}
