//! The remembered KYC state of a customer: the last observation, the time of the last change, and the number of visits.

use serde::{Deserialize, Serialize};

use super::{Change, Codes, Observation, Processing, Source, Status, observation::double_option};
use crate::clock::Timestamp;

/// The maximum number of statuses per customer whose visits are counted; only forged callbacks come near it. Above it,
/// the count that was not updated for the longest time is removed.
const MAX_VISITED: usize = 24;

/// A customer with at least one observation. `None` in a detail: no source has reported it for this stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    pub status: Status,
    #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
    pub processing: Option<Processing>,
    #[serde(default, rename = "docs", skip_serializing_if = "Option::is_none")]
    pub missing_docs: Option<Codes>,
    #[serde(default, rename = "labels", skip_serializing_if = "Option::is_none")]
    pub reject_labels: Option<Codes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<str>>,
    /// The status before this one; `None`: there was no observation before.
    #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
    pub from: Option<Status>,
    /// When the stay in `status` began.
    #[serde(rename = "entered")]
    pub entered_at: Timestamp,
    /// The time at which the stay in `processing` began, if later than the stay in `status`. A change of `status` ends
    /// this stay, too.
    #[serde(default, rename = "processing_entered", skip_serializing_if = "Option::is_none")]
    processing_moved_at: Option<Timestamp>,
    /// The number of times that each status was entered, the latest last. Always contains `status`.
    pub visits: Visits,
}

/// The number of times that a customer entered each status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Visits(Vec<(Status, u32)>);

impl Visits {
    pub fn of(&self, status: &Status) -> u32 {
        self.0.iter().find(|(have, _)| have == status).map_or(0, |(_, count)| *count)
    }

    fn enter(&mut self, status: &Status) {
        let before = match self.0.iter().position(|(have, _)| have == status) {
            Some(at) => self.0.remove(at).1,
            None => 0,
        };
        if self.0.len() == MAX_VISITED {
            self.0.remove(0);
        }
        self.0.push((status.clone(), before.saturating_add(1)));
    }
}

impl Customer {
    /// Returns the remembered state as an observation of a callback.
    pub fn as_observed(&self) -> Observation {
        Observation {
            source: Source::Callback,
            status: self.status.clone(),
            processing: self.processing.clone(),
            missing_docs: self.missing_docs.clone(),
            reject_labels: self.reject_labels.clone(),
            message: self.message.clone(),
        }
    }

    /// Returns the number of the visit to the present status, from 1.
    pub fn visit(&self) -> u32 {
        self.visits.of(&self.status)
    }

    /// Returns the time at which the stay in the present processing status began.
    pub fn processing_entered_at(&self) -> Timestamp {
        self.processing_moved_at.unwrap_or(self.entered_at)
    }

    /// Returns the state after this observation, whose change relative to `before` is `change`.
    pub fn after(before: Option<&Customer>, saw: &Observation, change: &Change, now: Timestamp) -> Self {
        let Some(before) = before else {
            let mut visits = Visits::default();
            visits.enter(&saw.status);
            return Self {
                status: saw.status.clone(),
                processing: saw.processing.clone(),
                missing_docs: saw.missing_docs.clone(),
                reject_labels: saw.reject_labels.clone(),
                message: saw.message.clone(),
                from: None,
                entered_at: now,
                processing_moved_at: None,
                visits,
            };
        };
        let moved = change.status.is_some();
        let kept = |unsaid: bool| !(moved && unsaid);
        let mut after = before.clone();
        if moved {
            after.from = Some(before.status.clone());
            after.status = saw.status.clone();
            after.entered_at = now;
            after.visits.enter(&saw.status);
        }
        if moved || change.processing.is_some() {
            after.processing_moved_at = (!moved).then_some(now);
        }
        after.processing =
            saw.processing.clone().or(before.processing.clone().filter(|_| kept(saw.processing.is_none())));
        after.missing_docs =
            saw.missing_docs.clone().or(before.missing_docs.clone().filter(|_| kept(saw.missing_docs.is_none())));
        after.reject_labels =
            saw.reject_labels.clone().or(before.reject_labels.clone().filter(|_| kept(saw.reject_labels.is_none())));
        after.message = saw.message.clone().or(before.message.clone().filter(|_| kept(saw.message.is_none())));
        after
    }
}
