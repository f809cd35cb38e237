//! The one route of the public side: a callback comes in, is verified, made durable, and answered.
//!
//! Nothing of a body is used, kept or logged before its hash is right. Nothing external happens while the provider waits. Each
//! refusal is counted, and has a line in the log.

use std::{convert::Infallible, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use warp::{Filter, Rejection, path::FullPath, reply::Response};

use super::{
    body::capped_body,
    reply::{Kind, Problem, fixed_json, problem_of},
};
use crate::{
    clock::Clock,
    decide::{Command, Receipt},
    house::House,
    kyc::{
        Claim, MAX_BODY_BYTES, Malformed, Observation, OtherClaim, Received, Secret, Unreadable, Verdict, Verified,
        is_signed,
    },
    store::Refused,
    telemetry::{Answer, Metrics, Refusal, Refusals},
};

const METHODS: &str = "POST";

/// How soon the provider may come again, in seconds.
const RETRY_AFTER_S: u32 = 5;

/// What the public side needs to know.
pub struct Intake {
    /// Where callbacks are taken, as `/callbacks/kyc`.
    pub path: String,
    /// The newest first.
    pub secrets: Vec<Secret>,
    pub house: Arc<House>,
    pub metrics: Arc<Metrics>,
    pub refusals: Arc<Refusals>,
    pub clock: Clock,
}

/// A callback whose hash is right.
enum Taken {
    Kyc(Verified<Claim>),
    Other(Verified<OtherClaim>),
}

/// The public side.
pub fn routes(intake: Arc<Intake>) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone {
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

impl Intake {
    /// Refuses what does not come to the callback's path, or is no POST.
    fn expect(&self, path: &str, method: &Method) -> Result<(), Rejection> {
        let is_post = method == Method::POST;
        if path == self.path && is_post {
            return Ok(());
        }
        let (refusal, field, reason, problem) = if path == self.path {
            let problem = Problem::new(Kind::MethodNotAllowed).allow(METHODS);
            (Refusal::wrong_method, "method", "is not POST", problem)
        } else if is_post {
            (Refusal::wrong_path, "path", "is not `callback.path`", Problem::new(Kind::NotFound))
        } else {
            (Refusal::not_found, "path", "is not there", Problem::new(Kind::NotFound))
        };
        self.refusals.note(refusal, field, reason);
        Err(problem.reject())
    }

    /// Answers a request that was refused before its body was there.
    fn refuse_unread(&self, rejection: &Rejection) -> Response {
        let problem = problem_of(rejection, METHODS);
        let known = match problem.kind() {
            Kind::TooLarge => Some((Refusal::too_large, "is larger than 64 KiB")),
            Kind::Timeout => Some((Refusal::body_timeout, "did not arrive in time")),
            Kind::Malformed => Some((Refusal::body_broken, "broke off, or is badly chunked")),
            // These have been counted where they arose.
            Kind::NotFound | Kind::MethodNotAllowed => None,
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
            Ok(Taken::Kyc(verified)) => verified,
            Ok(Taken::Other(verified)) => {
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
        let submitted = match self.house.store() {
            Some(store) => store.submit(command).await,
            None => Err(Refused::NotReady),
        };
        match submitted {
            Ok(receipt) => {
                self.metrics.stored_after(began.elapsed().as_secs_f64());
                if receipt == Receipt::Seen(Verdict::Duplicate) {
                    self.metrics.taken(Answer::duplicate, self.clock.now());
                    fixed_json(StatusCode::OK, r#"{"outcome":"duplicate"}"#)
                } else {
                    self.metrics.taken(Answer::accepted, self.clock.now());
                    fixed_json(StatusCode::OK, r#"{"outcome":"accepted"}"#)
                }
            }
            Err(Refused::Failed) => {
                self.metrics.answered(Answer::failed);
                self.refusals.note(Refusal::failed, "decision", Refused::Failed);
                Problem::new(Kind::Internal).response()
            }
            Err(refused) => {
                self.metrics.answered(Answer::unavailable);
                self.refusals.note(Refusal::unavailable, "store", refused);
                Problem::new(Kind::Unavailable).detail(refused.to_string()).retry_after_s(RETRY_AFTER_S).response()
            }
        }
    }

    fn verify(&self, body: &[u8]) -> Result<Taken, (Answer, Problem)> {
        let (verified, has_hash) = match Received::read(body) {
            Ok(Received::Kyc(claim)) => {
                let has_hash = claim.hash.is_some();
                (Verified::check(claim, &self.secrets).map(Taken::Kyc), has_hash)
            }
            Ok(Received::Other(claim)) => {
                let has_hash = claim.has_hash();
                (Verified::check(claim, &self.secrets).map(Taken::Other), has_hash)
            }
            Err(unreadable) => return Err(self.refuse_unreadable(body, unreadable)),
        };
        verified.ok_or_else(|| {
            let (refusal, reason) =
                if has_hash { (Refusal::wrong_hash, "is wrong") } else { (Refusal::no_hash, "is missing") };
            self.refusals.note(refusal, "hash", reason);
            (Answer::unauthorized, Problem::new(Kind::Unauthorized))
        })
    }

    /// Refuses a body of another shape, and looks whether its hash is right all the same: the answer does not depend on that.
    fn refuse_unreadable(&self, body: &[u8], unreadable: Unreadable) -> (Answer, Problem) {
        let is_signed = is_signed(body, &self.secrets);
        match unreadable {
            Unreadable::Malformed(Malformed { field, reason, detail }) => {
                let refusal = if is_signed { Refusal::malformed_signed } else { Refusal::malformed };
                self.refusals.note(refusal, field, reason);
                (Answer::malformed, Problem::new(Kind::Malformed).detail(detail))
            }
            Unreadable::UnknownType => {
                let refusal = if is_signed { Refusal::unknown_type_signed } else { Refusal::unknown_type };
                self.refusals.note(refusal, "callbackType", "is not known");
                let detail = "the callbackType is none of kyc, bank_account and transaction";
                (Answer::other_type, Problem::new(Kind::Unprocessable).detail(detail))
            }
        }
    }
}
