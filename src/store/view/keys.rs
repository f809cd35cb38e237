//! The keys of the view's rows. The order of their bytes is the order in which rows are read.

use super::error::{Result, ViewError};
use crate::{
    clock::Timestamp,
    domain::CustomerId,
    outbox::{JobId, JobState},
    rules::TimerState,
    store::{change::JobPosition, stays::StayPlace},
};

pub(super) fn meta_key(name: &str) -> Vec<u8> {
    [b"m", name.as_bytes()].concat()
}

pub(super) fn customer_key(kind: u8, id: &CustomerId) -> Vec<u8> {
    [&[kind], id.as_str().as_bytes()].concat()
}

pub(super) fn job_key(id: JobId) -> Vec<u8> {
    [&b"j"[..], id.as_bytes()].concat()
}

pub(super) fn place_key((number, index): JobPosition) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&number.to_be_bytes());
    key[8..].copy_from_slice(&index.to_be_bytes());
    key
}

pub(super) fn state_key(state: JobState, place: JobPosition) -> Vec<u8> {
    [&[b's', state as u8][..], &place_key(place)].concat()
}

pub(super) fn waiting_key(id: &CustomerId, number: u64) -> Vec<u8> {
    [&b"q"[..], id.as_str().as_bytes(), &[0], &number.to_be_bytes()].concat()
}

/// Names contain no control characters, so a zero byte can end them; an empty name is the provider's null. The encoded
/// times sort as bytes.
pub(super) fn stay_key(stay: &TimerState, entered_at: Timestamp, id: Option<&CustomerId>) -> Vec<u8> {
    let (kind, name) = match stay {
        TimerState::Status(status) => (b's', status.as_wire()),
        TimerState::Processing(processing) => (b'p', processing.as_wire()),
    };
    let at = (entered_at.millis() as u64) ^ (1 << 63);
    let id = id.map_or(&[][..], |id| id.as_str().as_bytes());
    [&[b't', kind][..], name.unwrap_or_default().as_bytes(), &[0], &at.to_be_bytes(), id].concat()
}

pub(super) fn stay_place(stay: &TimerState, key: &[u8]) -> Result<StayPlace> {
    let broken = || ViewError("a row of a stay cannot be read".to_owned());
    let prefix = stay_key(stay, Timestamp(0), None).len();
    let at: [u8; 8] = key.get(prefix - 8..prefix).and_then(|at| at.try_into().ok()).ok_or_else(broken)?;
    let id = key.get(prefix..).and_then(|id| std::str::from_utf8(id).ok()).ok_or_else(broken)?;
    let id = CustomerId::new(id).map_err(|_| broken())?;
    Ok((Timestamp((u64::from_be_bytes(at) ^ (1 << 63)) as i64), id))
}

pub(super) fn decided_ms(value: &[u8]) -> Result<i64> {
    let broken = |_| ViewError("a row of a stay cannot be read".to_owned());
    value.try_into().map(i64::from_be_bytes).map_err(broken)
}
