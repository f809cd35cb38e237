//! Requests from operators to ask the provider's API about a customer, or to decide without it.

use std::sync::Arc;

use bytes::Bytes;
use warp::{Filter, Rejection, reply::Response};

use super::{AdminContext, AdminResult, MAX_BODY_BYTES, PathPart, customer_id, malformed, refused, sorted, unreadable};
use crate::{
    api::refresh::{FailedRefresh, RefreshFailure, RefreshRequest, RefreshResponse},
    decide::{Command, Receipt},
    domain::{CallbackOutcome, CustomerId},
    http::{
        body::capped_body,
        reply::{ErrorKind, ProblemDetails},
    },
    provider::{AskError, AskOutcome, ConfirmationWorker},
};

pub fn routes(admin: &Arc<AdminContext>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    warp::path!("customers" / PathPart / "refresh")
        .and(warp::post())
        .and(capped_body(MAX_BODY_BYTES))
        .then(answered!(admin, |this, id: PathPart, body: Bytes| this.refresh(id, body)))
}

impl AdminContext {
    async fn refresh(&self, PathPart(id): PathPart, body: Bytes) -> AdminResult {
        let how: RefreshRequest = match body.is_empty() {
            true => RefreshRequest::default(),
            false => serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))?,
        };
        let (store, customer) = (self.store()?, customer_id(&id)?);
        let (receipt, known) = if how.believe {
            let receipt = store.submit(Command::Believe { customer: customer.clone() }).await.map_err(refused)?;
            (receipt, None)
        } else if how.import {
            match asker(self.services.asker())?.import(&customer).await {
                // An import of many customers continues after a failure.
                AskOutcome::Failed { error, again_ms } => {
                    let trouble = self.services.asker().and_then(|asker| asker.trouble());
                    let everybody = trouble.is_some_and(|trouble| trouble.lasting);
                    return Ok(failed(&customer, &error, again_ms, everybody));
                }
                asked => answered(asked)?,
            }
        } else {
            answered(asker(self.services.asker())?.ask_at_once(&customer).await)?
        };
        let verdict = match receipt {
            Receipt::Seen(verdict) => Some(verdict.name()),
            Receipt::Unchanged if how.believe => {
                return Err(ProblemDetails::new(ErrorKind::Conflict)
                    .detail("no callback of this customer waits for confirmation"));
            }
            Receipt::Unchanged => Some(CallbackOutcome::Duplicate.name()),
            _ => None,
        };
        let case = store.customer(&customer).map_err(unreadable)?;
        let status = case.as_ref().and_then(|case| case.customer.as_ref()).map(|known| known.status.clone());
        let waiting = case.and_then(|case| case.question.as_ref().map(|question| question.waiting.len()));
        Ok(sorted(&RefreshResponse {
            customer: customer.to_string(),
            verdict: verdict.map(str::to_owned),
            provider_knows: known,
            known: status.is_some(),
            status: status.and_then(|status| status.as_wire().map(str::to_owned)),
            waiting: waiting.unwrap_or(0),
        }))
    }
}

pub(super) fn asker(asker: Option<&Arc<ConfirmationWorker>>) -> Result<&Arc<ConfirmationWorker>, ProblemDetails> {
    let no_key = "the provider's API cannot be used: `provider.api_key` is not configured";
    asker.ok_or_else(|| ProblemDetails::new(ErrorKind::Conflict).detail(no_key))
}

/// Returns the receipt, and whether the provider knows the customer.
fn answered(asked: AskOutcome) -> Result<(Receipt, Option<bool>), ProblemDetails> {
    match asked {
        AskOutcome::Answered { receipt, known } => Ok((receipt, Some(known))),
        AskOutcome::Failed { error, .. } => {
            Err(ProblemDetails::new(ErrorKind::Unavailable).detail(error.cause().full()))
        }
        AskOutcome::Refused(why) => Err(refused(why)),
    }
}

/// `everybody`: the request would fail for all other customers, too.
fn failed(customer: &CustomerId, error: &AskError, again_ms: i64, everybody: bool) -> Response {
    let cause = error.cause();
    sorted(&FailedRefresh {
        customer: customer.to_string(),
        failed: RefreshFailure {
            error: cause.full(),
            code: cause.code.as_deref().map(str::to_owned),
            again_ms,
            asked: !matches!(error, AskError::Resting(_)),
            lasting: matches!(error, AskError::Odd(_)),
            everybody,
        },
    })
}
