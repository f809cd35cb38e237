//! The target of a request: a URL from the configuration, of which only the host is shown.

use std::{fmt, net::IpAddr};

use reqwest::Url;

/// A URL with a host. `Display` and `Debug` show neither path nor query, because they may be secrets.
#[derive(Clone)]
pub struct TargetUrl {
    url: Url,
    /// The host, and the port if it is not the default.
    host: String,
    address: Option<IpAddr>,
}

impl fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)
    }
}

impl fmt::Debug for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.host).finish()
    }
}

/// Parts of a URL from this length on are treated as secrets; shorter ones are words, as `hooks` or `services`.
const SECRET_CHARS: usize = 8;

impl TargetUrl {
    /// Parses an `http` or `https` URL as browsers do: `0x7f.1` and `2130706433` are addresses, too.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url: Url = text.parse().map_err(|error| format!("this is not a URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("a URL must begin with https:// (or http://)".to_owned());
        }
        let Some(name) = url.host_str().filter(|name| !name.is_empty()) else {
            return Err("this URL names no host".to_owned());
        };
        let address = name.trim_matches(['[', ']']).parse().ok();
        let host = match url.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        Ok(Self { host, address, url })
    }

    pub(super) const fn url(&self) -> &Url {
        &self.url
    }

    /// The host, a name or an address, and the port.
    pub(super) fn server(&self) -> (&str, u16) {
        (self.url.host_str().unwrap_or_default(), self.url.port_or_known_default().unwrap_or(443))
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The address, if the host is an address and not a name.
    pub const fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Removes the parts of the URL that a response may repeat.
    pub fn redacted(&self, said: &str) -> String {
        let query = self.url.query().unwrap_or_default();
        let parts = self.url.path().split('/').chain(query.split(['&', '=']));
        let whole = [self.url.path(), query].into_iter().filter(|part| part.len() > 1);
        let mut said = said.to_owned();
        for part in whole.chain(parts.filter(|part| part.chars().count() >= SECRET_CHARS)) {
            said = said.replace(part, "…");
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_recognised_in_every_notation() {
        for (url, host, is_address) in [
            ("https://shop.example/hooks", "shop.example", false),
            ("https://shop.example:444/hooks", "shop.example:444", false),
            ("https://shop.example:443/", "shop.example", false),
            ("http://127.0.0.1:8080/x", "127.0.0.1:8080", true),
            ("http://0x7f.1/", "127.0.0.1", true),
            ("http://2130706433/", "127.0.0.1", true),
            ("http://[::ffff:127.0.0.1]/", "[::ffff:7f00:1]", true),
            ("http://１２７.0.0.1/", "127.0.0.1", true),
            ("http://localhost/", "localhost", false),
        ] {
            let target = TargetUrl::parse(url).expect(url);
            assert_eq!((target.to_string(), target.address().is_some()), (host.to_owned(), is_address), "{url}");
        }
        for wrong in ["", "shop.example", "ftp://shop.example", "https://", "mailto:a@b.example"] {
            assert!(TargetUrl::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_target_shows_no_path_and_removes_it_from_responses() {
        let target =
            TargetUrl::parse("https://hooks.chat.example/services/T0ABCDEF9/Zq81xYw0?token=abcdefgh12").expect("URL");
        assert_eq!(format!("{target} {target:?}"), "hooks.chat.example Target(\"hooks.chat.example\")");
        let said = target.redacted("no team T0ABCDEF9 at /services/T0ABCDEF9/Zq81xYw0 (token abcdefgh12)");
        assert_eq!(said, "no team … at … (token …)");
    }
}
