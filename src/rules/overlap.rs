//! Compares triggers: whether one event can fire both, and whether one fires on every event of the other.

use crate::domain::Status;

use super::{LeftSide, ProcessingSide, RightSide, Rule, Trigger};

/// Whether one event can fire both rules, judged by their triggers alone.
pub(super) fn rules_meet(one: &Rule, other: &Rule) -> bool {
    one.triggers.iter().any(|this| other.triggers.iter().any(|that| meet(this, that)))
}

/// Whether every event that fires `other` also fires `one`, judged by their triggers alone.
pub(super) fn rule_covers(one: &Rule, other: &Rule) -> bool {
    other.triggers.iter().all(|that| one.triggers.iter().any(|this| covers(this, that)))
}

fn meet(one: &Trigger, other: &Trigger) -> bool {
    match (one, other) {
        (Trigger::Move { from, to }, Trigger::Move { from: also_from, to: also_to }) => {
            moves_meet(from, to, also_from, also_to)
        }
        (Trigger::Same { statuses }, Trigger::Same { statuses: also }) => shared(statuses, also),
        // One callback can change the status and the processing status.
        (Trigger::Move { .. } | Trigger::Same { .. }, Trigger::ProcessingMove { .. })
        | (Trigger::ProcessingMove { .. }, Trigger::Move { .. } | Trigger::Same { .. }) => true,
        (Trigger::ProcessingMove { from, to }, Trigger::ProcessingMove { from: also_from, to: also_to }) => {
            sides_meet(from, to, also_from, also_to)
        }
        (Trigger::Stay { statuses, after }, Trigger::Stay { statuses: also, after: also_after }) => {
            shared(statuses, also) && shared(after, also_after)
        }
        (
            Trigger::ProcessingStay { statuses, after },
            Trigger::ProcessingStay { statuses: also, after: also_after },
        ) => shared(statuses, also) && shared(after, also_after),
        _ => false,
    }
}

fn shared<T: PartialEq>(these: &[T], those: &[T]) -> bool {
    these.iter().any(|this| those.contains(this))
}

fn within<T: PartialEq>(these: &[T], those: &[T]) -> bool {
    these.iter().all(|this| those.contains(this))
}

fn moves_meet(from: &[LeftSide], to: &[RightSide], also_from: &[LeftSide], also_to: &[RightSide]) -> bool {
    let lefts = common(from, also_from, &LeftSide::Any);
    let rights = common(to, also_to, &RightSide::Any);
    lefts.iter().any(|left| {
        rights.iter().any(|right| match (left, right) {
            (LeftSide::Status(left), RightSide::Status(right)) => left != right,
            _ => true,
        })
    })
}

fn sides_meet(
    from: &[ProcessingSide],
    to: &[ProcessingSide],
    also_from: &[ProcessingSide],
    also_to: &[ProcessingSide],
) -> bool {
    let lefts = common(from, also_from, &ProcessingSide::Any);
    let rights = common(to, also_to, &ProcessingSide::Any);
    lefts.iter().any(|left| rights.iter().any(|right| *left == &ProcessingSide::Any || left != right))
}

/// The names that are in both lists. A list with `any` contains every name.
fn common<'t, T: PartialEq>(these: &'t [T], those: &'t [T], any: &T) -> Vec<&'t T> {
    if these.contains(any) {
        those.iter().collect()
    } else if those.contains(any) {
        these.iter().collect()
    } else {
        these.iter().filter(|this| those.contains(this)).collect()
    }
}

fn covers(one: &Trigger, other: &Trigger) -> bool {
    match (one, other) {
        (Trigger::Move { from, to }, Trigger::Move { from: other_from, to: other_to }) => {
            (from.contains(&LeftSide::Any) || within(other_from, from))
                && (to.contains(&RightSide::Any) || within(other_to, to))
        }
        (Trigger::Same { statuses }, Trigger::Same { statuses: other }) => within(other, statuses),
        (Trigger::ProcessingMove { from, to }, Trigger::ProcessingMove { from: other_from, to: other_to }) => {
            let any = &ProcessingSide::Any;
            (from.contains(any) || within(other_from, from)) && (to.contains(any) || within(other_to, to))
        }
        (Trigger::Stay { statuses, after }, Trigger::Stay { statuses: other, after: other_after }) => {
            within(other, statuses) && within(other_after, after)
        }
        (
            Trigger::ProcessingStay { statuses, after },
            Trigger::ProcessingStay { statuses: other, after: other_after },
        ) => within(other, statuses) && within(other_after, after),
        _ => false,
    }
}

/// Whether the trigger fires for customers who enter this status or stay in it.
pub(super) fn reacts_to(trigger: &Trigger, status: &Status) -> bool {
    match trigger {
        Trigger::Move { from, to } => {
            to.iter().any(|to| matches!(to, RightSide::Status(to) if to == status))
                || (to.contains(&RightSide::Any) && from.contains(&LeftSide::Any))
        }
        Trigger::Same { statuses } | Trigger::Stay { statuses, .. } => statuses.contains(status),
        Trigger::ProcessingMove { .. } | Trigger::ProcessingStay { .. } => false,
    }
}
