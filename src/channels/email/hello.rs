//! The host name that EHLO sends.
//!
//! It is `email.hello`, else this machine's full name, else the address literal of the connection's local end (RFC
//! 5321, 4.1.3 and 4.1.4). Many relays reject a name without a dot, which is the usual name of a cloud machine.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use dns_lookup::{AddrInfoHints, get_hostname, getaddrinfo};
use lettre::transport::smtp::extension::ClientId;
use tokio::{sync::OnceCell, task::spawn_blocking, time::timeout};

/// How long the system may take to find this machine's full name; it may query name servers.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// `AI_CANONNAME` of <netdb.h>: return the full name.
const AI_CANONNAME: i32 = 2;

/// A host name from the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EhloName(ClientId);

impl EhloName {
    /// Parses `kyc.shop.example`, `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(literal) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let address = match literal.strip_prefix("IPv6:") {
                Some(v6) => v6.parse().map(IpAddr::V6),
                None => literal.parse().map(IpAddr::V4),
            };
            return match address {
                Ok(address) => Ok(Self(literal_of(address))),
                Err(_) => {
                    Err(format!("`{text}` is not an address literal; write as `[192.0.2.1]` or `[IPv6:2001:db8::1]`"))
                }
            };
        }
        if is_full_name(text) {
            return Ok(Self(ClientId::Domain(text.to_owned())));
        }
        Err(format!("`{text}` is not a full host name; write as `kyc.shop.example`"))
    }
}

/// Chooses the name in EHLO for each connection.
#[derive(Debug)]
pub(super) struct EhloNames {
    configured: Option<EhloName>,
    machine: OnceCell<Option<String>>,
}

impl EhloNames {
    pub fn new(configured: Option<EhloName>) -> Self {
        Self { configured, machine: OnceCell::new() }
    }

    /// The name for a connection with this local end.
    pub async fn ehlo_name(&self, local: SocketAddr) -> ClientId {
        if let Some(EhloName(name)) = &self.configured {
            return name.clone();
        }
        let found = self.machine.get_or_try_init(|| async {
            let looked_up = timeout(LOOKUP_TIMEOUT, spawn_blocking(machine_name)).await;
            // A lookup that timed out is repeated for the next connection.
            looked_up.map(|name| name.ok().flatten())
        });
        match found.await {
            Ok(Some(name)) => ClientId::Domain(name.clone()),
            Ok(None) | Err(_) => literal_of(local.ip()),
        }
    }
}

fn literal_of(address: IpAddr) -> ClientId {
    match address.to_canonical() {
        IpAddr::V4(address) => ClientId::Ipv4(address),
        IpAddr::V6(address) => ClientId::Ipv6(address),
    }
}

/// The name that `hostname --fqdn` prints; `None` if it is not a full name.
fn machine_name() -> Option<String> {
    let name = get_hostname().ok()?;
    if is_full_name(&name) {
        return Some(name);
    }
    let hints = AddrInfoHints { flags: AI_CANONNAME, ..AddrInfoHints::default() };
    let full = getaddrinfo(Some(&name), None, Some(hints)).ok()?.find_map(|entry| entry.ok()?.canonname)?;
    Some(full.trim_end_matches('.').to_owned()).filter(|full| is_full_name(full) && !is_local(full))
}

/// A full name: at least two parts of letters, digits and `-`, each of at most 63 bytes; the last part is not a
/// number.
fn is_full_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 255
        && name.contains('.')
        && name.split('.').all(is_label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// A name that any machine may have.
fn is_local(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("localhost.") || name.ends_with(".localhost") || name.ends_with(".localdomain")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_is_a_full_name_or_an_address_literal() {
        for (text, said) in [
            ("kyc.shop.example", "kyc.shop.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("[192.0.2.1]", "[192.0.2.1]"),
            ("[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
        ] {
            assert_eq!(EhloName::parse(text).map(|EhloName(name)| name.to_string()).as_deref(), Ok(said));
        }
        let long = format!("{}.example", "x".repeat(64));
        for text in ["vm", "", "a b.example", "shop..example", "-a.example", "192.0.2.1", "[192.0.2]", "[::1]", &long] {
            assert!(EhloName::parse(text).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_machine_without_a_full_name_sends_its_address() {
        let names = EhloNames { configured: None, machine: OnceCell::new_with(Some(None)) };
        for (local, said) in [
            ("192.0.2.1:5", "[192.0.2.1]"),
            ("[2001:db8::1]:5", "[IPv6:2001:db8::1]"),
            ("[::ffff:192.0.2.1]:5", "[192.0.2.1]"),
        ] {
            assert_eq!(names.ehlo_name(local.parse().expect("an address")).await.to_string(), said);
        }
        let names =
            EhloNames { configured: None, machine: OnceCell::new_with(Some(Some("vm.shop.example".to_owned()))) };
        assert_eq!(names.ehlo_name("192.0.2.1:5".parse().expect("an address")).await.to_string(), "vm.shop.example");
        let configured = Some(EhloName::parse("kyc.shop.example").expect("a name"));
        let hello = EhloNames::new(configured).ehlo_name("192.0.2.1:5".parse().expect("an address")).await;
        assert_eq!(hello.to_string(), "kyc.shop.example");
        assert!(is_local("localhost.localdomain") && is_local("vm.localdomain") && !is_local("vm.shop.example"));
    }
}
