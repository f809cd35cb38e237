//! Parsers for single values of the configuration; each error says what to write instead.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use http::{HeaderName, HeaderValue, Uri};
use ipnet::IpNet;

use crate::{
    decide::Brake,
    outbound::TargetUrl,
    yaml::{self, did_you_mean},
};

/// `off` is a text, because YAML 1.2 does not read it as `false`.
pub(super) fn is_off(text: &str) -> bool {
    matches!(text, "off" | "none" | "never" | "no")
}

pub(super) fn brake(text: &str) -> Result<Option<Brake>, String> {
    let brake = |(count, window): (u32, yaml::Duration)| Brake { count, window_ms: window.ms() };
    Ok(count_per(text, || format!("`{text}` is not a brake; write as `1000 per 1h`, or `off`"))?.map(brake))
}

/// Parses a rate; returns the time between two events.
pub(super) fn rate(text: &str) -> Result<Option<Duration>, String> {
    let between = |(count, window): (u32, yaml::Duration)| window.as_std() / count;
    Ok(count_per(text, || format!("`{text}` is not a rate; write as `10 per 1s`, or `off`"))?.map(between))
}

/// Parses `1000 per 1h`; `None`: off.
fn count_per(text: &str, form: impl Fn() -> String) -> Result<Option<(u32, yaml::Duration)>, String> {
    if is_off(text) {
        return Ok(None);
    }
    let (count, window) = text.split_once(" per ").ok_or_else(&form)?;
    let count = count.trim().parse().ok().filter(|count| *count > 0).ok_or_else(&form)?;
    let window: yaml::Duration = window.parse().map_err(|why| format!("`{window}` {why}"))?;
    Ok(Some((count, window)))
}

/// Parses a duration, or `off`.
pub(super) fn pause(text: &str) -> Result<Option<Duration>, String> {
    if is_off(text) {
        return Ok(None);
    }
    text.parse::<yaml::Duration>().map(|time| Some(time.as_std())).map_err(|why| format!("`{text}` {why}, or `off`"))
}

/// The provider's two environments.
pub(super) const PRODUCTION: &str = "https://api.xgateway.tech";
const DEMO: &str = "https://api.demo.xgateway.tech";
const ENVIRONMENTS: [(&str, &str); 2] = [("production", PRODUCTION), ("demo", DEMO)];

/// Returns the URL of the environment `production` or `demo`. `None`: the text must be parsed as a URL.
pub(super) fn environment(text: &str) -> Result<Option<&'static str>, String> {
    if let Some((_, url)) = ENVIRONMENTS.iter().find(|(name, _)| *name == text) {
        return Ok(Some(url));
    }
    if text.contains("://") {
        return Ok(None);
    }
    let meant = did_you_mean(text, ENVIRONMENTS.map(|(name, _)| name));
    let meant = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
    Err(format!("`{text}` is neither `production` nor `demo` nor a URL{meant}"))
}

/// Parses a size such as `256MB`, in bytes; the units are powers of 1024.
pub(super) fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u32); 8] =
        [("KB", 10), ("MB", 20), ("GB", 30), ("TB", 40), ("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let form = || format!("`{text}` is not a size; write as `256MB` or `2GB`");
    let (number, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let unit = unit.trim();
    let (_, shift) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(form)?;
    let number: u64 = number.parse().map_err(|_| form())?;
    number.checked_mul(1 << shift).ok_or_else(form)
}

/// Parses `ADDRESS:PORT`, `:PORT` for all addresses, or `localhost:PORT`.
pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    let form = || format!("`{text}` is not an address to listen on; write as `0.0.0.0:8080` or `127.0.0.1:8081`");
    let named = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let named = named.or_else(|| text.strip_prefix(':').map(|port| format!("0.0.0.0:{port}")));
    named.as_deref().unwrap_or(text).parse().map_err(|_| form())
}

/// Parses a range such as `10.0.0.0/8`, or one address.
pub(super) fn net(text: &str) -> Result<IpNet, String> {
    let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let net = net.ok_or_else(|| format!("`{text}` is not an address range; write as `10.0.0.0/8` or `192.0.2.7`"))?;
    if net.trunc() == net {
        Ok(net)
    } else {
        Err(format!(
            "`{text}` is an address inside the range {}; write only the range or only the address",
            net.trunc()
        ))
    }
}

/// Parses the path of a request, without a query.
pub(super) fn path(text: &str) -> Result<String, String> {
    let uri: Option<Uri> = text.parse().ok();
    match uri {
        Some(uri) if text.starts_with('/') && uri.path() == text && !text.contains('%') && !text.contains("//") => {
            Ok(text.to_owned())
        }
        _ => Err(format!("`{text}` is not a path; write as `/callbacks/kyc`, without characters that need escaping")),
    }
}

/// Parses an `http` or `https` URL. Error messages do not repeat it, because some URLs are secret.
pub(super) fn url(text: &str) -> Result<Uri, String> {
    let form = || "this is not a URL; write as `https://shop.example/path`".to_owned();
    let uri: Uri = text.parse().map_err(|_| form())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(form()) };
    if !matches!(scheme, "http" | "https") {
        return Err("it has to begin with https:// (or http://)".to_owned());
    }
    if authority.as_str().contains('@') {
        return Err("it contains a user or password, which is not sent; use a header or the target's secret".to_owned());
    }
    if authority.host().is_empty() {
        return Err(form());
    }
    // Requests are sent with `TargetUrl`, which accepts fewer hosts and ports.
    TargetUrl::parse(text).map(|_| uri)
}

/// Whether data sent to this URL is unencrypted and leaves this machine.
pub(super) fn is_in_the_open(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    uri.scheme_str() == Some("http") && !here
}

/// Parses a header such as `Authorization: Bearer …`.
pub(super) fn header(text: &str) -> Result<(HeaderName, String), String> {
    let form = || "this is not a header; write as `Authorization: Bearer …`".to_owned();
    let (name, value) = text.split_once(':').ok_or_else(form)?;
    let name: HeaderName = name.trim().parse().map_err(|_| form())?;
    let value = value.trim();
    if value.is_empty() || HeaderValue::from_str(value).is_err() {
        return Err(form());
    }
    Ok((name, value.to_owned()))
}

/// Parses a name that rules use for a webhook or a chat.
pub(super) fn name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !text.is_empty() && text.len() <= 64 && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not a valid name; use letters, digits, `-` and `_`"))
    }
}

pub(super) fn locale(text: &str) -> Result<String, String> {
    let mut parts = text.split(['-', '_']);
    let language = parts.next().unwrap_or_default();
    let letters = |part: &str, length: std::ops::RangeInclusive<usize>| {
        length.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    if !letters(language, 2..=3) || !parts.clone().all(|part| letters(part, 2..=8)) {
        return Err(format!("`{text}` is not a language; write as `de` or `de-AT`"));
    }
    let region = |part: &str| if part.len() == 2 { part.to_ascii_uppercase() } else { part.to_owned() };
    Ok(std::iter::once(language.to_ascii_lowercase()).chain(parts.map(region)).collect::<Vec<_>>().join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("256MB"), Ok(256 << 20));
        assert_eq!(size("2 GiB"), Ok(2 << 30));
        assert_eq!(size("1kb"), Ok(1024));
        for wrong in ["256", "MB", "", "1.5GB", "99999999999999TB", "-1MB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn brakes_have_a_count_and_a_window() {
        assert_eq!(brake("1000 per 1h"), Ok(Some(Brake::default())));
        assert_eq!(brake("off"), Ok(None));
        for wrong in ["1000", "0 per 1h", "1000 per hour", "1000/1h"] {
            assert!(brake(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_ranges_and_paths_are_parsed() {
        assert_eq!(listen("localhost:1").expect("address").to_string(), "127.0.0.1:1");
        assert_eq!(listen(":80").expect("address").to_string(), "0.0.0.0:80");
        assert_eq!(listen("[::1]:80").expect("address").to_string(), "[::1]:80");
        assert!(listen("0.0.0.0").is_err() && listen("shop.example:80").is_err());
        assert_eq!(net("192.0.2.7").expect("net").to_string(), "192.0.2.7/32");
        assert!(net("10.1.2.3/8").expect_err("refused").contains("10.0.0.0/8") && net("all").is_err());
        assert!(path("/callbacks/kyc-4f3a").is_ok());
        for wrong in ["callbacks", "/a?b", "/a#b", "/a b", "/%2e", "//a", "", "https://shop.example/a"] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn urls_and_headers_are_parsed() {
        let open = |text: &str| is_in_the_open(&url(text).expect(text));
        assert!(open("http://shop.example/x"));
        assert!(!open("https://shop.example/x") && !open("http://127.0.0.1:1/") && !open("http://[::1]/"));
        for wrong in ["shop.example", "ftp://shop.example", "https://", "https://a:b@shop.example", "/x", ""] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
        assert!(header("Authorization: Bearer x").is_ok());
        assert!(header("Bearer x").is_err() && header("A b: c").is_err() && header("A:").is_err());
    }

    #[test]
    fn languages_get_their_usual_case() {
        assert_eq!(locale("DE_at"), Ok("de-AT".to_owned()));
        assert!(locale("German").is_err() && locale("").is_err());
    }
}
