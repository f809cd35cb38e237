//! Maps an HTTP response to the outcome of a job.
//!
//! | response | outcome |
//! | --- | --- |
//! | 2xx | done |
//! | 408, 425, 429, 5xx, no response | retried; not before the time in `Retry-After`, at most a day |
//! | 3xx and other 4xx | refused: an operator must look at it |

use http::{StatusCode, header::RETRY_AFTER};

use super::{SAID_CHARS, one_line};
use crate::{
    clock::Timestamp,
    outbound::{HttpAnswer, HttpFailure, HttpFailureKind, TargetUrl},
    outbox::{AttemptOutcome, ProblemKind},
};

/// The longest delay that a server can ask for.
const LONGEST_WAIT_MS: i64 = 24 * 3_600_000;

/// How an attempt ended, and the text for the log. They differ because a response may repeat what was sent, and more
/// people read the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptEnd {
    pub outcome: AttemptOutcome,
    pub log: String,
}

impl AttemptEnd {
    pub fn done() -> Self {
        Self { outcome: AttemptOutcome::Done, log: String::new() }
    }

    pub fn failed(trouble: ProblemKind, error: impl Into<String>) -> Self {
        let error = error.into();
        Self { log: error.clone(), outcome: AttemptOutcome::Failed { trouble, error } }
    }

    /// Sets the delay before the retry to `wait_ms` if that is longer.
    pub fn not_before(mut self, wait_ms: Option<i64>) -> Self {
        if let (AttemptOutcome::Retry { after_ms, .. }, Some(wait_ms)) = (&mut self.outcome, wait_ms) {
            *after_ms = Some(after_ms.unwrap_or(0).max(wait_ms.clamp(0, LONGEST_WAIT_MS)));
        }
        self
    }
}

/// Maps the response, or its absence, to the outcome of the attempt.
pub fn attempt_end(target: &TargetUrl, answer: &Result<HttpAnswer, HttpFailure>, now: Timestamp) -> AttemptEnd {
    let answer = match answer {
        Ok(answer) => answer,
        Err(HttpFailure { kind: HttpFailureKind::Unfit, text }) => {
            return AttemptEnd::failed(ProblemKind::Refused, text);
        }
        Err(HttpFailure { kind: HttpFailureKind::Unreachable, text }) => {
            return AttemptEnd {
                log: text.clone(),
                outcome: AttemptOutcome::Retry { error: text.clone(), after_ms: None },
            };
        }
    };
    if answer.status.is_success() {
        return AttemptEnd::done();
    }
    let log = format!("{target} answered {}", answer.status);
    let error = match log_text(target, answer) {
        Some(said) => format!("{log}: {said}"),
        None if answer.status.is_redirection() => format!("{log}; redirects are not followed"),
        None => log.clone(),
    };
    let outcome = match is_passing(answer.status) {
        true => AttemptOutcome::Retry { error, after_ms: retry_after_ms(answer, now) },
        false => AttemptOutcome::Failed { trouble: ProblemKind::Refused, error },
    };
    AttemptEnd { outcome, log }
}

/// The outcome of an attempt that the server deferred in its own format.
pub fn deferred(target: &TargetUrl, answer: &HttpAnswer) -> AttemptEnd {
    let log = format!("{target} has deferred it");
    let error = log_text(target, answer).map_or_else(|| log.clone(), |said| format!("{log}: {said}"));
    AttemptEnd { outcome: AttemptOutcome::Retry { error, after_ms: None }, log }
}

fn is_passing(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS)
        || status.is_server_error()
}

/// The beginning of the response body, in one line.
fn log_text(target: &TargetUrl, answer: &HttpAnswer) -> Option<String> {
    let said = target.redacted(&String::from_utf8_lossy(&answer.body));
    Some(one_line(&said, SAID_CHARS)).filter(|said| !said.is_empty())
}

/// Parses `Retry-After`: seconds, or a date.
fn retry_after_ms(answer: &HttpAnswer, now: Timestamp) -> Option<i64> {
    let text = answer.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let ms = match text.parse::<u32>() {
        Ok(seconds) => i64::from(seconds) * 1000,
        // A number of seconds that does not fit is longer than the limit.
        Err(_) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => LONGEST_WAIT_MS,
        Err(_) => {
            let at = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
            i64::try_from(at.as_millis()).ok()?.saturating_sub(now.millis())
        }
    };
    Some(ms.clamp(0, LONGEST_WAIT_MS))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::outbound::BodyEnd;

    fn answer(status: u16, retry_after: Option<&str>) -> HttpAnswer {
        let mut headers = HeaderMap::new();
        if let Some(text) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).expect("a value"));
        }
        HttpAnswer {
            status: StatusCode::from_u16(status).expect("a status"),
            headers,
            body: b"so\nit  is".to_vec(),
            end: BodyEnd::Whole,
        }
    }

    fn outcome(status: u16, retry_after: Option<&str>) -> AttemptOutcome {
        let target = TargetUrl::parse("https://shop.example/hooks").expect("a target");
        let now = Timestamp(784_111_777_000 - 60_000);
        attempt_end(&target, &Ok(answer(status, retry_after)), now).outcome
    }

    #[test]
    fn every_status_has_its_outcome() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(outcome(status, None), AttemptOutcome::Done, "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            assert!(matches!(outcome(status, None), AttemptOutcome::Retry { after_ms: None, .. }), "{status}");
        }
        for status in [301, 302, 307, 400, 401, 403, 404, 410, 422, 451] {
            let outcome = outcome(status, None);
            assert!(matches!(outcome, AttemptOutcome::Failed { trouble: ProblemKind::Refused, .. }), "{status}");
        }
        let AttemptOutcome::Failed { error, .. } = outcome(410, None) else { panic!("refused") };
        assert_eq!(error, "shop.example answered 410 Gone: so it is");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_at_most_a_day() {
        for (text, ms) in [
            ("0", Some(0)),
            ("7", Some(7_000)),
            (" 120 ", Some(120_000)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(60_000)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(60_000)),
            ("Sun, 06 Nov 1993 08:49:37 GMT", None),
            ("Sat, 06 Nov 1993 08:49:37 GMT", Some(0)),
            ("86401", Some(LONGEST_WAIT_MS)),
            ("99999999999999999999", Some(LONGEST_WAIT_MS)),
            ("Fri, 31 Dec 2100 00:00:00 GMT", Some(LONGEST_WAIT_MS)),
            ("soon", None),
            ("-5", None),
        ] {
            for status in [429, 503] {
                let AttemptOutcome::Retry { after_ms, .. } = outcome(status, Some(text)) else { panic!("{text}") };
                assert_eq!(after_ms, ms, "{text}");
            }
        }
    }
}
