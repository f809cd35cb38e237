//! The one way by which a text becomes a template: bounded, guarded, and then read by minijinja.

use minijinja::Environment;

use super::{
    bounds, check,
    file::{CODE, Part},
    guard,
    tokens::blocks,
    unpanicked,
};
use crate::source::Diagnostic;

/// Adds the template, or says what is wrong with it. `prepared` is the part's text with every token where the part has it.
pub(super) fn load(
    env: &mut Environment<'static>,
    id: String,
    part: &Part<'_>,
    prepared: &str,
) -> Result<(), Box<Diagnostic>> {
    let blocks = blocks(prepared);
    if let Some((span, why)) = bounds::excess(&blocks) {
        let error = Diagnostic::error(CODE, part.path, why).at(part.offset + span.start..part.offset + span.end);
        return Err(Box::new(error.help("give names to its pieces with `{% set name = … %}`, or split it")));
    }
    let guarded = guard::guarded(prepared, &blocks).into_owned();
    unpanicked(|| env.add_template_owned(id, guarded)).map_err(|error| Box::new(check::complaint(part, &error)))
}
