//! HTTP requests to external services: one request, one response, only to permitted addresses.
//!
//! The target comes from the configuration only. The client follows no redirect and uses no proxy, every wait is
//! bounded, and it reads at most [`MAX_ANSWER_BYTES`] of a response. Nothing is sent to an address of this machine or
//! of a private network unless the configuration permits it: [`address`] classifies addresses, both those in a URL
//! and those to which a name resolves.
//!
//! What is *not* here: the meaning of a response, and retries. An error contains no path, query, header or body of a
//! request, since any of them may be a secret.

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

pub use address::{ForbiddenAddress, forbidden_address};
pub use failure::{HttpFailure, HttpFailureKind};
pub use resolver::{AddressLookup, AddressesFuture};
use rotating::RotatingClient;
pub use target::TargetUrl;

/// The maximum length of a body that is read; the rest is discarded.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The `User-Agent` of every request.
const USER_AGENT: &str = concat!("kyc-rules/", env!("CARGO_PKG_VERSION"));

/// The permitted addresses of a client, and its timeouts.
#[derive(Clone)]
pub struct ClientOptions {
    /// Addresses of this machine and of private networks are permitted.
    pub private: bool,
    pub connect_timeout: Duration,
    /// For the whole request, from the connection to the end of the response.
    pub timeout: Duration,
    /// PEM certificates to trust in addition to the system's.
    pub extra_roots: Vec<Vec<u8>>,
    /// How long connections are reused.
    pub max_age: Duration,
    /// Resolves a name to its addresses; `None`: the system's resolver.
    pub lookup: Option<AddressLookup>,
}

impl ClientOptions {
    /// The default timeouts, and whether private addresses are permitted.
    pub fn reaching(private: bool, extra_roots: &[Vec<u8>]) -> Self {
        Self { private, extra_roots: extra_roots.to_vec(), ..Self::default() }
    }
}

impl Default for ClientOptions {
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

/// The reason why no client could be made, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientError(String);

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ClientError {}

/// A request without its target.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    pub method: Method,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A response.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The beginning of the body if `end` is not [`BodyEnd::Whole`].
    pub body: Vec<u8>,
    pub end: BodyEnd,
}

/// How the body of a response ended. A response with a status counts even if its body is incomplete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    Whole,
    /// The body was longer than [`MAX_ANSWER_BYTES`].
    TooLong,
    /// The body broke off.
    Broken(HttpFailure),
}

/// An HTTP client with its own connections, so that a target that hangs delays no other client.
#[derive(Clone)]
pub struct HttpClient {
    http: Arc<RotatingClient>,
    names: resolver::FilteringResolver,
    extra_roots: Vec<Vec<u8>>,
    private: bool,
    timeouts: failure::HttpTimeouts,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("private", &self.private).finish_non_exhaustive()
    }
}

impl HttpClient {
    pub fn new(reach: ClientOptions) -> Result<Self, ClientError> {
        // The libraries look for a process-wide provider; an error means that one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let told = |error: &dyn std::error::Error| ClientError(format!("no HTTPS: {}", failure::innermost(error)));
        let tls = tls::verifier(&reach.extra_roots).map_err(|error| told(&*error))?;
        let names = resolver::FilteringResolver::new(reach.private, reach.lookup);
        let timeouts = failure::HttpTimeouts { connect: reach.connect_timeout, whole: reach.timeout };
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
        let http = RotatingClient::new(reach.max_age, build).map_err(|error| told(&error))?;
        Ok(Self { http: Arc::new(http), names, extra_roots: reach.extra_roots, private: reach.private, timeouts })
    }

    fn may_send_to(&self, target: &TargetUrl) -> Result<(), HttpFailure> {
        match target.address().filter(|_| !self.private).and_then(forbidden_address) {
            Some(why) => Err(HttpFailure::forbidden(target, why)),
            None => Ok(()),
        }
    }

    async fn has_waited_for_tls(&self, target: &TargetUrl, error: &reqwest::Error) -> bool {
        error.is_connect() && error.is_timeout() && target.is_encrypted() && self.takes_connections(target).await
    }

    /// Sends one request. Dropping the future is safe: its connection is closed and not used again.
    pub async fn send(&self, target: &TargetUrl, request: HttpRequest) -> Result<HttpAnswer, HttpFailure> {
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
                return Err(HttpFailure::no_tls(target, self.timeouts.connect));
            }
            Err(error) => return Err(HttpFailure::of(target, &error, self.timeouts)),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        let end = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let room = MAX_ANSWER_BYTES - body.len();
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                    if chunk.len() > room {
                        break BodyEnd::TooLong;
                    }
                }
                Ok(None) => break BodyEnd::Whole,
                Err(error) => break BodyEnd::Broken(HttpFailure::of(target, &error, self.timeouts)),
            }
        };
        Ok(HttpAnswer { status, headers, body, end })
    }
}
