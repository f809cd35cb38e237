//! HTTP client of the command line for the admin API of a running server.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::{CommandError, Exit};
use crate::domain::CustomerId;

/// The characters that are not percent-encoded in a path segment.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Percent-encodes a text as one path segment.
pub fn part(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// Returns the API path of a customer. The ids `.` and `..` go into the query, because clients and proxies treat them
/// as relative path segments even when they are percent-encoded.
pub fn customer_path(id: &CustomerId) -> String {
    match id.as_str() {
        "." | ".." => format!("customers?id={id}"),
        id => format!("customers/{}", part(id)),
    }
}

/// A client for the admin API of a running server.
#[derive(Clone)]
pub struct AdminClient {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl AdminClient {
    /// `base` is the origin, for example `http://127.0.0.1:8081`.
    pub fn new(base: String, token: String) -> Result<Self, CommandError> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(120))
            .build()
            .map_err(|error| CommandError::new(Exit::Failed, format!("the HTTP client cannot be created: {error}")))?;
        Ok(Self { http, base, token })
    }

    pub async fn get(&self, path: &str) -> Result<Value, CommandError> {
        self.ask(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str) -> Result<Value, CommandError> {
        self.ask(Method::POST, path, None).await
    }

    pub async fn post_json(&self, path: &str, body: &Value) -> Result<Value, CommandError> {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Result<Value, CommandError> {
        self.ask(Method::DELETE, path, None).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Result<Value, CommandError> {
        self.ask(Method::PUT, path, Some(body)).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, CommandError> {
        let mut request = self.http.request(method, format!("{}/api/v1/{path}", self.base)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let unreachable = |error: reqwest::Error| {
            let text = format!(
                "the server at {} cannot be reached: {}. Is `kyc-rules serve` running?",
                self.base,
                root_of(&error)
            );
            CommandError::new(Exit::Unavailable, text)
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|error| {
                CommandError::new(Exit::Failed, format!("the server's response is not JSON: {error}"))
            });
        }
        Err(refusal(status, &bytes))
    }
}

/// Converts an error response with a problem document (RFC 9457) into a failure.
fn refusal(status: StatusCode, bytes: &[u8]) -> CommandError {
    let problem: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let said = |key: &str| problem.get(key).and_then(Value::as_str);
    let text = said("detail").or(said("title")).map_or_else(|| format!("the server answered {status}"), str::to_owned);
    match status {
        StatusCode::UNAUTHORIZED => {
            let text = "the server does not accept this token; use `admin.token` of the configuration, or the content of \
                        admin.token in the data directory";
            CommandError::new(Exit::Failed, text)
        }
        StatusCode::SERVICE_UNAVAILABLE => CommandError::new(Exit::Unavailable, text),
        StatusCode::UNPROCESSABLE_ENTITY if text.contains("error[") => CommandError::new(Exit::Config, text),
        _ => CommandError::new(Exit::Failed, text),
    }
}

/// Returns the innermost cause of an error, usually that of the operating system.
fn root_of(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
