//! The merchant's records about customers with an existing history: the columns `status`, `since` and `tags`.

use serde::{Deserialize, Serialize};

use super::ImportChecks;
use crate::{
    clock::Timestamp,
    decide::ImportedState,
    domain::{Codes, MAX_TAG_BYTES, Status, is_tag},
    yaml::did_you_mean,
};

/// The maximum difference between clocks: a merchant's record may be from this very moment.
const MAX_AHEAD_MS: i64 = 5 * 60_000;

pub const COLUMNS: [&str; 3] = ["status", "since", "tags"];

/// The columns as written in a file or a request, not validated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawImportedState {
    /// `none` is the provider's null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<TagList>,
}

/// A list, or a text with commas between the tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum TagList {
    Text(String),
    List(Vec<String>),
}

impl RawImportedState {
    /// Sets the value of a column.
    pub fn set(&mut self, column: &str, cell: &str) {
        let cell = (!cell.trim().is_empty()).then(|| cell.trim().to_owned());
        match column {
            "status" => self.status = cell,
            "since" => self.since = cell,
            _ => self.tags = cell.map(TagList::Text),
        }
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the memory to store; `None`: there is no status, since or tag. Since and tags without a status are an
    /// error.
    pub fn checked(&self, terms: ImportChecks<'_>) -> Result<Option<ImportedState>, String> {
        let Some(status) = &self.status else {
            return match self.is_empty() {
                true => Ok(None),
                false => Err("since and tags need a status; add `status`".to_owned()),
            };
        };
        let since = self.since.as_deref().map(|text| moment(text, terms.now)).transpose()?;
        let tags = self.tags.as_ref().map_or(Ok(Codes::EMPTY), TagList::codes)?;
        let status = known(status, terms.statuses)?;
        Ok(Some(ImportedState { status, since, tags, missing_docs: None, message: None }))
    }
}

impl TagList {
    fn codes(&self) -> Result<Codes, String> {
        let names: Vec<&str> = match self {
            Self::List(list) => list.iter().map(String::as_str).collect(),
            // Other separators would make one tag of all.
            Self::Text(text) if text.contains([';', '|']) => {
                return Err(format!(
                    "tags: {text:?} must have commas between the tags; a tag with ; or | must be in a list, in NDJSON"
                ));
            }
            Self::Text(text) => text.split(',').collect(),
        };
        if let Some(name) = names.iter().find(|name| !is_tag(name.trim())) {
            return Err(format!(
                "tags: {name:?} is not a valid tag: at most {MAX_TAG_BYTES} bytes without commas and line breaks"
            ));
        }
        Codes::new(names).map_err(|why| format!("tags: {why}"))
    }
}

fn known(name: &str, declared: &[String]) -> Result<Status, String> {
    if let Some(status) = Status::known(name, declared) {
        return Ok(status);
    }
    let names: Vec<&str> = Status::KNOWN.iter().copied().chain(declared.iter().map(String::as_str)).collect();
    let hint = match name.to_ascii_lowercase().as_str() {
        "null" => "; the provider's null is written as none".to_owned(),
        "new" => "; a customer without a history needs no status".to_owned(),
        _ => did_you_mean(name, names.iter().copied().chain(["none"]))
            .map(|meant| format!("; did you mean {meant}?"))
            .unwrap_or_default(),
    };
    let names = names.join(", ");
    Err(format!(
        "status: {name:?} is no status{hint} (there are {names} and none; others are declared under `statuses:` in the configuration)"
    ))
}

/// Parses a time in RFC 3339, or a date, which means midnight UTC.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let moment = text.parse::<jiff::Timestamp>().ok();
    let day = || text.parse::<jiff::civil::Date>().ok()?.at(0, 0, 0, 0).to_zoned_datetime(jiff::tz::TimeZone::UTC).ok();
    let moment = moment.or_else(|| day().map(|day| day.timestamp()));
    match moment.map(Timestamp::from) {
        None => Err(format!("since: {text:?} is no time; write as 2026-03-03 or 2026-03-03T21:30:00Z")),
        Some(moment) if moment < Timestamp(0) => Err(format!("since: {text:?} is before 1970")),
        Some(moment) if moment > now.plus_ms(MAX_AHEAD_MS) => {
            Err(format!("since: {text:?} is in the future: it is {now}, and a day begins at midnight UTC"))
        }
        Some(moment) => Ok(moment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: serde_json::Value) -> Result<Option<ImportedState>, String> {
        let now = "2026-03-04T12:00:00Z".parse::<jiff::Timestamp>().expect("time").into();
        let terms = ImportChecks { attributes: &[], statuses: &["SUSPENDED".to_owned()], now };
        serde_json::from_value::<RawImportedState>(json).expect("shape").checked(terms)
    }

    #[test]
    fn a_status_may_have_a_time_and_tags() {
        let json = serde_json::json!({"status": "FULL_USER", "since": "2026-03-03", "tags": "vip, old"});
        let memory = read(json).expect("right").expect("some");
        assert_eq!(memory.status, Status::FullUser);
        assert_eq!(memory.since, Some(Timestamp(1_772_496_000_000)));
        assert_eq!(memory.tags.to_string(), "old, vip");
        let json = serde_json::json!({"status": "none", "since": "2026-03-03T01:00:00+01:00", "tags": ["vip"]});
        let memory = read(json).expect("right").expect("some");
        assert_eq!((memory.status, memory.since), (Status::None, Some(Timestamp(1_772_496_000_000))));
        let json = serde_json::json!({"status": "SUSPENDED", "since": "2026-03-04T12:04:00Z", "tags": ["a;b", "needs person"]});
        let memory = read(json).expect("clocks may differ slightly").expect("some");
        assert_eq!(memory.status, Status::Other("SUSPENDED".into()));
        assert_eq!(memory.tags.to_string(), "a;b, needs person");
        assert_eq!(read(serde_json::json!({})), Ok(None));
    }

    #[test]
    fn an_invalid_history_is_rejected() {
        for (json, said) in [
            (serde_json::json!({"since": "2026-03-03"}), "add `status`"),
            (serde_json::json!({"status": "FULL_USR"}), "did you mean FULL_USER?"),
            (serde_json::json!({"status": "KYC_FULL_USER"}), "did you mean FULL_USER?"),
            (serde_json::json!({"status": "FULL_USER", "since": "03.03.2026"}), "write as 2026-03-03"),
            (
                serde_json::json!({"status": "VERIFIED"}),
                "FULL_USER, SUSPENDED and none; others are declared under `statuses:`",
            ),
            (serde_json::json!({"status": "suspended"}), "did you mean SUSPENDED?"),
            (serde_json::json!({"status": "null"}), "null is written as none"),
            (serde_json::json!({"status": "new"}), "\"new\" is no status"),
            (serde_json::json!({"status": "  "}), "is no status"),
            (serde_json::json!({"status": "FULL_USER", "since": "2026-03-04T12:06:00Z"}), "in the future"),
            (serde_json::json!({"status": "FULL_USER", "since": "2026-03-05"}), "a day begins at midnight UTC"),
            (serde_json::json!({"status": "FULL_USER", "since": "1969-12-31"}), "before 1970"),
            (serde_json::json!({"status": "FULL_USER", "tags": ["x".repeat(65)]}), "tags:"),
            (serde_json::json!({"status": "FULL_USER", "tags": ["a,b"]}), "\"a,b\" is not a valid tag"),
            (serde_json::json!({"status": "FULL_USER", "tags": "a;b"}), "commas between"),
            (serde_json::json!({"status": "FULL_USER", "tags": "a|b"}), "commas between"),
        ] {
            let problem = read(json.clone()).expect_err("refused");
            assert!(problem.contains(said), "{json}: {problem}");
        }
    }
}
