//! The part of `status` about the traffic of the listeners: callbacks that were answered with 200, and everything that
//! was refused.

use crate::{
    api::status::{CallbackCounts, RefusalInfo},
    telemetry::{AcceptedCallbacks, Metrics, RefusalCount, Refusals},
};

impl CallbackCounts {
    pub(super) fn new(metrics: &Metrics, refusals: &Refusals) -> Self {
        let AcceptedCallbacks { accepted, duplicate, ignored, last_at } = metrics.callbacks_taken();
        Self {
            accepted,
            duplicate,
            ignored: ignored.into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect(),
            last_at: last_at.map(|at| at.to_string()),
            refused: RefusalInfo::all(refusals),
        }
    }
}

impl RefusalInfo {
    pub(super) fn all(refusals: &Refusals) -> Vec<Self> {
        let shape = |RefusalCount { kind, count, last_at }| Self {
            kind: kind.name().to_owned(),
            answer: kind.answer(),
            count,
            last_at: last_at.to_string(),
            about: kind.about().to_owned(),
        };
        refusals.counts().into_iter().map(shape).collect()
    }
}
