//! Messages to chat rooms, by the incoming webhooks of Slack, Mattermost, Teams and Discord.
//!
//! The merchant's text is sent as the room's markup. Text from outside is escaped, so that it contains no mention
//! that notifies a room, no link with a misleading label and no heading. The URL is the room's secret and is never
//! shown.

mod config;
mod escape;
mod payload;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};

use futures_util::future::BoxFuture;

use super::{
    answer::{AttemptEnd, attempt_end, deferred},
    sender::{DeliveryResult, SendRequest, Sender},
};
use crate::{
    clock::Timestamp,
    outbound::{HttpAnswer, HttpClient, HttpRequest, TargetUrl},
    outbox::Payload,
    template::Phrase,
};

pub use config::ChatConfig;
pub use payload::payload;

/// The kind of chat service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatKind {
    Slack,
    Mattermost,
    Teams,
    Discord,
}

/// One configured chat room.
pub struct ChatRoom {
    pub kind: ChatKind,
    pub client: HttpClient,
    pub target: TargetUrl,
}

impl Sender for ChatRoom {
    fn send<'a>(&'a self, request: SendRequest<'a>) -> BoxFuture<'a, DeliveryResult> {
        Box::pin(async move {
            match request.job.order.said.as_deref() {
                Some(Payload::Text(text)) => self.post(text, request.clock.now()).await.into(),
                Some(Payload::Facts(_)) | None => DeliveryResult::unfit(
                    &request.job.order.action,
                    "its content could not be rendered when it was ordered",
                ),
            }
        })
    }
}

impl ChatRoom {
    /// Runs one attempt.
    pub async fn post(&self, text: &Phrase, now: Timestamp) -> AttemptEnd {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = Bytes::from(payload(self.kind, text).to_string());
        let answer = self.client.send(&self.target, HttpRequest { method: Method::POST, headers, body }).await;
        match (self.kind, &answer) {
            (ChatKind::Teams, Ok(answer)) if is_teams_throttling(answer) => deferred(&self.target, answer),
            (ChatKind::Discord, Ok(said)) if said.status == StatusCode::TOO_MANY_REQUESTS => {
                attempt_end(&self.target, &answer, now).not_before(discord_wait_ms(said))
            }
            _ => attempt_end(&self.target, &answer, now),
        }
    }
}

/// Teams answers 200 and reports a temporary failure in the text of the body.
fn is_teams_throttling(answer: &HttpAnswer) -> bool {
    answer.status.is_success() && answer.body.starts_with(b"Webhook message delivery failed")
}

/// Discord gives the delay in JSON, to the millisecond; its header has whole seconds.
fn discord_wait_ms(answer: &HttpAnswer) -> Option<i64> {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    let seconds = body.get("retry_after")?.as_f64().filter(|seconds| seconds.is_finite())?;
    // A cast from float to integer saturates.
    Some((seconds * 1000.0).ceil() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::BodyEnd;

    fn answer(status: u16, body: &str) -> HttpAnswer {
        let status = StatusCode::from_u16(status).expect("a status");
        HttpAnswer { status, headers: HeaderMap::new(), body: body.as_bytes().to_vec(), end: BodyEnd::Whole }
    }

    #[test]
    fn discord_gives_the_delay_in_its_body() {
        for (body, ms) in [
            (r#"{"message": "slow down", "retry_after": 0.65, "global": false}"#, Some(650)),
            (r#"{"retry_after": 65}"#, Some(65_000)),
            (r#"{"retry_after": "soon"}"#, None),
            ("busy", None),
        ] {
            assert_eq!(discord_wait_ms(&answer(429, body)), ms, "{body}");
        }
    }

    #[test]
    fn a_deferral_by_teams_has_status_200() {
        let later = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429";
        assert!(is_teams_throttling(&answer(200, later)));
        assert!(!is_teams_throttling(&answer(200, "1")) && !is_teams_throttling(&answer(202, "")));
    }
}
