//! Who is asking, and whether they may connect: addresses alone, no secrets.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// Who sent a request; every request that a listener serves has one among its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The other end of the connection.
    pub socket: SocketAddr,
    /// Whom a trusted proxy speaks for, or else the other end itself.
    pub client: IpAddr,
}

/// Which addresses are served.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Empty means all.
    pub allow_from: Vec<IpNet>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

fn holds(nets: &[IpNet], address: IpAddr) -> bool {
    nets.iter().any(|net| net.contains(&address))
}

impl Access {
    /// The address that a request comes from: read from the right, the first in `X-Forwarded-For` that is no trusted proxy.
    /// What stands left of it was written by that client, and an entry that is no address ends the search.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if self.trusted_proxies.is_empty() || !holds(&self.trusted_proxies, client) {
            return client;
        }
        let forwarded = headers.get_all("x-forwarded-for").iter().rev();
        for entry in forwarded.flat_map(|value| value.to_str().unwrap_or("?").rsplit(',')) {
            let Some(address) = address(entry.trim()) else { break };
            client = address.to_canonical();
            if !holds(&self.trusted_proxies, client) {
                break;
            }
        }
        client
    }

    pub(super) fn allows(&self, client: IpAddr) -> bool {
        self.allow_from.is_empty() || holds(&self.allow_from, client)
    }

    /// Whether one address may stand for many clients, so that no cap for one peer applies.
    pub(super) fn is_many(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        peer.is_loopback() || holds(&self.trusted_proxies, peer)
    }
}

/// An address as proxies write it: bare, with a port, or an IPv6 address in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip())).or_else(bare)
}

/// What one peer is counted by: an IPv4 address, or the /64 that one IPv6 host can choose its addresses from.
pub(super) fn counted_by(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("net")).collect();
        Access { allow_from: nets(&["203.0.113.0/24", "2001:db8::/32"]), trusted_proxies: nets(&["10.0.0.0/8"]) }
    }

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().expect("value"));
        }
        access().client(peer.parse().expect("peer"), &headers).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_speaks_for_others() {
        assert_eq!(client("198.51.100.7", &["203.0.113.5"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["203.0.113.5"]), "203.0.113.5");
        assert_eq!(client("::ffff:10.0.0.1", &["203.0.113.5"]), "203.0.113.5");
    }

    #[test]
    fn what_the_client_wrote_itself_is_not_believed() {
        assert_eq!(client("10.0.0.1", &["203.0.113.5, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["203.0.113.5", "198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["203.0.113.5, nonsense"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn addresses_come_in_several_dresses() {
        for text in ["203.0.113.5:443", "[2001:db8::1]:443", "[2001:db8::1]", "2001:db8::1"] {
            assert!(access().allows(client("10.0.0.1", &[text]).parse().expect("address")), "{text}");
        }
    }

    #[test]
    fn a_host_with_a_whole_ipv6_network_is_one_peer() {
        let of = |text: &str| counted_by(text.parse().expect("address"));
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::"), of("2001:db8:1:3::"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
