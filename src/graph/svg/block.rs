//! Assigns the cards to the statuses and their sides.
//!
//! Left of a status are the cards of rules for customers who enter it from any status or at first sight. Right of it
//! are those for customers who stay, leave, or come from certain statuses.

use super::{
    super::{Diagram, Edge, Kind, Place, RuleGraph},
    card::RuleCard,
    style::Tone,
};

/// Distance of a card's two lines from its middle.
const APART: f64 = 7.0;

/// A card and its position.
pub(super) struct PlacedCard<'g> {
    pub card: RuleCard<'g>,
    pub y: f64,
    pub height: f64,
    /// Indexes of the source blocks, each with the y position of its port; only for [`Tone::From`].
    pub sources: Vec<(usize, f64)>,
    /// The x position of its vertical track.
    pub track_x: f64,
}

/// A status with its cards.
pub(super) struct StatusBlock<'g> {
    pub name: String,
    /// Whether an edge starts here whose card belongs to another block.
    pub is_source: bool,
    /// Whether the block stands for any status.
    pub is_anywhere: bool,
    pub y: f64,
    pub height: f64,
    pub left: Vec<PlacedCard<'g>>,
    pub right: Vec<PlacedCard<'g>>,
}

impl PlacedCard<'_> {
    pub fn middle(&self) -> f64 {
        self.y + self.height / 2.0
    }

    /// The y positions of the incoming and the outgoing line. A line from below comes in below, so that it does not
    /// cross the outgoing line.
    pub fn in_and_out(&self) -> (f64, f64) {
        let (above, below) = (self.middle() - APART, self.middle() + APART);
        let from_below = !self.sources.is_empty() && self.sources.iter().all(|(_, y)| *y > self.middle());
        if from_below { (below, above) } else { (above, below) }
    }
}

/// Returns a block for each node. If an edge leads to any status, the first block stands for any status.
pub(super) fn blocks<'g>(graph: &'g RuleGraph, diagram: &'g Diagram) -> Vec<StatusBlock<'g>> {
    let anywhere = diagram.edges.iter().any(is_everywhere);
    let shift = usize::from(anywhere);
    let block = |name: &str, is_anywhere| StatusBlock {
        name: name.to_owned(),
        is_source: false,
        is_anywhere,
        y: 0.0,
        height: 0.0,
        left: Vec::new(),
        right: Vec::new(),
    };
    let mut blocks: Vec<StatusBlock<'g>> = anywhere.then(|| block("any status", true)).into_iter().collect();
    blocks.extend(diagram.nodes.iter().map(|name| block(name, false)));
    for edge in &diagram.edges {
        let (to_left, home, tone) = home(edge, shift);
        let sources = match (tone, edge.from) {
            (Tone::From, Place::Node(from)) => vec![(from + shift, 0.0)],
            _ => Vec::new(),
        };
        for (from, _) in &sources {
            if let Some(block) = blocks.get_mut(*from) {
                block.is_source = true;
            }
        }
        let Some(home) = blocks.get_mut(home) else { continue };
        let side = if to_left { &mut home.left } else { &mut home.right };
        let caption = caption(edge, diagram);
        // The same rules from another status: they share one card with two sources.
        let twin = side.last_mut().filter(|last| tone == Tone::From && last.card.tone == tone);
        if let Some(twin) = twin.filter(|twin| twin.card.is_of(graph, &edge.rules)) {
            twin.card.caption = format!("{}, {}", twin.card.caption, caption.trim_start_matches("from "));
            twin.sources.extend(sources);
            continue;
        }
        let card = RuleCard::new(graph, &edge.rules, tone, caption);
        side.push(PlacedCard { card, y: 0.0, height: 0.0, sources, track_x: 0.0 });
    }
    blocks.iter_mut().for_each(|block| block.right.sort_by_key(|placed| placed.card.tone));
    blocks
}

fn is_everywhere(edge: &Edge) -> bool {
    edge.to == Place::Any && !matches!(edge.from, Place::Node(_))
}

/// Returns whether an edge's card is on the left side, the index of its block, and its tone.
fn home(edge: &Edge, shift: usize) -> (bool, usize, Tone) {
    let target = match edge.to {
        Place::Node(to) => to + shift,
        Place::Any | Place::New => 0,
    };
    match (edge.from, edge.to, &edge.kind) {
        (_, _, Kind::Same) => (false, target, Tone::Same),
        (_, _, Kind::Stay(_)) => (false, target, Tone::Stay),
        (Place::Any, ..) => (true, target, Tone::Enter),
        (Place::New, ..) => (true, target, Tone::First),
        (Place::Node(from), Place::Any | Place::New, _) => (false, from + shift, Tone::Leave),
        (Place::Node(_), Place::Node(_), _) => (false, target, Tone::From),
    }
}

fn caption(edge: &Edge, diagram: &Diagram) -> String {
    match (&edge.kind, edge.from, edge.to) {
        (Kind::Same, ..) => "details changed".to_owned(),
        (Kind::Stay(after), ..) => format!("after {after}"),
        (_, Place::Any, Place::Any) => "on each move".to_owned(),
        (_, Place::Any, _) => "from any other status".to_owned(),
        (_, Place::New, _) => "at first sight".to_owned(),
        (_, _, Place::Any | Place::New) => "to any other status".to_owned(),
        (_, Place::Node(from), _) => format!("from {}", diagram.nodes.get(from).map_or("", String::as_str)),
    }
}
