//! One question to the provider's status API, and what came of it.

use std::{fmt, time::Duration};

use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    decide::Answer,
    kyc::{CustomerId, read_answer},
    pace::asked_for_ms,
};

/// More than any answer has.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskError {
    /// The API does not know the key, or does not let it ask: a person must look at it.
    Key(String),
    /// The API is away or asks for patience, and may have said for how long.
    Later { error: String, after_ms: Option<i64> },
    /// It says something about this customer that can't be understood; others may be well.
    Odd(String),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(error) | Self::Later { error, .. } | Self::Odd(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for AskError {}

/// The provider's API.
pub struct Api {
    http: reqwest::Client,
    /// Without a slash at the end.
    base: String,
    key: SecretString,
}

impl Api {
    pub fn new(base: String, key: SecretString) -> Result<Self, String> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(15))
            .build()
            .map_err(|error| format!("the HTTP client can't be made: {error}"))?;
        Ok(Self { http, base, key })
    }

    /// Asks about a customer.
    pub async fn ask(&self, customer: &CustomerId) -> Result<Answer, AskError> {
        // No URL can name some; the provider can't know such a customer either.
        let Some(id) = customer.in_url() else { return Ok(Answer::Unknown) };
        let url = format!("{}/api/v2/customer/{id}/bank-transfer/kyc", self.base);
        let request = self.http.get(url).header("x-api-key", self.key.expose_secret());
        let mut response = request.send().await.map_err(|error| later(root_of(&error), None))?;
        let status = response.status();
        let after_ms = asked_for_ms(response.headers());
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| later(root_of(&error), None))? {
            if body.len() + part.len() > MAX_ANSWER_BYTES {
                return Err(AskError::Odd(format!("the answer is longer than {MAX_ANSWER_BYTES} bytes")));
            }
            body.extend_from_slice(&part);
        }
        match status {
            StatusCode::OK => read_answer(&body, customer).map(Answer::Known).map_err(AskError::Odd),
            StatusCode::NOT_FOUND => Ok(Answer::Unknown),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(AskError::Key(format!(
                "the provider's API answers {status}: it does not accept `provider.api_key`"
            ))),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                Err(later(format!("the provider's API answers {status}"), after_ms))
            }
            other if other.is_server_error() => Err(later(format!("the provider's API answers {other}"), after_ms)),
            other => Err(AskError::Odd(format!("the provider's API answers {other}"))),
        }
    }
}

fn later(error: impl Into<String>, after_ms: Option<i64>) -> AskError {
    AskError::Later { error: error.into(), after_ms }
}

/// The innermost cause, without the URL, which names the customer.
fn root_of(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "the provider's API does not answer in time".to_owned();
    }
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    format!("the provider's API can't be reached: {innermost}")
}
