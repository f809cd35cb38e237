//! Builds the graph from rules.

use std::collections::BTreeMap;

use super::{Diagram, Edge, Kind, Label, Place, RuleGraph};
use crate::{
    domain::{Processing, Status},
    rules::{Action, ActionEffect, LeftSide, ProcessingSide, RightSide, Rule, Trigger},
};

/// One side of an arrow.
enum ArrowSide {
    Any,
    New,
    Named(String),
}

impl From<&LeftSide> for ArrowSide {
    fn from(left: &LeftSide) -> Self {
        match left {
            LeftSide::Any => Self::Any,
            LeftSide::New => Self::New,
            LeftSide::Status(status) => Self::Named(status.name().to_owned()),
        }
    }
}

impl From<&RightSide> for ArrowSide {
    fn from(right: &RightSide) -> Self {
        match right {
            RightSide::Any => Self::Any,
            RightSide::Status(status) => Self::Named(status.name().to_owned()),
        }
    }
}

impl From<&ProcessingSide> for ArrowSide {
    fn from(side: &ProcessingSide) -> Self {
        match side {
            ProcessingSide::Any => Self::Any,
            ProcessingSide::Processing(status) => Self::Named(status.name().to_owned()),
        }
    }
}

/// One edge of a trigger.
struct TriggerArrow {
    from: ArrowSide,
    to: ArrowSide,
    kind: Kind,
}

impl RuleGraph {
    /// Builds the graph of the rules over the documented statuses and the declared ones.
    pub fn of(rules: &[Rule], statuses: &[String], processing: &[String]) -> Self {
        let ways = |about_processing: bool| -> Vec<(usize, TriggerArrow)> {
            let chosen = rules.iter().enumerate().filter(|(_, rule)| rule.is_about_processing() == about_processing);
            chosen.flat_map(|(nth, rule)| rule.triggers.iter().flat_map(ways).map(move |way| (nth, way))).collect()
        };
        Self {
            labels: rules.iter().map(label).collect(),
            statuses: diagram(ways(false), Status::KNOWN, statuses, true),
            processing: diagram(ways(true), Processing::KNOWN, processing, false),
        }
    }
}

fn label(rule: &Rule) -> Label {
    Label {
        id: rule.id.to_string(),
        about: rule.about.clone(),
        group: rule.group.as_deref().map(str::to_owned),
        mode: rule.mode,
        condition: rule.condition.text(),
        does: rule.actions.iter().map(does).collect(),
        place: format!("{}:{}", rule.file, rule.line),
    }
}

fn does(action: &Action) -> String {
    match (action.effect(), action.event()) {
        (ActionEffect::Record, _) => "record".to_owned(),
        (ActionEffect::Message(_) | ActionEffect::Tag(_) | ActionEffect::Untag(_), Some(event)) => {
            format!("{action}: {event}")
        }
        (ActionEffect::Message(_) | ActionEffect::Tag(_) | ActionEffect::Untag(_), None) => action.to_string(),
    }
}

fn ways(trigger: &Trigger) -> Vec<TriggerArrow> {
    match trigger {
        Trigger::Move { from, to } => pairs(from, to),
        Trigger::ProcessingMove { from, to } => pairs(from, to),
        Trigger::Same { statuses } => stays(statuses.iter().map(Status::name), &Kind::Same),
        Trigger::Stay { statuses, after } => stays(statuses.iter().map(Status::name), &lasted(after)),
        Trigger::ProcessingStay { statuses, after } => stays(statuses.iter().map(Processing::name), &lasted(after)),
    }
}

fn lasted(after: &[crate::yaml::Duration]) -> Kind {
    Kind::Stay(after.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

/// Returns an edge for each pair of sides, except pairs of equal names.
fn pairs<'t, A, B>(from: &'t [A], to: &'t [B]) -> Vec<TriggerArrow>
where
    ArrowSide: From<&'t A> + From<&'t B>,
{
    let each = |from: &'t A| to.iter().map(move |to| (ArrowSide::from(from), ArrowSide::from(to)));
    let moves = from.iter().flat_map(each).filter(|sides| match sides {
        (ArrowSide::Named(from), ArrowSide::Named(to)) => from != to,
        _ => true,
    });
    moves.map(|(from, to)| TriggerArrow { from, to, kind: Kind::Move }).collect()
}

fn stays<'t>(names: impl Iterator<Item = &'t str>, kind: &Kind) -> Vec<TriggerArrow> {
    let side = |name: &str| ArrowSide::Named(name.to_owned());
    names.map(|name| TriggerArrow { from: side(name), to: side(name), kind: kind.clone() }).collect()
}

/// Builds one diagram. `all`: include names that no rule mentions.
fn diagram(ways: Vec<(usize, TriggerArrow)>, documented: &[&str], declared: &[String], all: bool) -> Diagram {
    let named = |name: &str| ways.iter().any(|(_, way)| [&way.from, &way.to].iter().any(|side| is_named(side, name)));
    let known = documented.iter().copied().chain(declared.iter().map(String::as_str));
    let mut nodes: Vec<String> = Vec::new();
    for name in std::iter::once("none").chain(known) {
        let wanted = all && name != "none" || named(name);
        if wanted && !nodes.iter().any(|have| have == name) {
            nodes.push(name.to_owned());
        }
    }
    let mut edges: BTreeMap<(Place, Place, Kind), Vec<usize>> = BTreeMap::new();
    for (rule, way) in ways {
        let (from, to) = (place(way.from, &mut nodes), place(way.to, &mut nodes));
        let rules = edges.entry((to, from, way.kind)).or_default();
        if rules.last() != Some(&rule) {
            rules.push(rule);
        }
    }
    let edge = |((to, from, kind), rules)| Edge { from, to, kind, rules };
    Diagram { nodes, edges: edges.into_iter().map(edge).collect() }
}

fn is_named(side: &ArrowSide, name: &str) -> bool {
    matches!(side, ArrowSide::Named(named) if named == name)
}

fn place(side: ArrowSide, nodes: &mut Vec<String>) -> Place {
    match side {
        ArrowSide::Any => Place::Any,
        ArrowSide::New => Place::New,
        ArrowSide::Named(name) => Place::Node(nodes.iter().position(|node| *node == name).unwrap_or_else(|| {
            nodes.push(name);
            nodes.len() - 1
        })),
    }
}
