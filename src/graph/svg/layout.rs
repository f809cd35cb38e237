//! Computes the positions of all shapes.
//!
//! Statuses form a column; each is as high as its cards. Cards do not overlap. Each edge between two statuses has a
//! vertical track that no other edge uses at the same height.

use super::{
    super::{Diagram, RuleGraph, text::mono_width},
    block::{PlacedCard, StatusBlock, blocks},
    style::Tone,
};

const GAP: f64 = 12.0;
const BLOCK_GAP: f64 = 26.0;
const LEAST_BLOCK: f64 = 44.0;
/// Distance between two ports of one status.
pub(super) const PORT: f64 = 14.0;
pub(super) const TRACK: f64 = 12.0;
/// Minimum distance between a node and its cards, so that an arrow fits.
const AISLE: f64 = 52.0;
pub(super) const PLACE_WIDTH: f64 = 84.0;
pub(super) const PLACE_HEIGHT: f64 = 26.0;

pub(super) struct GraphLayout<'g> {
    pub blocks: Vec<StatusBlock<'g>>,
    /// The x position of the vertical line for edges from `any`. `new_x` is the same for `new`.
    pub any_x: Option<f64>,
    pub new_x: Option<f64>,
    pub left_x: f64,
    pub left_width: f64,
    pub node_x: f64,
    pub node_width: f64,
    pub right_x: f64,
    pub right_width: f64,
    /// The x position of `any other`, the target of leaving customers.
    pub other_x: Option<f64>,
    pub right_end: f64,
    pub bottom: f64,
}

impl<'g> GraphLayout<'g> {
    pub fn of(graph: &'g RuleGraph, diagram: &'g Diagram, left: f64, top: f64) -> Self {
        let mut blocks = blocks(graph, diagram);
        let left_width = widest(blocks.iter().flat_map(|block| &block.left));
        let right_width = widest(blocks.iter().flat_map(|block| &block.right));
        for block in &mut blocks {
            block.left.iter_mut().for_each(|placed| placed.height = placed.card.height(left_width));
            block.right.iter_mut().for_each(|placed| placed.height = placed.card.height(right_width));
        }
        let has = |tone| blocks.iter().flat_map(|block| &block.left).any(|placed| placed.card.tone == tone);
        let any_x = has(Tone::Enter).then_some(left + PLACE_WIDTH / 2.0);
        let after_any = any_x.map_or(left, |x| x + PLACE_WIDTH / 2.0 + GAP);
        let new_x = has(Tone::First).then_some(after_any + PLACE_WIDTH / 2.0);
        let trunk = new_x.or(any_x);
        let left_x = trunk.map_or(left, |x| x + PLACE_WIDTH / 2.0 + 14.0);
        let first_y = if trunk.is_some() { top + PLACE_HEIGHT + 18.0 } else { top };
        let node_x = if trunk.is_some() { left_x + left_width + AISLE } else { left };
        let node_width = blocks.iter().map(|block| mono_width(&block.name) * 13.0 + 32.0).fold(150.0, f64::max);
        let bottom = stack(&mut blocks, first_y);
        let tracks = tracks(&mut blocks, node_x + node_width + 20.0);
        let right_x = node_x + node_width + AISLE.max(20.0 + tracks * TRACK + 16.0);
        let has_right = blocks.iter().any(|block| !block.right.is_empty());
        let right_end = if has_right { right_x + right_width } else { node_x + node_width };
        let leaves = blocks.iter().flat_map(|block| &block.right).any(|placed| placed.card.tone == Tone::Leave);
        let other_x = leaves.then_some(right_end + 40.0);
        let right_end = other_x.map_or(right_end, |x| x + PLACE_WIDTH);
        Self {
            blocks,
            any_x,
            new_x,
            left_x,
            left_width,
            node_x,
            node_width,
            right_x,
            right_width,
            other_x,
            right_end,
            bottom,
        }
    }
}

fn widest<'p, 'g: 'p>(cards: impl Iterator<Item = &'p PlacedCard<'g>>) -> f64 {
    cards.map(|placed| placed.card.natural_width()).fold(0.0, f64::max)
}

/// Stacks the blocks and centres the cards in each. Returns the bottom of the last block.
fn stack(blocks: &mut [StatusBlock<'_>], top: f64) -> f64 {
    let mut ports: Vec<(usize, usize)> = vec![(0, 0); blocks.len()];
    let targets: Vec<(usize, usize)> = blocks
        .iter()
        .enumerate()
        .flat_map(|(to, block)| {
            block.right.iter().flat_map(move |placed| placed.sources.iter().map(move |(from, _)| (*from, to)))
        })
        .collect();
    for (from, to) in &targets {
        if to < from { ports[*from].0 += 1 } else { ports[*from].1 += 1 }
    }
    let mut y = top;
    for (block, (up, down)) in blocks.iter_mut().zip(&ports) {
        let tall = |cards: &[PlacedCard<'_>]| {
            cards.iter().map(|placed| placed.height + GAP).sum::<f64>() - if cards.is_empty() { 0.0 } else { GAP }
        };
        let (above, below) = (PORT * count(*up), PORT * count(*down));
        let right = above + tall(&block.right) + below;
        block.y = y;
        block.height = tall(&block.left).max(right).max(LEAST_BLOCK);
        let mut at = y + (block.height - tall(&block.left)) / 2.0;
        for placed in &mut block.left {
            placed.y = at;
            at += placed.height + GAP;
        }
        at = y + (block.height - right) / 2.0 + above;
        for placed in &mut block.right {
            placed.y = at;
            at += placed.height + GAP;
        }
        y += block.height + BLOCK_GAP;
    }
    ports_of(blocks, &ports);
    y - BLOCK_GAP
}

/// Places the ports: edges that go up leave a status above its cards, edges that go down below them.
fn ports_of(blocks: &mut [StatusBlock<'_>], ports: &[(usize, usize)]) {
    let edges: Vec<(f64, f64)> = blocks
        .iter()
        .zip(ports)
        .map(|(block, (up, down))| {
            let cards: f64 = block.right.iter().map(|placed| placed.height + GAP).sum::<f64>();
            let cards = if block.right.is_empty() { 0.0 } else { cards - GAP };
            let start = block.y + (block.height - cards - PORT * (count(*up) + count(*down))) / 2.0;
            (start + PORT / 2.0, start + PORT * count(*up) + cards + PORT / 2.0)
        })
        .collect();
    let mut used = vec![(0, 0); blocks.len()];
    for (to, block) in blocks.iter_mut().enumerate() {
        for (from, port_y) in block.right.iter_mut().flat_map(|placed| &mut placed.sources) {
            let (up, down) = edges[*from];
            let used = &mut used[*from];
            let (start, nth) = if to < *from { (up, &mut used.0) } else { (down, &mut used.1) };
            *port_y = start + PORT * count(*nth);
            *nth += 1;
        }
    }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Gives each edge the free track nearest to the nodes, short edges first. Returns the number of tracks.
fn tracks(blocks: &mut [StatusBlock<'_>], first_x: f64) -> f64 {
    let mut ways: Vec<&mut PlacedCard<'_>> =
        blocks.iter_mut().flat_map(|block| &mut block.right).filter(|placed| !placed.sources.is_empty()).collect();
    let extent = |placed: &PlacedCard<'_>| {
        let ends = placed.sources.iter().map(|(_, y)| *y).chain([placed.middle()]);
        ends.fold((f64::MAX, f64::MIN), |(least, most), y| (least.min(y), most.max(y)))
    };
    ways.sort_by(|one, other| {
        let length = |placed: &PlacedCard<'_>| extent(placed).1 - extent(placed).0;
        length(one).total_cmp(&length(other))
    });
    let mut taken: Vec<Vec<(f64, f64)>> = Vec::new();
    for way in ways {
        let (least, most) = extent(way);
        let is_free =
            |track: &Vec<(f64, f64)>| track.iter().all(|(from, to)| most + 10.0 < *from || *to + 10.0 < least);
        let nth = taken.iter().position(is_free).unwrap_or_else(|| {
            taken.push(Vec::new());
            taken.len() - 1
        });
        taken[nth].push((least, most));
        way.track_x = first_x + TRACK * count(nth);
    }
    count(taken.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;

    type Area = (f64, f64, f64, f64);

    fn areas(layout: &GraphLayout<'_>) -> Vec<Area> {
        let mut areas = Vec::new();
        for block in &layout.blocks {
            areas.push((layout.node_x, block.y, layout.node_width, block.height));
            areas.extend(block.left.iter().map(|it| (layout.left_x, it.y, layout.left_width, it.height)));
            areas.extend(block.right.iter().map(|it| (layout.right_x, it.y, layout.right_width, it.height)));
            if let Some(x) = layout.other_x {
                let leaving = block.right.iter().filter(|it| it.card.tone == Tone::Leave);
                areas.extend(leaving.map(|it| (x, it.middle() - PLACE_HEIGHT / 2.0, PLACE_WIDTH, PLACE_HEIGHT)));
            }
        }
        areas
    }

    /// Returns sixty rules with all forms of triggers.
    fn many() -> String {
        let names = ["CREATED", "KYC_NEEDED", "PENDING_KYC_DATA", "KYC_PENDING", "SOFT_KYC_FAILED", "FULL_USER"];
        let rule = |nth: usize| {
            let (a, b) = (names[nth / 6 % 6], names[(nth / 6 + 1 + nth / 12) % 6]);
            let when = match nth % 6 {
                0 => format!("any -> {b}"),
                1 => format!("{a} | SUSPENDED -> {b}"),
                2 => format!("{a} for {}h, 5d", nth + 1),
                3 => format!("new -> {b} | {a}"),
                4 => format!("{a} -> any"),
                _ => format!("{a} -> {a}"),
            };
            format!("  - {{id: rule-{nth}-with-a-rather-long-name, when: \"{when}\", do: [email: mail, tag: x]}}\n")
        };
        format!("format: 1\nrules:\n{}", (0..60).map(rule).collect::<String>())
    }

    #[test]
    fn shapes_do_not_overlap() {
        let graph = graph(&many());
        let layout = GraphLayout::of(&graph, &graph.statuses, 10.0, 10.0);
        let areas = areas(&layout);
        assert!(areas.len() > 40);
        for (nth, (x, y, width, height)) in areas.iter().enumerate() {
            assert!(x + width <= layout.right_end && y + height <= layout.bottom + 0.01);
            for (other_x, other_y, other_width, other_height) in &areas[..nth] {
                let apart = x + width <= *other_x
                    || other_x + other_width <= *x
                    || y + height <= *other_y
                    || other_y + other_height <= *y;
                assert!(apart, "{nth}");
            }
        }
    }

    #[test]
    fn every_edge_starts_at_its_status_and_has_its_own_track() {
        let graph = graph(&many());
        let layout = GraphLayout::of(&graph, &graph.statuses, 10.0, 10.0);
        let mut seen: Vec<(f64, f64, f64)> = Vec::new();
        for placed in layout.blocks.iter().flat_map(|block| &block.right) {
            for (from, y) in &placed.sources {
                let block = &layout.blocks[*from];
                assert!(block.y < *y && *y < block.y + block.height);
            }
            let Some(first) = placed.sources.iter().map(|(_, y)| *y).reduce(f64::min) else { continue };
            let last = placed.sources.iter().map(|(_, y)| *y).fold(first, f64::max);
            let (top, end) = (first.min(placed.middle()), last.max(placed.middle()));
            assert!(layout.node_x + layout.node_width < placed.track_x && placed.track_x < layout.right_x);
            assert!(seen.iter().all(|(x, from, to)| *x != placed.track_x || end < *from || *to < top));
            seen.push((placed.track_x, top, end));
        }
        assert!(seen.len() > 5);
    }
}
