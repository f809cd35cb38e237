//! Draws the rules as a graph of the statuses and the moves between them.
//!
//! ```text
//! &[Rule] --Graph::of--> Graph --> svg | mermaid | dot
//! ```
//!
//! `any` is a node of its own, so that `any -> B` is one edge and not one from each status. Rules with the same edge
//! share it. The functions are pure. The graph shows conditions and actions in short form only.

mod build;
mod dot;
mod mermaid;
mod svg;
mod text;

#[cfg(test)]
mod tests;

use crate::rules::RuleMode;

pub use dot::dot;
pub use mermaid::mermaid;
pub use svg::svg;

/// The graph that all formats draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleGraph {
    /// One label for each rule, in file order.
    labels: Vec<Label>,
    /// Every documented and declared status.
    statuses: Diagram,
    /// The processing statuses that rules mention; usually none.
    processing: Diagram,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Diagram {
    nodes: Vec<String>,
    /// Sorted by target.
    edges: Vec<Edge>,
}

/// An edge that at least one rule reacts to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Edge {
    from: Place,
    to: Place,
    kind: Kind,
    /// Indexes into [`RuleGraph::labels`], ascending.
    rules: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Every other status.
    Any,
    /// The customer had no observation.
    New,
    /// An index into [`Diagram::nodes`].
    Node(usize),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Move,
    /// The status is the same; its details changed.
    Same,
    /// The stay has lasted these durations, as written in the rule: `48h, 5d`.
    Stay(String),
}

/// The text about one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Label {
    id: String,
    about: Option<String>,
    group: Option<String>,
    mode: RuleMode,
    /// For example `visit >= 3`; empty if the rule has no condition.
    condition: String,
    /// One text for each action: `email reminder`, `tag vip`, …
    does: Vec<String>,
    /// File and line of the rule: `kyc.yaml:12`.
    place: String,
}

impl RuleGraph {
    /// Whether none of these rules is live.
    fn is_idle(&self, rules: &[usize]) -> bool {
        self.labelled(rules).all(|label| label.mode != RuleMode::Live)
    }

    fn labelled<'g>(&'g self, rules: &'g [usize]) -> impl Iterator<Item = &'g Label> {
        rules.iter().filter_map(|rule| self.labels.get(*rule))
    }
}

impl Label {
    /// Returns two lines, for example `third-rejection (shadow) if visit >= 3` and `tag needs-person, email
    /// personal-help`.
    fn lines(&self) -> [String; 2] {
        let mut first = self.id.clone();
        if self.mode != RuleMode::Live {
            first = format!("{first} ({})", self.mode);
        }
        if !self.condition.is_empty() {
            first = format!("{first} if {}", self.condition);
        }
        [first, self.does.join(", ")].map(|line| text::shortened(&line, 80))
    }
}
