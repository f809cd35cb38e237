//! A request to the provider's status API, and its result.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    decide,
    domain::CustomerId,
    outbound::{BodyEnd, ClientOptions, HttpAnswer, HttpClient, HttpFailure, HttpRequest, MAX_ANSWER_BYTES, TargetUrl},
    providers::xgateway::{ApiError, read_answer, read_error},
    throttle::{Outage, asked_for_ms},
};

const KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");

/// The error of an answer, or the reason why there was none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerFailure {
    /// The text for the log: of the API's own texts it contains only the error code.
    pub text: String,
    /// The provider's error code.
    pub code: Option<Box<str>>,
    /// The provider's error message, for operators only.
    pub message: Option<Box<str>>,
}

impl AnswerFailure {
    /// Returns the text with the provider's message, for operators.
    pub fn full(&self) -> String {
        match &self.message {
            Some(message) => format!("{}: {message}", self.text),
            None => self.text.clone(),
        }
    }

    fn new(text: String, ApiError { code, message }: ApiError) -> Self {
        let text = match &code {
            Some(code) => format!("{text} ({code})"),
            None => text,
        };
        Self { text, code, message }
    }
}

impl From<String> for AnswerFailure {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

/// The last failure of the API, used as the cause while the API is paused.
impl From<Outage> for AnswerFailure {
    fn from(Outage { text, code, .. }: Outage) -> Self {
        Self { text, code, message: None }
    }
}

/// The reason why there is no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskError {
    /// The API rejects the key or denies access: an operator must act.
    Key(AnswerFailure),
    /// The API is unavailable or requests a delay, and may have given its length.
    Later { cause: AnswerFailure, after_ms: Option<i64> },
    /// The answer about this customer cannot be used; other customers may be unaffected.
    Odd(AnswerFailure),
    /// No request was sent: the API is paused after an earlier failure.
    Resting(AnswerFailure),
}

impl AskError {
    pub const fn cause(&self) -> &AnswerFailure {
        match self {
            Self::Key(cause) | Self::Later { cause, .. } | Self::Odd(cause) | Self::Resting(cause) => cause,
        }
    }
}

/// Formats the text for the log.
impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause().text)
    }
}

impl std::error::Error for AskError {}

/// The provider's API.
pub struct ProviderApi {
    client: HttpClient,
    /// The base URL, without a slash at the end.
    base: String,
    headers: HeaderMap,
}

impl ProviderApi {
    /// Returns an error if the configuration cannot be used.
    pub fn new(base: String, key: &SecretString) -> Result<Self, String> {
        let mut key = HeaderValue::from_str(key.expose_secret()).map_err(|_| "`provider.api_key` cannot be sent")?;
        key.set_sensitive(true);
        let headers = HeaderMap::from_iter([(KEY_HEADER, key)]);
        // Only the configuration sets the address: a private address is allowed, because a stand-in for the API may run
        // on this machine.
        let client = HttpClient::new(ClientOptions { private: true, ..ClientOptions::default() })
            .map_err(|error| error.to_string())?;
        Ok(Self { client, base, headers })
    }

    /// Asks about a customer.
    pub async fn ask(&self, customer: &CustomerId) -> Result<decide::ApiAnswer, AskError> {
        // Some ids cannot be part of a URL; the provider cannot know such a customer either.
        let Some(id) = customer.in_url() else { return Ok(decide::ApiAnswer::Unknown) };
        let url = format!("{}/api/v2/customer/{id}/bank-transfer/kyc", self.base);
        let target = TargetUrl::parse(&url).map_err(|why| AskError::Odd(why.into()))?;
        let request = HttpRequest { method: Method::GET, headers: self.headers.clone(), body: Bytes::new() };
        read(self.client.send(&target, request).await?, customer)
    }
}

/// Interprets an answer about this customer.
fn read(answer: HttpAnswer, customer: &CustomerId) -> Result<decide::ApiAnswer, AskError> {
    let status = answer.status;
    let cause = |text: String| AnswerFailure::new(text, without_id(read_error(&answer.body), customer));
    let answers = |more: &str| cause(format!("the provider's API answers {status}{more}"));
    let later = |after_ms: Option<i64>| AskError::Later {
        cause: answers(""),
        after_ms: asked_for_ms(&answer.headers).or(after_ms),
    };
    match status {
        StatusCode::OK => match answer.end {
            BodyEnd::Whole => match read_answer(&answer.body) {
                Ok(Some(said)) => Ok(decide::ApiAnswer::Known(said)),
                Ok(None) => Ok(decide::ApiAnswer::Unknown),
                Err(why) => Err(AskError::Odd(cause(why))),
            },
            BodyEnd::TooLong => {
                Err(AskError::Odd(format!("the answer is longer than {MAX_ANSWER_BYTES} bytes").into()))
            }
            BodyEnd::Broken(failure) => Err(failure.into()),
        },
        // The API returns JSON; an HTML page with 404 comes from another server, and would make every callback
        // unconfirmed.
        StatusCode::NOT_FOUND if answer.body.trim_ascii_start().first() == Some(&b'<') => Err(AskError::Odd(answers(
            " with an HTML page: `provider.api` may name another server, or contain an extra path",
        ))),
        StatusCode::NOT_FOUND => Ok(decide::ApiAnswer::Unknown),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(AskError::Key(answers(": it does not accept `provider.api_key`")))
        }
        // This concerns all requests.
        StatusCode::TOO_MANY_REQUESTS => Err(later(Some(0))),
        StatusCode::REQUEST_TIMEOUT => Err(later(None)),
        other if other.is_server_error() => Err(later(None)),
        other if other.is_redirection() => Err(AskError::Odd(answers("; redirects are not followed"))),
        _ => Err(AskError::Odd(answers(""))),
    }
}

/// The code is logged, and the log must not contain a customer's id.
fn without_id(ApiError { code, message }: ApiError, customer: &CustomerId) -> ApiError {
    let code = code.map(|code| code.replace(customer.as_str(), "…").into_boxed_str());
    ApiError { code, message }
}

impl From<HttpFailure> for AskError {
    fn from(failure: HttpFailure) -> Self {
        Self::Later { cause: format!("the provider's API gives no answer: {}", failure.text).into(), after_ms: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::Status, outbound::HttpFailureKind};

    fn ask(status: u16, body: &[u8]) -> Result<decide::ApiAnswer, AskError> {
        let status = StatusCode::from_u16(status).expect("a status");
        let answer = HttpAnswer { status, headers: HeaderMap::new(), body: body.to_vec(), end: BodyEnd::Whole };
        read(answer, &CustomerId::new("C-77").expect("id"))
    }

    #[test]
    fn null_and_404_mean_unknown_and_an_html_page_is_odd() {
        assert_eq!(ask(200, br#"{"data":{"status":null}}"#), Ok(decide::ApiAnswer::Unknown));
        for body in ["", "{}", r#"{"errors":[{"code":"not_found","message":"no"}],"success":false}"#, "not found"] {
            assert_eq!(ask(404, body.as_bytes()), Ok(decide::ApiAnswer::Unknown), "{body}");
        }
        let Err(AskError::Odd(cause)) = ask(404, b" <html><h1>404</h1>") else { panic!("odd") };
        assert!(cause.text.contains("`provider.api`"), "{cause:?}");
        let known = ask(200, br#"{"data":{"id":"00000000-0000-0000-0000-000000000000","status":"KYC_FULL_USER"}}"#);
        assert!(matches!(known, Ok(decide::ApiAnswer::Known(said)) if said.status == Status::FullUser));
    }

    #[test]
    fn the_error_code_is_logged_and_the_message_is_for_operators() {
        let refused = br#"{"errors":[{"code":"db_violation","message":"C-77 is\nwrong"}],"success":false}"#;
        let Err(AskError::Odd(cause)) = ask(400, refused) else { panic!("odd") };
        assert_eq!(cause.text, "the provider's API answers 400 Bad Request (db_violation)");
        assert_eq!(cause.full(), "the provider's API answers 400 Bad Request (db_violation): C-77 is wrong");
        for status in [401, 403] {
            assert!(
                matches!(ask(status, refused), Err(AskError::Key(cause)) if cause.code.as_deref() == Some("db_violation"))
            );
        }
        for status in [408, 429, 500, 503] {
            assert!(matches!(ask(status, refused), Err(AskError::Later { cause, .. }) if cause.code.is_some()));
        }
        let Err(error) = ask(200, refused) else { panic!("no answer") };
        assert_eq!(error.to_string(), "the answer has `success: false` (db_violation)");
        let Err(error) = ask(400, br#"{"errors":[{"code":"no_customer_C-77"}]}"#) else { panic!("no answer") };
        assert_eq!(error.to_string(), "the provider's API answers 400 Bad Request (no_customer_…)");
        for body in [&b"<html>"[..], b"", b"\xff\xfe", b"{\"errors\":[{\"code\":\"a"] {
            let Err(error) = ask(502, body) else { panic!("no answer") };
            assert_eq!(error.cause(), &AnswerFailure::from("the provider's API answers 502 Bad Gateway".to_owned()));
        }
        let away: AskError = HttpFailure { kind: HttpFailureKind::Unreachable, text: "x: closed".to_owned() }.into();
        assert!(matches!(away, AskError::Later { .. }));
    }
}
