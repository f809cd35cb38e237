//! Which client sends a request, and whether its address may connect. Secrets are checked elsewhere.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// The sender of a request; stored in the extensions of every request that a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The remote address of the connection.
    pub socket: SocketAddr,
    /// The client that a trusted proxy names, or otherwise the remote address.
    pub client: IpAddr,
}

/// The addresses that are served.
#[derive(Clone, Debug, Default)]
pub struct AddressFilter {
    /// Empty: all addresses are allowed.
    pub allow_from: Vec<IpNet>,
    /// Proxies whose `X-Forwarded-For` is used.
    pub trusted_proxies: Vec<IpNet>,
}

fn contains(nets: &[IpNet], address: IpAddr) -> bool {
    nets.iter().any(|net| net.contains(&address))
}

impl AddressFilter {
    /// Returns the client address of a request: the rightmost address in `X-Forwarded-For` that is not a trusted proxy.
    /// The entries to the left of it were written by that client and are ignored. An entry that is not an address ends
    /// the search.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if self.trusted_proxies.is_empty() || !contains(&self.trusted_proxies, client) {
            return client;
        }
        let forwarded = headers.get_all("x-forwarded-for").iter().rev();
        for entry in forwarded.flat_map(|value| value.to_str().unwrap_or("?").rsplit(',')) {
            let Some(address) = address(entry.trim()) else { break };
            client = address.to_canonical();
            if !contains(&self.trusted_proxies, client) {
                break;
            }
        }
        client
    }

    pub(super) fn allows(&self, client: IpAddr) -> bool {
        self.allow_from.is_empty() || contains(&self.allow_from, client)
    }

    /// Whether many clients may share this address, so that the cap for each peer does not apply.
    pub(super) fn is_many(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        peer.is_loopback() || contains(&self.trusted_proxies, peer)
    }
}

/// Parses an address in the forms that proxies write: bare, with a port, or IPv6 in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip())).or_else(bare)
}

/// Returns the address by which connections of a peer are counted: the IPv4 address, or the /64 network of an IPv6
/// address, because one host can use all addresses of its /64.
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

    fn access() -> AddressFilter {
        let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("net")).collect();
        AddressFilter { allow_from: nets(&["203.0.113.0/24", "2001:db8::/32"]), trusted_proxies: nets(&["10.0.0.0/8"]) }
    }

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().expect("value"));
        }
        access().client(peer.parse().expect("peer"), &headers).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_may_name_another_client() {
        assert_eq!(client("198.51.100.7", &["203.0.113.5"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["203.0.113.5"]), "203.0.113.5");
        assert_eq!(client("::ffff:10.0.0.1", &["203.0.113.5"]), "203.0.113.5");
    }

    #[test]
    fn entries_written_by_the_client_are_ignored() {
        assert_eq!(client("10.0.0.1", &["203.0.113.5, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["203.0.113.5", "198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["203.0.113.5, nonsense"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn addresses_are_parsed_in_all_common_forms() {
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
