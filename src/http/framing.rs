//! Checks for requests that hyper accepts and that routes must not see: heads that two programs could interpret
//! differently, and targets that warp cannot handle.
//!
//! Rules: RFC 9112, sections 3.2 (target and Host) and 6.1 (Transfer-Encoding).

use http::{
    HeaderMap, Method, Request, Uri, Version,
    header::{HOST, TRANSFER_ENCODING},
};

use super::reply::{ErrorKind, ProblemDetails};
use crate::telemetry::Refusal;

/// The result of checking a head. `Err` contains the field and the reason.
type FramingResult = Result<(), (&'static str, &'static str)>;

/// Returns the problem for a request that routes must not see, with the kind, the field and the reason for the log.
/// `has_length`: the head had a `Content-Length`, which hyper drops if there is a `Transfer-Encoding`.
pub(super) fn framing_error<B>(
    request: &Request<B>,
    has_length: bool,
) -> Option<(Refusal, &'static str, &'static str, ProblemDetails)> {
    let headers = request.headers();
    let head = target(request.method(), request.uri(), headers).and_then(|()| host(request.version(), headers));
    let (refusal, kind, (field, reason)) = match head {
        Err(wrong) => (Refusal::bad_request, ErrorKind::Malformed, wrong),
        Ok(()) if !headers.contains_key(TRANSFER_ENCODING) => return None,
        Ok(()) if !is_chunked_alone(headers) => {
            let wrong = ("Transfer-Encoding", "only one value, chunked, is supported");
            (Refusal::transfer_coding, ErrorKind::NotImplemented, wrong)
        }
        Ok(()) if has_length => {
            let wrong = ("Content-Length", "must not be combined with Transfer-Encoding");
            (Refusal::bad_request, ErrorKind::Malformed, wrong)
        }
        Ok(()) => return None,
    };
    let problem = ProblemDetails::new(kind).detail(format!("{field}: {reason}")).close();
    Some((refusal, field, reason, problem))
}

/// Checks the target: a path, or a complete URL with the host that `Host` names; for `OPTIONS` also `*`.
fn target(method: &Method, uri: &Uri, headers: &HeaderMap) -> FramingResult {
    let wrong = |reason| Err(("target", reason));
    if method == Method::CONNECT {
        return wrong("CONNECT is not supported; this server is not a proxy");
    }
    let path = uri.path();
    let is_path = path.starts_with('/') || (method == Method::OPTIONS && path == "*");
    if !is_path {
        return wrong("must be a path that begins with a slash");
    }
    let Some(authority) = uri.authority() else { return Ok(()) };
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return wrong("has a scheme other than http and https");
    }
    let same = |host: &http::HeaderValue| host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes());
    if headers.get(HOST).is_some_and(|host| !same(host)) {
        return wrong("names a different host than the Host header");
    }
    Ok(())
}

/// Checks that there is exactly one valid `Host`. HTTP/1.0 requests may have none.
fn host(version: Version, headers: &HeaderMap) -> FramingResult {
    let wrong = |reason| Err(("Host", reason));
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if host.as_bytes().iter().all(|byte| is_in_host(*byte)) => Ok(()),
        (Some(_), None) => wrong("has characters that are not allowed in a host"),
        (Some(_), Some(_)) => wrong("occurs twice"),
        (None, _) if version < Version::HTTP_11 => Ok(()),
        (None, _) => wrong("is missing"),
    }
}

/// Whether a byte may occur in a registered name, an IP literal in brackets, or a port (RFC 3986, section 3.2.2). User
/// information before an `@` is not allowed.
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
        framing_error(&request.body(()).expect("a request"), false).map(|(_, field, ..)| field)
    }

    #[test]
    fn a_target_is_a_path_or_a_url_of_the_named_host() {
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
    fn there_is_exactly_one_valid_host() {
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
