//! The trigger of a rule (`when`).

pub(in crate::rules) mod grammar;
mod mistakes;
mod tokens;

use std::fmt;

use crate::{
    domain::{Processing, Status},
    yaml::Duration,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// `A | B -> C`: the customer moved from one of `from` to one of `to`. `any` and `new` include the first
    /// observation. Pairs of equal names do not match.
    Move { from: Vec<LeftSide>, to: Vec<RightSide> },
    /// `A -> A`: the status is the same; documents, labels or message changed.
    Same { statuses: Vec<Status> },
    /// `processing A -> B`. For a new customer, the previous processing status is `none`.
    ProcessingMove { from: Vec<ProcessingSide>, to: Vec<ProcessingSide> },
    /// `A for 48h, 5d`: the stay in one of these statuses has lasted this long. Durations increase.
    Stay { statuses: Vec<Status>, after: Vec<Duration> },
    /// `processing A for 1h`: the same for a stay in a processing status.
    ProcessingStay { statuses: Vec<Processing>, after: Vec<Duration> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftSide {
    /// Every other status, also `none`, unknown statuses and `new`. No other name is beside it.
    Any,
    /// The customer had no observation.
    New,
    Status(Status),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RightSide {
    /// Every other status. No other name is beside it.
    Any,
    Status(Status),
}

/// One side of a change of the processing status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessingSide {
    /// Every other processing status. No other name is beside it.
    Any,
    Processing(Processing),
}

impl Trigger {
    /// The kind of trigger, as text for error messages. All triggers of one rule have the same kind.
    pub(in crate::rules) const fn kind(&self) -> &'static str {
        match self {
            Self::Move { .. } | Self::Same { .. } => "a change of status",
            Self::ProcessingMove { .. } => "a change of processing status",
            Self::Stay { .. } => "a stay in a status",
            Self::ProcessingStay { .. } => "a stay in a processing status",
        }
    }

    /// Whether a timer fires this trigger, not a change.
    pub const fn is_stay(&self) -> bool {
        matches!(self, Self::Stay { .. } | Self::ProcessingStay { .. })
    }
}

impl fmt::Display for LeftSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::New => f.write_str("new"),
            Self::Status(status) => status.fmt(f),
        }
    }
}

impl fmt::Display for RightSide {
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

/// Writes the trigger in the syntax of rules files.
impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Move { from, to } => write!(f, "{} -> {}", JoinedNames(from, " | "), JoinedNames(to, " | ")),
            Self::Same { statuses } => {
                write!(f, "{} -> {}", JoinedNames(statuses, " | "), JoinedNames(statuses, " | "))
            }
            Self::ProcessingMove { from, to } => {
                write!(f, "processing {} -> {}", JoinedNames(from, " | "), JoinedNames(to, " | "))
            }
            Self::Stay { statuses, after } => {
                write!(f, "{} for {}", JoinedNames(statuses, " | "), JoinedNames(after, ", "))
            }
            Self::ProcessingStay { statuses, after } => {
                write!(f, "processing {} for {}", JoinedNames(statuses, " | "), JoinedNames(after, ", "))
            }
        }
    }
}

/// Writes the items with a separator between them.
pub(in crate::rules) struct JoinedNames<'a, T>(pub &'a [T], pub &'static str);

impl<T: fmt::Display> fmt::Display for JoinedNames<'_, T> {
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
