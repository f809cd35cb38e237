//! The recorded history and edited rules: `records`, `rule-sets/HASH` and `impact`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{clock::Timestamp, decide::Changes, yaml::Files};

/// A page of records, in the order of the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordList {
    pub records: Vec<RecordResponse>,
    /// The number of the record after the page.
    pub next: Option<u64>,
}

/// One record, in the format of the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordResponse {
    pub n: u64,
    pub at: Timestamp,
    pub effects: Changes,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RuleSetResponse {
    pub hash: String,
    /// File contents by path relative to the rules directory.
    pub files: Files,
}

/// Edited rules to preview before they are saved.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImpactRequest {
    /// If absent: the files in the rules directory on the server.
    pub rules: Option<Files>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImpactResponse {
    /// `reload.blast_limit`.
    pub limit: Option<u64>,
    /// A reload would be refused, because it exceeds the limit.
    pub refused: bool,
    pub impact: ImpactInfo,
}

/// What loading the rules would change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImpactInfo {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub changed: Vec<String>,
    /// Number of jobs within the first hour, by rule.
    pub at_once: BTreeMap<String, u64>,
    pub total: u64,
}
