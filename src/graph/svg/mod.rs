//! Writes the graph as one SVG without scripts, with system fonts, for light and dark mode.

mod block;
mod card;
mod draw;
mod layout;
mod style;

use std::fmt::Write;

use super::{RuleGraph, text::xml};
use crate::rules::RuleMode;
use layout::GraphLayout;

const MARGIN: f64 = 32.0;
const HEADER: f64 = 88.0;

/// Returns an SVG document.
pub fn svg(graph: &RuleGraph) -> String {
    let main = GraphLayout::of(graph, &graph.statuses, MARGIN, HEADER);
    let box_top = main.bottom + 36.0;
    let beside = (!graph.processing.edges.is_empty())
        .then(|| GraphLayout::of(graph, &graph.processing, MARGIN + 20.0, box_top + 50.0));
    let mut right = main.right_end.max(560.0);
    let mut bottom = main.bottom;
    if let Some(beside) = &beside {
        right = right.max(beside.right_end + 20.0);
        bottom = beside.bottom + 20.0;
    }
    let (width, height) = (right + MARGIN, bottom + MARGIN);
    let mut out = String::new();
    // Writing to a `String` never fails.
    let _ = writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" role="img" aria-labelledby="what how">"#
    );
    let _ = writeln!(out, r#"<title id="what">{TITLE}</title>"#);
    let _ = writeln!(out, r#"<desc id="how">{}</desc>"#, xml(&summary(graph)));
    let _ = writeln!(out, "<style>\n{}</style>", style::sheet());
    let _ = writeln!(out, r#"<rect class="ground" width="100%" height="100%"/>"#);
    let _ = writeln!(out, r#"<text class="title" x="{MARGIN}" y="44">{TITLE}</text>"#);
    let _ = writeln!(out, r#"<text class="subtitle" x="{MARGIN}" y="66">{}</text>"#, xml(&summary(graph)));
    draw::diagram(&main, &mut out);
    if let Some(beside) = &beside {
        let (box_width, box_height) = (right - MARGIN, bottom - box_top);
        let _ = writeln!(
            out,
            r#"<rect class="box" x="{MARGIN}" y="{box_top:.1}" width="{box_width:.1}" height="{box_height:.1}" rx="14"/>"#
        );
        let _ = writeln!(
            out,
            r#"<text class="box-title" x="{:.1}" y="{:.1}">Processing status</text>"#,
            MARGIN + 20.0,
            box_top + 30.0
        );
        draw::diagram(beside, &mut out);
    }
    out.push_str("</svg>\n");
    out
}

const TITLE: &str = "What happens when a customer’s status changes";

fn summary(graph: &RuleGraph) -> String {
    let count = |mode| graph.labels.iter().filter(|label| label.mode == mode).count();
    let (shadow, paused) = (count(RuleMode::Shadow), count(RuleMode::Paused));
    let rules = graph.labels.len();
    let mut text = if rules == 1 { "1 rule".to_owned() } else { format!("{rules} rules") };
    for (number, mode) in [(shadow, "in shadow"), (paused, "paused")] {
        if number > 0 {
            text.push_str(&format!(", {number} {mode}"));
        }
    }
    if shadow + paused > 0 {
        text.push_str("; rules that do not act are grey, lines without an acting rule are dashed");
    }
    text
}
