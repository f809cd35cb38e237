//! Why no answer came, in words for a person.

use std::{error::Error, fmt, io, time::Duration};

use super::{Target, address::Unfit, resolver::AllUnfit, tls};
use crate::untrusted::one_line;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The URL names an address that nothing is sent to, or its name belongs to such ones only.
    Unfit,
    /// No connection, no answer, no TLS, no name: may go well later.
    Unreachable,
}

/// No answer. The text names the host, and nothing else of what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    pub text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Failure {}

/// What to do about an address that is meant.
const MEANT: &str = "if that is meant, the configuration has to say `private: true` there";

/// How much of what the system and the libraries say is kept, in characters: they repeat the names in a certificate.
const SAID_CHARS: usize = 300;

#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    pub connect: Duration,
    pub whole: Duration,
}

impl Failure {
    pub(super) fn unfit(target: &Target, why: Unfit) -> Self {
        Self { kind: FailureKind::Unfit, text: format!("{target} is {why}; {MEANT}") }
    }

    pub(super) fn of(target: &Target, error: &reqwest::Error, timeouts: Timeouts) -> Self {
        let what = match (cause(error), error.is_timeout()) {
            (Some(cause), _) => cause,
            (None, true) if error.is_connect() => format!("no connection within {:?}", timeouts.connect),
            (None, true) => format!("no answer within {:?}", timeouts.whole),
            (None, false) => innermost(error),
        };
        Self { kind: kind_of(error), text: format!("{target}: {}", one_line(&what, SAID_CHARS)) }
    }

    pub(super) fn of_connecting(target: &Target, error: &(dyn Error + 'static)) -> Self {
        let what = cause(error).unwrap_or_else(|| innermost(error));
        Self { kind: kind_of(error), text: format!("{target}: {}", one_line(&what, SAID_CHARS)) }
    }

    pub(super) fn no_tls(target: &Target, within: Duration) -> Self {
        let what = format!("connected, but no TLS within {within:?} (http:// instead of https://, perhaps)");
        Self { kind: FailureKind::Unreachable, text: format!("{target}: {what}") }
    }

    pub(super) fn no_connection(target: &Target, within: Duration) -> Self {
        Self { kind: FailureKind::Unreachable, text: format!("{target}: no connection within {within:?}") }
    }
}

fn kind_of(error: &(dyn Error + 'static)) -> FailureKind {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<AllUnfit>() || error.downcast_ref::<io::Error>().is_some_and(holds_unfit) {
            return FailureKind::Unfit;
        }
        next = error.source();
    }
    FailureKind::Unreachable
}

/// An error of the system passes its own cause over when it is asked for one.
fn holds_unfit(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<AllUnfit>())
}

/// What lies at the bottom, where it can be said better than the libraries say it.
fn cause(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(unfit) = error.downcast_ref::<AllUnfit>() {
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
                // A cause within a cause; an error of the system has none.
                next = Some(inner);
                continue;
            }
            match io.kind() {
                io::ErrorKind::ConnectionRefused => return Some("nothing answers on this port".to_owned()),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
                    return Some("the connection was closed midway".to_owned());
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
            "the server does not speak TLS here (http:// instead of https://, perhaps)".to_owned()
        }
        other => tls::why(other),
    }
}

/// What the system, or the library nearest to it, said.
pub(super) fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
