//! A request to the shop's API, and its result.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header::ACCEPT};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    contacts,
    kyc::{Contact, CustomerId},
    outbound::{self, Client, End, FailureKind, MAX_ANSWER_BYTES, Reach, Request, Target},
    pace::{Failure, asked_for_ms},
};

/// The timeouts are short, because a mail or a callback waits for the answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(10);

/// The shop's answer about a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Known(Contact),
    /// The shop does not know the customer.
    Unknown,
    /// The answer about this customer cannot be used; other customers may be unaffected.
    Odd(String),
}

/// The shop's API.
pub struct Shop {
    client: Client,
    /// The URL, with `{id}` in place of the customer's id.
    url: String,
    headers: HeaderMap,
    /// The declared attributes, which are copied from the answer.
    declared: Vec<String>,
}

impl Shop {
    /// Returns an error if the configuration cannot be used.
    pub fn new(
        url: String,
        header: Option<&(HeaderName, SecretString)>,
        declared: Vec<String>,
        reach: Reach,
    ) -> Result<Self, String> {
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        if let Some((name, value)) = header {
            let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| "its header value is invalid")?;
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
        let reach = Reach { connect_timeout: CONNECT_TIMEOUT, timeout: TIMEOUT, ..reach };
        let client = Client::new(reach).map_err(|error| error.to_string())?;
        Ok(Self { client, url, headers, declared })
    }

    /// Asks about a customer.
    pub async fn ask(&self, customer: &CustomerId) -> Result<Answer, Failure> {
        let Some(id) = customer.in_url() else {
            return Ok(Answer::Odd("no request was sent, because this id cannot be part of a URL".to_owned()));
        };
        let wrong = |text: String| Failure { text, code: None, lasting: true, after_ms: None };
        let target = Target::parse(&self.url.replace("{id}", &id)).map_err(wrong)?;
        let request = Request { method: Method::GET, headers: self.headers.clone(), body: Bytes::new() };
        let answer = self.client.send(&target, request).await.map_err(no_answer)?;
        let status = answer.status;
        let text = format!("{target} answers {status}");
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Answer::Unknown),
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Ok(Answer::Odd(format!("it is {status}"))),
            _ if status.is_success() => match answer.end {
                End::Whole => {
                    Ok(contacts::answer(&answer.body, &self.declared).map_or_else(Answer::Odd, Answer::Known))
                }
                End::TooLong => Ok(Answer::Odd(format!("it is longer than {MAX_ANSWER_BYTES} bytes"))),
                End::Broken(failure) => Err(no_answer(failure)),
            },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(wrong(format!("{text}: it does not accept `directory.lookup.header`")))
            }
            // This concerns all requests.
            StatusCode::TOO_MANY_REQUESTS => {
                Err(Failure { text, code: None, lasting: false, after_ms: asked_for_ms(&answer.headers).or(Some(0)) })
            }
            _ if status.is_redirection() => Err(Failure {
                text: format!("{text}; redirects are not followed"),
                code: None,
                lasting: false,
                after_ms: None,
            }),
            _ => Err(Failure { text, code: None, lasting: false, after_ms: asked_for_ms(&answer.headers) }),
        }
    }
}

fn no_answer(failure: outbound::Failure) -> Failure {
    Failure { code: None, lasting: failure.kind == FailureKind::Unfit, text: failure.text, after_ms: None }
}
