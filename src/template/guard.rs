//! Limits the size of lists and maps in a template, which minijinja's fuel does not fully cover.
//!
//! minijinja concatenates lists without a copy, and a list may contain the same list many times. Printing or comparing
//! such a list takes memory and time that use no fuel. Therefore the filter [`FILTER`] is inserted after each operand
//! that may be a list or a map, before minijinja reads the text. The filter turns an iterator into a list, and rejects
//! a value that is too large or too deep.

use std::borrow::Cow;

use minijinja::{Error, ErrorKind, State, Value, value::ValueKind};

use super::{operands::places, tokens::TemplateBlock};

/// A merchant cannot write this name: `check.rs` rejects it.
pub(super) const FILTER: &str = "__w";
const WRITTEN: &str = "|__w";

/// Maximum number of entries of a list or map, counting those of nested lists and maps, and each 64 bytes of text as
/// one entry.
const MAX_ENTRIES: usize = 10_000;
const MAX_DEPTH: usize = 8;

pub(super) const TOO_LARGE: &str =
    "a list or map has more than 10,000 entries, counting those of nested lists and maps";
pub(super) const TOO_DEEP: &str = "lists and maps are nested more than 8 deep";

/// The text with the filter after each operand that may be large.
pub(super) fn bounded<'t>(text: &'t str, blocks: &[TemplateBlock<'_>]) -> Cow<'t, str> {
    let places = places(blocks);
    if places.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut guarded = String::with_capacity(text.len() + places.len() * WRITTEN.len());
    let mut from = 0;
    for place in places {
        guarded.push_str(&text[from..place]);
        guarded.push_str(WRITTEN);
        from = place;
    }
    guarded.push_str(&text[from..]);
    Cow::Owned(guarded)
}

/// Converts an offset in the guarded text to the offset in the original text.
pub(super) fn unbounded(at: usize, places: &[usize]) -> usize {
    let mut removed = 0;
    for place in places {
        let begins = place + removed;
        if at <= begins {
            break;
        }
        removed += WRITTEN.len().min(at - begins);
    }
    at - removed
}

/// The filter: returns the value, or an error if it is too large or too deep.
pub(super) fn weigh(state: &State<'_, '_>, value: Value) -> Result<Value, Error> {
    let mut room = MAX_ENTRIES;
    let weighed = match value.kind() {
        ValueKind::Iterable => {
            let mut items = Vec::new();
            for item in value.try_iter()? {
                take(&item, 1, &mut room)?;
                items.push(item);
            }
            Value::from(items)
        }
        ValueKind::Seq | ValueKind::Map => {
            take(&value, 0, &mut room)?;
            value
        }
        _ => return Ok(value),
    };
    state.consume_fuel(((MAX_ENTRIES - room) / 16) as u64)?;
    Ok(weighed)
}

fn take(value: &Value, depth: usize, room: &mut usize) -> Result<(), Error> {
    let too_much = || Error::new(ErrorKind::OutOfFuel, TOO_LARGE);
    let weight = 1 + value.as_str().map_or(0, |text| text.len() / 64);
    *room = room.checked_sub(weight).ok_or_else(too_much)?;
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map) {
        return Ok(());
    }
    if depth >= MAX_DEPTH {
        return Err(Error::new(ErrorKind::OutOfFuel, TOO_DEEP));
    }
    let is_map = value.kind() == ValueKind::Map;
    for item in value.try_iter()? {
        take(&item, depth + 1, room)?;
        if is_map {
            take(&value.get_item(&item)?, depth + 1, room)?;
        }
    }
    Ok(())
}
