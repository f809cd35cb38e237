//! Compares what was expected with what was sent.

use super::{
    reasons,
    results::Difference,
    sent::Sent,
    simulation::{NewOutcomes, Simulation},
    test::{Expectation, TestStart},
};

/// Returns every difference; none if exactly what was expected was sent. `since` is the line of the previous `expect`.
pub(super) fn differences(
    expected: &[Expectation],
    seen: &NewOutcomes,
    world: &Simulation<'_>,
    start: &TestStart,
    since: Option<u32>,
) -> Vec<Difference> {
    let pairs = pairs(expected, &seen.left, start);
    let mut missing: Vec<&Expectation> =
        expected.iter().zip(&pairs).filter(|(_, pair)| pair.is_none()).map(|(one, _)| one).collect();
    let unpaired = seen.left.iter().enumerate().filter(|(nth, _)| !pairs.contains(&Some(*nth)));
    let mut more: Vec<&Sent> = unpaired.map(|(_, left)| left).collect();

    let mut found = Vec::new();
    missing.retain(|one| {
        let near = more.iter().position(|left| left.is_what(one)).map(|at| more.remove(at));
        found.extend(near.map(|left| Difference::of(one, left, start)));
        near.is_none()
    });
    found.extend(missing.into_iter().map(|one| {
        let why = reasons::why_not(one, seen, world, start, since);
        Difference::missing(one, why, start)
    }));
    // What a rule in shadow would have ordered counts only if an expectation asks for it.
    found.extend(more.into_iter().filter(|left| !left.shadow).map(|left| Difference::more(left, start)));
    found
}

/// For each expectation, the index of the item that meets it. No index is used twice, and as many expectations as
/// possible are met (a maximum matching).
fn pairs(expected: &[Expectation], left: &[Sent], start: &TestStart) -> Vec<Option<usize>> {
    let mut taken: Vec<Option<usize>> = vec![None; left.len()];
    for nth in 0..expected.len() {
        let mut tried = vec![false; left.len()];
        place(nth, expected, left, start, &mut taken, &mut tried);
    }
    let mut pairs = vec![None; expected.len()];
    for (at, nth) in taken.into_iter().enumerate() {
        if let Some(nth) = nth {
            pairs[nth] = Some(at);
        }
    }
    pairs
}

/// Finds an item for one expectation; an expectation that holds a wanted item may move to another.
fn place(
    nth: usize,
    expected: &[Expectation],
    left: &[Sent],
    start: &TestStart,
    taken: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for (at, one) in left.iter().enumerate() {
        if tried[at] || !one.meets(&expected[nth], start) {
            continue;
        }
        tried[at] = true;
        let free = taken[at].is_none_or(|other| place(other, expected, left, start, taken, tried));
        if free {
            taken[at] = Some(nth);
            return true;
        }
    }
    false
}
