//! Writes the graph as a Mermaid state diagram, which GitHub and GitLab draw in Markdown.

use std::fmt::Write;

use super::{Diagram, Edge, Kind, Label, Place, RuleGraph, text};

/// Returns a `stateDiagram-v2`. Names are quoted and states have generated ids, so that no name is Mermaid syntax.
pub fn mermaid(graph: &RuleGraph) -> String {
    let mut out = String::from("stateDiagram-v2\n  direction LR\n");
    diagram(graph, &graph.statuses, "s", "  ", &mut out);
    if !graph.processing.edges.is_empty() {
        out.push_str("  state \"processing\" as processing {\n    direction LR\n");
        diagram(graph, &graph.processing, "p", "    ", &mut out);
        out.push_str("  }\n");
    }
    out.push_str("  classDef place stroke-dasharray: 4 4\n");
    for (diagram, prefix) in [(&graph.statuses, "s"), (&graph.processing, "p")] {
        for (name, _) in anywhere(diagram) {
            let _ = writeln!(out, "  class {prefix}_{name} place");
        }
    }
    out
}

/// The ids and names of `any`, `new` and `other`, for those that have edges.
fn anywhere(diagram: &Diagram) -> impl Iterator<Item = (&'static str, &'static str)> {
    let from = |place| diagram.edges.iter().any(|edge| edge.from == place);
    let to = diagram.edges.iter().any(|edge| edge.to == Place::Any);
    let all = [("any", "any", from(Place::Any)), ("new", "new", from(Place::New)), ("other", "any other", to)];
    all.into_iter().filter(|(.., there)| *there).map(|(id, name, _)| (id, name))
}

fn diagram(graph: &RuleGraph, diagram: &Diagram, prefix: &str, indent: &str, out: &mut String) {
    // Writing to a `String` never fails.
    for (id, name) in anywhere(diagram) {
        let _ = writeln!(out, "{indent}state \"{name}\" as {prefix}_{id}");
    }
    for (nth, name) in diagram.nodes.iter().enumerate() {
        let _ = writeln!(out, "{indent}state \"{}\" as {prefix}{nth}", text::mermaid(name));
    }
    for edge in &diagram.edges {
        let from = id(edge.from, "any", prefix);
        let to = id(edge.to, "other", prefix);
        let _ = writeln!(out, "{indent}{from} --> {to}: {}", label(graph, edge));
    }
}

fn id(place: Place, any: &str, prefix: &str) -> String {
    match place {
        Place::Any => format!("{prefix}_{any}"),
        Place::New => format!("{prefix}_new"),
        Place::Node(nth) => format!("{prefix}{nth}"),
    }
}

fn label(graph: &RuleGraph, edge: &Edge) -> String {
    let head = match &edge.kind {
        Kind::Move => None,
        Kind::Same => Some("details changed".to_owned()),
        Kind::Stay(after) => Some(format!("⏱ after {}", text::mermaid(after))),
    };
    let rules = graph.labelled(&edge.rules).flat_map(Label::lines).map(|line| text::mermaid(&line));
    head.into_iter().chain(rules).collect::<Vec<_>>().join("<br/>")
}
