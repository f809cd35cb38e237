//! HTTP out of the house: one request, one answer, and no way to where nobody meant it to go.
//!
//! Whoever calls says where by the configuration only. No redirect is followed, no proxy is asked, every wait is bounded, and
//! of an answer no more than [`MAX_ANSWER_BYTES`] are read. Unless the configuration says that it is meant, nothing is sent to
//! an address of this machine or of a private network: [`address`] says which those are, and it is asked for addresses that
//! stand in a URL as well as for those that a name turns out to have.
//!
//! What is *not* here: what an answer means, and trying again. No path, query, header or body of a request is in an error,
//! since any of them may be a secret.

mod address;
mod connect;
mod failure;
mod resolver;
mod rotating;
mod target;
pub mod tls;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use reqwest::redirect::Policy;

pub use address::{Unfit, unfit};
pub use failure::{Failure, FailureKind};
pub use resolver::{Looking, Lookup};
use rotating::Rotating;
pub use target::Target;

/// How much of an answer is read; the rest is left lying.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// What goes out says who it is.
const USER_AGENT: &str = concat!("kyc-rules/", env!("CARGO_PKG_VERSION"));

/// How far a client reaches, and how long it waits.
#[derive(Clone)]
pub struct Reach {
    /// This machine and private networks are meant.
    pub private: bool,
    pub connect_timeout: Duration,
    /// For the whole of it, from the connection to the end of the answer.
    pub timeout: Duration,
    /// Certificates to trust beside the system's, each in PEM.
    pub extra_roots: Vec<Vec<u8>>,
    /// How long a connection is used again.
    pub max_age: Duration,
    /// Says which addresses a name has; `None`: the system does.
    pub lookup: Option<Lookup>,
}

impl Default for Reach {
    fn default() -> Self {
        Self {
            private: false,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
            extra_roots: Vec::new(),
            max_age: Duration::from_mins(2),
            lookup: None,
        }
    }
}

/// Why no client could be made, in words for whoever set the machine up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientError(String);

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ClientError {}

/// What is sent, beside where to.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Its beginning, where it did not come to its end.
    pub body: Vec<u8>,
    pub end: End,
}

/// How far an answer's body came. Whoever has said a status has answered, whatever became of the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Whole,
    /// It was longer than is read.
    TooLong,
    /// No more of it came.
    Broken(Failure),
}

/// Connections of its own, so that whoever hangs holds up nobody else's.
#[derive(Clone)]
pub struct Client {
    http: Arc<Rotating>,
    names: resolver::Filtering,
    extra_roots: Vec<Vec<u8>>,
    private: bool,
    timeouts: failure::Timeouts,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("private", &self.private).finish_non_exhaustive()
    }
}

impl Client {
    pub fn new(reach: Reach) -> Result<Self, ClientError> {
        // The libraries look for one in the process; whether this is the first who brings it does not matter.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let told = |error: &dyn std::error::Error| ClientError(format!("no HTTPS: {}", failure::innermost(error)));
        let tls = tls::trusting(&reach.extra_roots).map_err(|error| told(&*error))?;
        let names = resolver::Filtering::new(reach.private, reach.lookup);
        let timeouts = failure::Timeouts { connect: reach.connect_timeout, whole: reach.timeout };
        let resolving = names.clone();
        let build = move || {
            reqwest::Client::builder()
                .user_agent(USER_AGENT)
                .no_proxy()
                .redirect(Policy::none())
                .connect_timeout(timeouts.connect)
                .timeout(timeouts.whole)
                .tls_backend_preconfigured(tls.clone())
                .dns_resolver(resolving.clone())
                .build()
        };
        let http = Rotating::new(reach.max_age, build).map_err(|error| told(&error))?;
        Ok(Self { http: Arc::new(http), names, extra_roots: reach.extra_roots, private: reach.private, timeouts })
    }

    fn may_send_to(&self, target: &Target) -> Result<(), Failure> {
        match target.address().filter(|_| !self.private).and_then(unfit) {
            Some(why) => Err(Failure::unfit(target, why)),
            None => Ok(()),
        }
    }

    async fn has_waited_for_tls(&self, target: &Target, error: &reqwest::Error) -> bool {
        error.is_connect() && error.is_timeout() && target.is_encrypted() && self.takes_connections(target).await
    }

    /// One request. Dropping it midway is safe: the connection is closed and not used again.
    pub async fn send(&self, target: &Target, request: Request) -> Result<Answer, Failure> {
        self.may_send_to(target)?;
        let sent = self
            .http
            .current()
            .request(request.method, target.url().clone())
            .headers(request.headers)
            .body(request.body)
            .send()
            .await;
        let mut response = match sent {
            Ok(response) => response,
            Err(error) if self.has_waited_for_tls(target, &error).await => {
                return Err(Failure::no_tls(target, self.timeouts.connect));
            }
            Err(error) => return Err(Failure::of(target, &error, self.timeouts)),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        let end = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let room = MAX_ANSWER_BYTES - body.len();
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                    if chunk.len() > room {
                        break End::TooLong;
                    }
                }
                Ok(None) => break End::Whole,
                Err(error) => break End::Broken(Failure::of(target, &error, self.timeouts)),
            }
        };
        Ok(Answer { status, headers, body, end })
    }
}
