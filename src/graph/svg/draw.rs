//! Draws a finished layout: first the long lines, then the short lines that cross them, then nodes and cards.

use std::fmt::Write;

use super::{
    super::text::xml,
    block::{PlacedCard, StatusBlock},
    layout::{GraphLayout, PLACE_HEIGHT, PLACE_WIDTH},
    style::Tone,
};

type Point = (f64, f64);

const CORNER: f64 = 9.0;

pub(super) fn diagram(layout: &GraphLayout<'_>, out: &mut String) {
    let node_end = layout.node_x + layout.node_width;
    for placed in layout.blocks.iter().flat_map(|block| &block.right) {
        for (_, port_y) in &placed.sources {
            let (y, _) = placed.in_and_out();
            let points = [(node_end, *port_y), (placed.track_x, *port_y), (placed.track_x, y), (layout.right_x, y)];
            line(&points, placed, false, out);
        }
    }
    for (x, tone) in [(layout.any_x, Tone::Enter), (layout.new_x, Tone::First)] {
        if let Some(x) = x {
            trunk(layout, x, tone, out);
        }
    }
    for block in &layout.blocks {
        for placed in &block.left {
            let y = placed.middle();
            arrow(&[(layout.left_x + layout.left_width, y), (layout.node_x, y)], placed, out);
        }
        block.right.iter().for_each(|placed| right(layout, placed, out));
    }
    for block in &layout.blocks {
        node(layout, block, out);
        let sides =
            [(&block.left, layout.left_x, layout.left_width), (&block.right, layout.right_x, layout.right_width)];
        for (cards, x, width) in sides {
            cards.iter().for_each(|placed| placed.card.draw(x, placed.y, width, out));
        }
    }
}

/// Draws the edges from `any` or `new`: one vertical line with a branch to each card.
fn trunk(layout: &GraphLayout<'_>, x: f64, tone: Tone, out: &mut String) {
    let cards: Vec<&PlacedCard<'_>> =
        layout.blocks.iter().flat_map(|block| &block.left).filter(|placed| placed.card.tone == tone).collect();
    let (Some(first), Some(last)) = (layout.blocks.first(), cards.last()) else { return };
    let top = first.y - 18.0 - PLACE_HEIGHT;
    let class = tone.class();
    // Writing to a `String` never fails.
    let _ = writeln!(
        out,
        r#"<path class="line {class}" d="M{x:.1} {:.1}V{:.1}"/>"#,
        top + PLACE_HEIGHT,
        last.middle() - CORNER
    );
    for placed in cards {
        let y = placed.middle();
        let points = [(x, y - CORNER), (x, y), (layout.left_x, y)];
        line(&points, placed, tone == Tone::Enter && layout.new_x.is_some(), out);
    }
    let name = if tone == Tone::Enter { "any" } else { "new" };
    place(name, x - PLACE_WIDTH / 2.0, top, out);
}

/// Draws the lines of a card on the right side of its status.
fn right(layout: &GraphLayout<'_>, placed: &PlacedCard<'_>, out: &mut String) {
    let node_end = layout.node_x + layout.node_width;
    let y = placed.middle();
    let (y_in, y_out) = placed.in_and_out();
    match placed.card.tone {
        Tone::From => arrow(&[(layout.right_x, y_out), (node_end, y_out)], placed, out),
        Tone::Leave => {
            line(&[(node_end, y), (layout.right_x, y)], placed, true, out);
            if let Some(other_x) = layout.other_x {
                arrow(&[(layout.right_x + layout.right_width, y), (other_x, y)], placed, out);
                place("any other", other_x, y - PLACE_HEIGHT / 2.0, out);
            }
        }
        Tone::Enter | Tone::First | Tone::Same | Tone::Stay => {
            line(&[(node_end, y_in), (layout.right_x, y_in)], placed, true, out);
            arrow(&[(layout.right_x, y_out), (node_end, y_out)], placed, out);
        }
    }
}

fn classes(placed: &PlacedCard<'_>) -> String {
    let idle = if placed.card.idle { " idle" } else { "" };
    format!("{}{idle}", placed.card.tone.class())
}

/// Draws a line through these points, with round corners. `over`: lines that its last part crosses appear below it.
fn line(points: &[Point], placed: &PlacedCard<'_>, over: bool, out: &mut String) {
    if over && let [.., from, to] = points {
        // The halo ends before the ends of the line, so that it does not cut shapes that the line touches.
        let inward = 6.0_f64.copysign(to.0 - from.0);
        let _ = writeln!(out, r#"<path class="halo" d="M{:.1} {:.1}H{:.1}"/>"#, from.0 + inward, to.1, to.0 - inward);
    }
    let _ = writeln!(out, r#"<path class="line {}" d="{}"/>"#, classes(placed), path(points));
}

/// Draws a horizontal line with an arrowhead.
fn arrow(points: &[Point; 2], placed: &PlacedCard<'_>, out: &mut String) {
    let [start, (x, y)] = *points;
    let back = if start.0 < x { -1.0 } else { 1.0 };
    line(&[start, (x + back * 7.0, y)], placed, true, out);
    let _ = writeln!(
        out,
        r#"<path class="ink {}" d="M{:.1} {y:.1}l{:.1} -4.5v9z"/>"#,
        classes(placed),
        x + back,
        back * 8.5
    );
}

fn path(points: &[Point]) -> String {
    let mut path = String::new();
    for (nth, (x, y)) in points.iter().enumerate() {
        let before = nth.checked_sub(1).and_then(|before| points.get(before));
        let _ = match (before, points.get(nth + 1)) {
            (None, _) => write!(path, "M{x:.1} {y:.1}"),
            (_, None) => write!(path, "L{x:.1} {y:.1}"),
            (Some(before), Some(after)) => {
                let (from, to) = (toward((*x, *y), *before), toward((*x, *y), *after));
                write!(path, "L{:.1} {:.1}Q{x:.1} {y:.1} {:.1} {:.1}", from.0, from.1, to.0, to.1)
            }
        };
    }
    path
}

/// Returns the point at one corner length from a point towards another, at most half of the distance.
fn toward(from: Point, to: Point) -> Point {
    let (across, down) = (to.0 - from.0, to.1 - from.1);
    let length = across.hypot(down);
    if length == 0.0 {
        return from;
    }
    let part = CORNER.min(length / 2.0) / length;
    (from.0 + across * part, from.1 + down * part)
}

fn node(layout: &GraphLayout<'_>, block: &StatusBlock<'_>, out: &mut String) {
    let still = block.left.is_empty() && block.right.is_empty() && !block.is_source;
    let class = match (block.is_anywhere, still) {
        (true, _) => "place",
        (false, true) => "node still",
        (false, false) => "node",
    };
    let GraphLayout { node_x, node_width, .. } = layout;
    let _ = writeln!(
        out,
        r#"<rect class="{class}" x="{node_x:.1}" y="{:.1}" width="{node_width:.1}" height="{:.1}" rx="10"/>"#,
        block.y, block.height
    );
    let quiet = if still { " quiet" } else { "" };
    let _ = writeln!(
        out,
        r#"<text class="name{quiet}" x="{:.1}" y="{:.1}">{}</text>"#,
        node_x + node_width / 2.0,
        block.y + block.height / 2.0 + 4.5,
        xml(&block.name)
    );
}

fn place(name: &str, x: f64, y: f64, out: &mut String) {
    let _ = writeln!(
        out,
        r#"<rect class="place" x="{x:.1}" y="{y:.1}" width="{PLACE_WIDTH}" height="{PLACE_HEIGHT}" rx="13"/><text class="place-text" x="{:.1}" y="{:.1}">{name}</text>"#,
        x + PLACE_WIDTH / 2.0,
        y + 17.5
    );
}
