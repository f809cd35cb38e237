//! Webhooks: an event, sent to a configured target in the format of Standard Webhooks.
//!
//! `webhook-id` is the id of the job and the same in every attempt. The body is byte for byte the same too, because
//! it is made from the order alone. Only the timestamp, and with it the signature, differ between attempts.

mod config;
mod payload;
mod signature;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header::CONTENT_TYPE};

use futures_util::future::BoxFuture;

use super::{
    answer::{AttemptEnd, attempt_end},
    sender::{DeliveryResult, SendRequest, Sender},
};
use crate::{
    clock::Timestamp,
    domain::CustomerId,
    outbound::{HttpClient, HttpRequest, TargetUrl},
    outbox::{Job, ProblemKind},
};

pub use config::WebhookConfig;
pub use payload::payload;
pub use signature::{SigningKey, SigningKeys};

/// One configured target.
pub struct WebhookTarget {
    pub client: HttpClient,
    pub target: TargetUrl,
    pub keys: SigningKeys,
}

impl Sender for WebhookTarget {
    fn send<'a>(&'a self, request: SendRequest<'a>) -> BoxFuture<'a, DeliveryResult> {
        Box::pin(async move { self.post(request.customer, request.job, request.clock.now()).await.into() })
    }
}

impl WebhookTarget {
    /// Runs one attempt.
    pub async fn post(&self, customer: &CustomerId, job: &Job, now: Timestamp) -> AttemptEnd {
        let Some(body) = payload(customer, job) else {
            return AttemptEnd::failed(ProblemKind::Unrenderable, "the facts for its body are missing");
        };
        let Some(headers) = self.headers(&job.id().to_string(), &body, now) else {
            return AttemptEnd::failed(ProblemKind::Unrenderable, "its headers cannot be encoded");
        };
        let request = HttpRequest { method: Method::POST, headers, body: Bytes::from(body) };
        attempt_end(&self.target, &self.client.send(&self.target, request).await, now)
    }

    fn headers(&self, id: &str, body: &[u8], now: Timestamp) -> Option<HeaderMap> {
        let seconds = now.millis().div_euclid(1000).to_string();
        let signature = self.keys.sign(id, &seconds, body);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in [("webhook-id", id), ("webhook-timestamp", &seconds), ("webhook-signature", &signature)] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).ok()?);
        }
        Some(headers)
    }
}
