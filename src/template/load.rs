//! Loads a text as a template: checks its bounds, inserts the guards, and compiles it with minijinja. Every template is
//! loaded here.

use minijinja::Environment;

use super::{
    bounds, check,
    file::{CODE, TemplatePart},
    guard,
    tokens::blocks,
    unpanicked,
};
use crate::yaml::Diagnostic;

/// Adds the template, or returns its error. `prepared` is the text of the part with every token at the same offset.
pub(super) fn load(
    env: &mut Environment<'static>,
    id: String,
    part: &TemplatePart<'_>,
    prepared: &str,
) -> Result<(), Box<Diagnostic>> {
    let blocks = blocks(prepared);
    if let Some((span, why)) = bounds::excess(&blocks) {
        let error = Diagnostic::error(CODE, part.path, why).at(part.offset + span.start..part.offset + span.end);
        return Err(Box::new(error.help("assign parts of it to names with `{% set name = … %}`, or split it")));
    }
    let guarded = guard::bounded(prepared, &blocks).into_owned();
    unpanicked(|| env.add_template_owned(id, guarded)).map_err(|error| Box::new(check::report(part, &error)))
}
