//! A request to the shop's API, and its result.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header::ACCEPT};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    contacts,
    domain::{Contact, CustomerId},
    outbound::{self, BodyEnd, ClientOptions, HttpClient, HttpFailureKind, HttpRequest, MAX_ANSWER_BYTES, TargetUrl},
    throttle::{RequestFailure, asked_for_ms},
};

/// The timeouts are short, because a mail or a callback waits for the answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(10);

/// The shop's answer about a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShopAnswer {
    Known(Contact),
    /// The shop does not know the customer.
    Unknown,
    /// The answer about this customer cannot be used; other customers may be unaffected.
    Odd(String),
}

/// The shop's API.
pub struct ShopApi {
    client: HttpClient,
    /// The URL, with `{id}` in place of the customer's id.
    url: String,
    headers: HeaderMap,
    /// The declared attributes, which are copied from the answer.
    declared: Vec<String>,
}

impl ShopApi {
    /// Returns an error if the configuration cannot be used.
    pub fn new(
        url: String,
        header: Option<&(HeaderName, SecretString)>,
        declared: Vec<String>,
        reach: ClientOptions,
    ) -> Result<Self, String> {
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        if let Some((name, value)) = header {
            let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| "its header value is invalid")?;
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
        let reach = ClientOptions { connect_timeout: CONNECT_TIMEOUT, timeout: TIMEOUT, ..reach };
        let client = HttpClient::new(reach).map_err(|error| error.to_string())?;
        Ok(Self { client, url, headers, declared })
    }

    /// Asks about a customer.
    pub async fn ask(&self, customer: &CustomerId) -> Result<ShopAnswer, RequestFailure> {
        let Some(id) = customer.in_url() else {
            return Ok(ShopAnswer::Odd("no request was sent, because this id cannot be part of a URL".to_owned()));
        };
        let wrong = |text: String| RequestFailure { text, code: None, lasting: true, after_ms: None };
        let target = TargetUrl::parse(&self.url.replace("{id}", &id)).map_err(wrong)?;
        let request = HttpRequest { method: Method::GET, headers: self.headers.clone(), body: Bytes::new() };
        let answer = self.client.send(&target, request).await.map_err(no_answer)?;
        let status = answer.status;
        let text = format!("{target} answers {status}");
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(ShopAnswer::Unknown),
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
                Ok(ShopAnswer::Odd(format!("it is {status}")))
            }
            _ if status.is_success() => match answer.end {
                BodyEnd::Whole => {
                    Ok(contacts::answer(&answer.body, &self.declared).map_or_else(ShopAnswer::Odd, ShopAnswer::Known))
                }
                BodyEnd::TooLong => Ok(ShopAnswer::Odd(format!("it is longer than {MAX_ANSWER_BYTES} bytes"))),
                BodyEnd::Broken(failure) => Err(no_answer(failure)),
            },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(wrong(format!("{text}: it does not accept `directory.lookup.header`")))
            }
            // This concerns all requests.
            StatusCode::TOO_MANY_REQUESTS => Err(RequestFailure {
                text,
                code: None,
                lasting: false,
                after_ms: asked_for_ms(&answer.headers).or(Some(0)),
            }),
            _ if status.is_redirection() => Err(RequestFailure {
                text: format!("{text}; redirects are not followed"),
                code: None,
                lasting: false,
                after_ms: None,
            }),
            _ => Err(RequestFailure { text, code: None, lasting: false, after_ms: asked_for_ms(&answer.headers) }),
        }
    }
}

fn no_answer(failure: outbound::HttpFailure) -> RequestFailure {
    RequestFailure { code: None, lasting: failure.kind == HttpFailureKind::Unfit, text: failure.text, after_ms: None }
}
