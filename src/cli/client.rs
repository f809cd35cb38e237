//! HTTP client of the command line for the admin API of a running server.

use std::{ops::Deref, time::Duration};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error},
};
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

/// A part of a response as the command reads it, and as the server sent it. With `--json`, a command prints what the
/// server sent, also the fields that this version does not know.
#[derive(Clone, Debug)]
pub struct Original<T> {
    sent: Value,
    read: T,
}

impl<T: DeserializeOwned> Original<T> {
    fn of(sent: Value) -> Result<Self, serde_path_to_error::Error<serde_json::Error>> {
        let read = serde_path_to_error::deserialize(&sent)?;
        Ok(Self { sent, read })
    }
}

impl<T> Deref for Original<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.read
    }
}

impl<T> Serialize for Original<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.sent.serialize(to)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Original<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::of(Value::deserialize(from)?).map_err(D::Error::custom)
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

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Original<T>, CommandError> {
        self.ask(Method::GET, path, None::<&()>).await
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<Original<T>, CommandError> {
        self.ask(Method::POST, path, None::<&()>).await
    }

    pub async fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Original<T>, CommandError> {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<Original<T>, CommandError> {
        self.ask(Method::DELETE, path, None::<&()>).await
    }

    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Original<T>, CommandError> {
        self.ask(Method::PUT, path, Some(body)).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Original<T>, CommandError> {
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
            let sent: Value = serde_json::from_slice(&bytes).map_err(|error| {
                CommandError::new(Exit::Failed, format!("the server's response is not JSON: {error}"))
            })?;
            return Original::of(sent).map_err(|error| {
                let path = path.split('?').next().unwrap_or_default();
                let text =
                    format!("the server's response to `{path}` cannot be read: {error}; is its version another?");
                CommandError::new(Exit::Failed, text)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{
        controls::ReloadResponse,
        jobs::{BesideJobs, JobList, JobResponse},
    };

    #[test]
    fn unknown_fields_are_accepted_and_printed() {
        let sent = json!({"result": "loaded", "hash": "a", "count": 2, "of_a_newer_server": {"x": 1}});
        let read = Original::<ReloadResponse>::of(sent.clone()).expect("read");
        assert_eq!((&*read.result, read.count), ("loaded", 2));
        assert_eq!(json!(read), sent);
    }

    #[test]
    fn a_list_keeps_the_unknown_fields_of_its_rows_and_its_own() {
        let job = json!({
            "id": "1", "customer": "C-1", "rule": "r", "action": "email", "name": "n", "to": "customer", "state": "done",
            "attempts": 1, "ordered_at": "2026-03-03T20:30:00Z", "newer": true,
        });
        let sent = json!({"jobs": [job], "next": null, "newer": [1]});
        type Page = JobList<Original<JobResponse>, Original<BesideJobs>>;
        let page: Page = serde_json::from_value(sent.clone()).expect("read");
        assert_eq!(page.jobs[0].attempts, 1);
        assert_eq!(json!(page), sent);
    }

    #[test]
    fn the_error_for_a_missing_field_names_it() {
        let missing = Original::<ReloadResponse>::of(json!({"result": "loaded", "count": 2})).expect_err("no hash");
        assert_eq!(missing.to_string(), "missing field `hash`");
        let list = json!({"jobs": [{"id": "1"}], "next": null});
        let nested = Original::<JobList<Original<JobResponse>, BesideJobs>>::of(list).expect_err("no customer");
        assert_eq!(nested.to_string(), "jobs[0]: missing field `customer`");
    }
}
