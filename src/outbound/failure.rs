//! The reason a request got no response, as a text for the operator.

use std::{error::Error, fmt, io, time::Duration};

use super::{TargetUrl, address::ForbiddenAddress, resolver::OnlyForbiddenAddresses, tls};
use crate::untrusted::one_line;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpFailureKind {
    /// The URL contains an address to which nothing is sent, or its name resolves to such addresses only.
    Unfit,
    /// No connection, no response, no TLS, no DNS entry: may succeed later.
    Unreachable,
}

/// A request without a response. The text names the host, and nothing else of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpFailure {
    pub kind: HttpFailureKind,
    pub text: String,
}

impl fmt::Display for HttpFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for HttpFailure {}

/// What to do if such an address is intended.
const MEANT: &str = "if that is intended, set `private: true` there in the configuration";

/// The maximum length of a text from the system or the libraries, in characters: such a text repeats the names in a
/// certificate.
const SAID_CHARS: usize = 300;

#[derive(Clone, Copy, Debug)]
pub(super) struct HttpTimeouts {
    pub connect: Duration,
    pub whole: Duration,
}

impl HttpFailure {
    pub(super) fn forbidden(target: &TargetUrl, why: ForbiddenAddress) -> Self {
        Self { kind: HttpFailureKind::Unfit, text: format!("{target} is {why}; {MEANT}") }
    }

    pub(super) fn of(target: &TargetUrl, error: &reqwest::Error, timeouts: HttpTimeouts) -> Self {
        let what = match (cause(error), error.is_timeout()) {
            (Some(cause), _) => cause,
            (None, true) if error.is_connect() => format!("no connection within {:?}", timeouts.connect),
            (None, true) => format!("no answer within {:?}", timeouts.whole),
            (None, false) => innermost(error),
        };
        Self { kind: kind_of(error), text: format!("{target}: {}", one_line(&what, SAID_CHARS)) }
    }

    pub(super) fn of_connecting(target: &TargetUrl, error: &(dyn Error + 'static)) -> Self {
        let what = cause(error).unwrap_or_else(|| innermost(error));
        Self { kind: kind_of(error), text: format!("{target}: {}", one_line(&what, SAID_CHARS)) }
    }

    pub(super) fn no_tls(target: &TargetUrl, within: Duration) -> Self {
        let what = format!("connected, but no TLS within {within:?} (try http:// instead of https://)");
        Self { kind: HttpFailureKind::Unreachable, text: format!("{target}: {what}") }
    }

    pub(super) fn no_connection(target: &TargetUrl, within: Duration) -> Self {
        Self { kind: HttpFailureKind::Unreachable, text: format!("{target}: no connection within {within:?}") }
    }
}

fn kind_of(error: &(dyn Error + 'static)) -> HttpFailureKind {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<OnlyForbiddenAddresses>() || error.downcast_ref::<io::Error>().is_some_and(has_forbidden) {
            return HttpFailureKind::Unfit;
        }
        next = error.source();
    }
    HttpFailureKind::Unreachable
}

/// Whether the error wraps [`OnlyForbiddenAddresses`]; `io::Error::source` skips its inner error.
fn has_forbidden(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<OnlyForbiddenAddresses>())
}

/// Describes the innermost error where that is clearer than the libraries' text.
fn cause(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(unfit) = error.downcast_ref::<OnlyForbiddenAddresses>() {
            return Some(format!("{unfit}; {MEANT}"));
        }
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(of_tls(tls));
        }
        if let Some(io) = error.downcast_ref::<io::Error>() {
            if let Some(inner) = io.get_ref() {
                if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
                    return Some(of_tls(tls));
                }
                // Continues with the inner error; an error of the system has none.
                next = Some(inner);
                continue;
            }
            match io.kind() {
                io::ErrorKind::ConnectionRefused => return Some("nothing answers on this port".to_owned()),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
                    return Some("the connection was closed during the request".to_owned());
                }
                _ => {}
            }
        }
        next = error.source();
    }
    None
}

fn of_tls(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidMessage(_) => {
            "the server does not use TLS on this port (try http:// instead of https://)".to_owned()
        }
        other => tls::explain(other),
    }
}

/// The text of the innermost error, from the system or the nearest library.
pub(super) fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
