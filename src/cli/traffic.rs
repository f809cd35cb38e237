//! Formats the counts of received and rejected callbacks for `status` and `doctor`.

use serde_json::Value;

/// One kind of rejected request, as the server counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalRow {
    pub kind: String,
    pub answer: Option<u64>,
    pub count: u64,
    pub last_at: String,
    pub about: String,
}

impl RefusalRow {
    /// Formats as `3 wrong_hash (401, the last at …)`.
    pub fn shown(&self) -> String {
        let Self { kind, count, last_at, .. } = self;
        let answer = self.answer.map_or("no answer".to_owned(), |answer| answer.to_string());
        format!("{count} {kind} ({answer}, the last at {last_at})")
    }
}

/// Returns the kinds under `callbacks` or `admin` of a server's status, in the order of the server.
pub fn refused(side: &Value) -> Vec<RefusalRow> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kinds = side["refused"].as_array().into_iter().flatten();
    let read = |one: &Value| RefusalRow {
        kind: text(&one["kind"]),
        answer: one["answer"].as_u64(),
        count: one["count"].as_u64().unwrap_or_default(),
        last_at: text(&one["last_at"]),
        about: text(&one["about"]),
    };
    kinds.map(read).collect()
}

/// Formats as `12 accepted, 3 duplicate, 1 ignored (1 bank_account), the last at …`.
pub fn taken(callbacks: &Value) -> String {
    let count = |value: &Value| value.as_u64().unwrap_or_default();
    let mut said = format!("{} accepted, {} duplicate", count(&callbacks["accepted"]), count(&callbacks["duplicate"]));
    let ignored: Vec<(&String, u64)> = callbacks["ignored"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(kind, of_kind)| (kind, count(of_kind)))
        .filter(|(_, of_kind)| *of_kind > 0)
        .collect();
    if !ignored.is_empty() {
        let all: u64 = ignored.iter().map(|(_, of_kind)| of_kind).sum();
        let kinds: Vec<String> = ignored.iter().map(|(kind, of_kind)| format!("{of_kind} {kind}")).collect();
        said.push_str(&format!(", {all} ignored ({})", kinds.join(", ")));
    }
    if let Some(at) = callbacks["last_at"].as_str() {
        said.push_str(&format!(", the last at {at}"));
    }
    said
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn received_and_rejected_callbacks_are_one_line_each() {
        let mut callbacks = json!({"accepted": 0, "duplicate": 0, "ignored": {"bank_account": 0, "transaction": 0}});
        assert_eq!(taken(&callbacks), "0 accepted, 0 duplicate");
        callbacks["ignored"] = json!({"bank_account": 1, "transaction": 2});
        callbacks["last_at"] = json!("2026-03-03T20:30:00Z");
        assert_eq!(
            taken(&callbacks),
            "0 accepted, 0 duplicate, 3 ignored (1 bank_account, 2 transaction), the last at 2026-03-03T20:30:00Z"
        );
        callbacks["refused"] = json!([
            {"kind": "wrong_hash", "answer": 401, "count": 3, "last_at": "2026-03-03T20:30:00Z", "about": "…"},
            {"kind": "tls", "answer": null, "count": 1, "last_at": "2026-03-03T20:31:00Z", "about": "…"},
        ]);
        let shown: Vec<String> = refused(&callbacks).iter().map(RefusalRow::shown).collect();
        assert_eq!(
            shown,
            [
                "3 wrong_hash (401, the last at 2026-03-03T20:30:00Z)",
                "1 tls (no answer, the last at 2026-03-03T20:31:00Z)"
            ]
        );
        assert_eq!(refused(&json!({})), [], "an older server does not count");
    }
}
