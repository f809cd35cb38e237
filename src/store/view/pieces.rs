//! Values of any length, stored in rows of bounded length.
//!
//! sled writes a leaf of more than 128 KB to a separate file, which it never syncs, and only values under 4 KB were
//! tested with power cuts. So a long value begins in the row of its key and continues in further rows, whose keys begin
//! with `+`.
//!
//! The first two bytes of a row are the number of rows that follow it.

use sled::{Batch, Tree};

use super::error::{Result, ViewError};

/// The longest value of one row, in bytes.
pub(super) const MAX_ROW_BYTES: usize = 3_500;

const COUNT_BYTES: usize = 2;
const FIRST_BYTES: usize = MAX_ROW_BYTES - COUNT_BYTES;

/// The key of the nth row that follows the row of `key`. A zero byte ends the key, so that the rows stay together.
fn piece_key(key: &[u8], nth: u16) -> Vec<u8> {
    [b"+", key, &[0], &nth.to_be_bytes()].concat()
}

fn count_of(row: &[u8]) -> Result<u16> {
    let count = row.first_chunk::<COUNT_BYTES>().ok_or_else(|| ViewError("a row is truncated".to_owned()))?;
    Ok(u16::from_be_bytes(*count))
}

/// How many rows follow the row of `key` now.
pub(super) fn count(tree: &Tree, key: &[u8]) -> Result<u16> {
    tree.get(key)?.map_or(Ok(0), |row| count_of(&row))
}

pub(super) fn read(tree: &Tree, key: &[u8]) -> Result<Option<Vec<u8>>> {
    let Some(row) = tree.get(key)? else { return Ok(None) };
    let count = count_of(&row)?;
    let mut value = row[COUNT_BYTES..].to_vec();
    for nth in 0..count {
        let missing = || ViewError(format!("piece {nth} of a row is missing"));
        value.extend_from_slice(&tree.get(piece_key(key, nth))?.ok_or_else(missing)?);
    }
    Ok(Some(value))
}

/// Writes a value, and removes the rest of the previous value, which had `before` further rows. Returns the number of
/// rows.
pub(super) fn insert(batch: &mut Batch, key: &[u8], value: &[u8], before: u16) -> Result<usize> {
    let (first, rest) = value.split_at(value.len().min(FIRST_BYTES));
    let pieces = rest.chunks(MAX_ROW_BYTES);
    let too_long = |_| ViewError(format!("a value of {} bytes is too long for the view", value.len()));
    let count = u16::try_from(pieces.len()).map_err(too_long)?;
    batch.insert(key, [&count.to_be_bytes()[..], first].concat());
    for (nth, piece) in (0..).zip(pieces) {
        batch.insert(piece_key(key, nth), piece);
    }
    for nth in count..before {
        batch.remove(piece_key(key, nth));
    }
    Ok(1 + usize::from(count))
}

/// Removes a value that has `before` further rows.
pub(super) fn remove(batch: &mut Batch, key: &[u8], before: u16) {
    batch.remove(key);
    for nth in 0..before {
        batch.remove(piece_key(key, nth));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_grows_and_shrinks_without_leftover_rows() {
        let db = sled::Config::new().temporary(true).open().expect("a store");
        for length in [0, 1, FIRST_BYTES, FIRST_BYTES + 1, FIRST_BYTES + 2 * MAX_ROW_BYTES, 200_000, 10, 0] {
            let value: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let before = count(&db, b"key").expect("a row");
            let mut batch = Batch::default();
            let rows = insert(&mut batch, b"key", &value, before).expect("short enough");
            db.apply_batch(batch).expect("written");
            assert_eq!(read(&db, b"key").expect("whole").as_deref(), Some(&value[..]), "{length} bytes");
            assert_eq!(db.len(), rows, "{length} bytes");
            assert!(db.iter().all(|row| row.expect("a row").1.len() <= MAX_ROW_BYTES));
        }
        let mut batch = Batch::default();
        remove(&mut batch, b"key", count(&db, b"key").expect("a row"));
        db.apply_batch(batch).expect("removed");
        assert!(db.is_empty());
    }
}
