//! The one route of the public side: a callback comes in, is verified, made durable, and answered.
//!
//! Nothing of a body is used, kept or logged before its hash is right. Nothing external happens while the provider waits.

use std::{convert::Infallible, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use warp::{Filter, path::FullPath, reply::Response};

use super::{
    body::capped_body,
    reply::{Kind, Problem, answer, fixed_json},
};
use crate::{
    decide::{Command, Receipt},
    house::House,
    kyc::{Claim, ClaimError, MAX_BODY_BYTES, Observation, Secret, Verdict, Verified},
    store::Refused,
    telemetry::{Answer, Metrics},
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
}

/// The public side.
pub fn routes(intake: Arc<Intake>) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone {
    let expected = Arc::clone(&intake);
    warp::path::full()
        .and(warp::method())
        .and_then(move |path: FullPath, method: Method| {
            let refused = if path.as_str() != expected.path {
                Some(Problem::new(Kind::NotFound))
            } else if method != Method::POST {
                Some(Problem::new(Kind::MethodNotAllowed).allow(METHODS))
            } else {
                None
            };
            std::future::ready(refused.map_or(Ok(()), |problem| Err(problem.reject())))
        })
        .untuple_one()
        .and(capped_body(MAX_BODY_BYTES))
        .then(move |body: Bytes| {
            let intake = Arc::clone(&intake);
            async move { intake.receive(&body).await }
        })
        .recover(|rejection| std::future::ready(Ok::<_, Infallible>(answer(&rejection, METHODS))))
        .unify()
}

impl Intake {
    async fn receive(&self, body: &[u8]) -> Response {
        let began = Instant::now();
        let verified = match self.verify(body) {
            Ok(verified) => verified,
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
                    self.metrics.answered(Answer::duplicate);
                    fixed_json(StatusCode::OK, r#"{"outcome":"duplicate"}"#)
                } else {
                    self.metrics.answered(Answer::accepted);
                    fixed_json(StatusCode::OK, r#"{"outcome":"accepted"}"#)
                }
            }
            Err(Refused::Failed) => {
                self.metrics.answered(Answer::failed);
                Problem::new(Kind::Internal).response()
            }
            Err(refused) => {
                self.metrics.answered(Answer::unavailable);
                Problem::new(Kind::Unavailable).detail(refused.to_string()).retry_after_s(RETRY_AFTER_S).response()
            }
        }
    }

    fn verify(&self, body: &[u8]) -> Result<Verified<Claim>, (Answer, Problem)> {
        let claim = Claim::read(body).map_err(|error| match error {
            ClaimError::Malformed(what) => (Answer::malformed, Problem::new(Kind::Malformed).detail(what)),
            ClaimError::OtherType => {
                let detail = "only callbacks with the callbackType kyc are taken here";
                (Answer::other_type, Problem::new(Kind::Unprocessable).detail(detail))
            }
        })?;
        Verified::check(claim, &self.secrets).ok_or_else(|| (Answer::unauthorized, Problem::new(Kind::Unauthorized)))
    }
}
