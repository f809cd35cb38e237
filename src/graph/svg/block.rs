//! What belongs to which status, and on which side of it.
//!
//! Left of a status are the cards of the rules for whoever enters it, from anywhere or at first sight; right of it those for
//! whoever stays, leaves, or comes from certain statuses.

use super::{
    super::{Diagram, Edge, Graph, Kind, Place},
    card::Card,
    style::Tone,
};

/// How far from a card's middle its two lines are, where it has two.
const APART: f64 = 7.0;

/// A card and where it stands.
pub(super) struct Placed<'g> {
    pub card: Card<'g>,
    pub y: f64,
    pub height: f64,
    /// Blocks that it comes from, with the place of the port there; only for [`Tone::From`].
    pub sources: Vec<(usize, f64)>,
    /// Where its track runs.
    pub track_x: f64,
}

/// A status with what belongs to it.
pub(super) struct Block<'g> {
    pub name: String,
    /// Some way begins here that has its card elsewhere.
    pub is_source: bool,
    /// Not a status, but any of them.
    pub is_anywhere: bool,
    pub y: f64,
    pub height: f64,
    pub left: Vec<Placed<'g>>,
    pub right: Vec<Placed<'g>>,
}

impl Placed<'_> {
    pub fn middle(&self) -> f64 {
        self.y + self.height / 2.0
    }

    /// Where a line comes in and where one goes out. A way from below comes in below, so that it does not cross itself.
    pub fn in_and_out(&self) -> (f64, f64) {
        let (above, below) = (self.middle() - APART, self.middle() + APART);
        let from_below = !self.sources.is_empty() && self.sources.iter().all(|(_, y)| *y > self.middle());
        if from_below { (below, above) } else { (above, below) }
    }
}

/// A block for each node, and before them one for `any` where something leads from anywhere to anywhere.
pub(super) fn blocks<'g>(graph: &'g Graph, diagram: &'g Diagram) -> Vec<Block<'g>> {
    let anywhere = diagram.edges.iter().any(is_everywhere);
    let shift = usize::from(anywhere);
    let block = |name: &str, is_anywhere| Block {
        name: name.to_owned(),
        is_source: false,
        is_anywhere,
        y: 0.0,
        height: 0.0,
        left: Vec::new(),
        right: Vec::new(),
    };
    let mut blocks: Vec<Block<'g>> = anywhere.then(|| block("any status", true)).into_iter().collect();
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
        // The same rules on the way from another status: one card with two beginnings.
        let twin = side.last_mut().filter(|last| tone == Tone::From && last.card.tone == tone);
        if let Some(twin) = twin.filter(|twin| twin.card.is_of(graph, &edge.rules)) {
            twin.card.caption = format!("{}, {}", twin.card.caption, caption.trim_start_matches("from "));
            twin.sources.extend(sources);
            continue;
        }
        let card = Card::new(graph, &edge.rules, tone, caption);
        side.push(Placed { card, y: 0.0, height: 0.0, sources, track_x: 0.0 });
    }
    blocks.iter_mut().for_each(|block| block.right.sort_by_key(|placed| placed.card.tone));
    blocks
}

fn is_everywhere(edge: &Edge) -> bool {
    edge.to == Place::Any && !matches!(edge.from, Place::Node(_))
}

/// Whether an edge's card stands left, in which block, and what it is about.
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
