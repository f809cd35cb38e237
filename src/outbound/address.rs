//! Classifies addresses to which nothing is sent without permission: those of this machine, of private networks, and
//! reserved ones.
//!
//! For an IPv6 address that embeds an IPv4 address, the IPv4 address is classified.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The reason why nothing is sent to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForbiddenAddress {
    Unspecified,
    Loopback,
    Private,
    /// Shared address space of a carrier-grade NAT (RFC 6598).
    Shared,
    LinkLocal,
    Multicast,
    /// For examples and benchmarks.
    Documentation,
    /// Reserved for another use, or not assigned.
    Reserved,
}

impl fmt::Display for ForbiddenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "the unspecified address",
            Self::Loopback => "this machine itself",
            Self::Private => "a private network",
            Self::Shared => "a network behind a carrier's NAT",
            Self::LinkLocal => "a link-local address",
            Self::Multicast => "a multicast address",
            Self::Documentation => "an address reserved for examples",
            Self::Reserved => "a reserved address",
        })
    }
}

/// Returns the reason why nothing is sent to the address; `None`: it is a public address.
pub fn forbidden_address(address: IpAddr) -> Option<ForbiddenAddress> {
    match address {
        IpAddr::V4(address) => forbidden_v4(address),
        IpAddr::V6(address) => forbidden_v6(address),
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<ForbiddenAddress> {
    let why = match address.octets() {
        [0, 0, 0, 0] => ForbiddenAddress::Unspecified,
        [127, ..] => ForbiddenAddress::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => ForbiddenAddress::Private,
        [100, 64..=127, ..] => ForbiddenAddress::Shared,
        [169, 254, ..] => ForbiddenAddress::LinkLocal,
        [224..=239, ..] => ForbiddenAddress::Multicast,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [198, 18..=19, ..] => ForbiddenAddress::Documentation,
        // "This network", protocol assignments, 6to4 relays, the former class E, and broadcast.
        [0, ..] | [192, 0, 0, _] | [192, 88, 99, _] | [240..=255, ..] => ForbiddenAddress::Reserved,
        _ => return None,
    };
    Some(why)
}

fn forbidden_v6(address: Ipv6Addr) -> Option<ForbiddenAddress> {
    if address.is_unspecified() {
        return Some(ForbiddenAddress::Unspecified);
    }
    if address.is_loopback() {
        return Some(ForbiddenAddress::Loopback);
    }
    let [a, b, c, d, e, f, g, h] = address.segments();
    let [g1, g2] = g.to_be_bytes();
    let [h1, h2] = h.to_be_bytes();
    let last = Ipv4Addr::new(g1, g2, h1, h2);
    match (a, b, c, d, e, f) {
        // ::ffff:a.b.c.d, ::ffff:0:a.b.c.d, and NAT64.
        (0, 0, 0, 0, 0, 0xFFFF) | (0, 0, 0, 0, 0xFFFF, 0) | (0x64, 0xFF9B, 0, 0, 0, 0) => forbidden_v4(last),
        // 6to4.
        (0x2002, ..) => {
            let ([b1, b2], [c1, c2]) = (b.to_be_bytes(), c.to_be_bytes());
            forbidden_v4(Ipv4Addr::new(b1, b2, c1, c2))
        }
        // ISATAP, in any network.
        (.., 0 | 0x200, 0x5EFE) if forbidden_v4(last).is_some() => forbidden_v4(last),
        (0xFC00..=0xFDFF, ..) => Some(ForbiddenAddress::Private),
        (0xFE80..=0xFEBF, ..) => Some(ForbiddenAddress::LinkLocal),
        (0xFF00..=0xFFFF, ..) => Some(ForbiddenAddress::Multicast),
        (0x2001, 0xDB8, ..) | (0x3FFF, 0..=0xFFF, ..) | (0x2001, 2, 0, ..) => Some(ForbiddenAddress::Documentation),
        // Local-use NAT64 (RFC 8215).
        (0x64, 0xFF9B, 1, ..) => Some(ForbiddenAddress::Private),
        // Protocol assignments, including Teredo, which embeds an address in its own encoding.
        (0x2001, 0..=0x1FF, ..) => Some(ForbiddenAddress::Reserved),
        // Global unicast.
        (0x2000..=0x3FFF, ..) => None,
        _ => Some(ForbiddenAddress::Reserved),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_fit() {
        use ForbiddenAddress::*;
        for (address, expected) in [
            ("0.0.0.0", Some(Unspecified)),
            ("0.1.2.3", Some(Reserved)),
            ("10.0.0.1", Some(Private)),
            ("100.63.255.255", None),
            ("100.64.0.1", Some(Shared)),
            ("100.127.255.255", Some(Shared)),
            ("100.128.0.1", None),
            ("127.0.0.1", Some(Loopback)),
            ("127.255.255.254", Some(Loopback)),
            ("169.254.169.254", Some(LinkLocal)),
            ("172.15.255.255", None),
            ("172.16.0.1", Some(Private)),
            ("172.31.255.255", Some(Private)),
            ("172.32.0.1", None),
            ("192.0.0.8", Some(Reserved)),
            ("192.0.2.1", Some(Documentation)),
            ("192.88.99.1", Some(Reserved)),
            ("192.168.1.1", Some(Private)),
            ("192.169.1.1", None),
            ("198.17.0.1", None),
            ("198.18.0.1", Some(Documentation)),
            ("198.19.255.255", Some(Documentation)),
            ("198.51.100.7", Some(Documentation)),
            ("203.0.113.7", Some(Documentation)),
            ("224.0.0.1", Some(Multicast)),
            ("239.255.255.255", Some(Multicast)),
            ("240.0.0.1", Some(Reserved)),
            ("255.255.255.255", Some(Reserved)),
            ("1.1.1.1", None),
            ("93.184.216.34", None),
            ("::", Some(Unspecified)),
            ("::1", Some(Loopback)),
            ("::7f00:1", Some(Reserved)),
            ("::ffff:127.0.0.1", Some(Loopback)),
            ("::ffff:10.1.2.3", Some(Private)),
            ("::ffff:1.1.1.1", None),
            ("::ffff:0:169.254.169.254", Some(LinkLocal)),
            ("64:ff9b::169.254.169.254", Some(LinkLocal)),
            ("64:ff9b::1.1.1.1", None),
            ("64:ff9b:1::1.1.1.1", Some(Private)),
            ("100::1", Some(Reserved)),
            ("2001::1", Some(Reserved)),
            ("2001:2::1", Some(Documentation)),
            ("2001:db8::1", Some(Documentation)),
            ("2001:10::1", Some(Reserved)),
            ("2001:200::1", None),
            ("2002:7f00:1::1", Some(Loopback)),
            ("2002:c0a8:101::1", Some(Private)),
            ("2002:101:101::1", None),
            ("2606:4700:4700::1111", None),
            ("2606:4700:4700::5efe:10.0.0.1", Some(Private)),
            ("2606:4700:4700:0:200:5efe:127.0.0.1", Some(Loopback)),
            ("2a00::1", None),
            ("3fff::1", Some(Documentation)),
            ("4000::1", Some(Reserved)),
            ("5f00::1", Some(Reserved)),
            ("fc00::1", Some(Private)),
            ("fdff:ffff::1", Some(Private)),
            ("fe80::1", Some(LinkLocal)),
            ("febf::1", Some(LinkLocal)),
            ("fec0::1", Some(Reserved)),
            ("ff02::1", Some(Multicast)),
        ] {
            assert_eq!(forbidden_address(address.parse().expect(address)), expected, "{address}");
        }
    }
}
