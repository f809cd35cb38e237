//! The change that an observation makes to the remembered state.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Customer, Observation, Processing, Status};

/// The recorded result of a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallbackOutcome {
    /// The status changed.
    Moved,
    /// The same status with other details or another processing status.
    Updated,
    /// Nothing changed.
    Duplicate,
    /// The callback waits for confirmation by the provider's API.
    Pending,
    /// The provider's API returned a newer state.
    Stale,
    /// The provider's API does not know the customer.
    Unconfirmed,
    /// Memory that the merchant imported when going live; no rule sees it.
    Imported,
}

impl CallbackOutcome {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::Updated => "updated",
            Self::Duplicate => "duplicate",
            Self::Pending => "pending",
            Self::Stale => "stale",
            Self::Unconfirmed => "unconfirmed",
            Self::Imported => "imported",
        }
    }
}

impl fmt::Display for CallbackOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A change from one value to another. `from` is `None`: there was no observation before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge<T> {
    pub from: Option<T>,
    pub to: T,
}

/// The details that an observation can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    MissingDocs,
    RejectLabels,
    Message,
    Processing,
}

impl Detail {
    pub const ALL: &[(&'static str, Detail)] = &[
        ("missing_docs", Self::MissingDocs),
        ("reject_labels", Self::RejectLabels),
        ("message", Self::Message),
        ("processing", Self::Processing),
    ];
}

/// A set of details.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Details(u8);

impl Details {
    const fn bit(detail: Detail) -> u8 {
        1 << detail as u8
    }

    pub const fn contains(self, detail: Detail) -> bool {
        self.0 & Self::bit(detail) != 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[must_use]
    pub const fn with(self, detail: Detail, there: bool) -> Self {
        if there { Self(self.0 | Self::bit(detail)) } else { self }
    }

    /// Whether documents, labels or message changed: these trigger `A -> A`.
    pub const fn beside_processing(self) -> bool {
        self.0 & !Self::bit(Detail::Processing) != 0
    }
}

impl fmt::Display for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (name, detail) in Detail::ALL {
            if self.contains(*detail) {
                f.write_str(if first { "" } else { ", " })?;
                f.write_str(name)?;
                first = false;
            }
        }
        Ok(())
    }
}

/// A change of the status.
pub type Moved = Edge<Status>;

/// The changes of an observation. A change without edges and details is a duplicate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The status after the observation.
    pub at: Status,
    /// The change of status; for the first observation `from` is `None`.
    pub status: Option<Moved>,
    /// The change of the processing status; for a new customer `from` is `none`.
    pub processing: Option<Edge<Processing>>,
    /// The details that differ from the previous observation, also if the status changed; for a new customer all
    /// details that are not empty.
    pub details: Details,
}

impl Change {
    /// Compares `saw` with the remembered state. Absent fields change nothing.
    pub fn of(before: Option<&Customer>, saw: &Observation) -> Self {
        let Some(before) = before else {
            let processing = saw.processing.clone().filter(|now| *now != Processing::None);
            let filled = |text: Option<bool>| text == Some(false);
            return Self {
                at: saw.status.clone(),
                status: Some(Edge { from: None, to: saw.status.clone() }),
                details: Details::default()
                    .with(Detail::MissingDocs, filled(saw.missing_docs.as_ref().map(|docs| docs.is_empty())))
                    .with(Detail::RejectLabels, filled(saw.reject_labels.as_ref().map(|labels| labels.is_empty())))
                    .with(Detail::Message, filled(saw.message.as_ref().map(|message| message.is_empty())))
                    .with(Detail::Processing, processing.is_some()),
                processing: processing.map(|to| Edge { from: Some(Processing::None), to }),
            };
        };
        // A field that was unknown and is now reported as empty has not changed.
        let differs_docs = match (&before.missing_docs, &saw.missing_docs) {
            (_, None) => false,
            (None, Some(now)) => !now.is_empty(),
            (Some(was), Some(now)) => was != now,
        };
        let differs_labels = match (&before.reject_labels, &saw.reject_labels) {
            (_, None) => false,
            (None, Some(now)) => !now.is_empty(),
            (Some(was), Some(now)) => was != now,
        };
        let differs_message = match (&before.message, &saw.message) {
            (_, None) => false,
            (None, Some(now)) => !now.is_empty(),
            (Some(was), Some(now)) => was != now,
        };
        let was = before.processing.clone().unwrap_or(Processing::None);
        let processing = saw.processing.clone().filter(|now| *now != was).map(|to| Edge { from: Some(was), to });
        Self {
            at: saw.status.clone(),
            status: (before.status != saw.status)
                .then(|| Edge { from: Some(before.status.clone()), to: saw.status.clone() }),
            details: Details::default()
                .with(Detail::MissingDocs, differs_docs)
                .with(Detail::RejectLabels, differs_labels)
                .with(Detail::Message, differs_message)
                .with(Detail::Processing, processing.is_some()),
            processing,
        }
    }

    pub fn verdict(&self) -> CallbackOutcome {
        if self.status.is_some() {
            CallbackOutcome::Moved
        } else if self.details.is_empty() {
            CallbackOutcome::Duplicate
        } else {
            CallbackOutcome::Updated
        }
    }
}
