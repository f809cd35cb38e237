//! When a rule is looked at.

use std::fmt;

use crate::{
    kyc::{Processing, Status},
    source::Duration,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// `A | B -> C`: the customer moved so, or was seen for the first time. Pairs of equal names do not count.
    Move { from: Vec<Left>, to: Vec<Right> },
    /// `A -> A`: still there, with other documents, labels or message.
    Same { statuses: Vec<Status> },
    /// `processing A -> B`; a new customer's was `none`.
    ProcessingMove { from: Vec<ProcessingSide>, to: Vec<ProcessingSide> },
    /// `A for 48h, 5d`: the stay in one of these has lasted so long. Durations rise.
    Stay { statuses: Vec<Status>, after: Vec<Duration> },
    /// `processing A for 1h`.
    ProcessingStay { statuses: Vec<Processing>, after: Vec<Duration> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// Every other status, `none`, unknown ones, and no observation at all. Stands alone.
    Any,
    /// There was no observation of this customer.
    New,
    Status(Status),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Right {
    /// Every other status. Stands alone.
    Any,
    Status(Status),
}

/// Either side of a processing status's move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessingSide {
    /// Every other one. Stands alone.
    Any,
    Processing(Processing),
}

impl Trigger {
    /// What it looks at; the triggers of one rule share it.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Move { .. } | Self::Same { .. } => "a change of status",
            Self::ProcessingMove { .. } => "a change of processing status",
            Self::Stay { .. } => "a stay in a status",
            Self::ProcessingStay { .. } => "a stay in a processing status",
        }
    }

    /// Whether time makes it due, rather than a change.
    pub const fn is_stay(&self) -> bool {
        matches!(self, Self::Stay { .. } | Self::ProcessingStay { .. })
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::New => f.write_str("new"),
            Self::Status(status) => status.fmt(f),
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Status(status) => status.fmt(f),
        }
    }
}

impl fmt::Display for ProcessingSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Processing(status) => status.fmt(f),
        }
    }
}

/// As a merchant would write it.
impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Move { from, to } => write!(f, "{} -> {}", Joined(from, " | "), Joined(to, " | ")),
            Self::Same { statuses } => write!(f, "{} -> {}", Joined(statuses, " | "), Joined(statuses, " | ")),
            Self::ProcessingMove { from, to } => {
                write!(f, "processing {} -> {}", Joined(from, " | "), Joined(to, " | "))
            }
            Self::Stay { statuses, after } => write!(f, "{} for {}", Joined(statuses, " | "), Joined(after, ", ")),
            Self::ProcessingStay { statuses, after } => {
                write!(f, "processing {} for {}", Joined(statuses, " | "), Joined(after, ", "))
            }
        }
    }
}

/// Several things with something between them.
pub(super) struct Joined<'a, T>(pub &'a [T], pub &'static str);

impl<T: fmt::Display> fmt::Display for Joined<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, item) in self.0.iter().enumerate() {
            if nth > 0 {
                f.write_str(self.1)?;
            }
            item.fmt(f)?;
        }
        Ok(())
    }
}
