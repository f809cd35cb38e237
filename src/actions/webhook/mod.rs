//! Webhooks: a fact, told to a configured target as Standard Webhooks says.
//!
//! The id in `webhook-id` is the job's, the same in every attempt; the body is, too, byte for byte, since it is made of the
//! order alone. Only the time and with it the signature are the attempt's.

mod payload;
mod signature;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header::CONTENT_TYPE};

use super::answer::{Ended, ended};
use crate::{
    clock::Timestamp,
    kyc::CustomerId,
    outbound::{Client, Request, Target},
    outbox::{Job, Trouble},
};

pub use payload::payload;
pub use signature::{Key, Keys};

/// One configured target.
pub struct Webhook {
    pub client: Client,
    pub target: Target,
    pub keys: Keys,
}

impl Webhook {
    /// One attempt.
    pub async fn send(&self, customer: &CustomerId, job: &Job, now: Timestamp) -> Ended {
        let Some(body) = payload(customer, job) else {
            return Ended::failed(Trouble::Unrenderable, "nothing is known of what it should say");
        };
        let Some(headers) = self.headers(&job.id().to_string(), &body, now) else {
            return Ended::failed(Trouble::Unrenderable, "its headers can't be written");
        };
        let request = Request { method: Method::POST, headers, body: Bytes::from(body) };
        ended(&self.target, &self.client.send(&self.target, request).await, now)
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
