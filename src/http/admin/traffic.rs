//! The part of `status` about the traffic of the listeners: callbacks that were answered with 200, and everything that
//! was refused.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::telemetry::{AcceptedCallbacks, Metrics, RefusalCount, Refusals};

/// The counts since the start.
#[derive(Serialize)]
pub struct CallbackCounts {
    accepted: u64,
    duplicate: u64,
    /// Verified callbacks that are not about KYC, by type.
    ignored: BTreeMap<&'static str, u64>,
    /// The time of the last callback that was answered with 200.
    last_at: Option<String>,
    refused: Vec<RefusalInfo>,
}

/// One kind of refusal.
#[derive(Serialize)]
pub struct RefusalInfo {
    kind: &'static str,
    /// The status code of the response; `null` if the connection was closed without a response.
    answer: Option<u16>,
    count: u64,
    last_at: String,
    /// An explanation for the operator.
    about: &'static str,
}

impl CallbackCounts {
    pub fn new(metrics: &Metrics, refusals: &Refusals) -> Self {
        let AcceptedCallbacks { accepted, duplicate, ignored, last_at } = metrics.callbacks_taken();
        Self {
            accepted,
            duplicate,
            ignored: ignored.into_iter().collect(),
            last_at: last_at.map(|at| at.to_string()),
            refused: RefusalInfo::all(refusals),
        }
    }
}

impl RefusalInfo {
    pub fn all(refusals: &Refusals) -> Vec<Self> {
        let shape = |RefusalCount { kind, count, last_at }| Self {
            kind: kind.name(),
            answer: kind.answer(),
            count,
            last_at: last_at.to_string(),
            about: kind.about(),
        };
        refusals.counts().into_iter().map(shape).collect()
    }
}
