//! The only route of the public side: receives a callback, verifies it, makes it durable, and answers.
//!
//! No content of a body is used, stored or logged before its hash is verified. No external request is made while the
//! provider waits. Each refusal is counted and logged.

use std::{convert::Infallible, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use warp::{Filter, Rejection, path::FullPath, reply::Response};

use super::{
    body::capped_body,
    reply::{ErrorKind, ProblemDetails, fixed_json, problem_of},
};
use crate::{
    clock::Clock,
    decide::{Command, Receipt},
    domain::{CallbackOutcome, Observation},
    providers::xgateway::{
        Claim, MAX_BODY_BYTES, Malformed, OtherClaim, ReceivedCallback, Secret, Unreadable, Verified, is_signed,
    },
    services::Services,
    store::Refused,
    telemetry::{CallbackAnswer, Metrics, Refusal, Refusals},
};

const METHODS: &str = "POST";

/// The `Retry-After` for the provider, in seconds.
const RETRY_AFTER_S: u32 = 5;

/// The state of the public side.
pub struct CallbackContext {
    /// The path of the callback route, such as `/callbacks/kyc`.
    pub path: String,
    /// The newest secret first.
    pub secrets: Vec<Secret>,
    pub services: Arc<Services>,
    pub metrics: Arc<Metrics>,
    pub refusals: Arc<Refusals>,
    pub clock: Clock,
}

/// A callback with a correct hash.
enum VerifiedCallback {
    Kyc(Verified<Claim>),
    Other(Verified<OtherClaim>),
}

/// The routes of the public side.
pub fn routes(intake: Arc<CallbackContext>) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone {
    let (expected, refusing) = (Arc::clone(&intake), Arc::clone(&intake));
    warp::path::full()
        .and(warp::method())
        .and_then(move |path: FullPath, method: Method| std::future::ready(expected.expect(path.as_str(), &method)))
        .untuple_one()
        .and(capped_body(MAX_BODY_BYTES))
        .then(move |body: Bytes| {
            let intake = Arc::clone(&intake);
            async move { intake.receive(&body).await }
        })
        .recover(move |rejection| std::future::ready(Ok::<_, Infallible>(refusing.refuse_unread(&rejection))))
        .unify()
}

impl CallbackContext {
    /// Rejects a request with another path or another method than POST.
    fn expect(&self, path: &str, method: &Method) -> Result<(), Rejection> {
        let is_post = method == Method::POST;
        if path == self.path && is_post {
            return Ok(());
        }
        let (refusal, field, reason, problem) = if path == self.path {
            let problem = ProblemDetails::new(ErrorKind::MethodNotAllowed).allow(METHODS);
            (Refusal::wrong_method, "method", "is not POST", problem)
        } else if is_post {
            (Refusal::wrong_path, "path", "is not `callback.path`", ProblemDetails::new(ErrorKind::NotFound))
        } else {
            (Refusal::not_found, "path", "does not exist", ProblemDetails::new(ErrorKind::NotFound))
        };
        self.refusals.note(refusal, field, reason);
        Err(problem.reject())
    }

    /// Answers a request that was rejected before its body was read.
    fn refuse_unread(&self, rejection: &Rejection) -> Response {
        let problem = problem_of(rejection, METHODS);
        let known = match problem.kind() {
            ErrorKind::TooLarge => Some((Refusal::too_large, "is larger than 64 KiB")),
            ErrorKind::Timeout => Some((Refusal::body_timeout, "did not arrive in time")),
            ErrorKind::Malformed => Some((Refusal::body_broken, "is incomplete or malformed")),
            // `expect` has already counted these.
            ErrorKind::NotFound | ErrorKind::MethodNotAllowed => None,
            _ => Some((Refusal::failed, "could not be read")),
        };
        if let Some((refusal, reason)) = known {
            self.refusals.note(refusal, "body", reason);
        }
        problem.response()
    }

    async fn receive(&self, body: &[u8]) -> Response {
        let began = Instant::now();
        let verified = match self.verify(body) {
            Ok(VerifiedCallback::Kyc(verified)) => verified,
            Ok(VerifiedCallback::Other(verified)) => {
                self.metrics.ignored(verified.get().kind, self.clock.now());
                return fixed_json(StatusCode::OK, r#"{"outcome":"ignored"}"#);
            }
            Err((answer, problem)) => {
                self.metrics.answered(answer);
                return problem.response();
            }
        };
        let customer = verified.get().customer.clone();
        let command = Command::Observe { customer, saw: Observation::from(verified) };
        let submitted = match self.services.store() {
            Some(store) => store.submit(command).await,
            None => Err(Refused::NotReady),
        };
        match submitted {
            Ok(receipt) => {
                self.metrics.stored_after(began.elapsed().as_secs_f64());
                if receipt == Receipt::Seen(CallbackOutcome::Duplicate) {
                    self.metrics.taken(CallbackAnswer::duplicate, self.clock.now());
                    fixed_json(StatusCode::OK, r#"{"outcome":"duplicate"}"#)
                } else {
                    self.metrics.taken(CallbackAnswer::accepted, self.clock.now());
                    fixed_json(StatusCode::OK, r#"{"outcome":"accepted"}"#)
                }
            }
            Err(Refused::Failed) => {
                self.metrics.answered(CallbackAnswer::failed);
                self.refusals.note(Refusal::failed, "decision", Refused::Failed);
                ProblemDetails::new(ErrorKind::Internal).response()
            }
            Err(refused) => {
                self.metrics.answered(CallbackAnswer::unavailable);
                self.refusals.note(Refusal::unavailable, "store", refused);
                ProblemDetails::new(ErrorKind::Unavailable)
                    .detail(refused.to_string())
                    .retry_after_s(RETRY_AFTER_S)
                    .response()
            }
        }
    }

    fn verify(&self, body: &[u8]) -> Result<VerifiedCallback, (CallbackAnswer, ProblemDetails)> {
        let (verified, has_hash) = match ReceivedCallback::read(body) {
            Ok(ReceivedCallback::Kyc(claim)) => {
                let has_hash = claim.hash.is_some();
                (Verified::check(claim, &self.secrets).map(VerifiedCallback::Kyc), has_hash)
            }
            Ok(ReceivedCallback::Other(claim)) => {
                let has_hash = claim.has_hash();
                (Verified::check(claim, &self.secrets).map(VerifiedCallback::Other), has_hash)
            }
            Err(unreadable) => return Err(self.refuse_unreadable(body, unreadable)),
        };
        verified.ok_or_else(|| {
            let (refusal, reason) =
                if has_hash { (Refusal::wrong_hash, "is wrong") } else { (Refusal::no_hash, "is missing") };
            self.refusals.note(refusal, "hash", reason);
            (CallbackAnswer::unauthorized, ProblemDetails::new(ErrorKind::Unauthorized))
        })
    }

    /// Refuses a body with an invalid shape. Also checks the hash, but only for the metrics and the log; the response
    /// does not depend on it.
    fn refuse_unreadable(&self, body: &[u8], unreadable: Unreadable) -> (CallbackAnswer, ProblemDetails) {
        let is_signed = is_signed(body, &self.secrets);
        match unreadable {
            Unreadable::Malformed(Malformed { field, reason, detail }) => {
                let refusal = if is_signed { Refusal::malformed_signed } else { Refusal::malformed };
                self.refusals.note(refusal, field, reason);
                (CallbackAnswer::malformed, ProblemDetails::new(ErrorKind::Malformed).detail(detail))
            }
            Unreadable::UnknownType => {
                let refusal = if is_signed { Refusal::unknown_type_signed } else { Refusal::unknown_type };
                self.refusals.note(refusal, "callbackType", "is not known");
                let detail = "the callbackType is not kyc, bank_account or transaction";
                (CallbackAnswer::other_type, ProblemDetails::new(ErrorKind::Unprocessable).detail(detail))
            }
        }
    }
}
