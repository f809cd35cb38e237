//! Requests that hyper reads and that no route may see: heads of which two programs could think differently, and targets that
//! warp can't take.
//!
//! Rules: RFC 9112, sections 3.2 (target and Host) and 6.1 (Transfer-Encoding).

use http::{
    HeaderMap, Method, Request, Uri, Version,
    header::{HOST, TRANSFER_ENCODING},
};

use super::reply::{Kind, Problem};
use crate::telemetry::Refusal;

/// What is wrong with a head. `Err` has the field and the reason.
type Checked = Result<(), (&'static str, &'static str)>;

/// The answer to a request that no route may see, with the kind, the field and the reason for the log. `has_length`: the head
/// had a `Content-Length`, which hyper drops beside a `Transfer-Encoding`.
pub(super) fn objection<B>(
    request: &Request<B>,
    has_length: bool,
) -> Option<(Refusal, &'static str, &'static str, Problem)> {
    let headers = request.headers();
    let head = target(request.method(), request.uri(), headers).and_then(|()| host(request.version(), headers));
    let (refusal, kind, (field, reason)) = match head {
        Err(wrong) => (Refusal::bad_request, Kind::Malformed, wrong),
        Ok(()) if !headers.contains_key(TRANSFER_ENCODING) => return None,
        Ok(()) if !is_chunked_alone(headers) => {
            let wrong = ("Transfer-Encoding", "only chunked, once, is understood");
            (Refusal::transfer_coding, Kind::NotImplemented, wrong)
        }
        Ok(()) if has_length => {
            let wrong = ("Content-Length", "must not stand beside Transfer-Encoding");
            (Refusal::bad_request, Kind::Malformed, wrong)
        }
        Ok(()) => return None,
    };
    let problem = Problem::new(kind).detail(format!("{field}: {reason}")).close();
    Some((refusal, field, reason, problem))
}

/// A target is a path, or a whole URL of the host that `Host` names; `OPTIONS` may ask about `*`.
fn target(method: &Method, uri: &Uri, headers: &HeaderMap) -> Checked {
    let wrong = |reason| Err(("target", reason));
    if method == Method::CONNECT {
        return wrong("this is no proxy, and CONNECT leads nowhere");
    }
    let path = uri.path();
    let is_path = path.starts_with('/') || (method == Method::OPTIONS && path == "*");
    if !is_path {
        return wrong("has to be a path that begins with a slash");
    }
    let Some(authority) = uri.authority() else { return Ok(()) };
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return wrong("has a scheme other than http and https");
    }
    let same = |host: &http::HeaderValue| host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes());
    if headers.get(HOST).is_some_and(|host| !same(host)) {
        return wrong("names another host than the Host header");
    }
    Ok(())
}

/// Exactly one, and a host; HTTP/1.0 knows no `Host` yet.
fn host(version: Version, headers: &HeaderMap) -> Checked {
    let wrong = |reason| Err(("Host", reason));
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if host.as_bytes().iter().all(|byte| is_in_host(*byte)) => Ok(()),
        (Some(_), None) => wrong("has characters that no host has"),
        (Some(_), Some(_)) => wrong("stands there twice"),
        (None, _) if version < Version::HTTP_11 => Ok(()),
        (None, _) => wrong("is missing"),
    }
}

/// A registered name, an IP literal in brackets, a port (RFC 3986, section 3.2.2); no user before an `@`.
fn is_in_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte)
}

fn is_chunked_alone(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = codings.next().is_some_and(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"));
    chunked && codings.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &str, target: &str, version: Version, headers: &[(&str, &str)]) -> Option<&'static str> {
        let mut request = Request::builder().method(method).uri(target).version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        objection(&request.body(()).expect("a request"), false).map(|(_, field, ..)| field)
    }

    #[test]
    fn targets_are_paths_or_urls_of_the_named_host() {
        let with_host = |method, target| refused(method, target, Version::HTTP_11, &[("host", "X.example:80")]);
        for (method, target) in [
            ("GET", "/"),
            ("POST", "/a?b=c"),
            ("OPTIONS", "*"),
            ("GET", "http://x.example:80/a"),
            ("GET", "https://X.EXAMPLE:80"),
        ] {
            assert_eq!(with_host(method, target), None, "{method} {target}");
        }
        for (method, target) in [
            ("CONNECT", "x:1"),
            ("CONNECT", "/a"),
            ("POST", "x:1"),
            ("GET", "x.example"),
            ("GET", "*"),
            ("GET", "http://other.example/"),
            ("GET", "http://u@x.example:80/"),
            ("GET", "ftp://x.example:80/"),
        ] {
            assert_eq!(with_host(method, target), Some("target"), "{method} {target}");
        }
    }

    #[test]
    fn there_is_one_host_and_it_is_one() {
        let hosts = |version, hosts: &[&str]| {
            refused("GET", "/", version, &hosts.iter().map(|host| ("host", *host)).collect::<Vec<_>>())
        };
        for host in ["x", "", "[::1]:80", "192.0.2.1:8080", "m%C3%BCller.example"] {
            assert_eq!(hosts(Version::HTTP_11, &[host]), None, "{host}");
        }
        for host in ["a b", "u@x", "x/y", "x?y", "x#y", "\\", "<x>"] {
            assert_eq!(hosts(Version::HTTP_11, &[host]), Some("Host"), "{host}");
        }
        assert_eq!(hosts(Version::HTTP_10, &[]), None);
        assert_eq!(hosts(Version::HTTP_11, &[]), Some("Host"));
        for version in [Version::HTTP_10, Version::HTTP_11] {
            assert_eq!(hosts(version, &["x", "x"]), Some("Host"));
        }
    }

    #[test]
    fn chunked_is_the_only_coding() {
        let codings = |codings: &[&str]| {
            let codings: Vec<_> = codings.iter().map(|coding| ("transfer-encoding", *coding)).collect();
            refused("POST", "/", Version::HTTP_11, &[&[("host", "x")][..], &codings].concat())
        };
        assert_eq!(codings(&["chunked"]), None);
        assert_eq!(codings(&["CHUNKED "]), None);
        for wrong in [
            &["gzip, chunked"][..],
            &["gzip", "chunked"],
            &["chunked, chunked"],
            &["chunked", "chunked"],
            &["identity"],
            &[""],
        ] {
            assert_eq!(codings(wrong), Some("Transfer-Encoding"), "{wrong:?}");
        }
    }
}
