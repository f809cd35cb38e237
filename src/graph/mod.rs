//! The rules as a picture: which statuses there are, and what happens on the way from one to the next.
//!
//! ```text
//! &[Rule] --Graph::of--> Graph --> svg | mermaid | dot
//! ```
//!
//! `any` stays one place of its own, so that `any -> B` is one line and not one from each status. Rules that do something on
//! the same way share one edge. Pure; not in here: conditions at work, and what a rule does in full.

mod build;
mod dot;
mod mermaid;
mod svg;
mod text;

#[cfg(test)]
mod tests;

use crate::rules::Mode;

pub use dot::dot;
pub use mermaid::mermaid;
pub use svg::svg;

/// What all formats draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// One for each rule, in file order.
    labels: Vec<Label>,
    /// Every documented and declared status.
    statuses: Diagram,
    /// The processing statuses that rules are about; mostly none.
    processing: Diagram,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Diagram {
    nodes: Vec<String>,
    /// In the order of the places they lead to.
    edges: Vec<Edge>,
}

/// A way that at least one rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Edge {
    from: Place,
    to: Place,
    kind: Kind,
    /// Places in [`Graph::labels`], rising.
    rules: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Every other status.
    Any,
    /// Nothing was known of the customer.
    New,
    /// A place in [`Diagram::nodes`].
    Node(usize),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Move,
    /// Still there, with other details.
    Same,
    /// Still there after these durations, as they are written: `48h, 5d`.
    Stay(String),
}

/// What is said of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Label {
    id: String,
    about: Option<String>,
    group: Option<String>,
    mode: Mode,
    /// `visit >= 3`; empty where nothing is asked.
    condition: String,
    /// `email reminder`, `tag vip`, …
    does: Vec<String>,
    /// `kyc.yaml:12`
    place: String,
}

impl Graph {
    /// Whether none of these rules acts.
    fn is_idle(&self, rules: &[usize]) -> bool {
        self.labelled(rules).all(|label| label.mode != Mode::Live)
    }

    fn labelled<'g>(&'g self, rules: &'g [usize]) -> impl Iterator<Item = &'g Label> {
        rules.iter().filter_map(|rule| self.labels.get(*rule))
    }
}

impl Label {
    /// In two lines: `third-rejection (shadow) if visit >= 3` and `tag needs-person, email personal-help`.
    fn lines(&self) -> [String; 2] {
        let mut first = self.id.clone();
        if self.mode != Mode::Live {
            first = format!("{first} ({})", self.mode);
        }
        if !self.condition.is_empty() {
            first = format!("{first} if {}", self.condition);
        }
        [first, self.does.join(", ")].map(|line| text::shortened(&line, 80))
    }
}
