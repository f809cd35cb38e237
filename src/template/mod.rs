use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    pub customer: CustomerFacts,
    pub from: Option<String>,
    pub to: String,
    pub missing_docs: Vec<String>,
    pub reject_labels: Vec<String>,
    pub message: String,
    pub visit: u32,
    pub step: u32,
    pub stay: Stay,
    pub tags: Vec<String>,
    pub rule: String,
    pub now: String,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CustomerFacts {
    pub id: String,
    pub name: Option<String>,
    pub locale: Option<String>,
    pub country: Option<String>,
    pub attributes: BTreeMap<String, Option<String>>,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stay {
    pub entered_at: String,
    pub days: i64,
    pub hours: i64,
}
