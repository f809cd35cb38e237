//! One question to the provider's status API, and what came of it.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    decide::Answer,
    kyc::{CustomerId, read_answer},
    outbound::{Client, End, Failure, MAX_ANSWER_BYTES, Reach, Request, Target},
    pace::asked_for_ms,
};

const KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskError {
    /// The API does not know the key, or does not let it ask: a person must look at it.
    Key(String),
    /// The API is away or asks for patience, and may have said for how long.
    Later { error: String, after_ms: Option<i64> },
    /// It says something about this customer that can't be understood; others may be well.
    Odd(String),
    /// It was not asked: it is being left alone, for what it said before.
    Resting(String),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(error) | Self::Later { error, .. } | Self::Odd(error) | Self::Resting(error) => {
                f.write_str(error)
            }
        }
    }
}

impl std::error::Error for AskError {}

/// The provider's API.
pub struct Api {
    client: Client,
    /// Without a slash at the end.
    base: String,
    headers: HeaderMap,
}

impl Api {
    /// An error is what the configuration says that can't be.
    pub fn new(base: String, key: &SecretString) -> Result<Self, String> {
        let mut key = HeaderValue::from_str(key.expose_secret()).map_err(|_| "`provider.api_key` can't be sent")?;
        key.set_sensitive(true);
        let headers = HeaderMap::from_iter([(KEY_HEADER, key)]);
        // Where it is, the configuration alone says: one that stands in for it may be on this machine.
        let client = Client::new(Reach { private: true, ..Reach::default() }).map_err(|error| error.to_string())?;
        Ok(Self { client, base, headers })
    }

    /// Asks about a customer.
    pub async fn ask(&self, customer: &CustomerId) -> Result<Answer, AskError> {
        // No URL can name some; the provider can't know such a customer either.
        let Some(id) = customer.in_url() else { return Ok(Answer::Unknown) };
        let url = format!("{}/api/v2/customer/{id}/bank-transfer/kyc", self.base);
        let target = Target::parse(&url).map_err(AskError::Odd)?;
        let request = Request { method: Method::GET, headers: self.headers.clone(), body: Bytes::new() };
        let answer = self.client.send(&target, request).await?;
        let status = answer.status;
        let later = |after_ms: Option<i64>| AskError::Later {
            error: format!("the provider's API answers {status}"),
            after_ms: asked_for_ms(&answer.headers).or(after_ms),
        };
        match status {
            StatusCode::OK => match answer.end {
                End::Whole => read_answer(&answer.body, customer).map(Answer::Known).map_err(AskError::Odd),
                End::TooLong => Err(AskError::Odd(format!("the answer is longer than {MAX_ANSWER_BYTES} bytes"))),
                End::Broken(failure) => Err(failure.into()),
            },
            StatusCode::NOT_FOUND => Ok(Answer::Unknown),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(AskError::Key(format!(
                "the provider's API answers {status}: it does not accept `provider.api_key`"
            ))),
            // That is about all of our questions.
            StatusCode::TOO_MANY_REQUESTS => Err(later(Some(0))),
            StatusCode::REQUEST_TIMEOUT => Err(later(None)),
            other if other.is_server_error() => Err(later(None)),
            other => Err(AskError::Odd(format!("the provider's API answers {other}"))),
        }
    }
}

impl From<Failure> for AskError {
    fn from(failure: Failure) -> Self {
        Self::Later { error: format!("the provider's API gives no answer: {}", failure.text), after_ms: None }
    }
}
