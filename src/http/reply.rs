//! All responses except pages: JSON, and problems in the format of RFC 9457.
//!
//! [`ErrorKind`] is the only table that maps kinds of errors to status codes. No response names the program.

use std::convert::Infallible;

use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;
use warp::{Rejection, reject, reply::Response};

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $status:literal $slug:literal $title:literal),+ $(,)?) => {
        /// The kinds of problems, of the request or of the server.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ErrorKind {
            $($(#[$doc])* $kind,)+
        }

        impl ErrorKind {
            /// The status code, the last part of the `type`, and the title.
            const fn row(self) -> (u16, &'static str, &'static str) {
                match self {
                    $(Self::$kind => ($status, $slug, $title),)+
                }
            }
        }
    };
}

kinds! {
    Malformed = 400 "malformed" "The request is malformed",
    /// The response does not say which of the checks failed.
    Unauthorized = 401 "unauthorized" "The request is not authorised",
    Forbidden = 403 "forbidden" "The request is not allowed",
    NotFound = 404 "not-found" "The resource does not exist",
    MethodNotAllowed = 405 "method-not-allowed" "The method is not allowed here",
    Timeout = 408 "timeout" "The request took too long",
    Conflict = 409 "conflict" "The request conflicts with the current state",
    TooLarge = 413 "too-large" "The body is too large",
    UnsupportedMedia = 415 "unsupported-media-type" "The body's media type is not supported",
    /// The request named a host that the admin side does not serve.
    Misdirected = 421 "misdirected" "The request was meant for another host",
    /// A callback that is not about KYC, or a well-formed request that cannot be carried out.
    Unprocessable = 422 "unprocessable" "The request cannot be processed",
    TooMany = 429 "too-many-requests" "There were too many requests",
    HeadersTooLarge = 431 "headers-too-large" "The headers are too large",
    Internal = 500 "internal" "An internal error occurred",
    NotImplemented = 501 "not-implemented" "The request uses a feature that is not supported",
    /// The client should retry later.
    Unavailable = 503 "unavailable" "The request cannot be accepted at the moment",
}

impl ErrorKind {
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// One problem, to be sent as a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProblemDetails {
    kind: ErrorKind,
    detail: Option<String>,
    allow: Option<&'static str>,
    retry_after_s: Option<u32>,
    bearer: bool,
    close: bool,
}

#[derive(Serialize)]
struct ProblemBody<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

impl ProblemDetails {
    pub fn new(kind: ErrorKind) -> Self {
        let retry_after_s = matches!(kind, ErrorKind::Unavailable | ErrorKind::TooMany).then_some(5);
        Self { kind, detail: None, allow: None, retry_after_s, bearer: false, close: false }
    }

    /// A description of the problem. Before the request is verified, it must not repeat any part of the request.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The allowed methods, for a 405.
    #[must_use]
    pub fn allow(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    #[must_use]
    pub fn retry_after_s(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Requests a bearer token, for a 401.
    #[must_use]
    pub fn bearer(mut self) -> Self {
        self.bearer = true;
        self
    }

    /// Closes the connection after the response, so that data after the request is not read.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.close = true;
        self
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    fn body(&self) -> Vec<u8> {
        let (status, slug, title) = self.kind.row();
        let r#type = format!("urn:kyc-rules:problem:{slug}");
        let wire = ProblemBody { r#type, title, status, detail: self.detail.as_deref() };
        serde_json::to_vec(&wire).unwrap_or_default()
    }

    pub fn response(&self) -> Response {
        let mut response = Response::new(self.body().into());
        *response.status_mut() = self.kind.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        if let Some(methods) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.bearer {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // The rest of such a request is not read.
        if self.close || matches!(self.kind, ErrorKind::Timeout | ErrorKind::TooLarge | ErrorKind::Forbidden) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The complete response as text, for a stream that is not served by hyper.
    pub(super) fn raw_response(&self) -> String {
        let (status, body) = (self.kind.status(), self.body());
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n{}",
            body.len(),
            String::from_utf8_lossy(&body)
        )
    }

    /// Converts the problem to a rejection, which [`answer`] converts back.
    pub fn reject(self) -> Rejection {
        reject::custom(Refusal(self))
    }
}

#[derive(Debug)]
struct Refusal(ProblemDetails);

impl reject::Reject for Refusal {}

/// Returns the response for a request that no route accepted. `allow` lists the methods of this side's routes.
pub fn answer(rejection: &Rejection, allow: &'static str) -> Response {
    problem_of(rejection, allow).response()
}

/// Like [`answer`], but returns the problem.
pub(super) fn problem_of(rejection: &Rejection, allow: &'static str) -> ProblemDetails {
    if let Some(Refusal(problem)) = rejection.find() {
        return problem.clone();
    }
    let kind = if rejection.is_not_found() {
        ErrorKind::NotFound
    } else if rejection.find::<reject::MethodNotAllowed>().is_some() {
        return ProblemDetails::new(ErrorKind::MethodNotAllowed).allow(allow);
    } else if rejection.find::<reject::PayloadTooLarge>().is_some() {
        ErrorKind::TooLarge
    } else if rejection.find::<reject::UnsupportedMediaType>().is_some() {
        ErrorKind::UnsupportedMedia
    } else if rejection.find::<reject::InvalidQuery>().is_some() {
        let detail = "the query cannot be read: it has an unknown parameter or an invalid value";
        return ProblemDetails::new(ErrorKind::Malformed).detail(detail);
    } else if rejection.find::<reject::InvalidHeader>().is_some()
        || rejection.find::<reject::MissingHeader>().is_some()
        || rejection.find::<reject::LengthRequired>().is_some()
    {
        ErrorKind::Malformed
    } else {
        ErrorKind::Internal
    };
    ProblemDetails::new(kind)
}

/// [`answer`] in the form that `Filter::recover` takes: `.recover(refused("POST"))`.
pub fn refused(
    allow: &'static str,
) -> impl Fn(Rejection) -> std::future::Ready<Result<Response, Infallible>> + Clone + Send + Sync + 'static {
    move |rejection| std::future::ready(Ok(answer(&rejection, allow)))
}

/// Serializes a value as a JSON response.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => with_type(status, Response::new(body.into()), JSON),
        Err(error) => {
            tracing::error!(%error, "a response could not be serialized as JSON");
            ProblemDetails::new(ErrorKind::Internal).response()
        }
    }
}

/// A response with constant JSON.
pub fn fixed_json(status: StatusCode, body: &'static str) -> Response {
    with_type(status, Response::new(body.into()), JSON)
}

fn with_type(status: StatusCode, body: Response, content_type: HeaderValue) -> Response {
    let mut response = body;
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
