//! Formats the counts of received and rejected callbacks for `status` and `doctor`.

use crate::api::status::{CallbackCounts, RefusalInfo};

/// Formats as `3 wrong_hash (401, the last at …)`.
pub fn shown(refused: &RefusalInfo) -> String {
    let RefusalInfo { kind, answer, count, last_at, .. } = refused;
    let answer = answer.map_or("no answer".to_owned(), |answer| answer.to_string());
    format!("{count} {kind} ({answer}, the last at {last_at})")
}

/// Formats as `12 accepted, 3 duplicate, 1 ignored (1 bank_account), the last at …`.
pub fn taken(callbacks: &CallbackCounts) -> String {
    let mut said = format!("{} accepted, {} duplicate", callbacks.accepted, callbacks.duplicate);
    let ignored: Vec<_> = callbacks.ignored.iter().filter(|(_, of_kind)| **of_kind > 0).collect();
    if !ignored.is_empty() {
        let all: u64 = ignored.iter().map(|(_, of_kind)| **of_kind).sum();
        let kinds: Vec<String> = ignored.iter().map(|(kind, of_kind)| format!("{of_kind} {kind}")).collect();
        said.push_str(&format!(", {all} ignored ({})", kinds.join(", ")));
    }
    if let Some(at) = &callbacks.last_at {
        said.push_str(&format!(", the last at {at}"));
    }
    said
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn received_and_rejected_callbacks_are_one_line_each() {
        let ignored = |bank_account, transaction| {
            BTreeMap::from([("bank_account".to_owned(), bank_account), ("transaction".to_owned(), transaction)])
        };
        let mut callbacks =
            CallbackCounts { accepted: 0, duplicate: 0, ignored: ignored(0, 0), last_at: None, refused: Vec::new() };
        assert_eq!(taken(&callbacks), "0 accepted, 0 duplicate");
        callbacks.ignored = ignored(1, 2);
        callbacks.last_at = Some("2026-03-03T20:30:00Z".to_owned());
        assert_eq!(
            taken(&callbacks),
            "0 accepted, 0 duplicate, 3 ignored (1 bank_account, 2 transaction), the last at 2026-03-03T20:30:00Z"
        );
        let refused = |kind: &str, answer, count, last_at: &str| RefusalInfo {
            kind: kind.to_owned(),
            answer,
            count,
            last_at: last_at.to_owned(),
            about: "…".to_owned(),
        };
        assert_eq!(
            shown(&refused("wrong_hash", Some(401), 3, "2026-03-03T20:30:00Z")),
            "3 wrong_hash (401, the last at 2026-03-03T20:30:00Z)"
        );
        assert_eq!(
            shown(&refused("tls", None, 1, "2026-03-03T20:31:00Z")),
            "1 tls (no answer, the last at 2026-03-03T20:31:00Z)"
        );
    }
}
