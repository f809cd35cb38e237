//! Writes the graph for Graphviz.

use std::fmt::Write;

use super::{Diagram, Edge, Kind, Place, RuleGraph, text};

/// Returns a `digraph`. `any` has two nodes: one as a source, one as a target.
pub fn dot(graph: &RuleGraph) -> String {
    let mut out = String::from(
        "digraph rules {\n  rankdir=LR;\n  nodesep=0.4;\n  ranksep=1.2;\n  \
         node [shape=box, style=rounded, fontname=\"Helvetica\", fontsize=12];\n  \
         edge [fontname=\"Helvetica\", fontsize=10];\n",
    );
    diagram(graph, &graph.statuses, "s", "  ", &mut out);
    if !graph.processing.edges.is_empty() {
        out.push_str("  subgraph cluster_processing {\n    label=\"processing\";\n    style=\"rounded,dashed\";\n");
        diagram(graph, &graph.processing, "p", "    ", &mut out);
        out.push_str("  }\n");
    }
    out.push_str("}\n");
    out
}

fn diagram(graph: &RuleGraph, diagram: &Diagram, prefix: &str, indent: &str, out: &mut String) {
    for (place, name, style) in [
        (Source(Place::Any), "any", "style=\"rounded,dashed\""),
        (Source(Place::New), "new", "shape=circle"),
        (Target(Place::Any), "any other", "style=\"rounded,dashed\""),
    ] {
        if diagram.edges.iter().any(|edge| place.is_of(edge)) {
            line(out, indent, format_args!("{} [label=\"{name}\", {style}];", place.id(prefix)));
        }
    }
    for (nth, name) in diagram.nodes.iter().enumerate() {
        line(out, indent, format_args!("{prefix}{nth} [label=\"{}\"];", text::dot(name)));
    }
    for edge in &diagram.edges {
        let label = label(graph, edge);
        let style = if graph.is_idle(&edge.rules) { ", style=dashed, color=gray50, fontcolor=gray50" } else { "" };
        let (from, to) = (Source(edge.from).id(prefix), Target(edge.to).id(prefix));
        line(out, indent, format_args!("{from} -> {to} [label=\"{label}\"{style}];"));
    }
}

fn line(out: &mut String, indent: &str, line: std::fmt::Arguments<'_>) {
    // Writing to a `String` never fails.
    let _ = writeln!(out, "{indent}{line}");
}

/// Returns the lines of an edge. Each line ends with `\l`, which aligns it to the left.
fn label(graph: &RuleGraph, edge: &Edge) -> String {
    let mut label = match &edge.kind {
        Kind::Move => String::new(),
        Kind::Same => "details changed\\l".to_owned(),
        Kind::Stay(after) => format!("◷ after {}\\l", text::dot(after)),
    };
    for line in graph.labelled(&edge.rules).flat_map(super::Label::lines) {
        label.push_str(&text::dot(&line));
        label.push_str("\\l");
    }
    label
}

/// A place as the source or the target of an edge.
enum Role {
    Source(Place),
    Target(Place),
}
use Role::{Source, Target};

impl Role {
    fn id(&self, prefix: &str) -> String {
        match self {
            Source(Place::Any) => format!("{prefix}_any"),
            Target(Place::Any) => format!("{prefix}_other"),
            Source(Place::New) | Target(Place::New) => format!("{prefix}_new"),
            Source(Place::Node(nth)) | Target(Place::Node(nth)) => format!("{prefix}{nth}"),
        }
    }

    fn is_of(&self, edge: &Edge) -> bool {
        match self {
            Source(place) => edge.from == *place,
            Target(place) => edge.to == *place,
        }
    }
}
