//! What a merchant's records say of customers who have a history already: the columns `status`, `since` and `tags`.

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    decide::Memory,
    kyc::{Codes, Status},
};

pub const COLUMNS: [&str; 3] = ["status", "since", "tags"];

/// As it stands in a file or a request, unchecked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawMemory {
    /// `none` is the provider's null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<Tags>,
}

/// A list, or a text with commas between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Tags {
    Text(String),
    List(Vec<String>),
}

impl RawMemory {
    /// Takes one of the columns.
    pub fn set(&mut self, column: &str, cell: &str) {
        let cell = (!cell.trim().is_empty()).then(|| cell.trim().to_owned());
        match column {
            "status" => self.status = cell,
            "since" => self.since = cell,
            _ => self.tags = cell.map(Tags::Text),
        }
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is to be remembered; nothing without a status.
    pub fn checked(&self) -> Result<Option<Memory>, String> {
        let Some(status) = &self.status else {
            return match self.is_empty() {
                true => Ok(None),
                false => Err("since and tags are for a customer whose status is told; add `status`".to_owned()),
            };
        };
        let since = self.since.as_deref().map(moment).transpose()?;
        let tags = match &self.tags {
            None => Codes::EMPTY,
            Some(Tags::Text(text)) => Codes::new(text.split(',')).map_err(|why| format!("tags: {why}"))?,
            Some(Tags::List(list)) => {
                Codes::new(list.iter().map(String::as_str)).map_err(|why| format!("tags: {why}"))?
            }
        };
        let status = Status::told(status).map_err(|why| format!("status: {why}"))?;
        Ok(Some(Memory { status, since, tags, missing_docs: None, message: None }))
    }
}

/// A moment as RFC 3339, or a day, which begins at midnight UTC.
fn moment(text: &str) -> Result<Timestamp, String> {
    let moment = text.parse::<jiff::Timestamp>().ok();
    let day = || text.parse::<jiff::civil::Date>().ok()?.at(0, 0, 0, 0).to_zoned_datetime(jiff::tz::TimeZone::UTC).ok();
    let moment = moment.or_else(|| day().map(|day| day.timestamp()));
    moment
        .map(Timestamp::from)
        .ok_or_else(|| format!("since: {text:?} is no time; write as 2026-03-03 or 2026-03-03T21:30:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: serde_json::Value) -> Result<Option<Memory>, String> {
        serde_json::from_value::<RawMemory>(json).expect("shape").checked()
    }

    #[test]
    fn a_status_may_come_with_its_time_and_marks() {
        let json = serde_json::json!({"status": "FULL_USER", "since": "2026-03-03", "tags": "vip, old"});
        let memory = read(json).expect("right").expect("some");
        assert_eq!(memory.status, Status::FullUser);
        assert_eq!(memory.since, Some(Timestamp(1_772_496_000_000)));
        assert_eq!(memory.tags.to_string(), "old, vip");
        let json = serde_json::json!({"status": "none", "since": "2026-03-03T01:00:00+01:00", "tags": ["vip"]});
        let memory = read(json).expect("right").expect("some");
        assert_eq!((memory.status, memory.since), (Status::None, Some(Timestamp(1_772_496_000_000))));
        assert_eq!(read(serde_json::json!({})), Ok(None));
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        for (json, said) in [
            (serde_json::json!({"since": "2026-03-03"}), "add `status`"),
            (serde_json::json!({"status": "FULL_USR"}), "did you mean FULL_USER?"),
            (serde_json::json!({"status": "FULL_USER", "since": "03.03.2026"}), "write as 2026-03-03"),
            (serde_json::json!({"status": "FULL_USER", "tags": ["x".repeat(65)]}), "tags:"),
        ] {
            let problem = read(json.clone()).expect_err("refused");
            assert!(problem.contains(said), "{json}: {problem}");
        }
    }
}
