//! The data of a mail: the names that templates use, and the sample customers with which templates are checked.
//!
//! A [`TemplateFacts`] contains all data of one mail, so that a job can store it. A field that a customer does not have is
//! *undefined* in a template, never the text "None". All values come from outside and are inserted as text only.

use std::collections::BTreeMap;

use minijinja::Value;
use serde::{Deserialize, Serialize};

use super::values::AllowedAddress;

/// The merchant, as the configuration describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Brand {
    pub name: String,
    /// The mail address for questions of customers.
    #[serde(default)]
    pub support: String,
    #[serde(default)]
    pub url: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateFacts {
    pub customer: CustomerFacts,
    /// The status before: `none` for the provider's null; `None` for a new customer.
    pub from: Option<String>,
    pub to: String,
    pub missing_docs: Vec<String>,
    pub reject_labels: Vec<String>,
    /// The provider's text for the customer; empty if there is none.
    pub message: String,
    pub visit: u32,
    /// The number of the timer's duration, from 1; 0 if no timer triggered the rule.
    pub step: u32,
    pub stay: StayFacts,
    pub tags: Vec<String>,
    pub rule: String,
    /// RFC 3339, in the customer's time zone.
    pub now: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerFacts {
    pub id: String,
    pub name: Option<String>,
    pub locale: Option<String>,
    pub country: Option<String>,
    /// Every declared attribute; `None` if this customer does not have it.
    pub attributes: BTreeMap<String, Option<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StayFacts {
    /// RFC 3339, in the customer's time zone.
    pub entered_at: String,
    /// Whole days since `entered_at`.
    pub days: i64,
    /// Whole hours since `entered_at`.
    pub hours: i64,
}

/// The top-level names of every template, and their fields. An empty list: no fields.
pub(super) const NAMES: &[(&str, &[&str])] = &[
    ("brand", &["name", "support", "url"]),
    ("customer", &["attributes", "country", "id", "locale", "name"]),
    ("from", &[]),
    ("message", &[]),
    ("missing_docs", &[]),
    ("now", &[]),
    ("reject_labels", &[]),
    ("rule", &[]),
    ("stay", &["days", "entered_at", "hours"]),
    ("step", &[]),
    ("tags", &[]),
    ("to", &[]),
    ("visit", &[]),
];

/// The fields that a customer may not have, besides the attributes.
pub(super) const MAY_BE_MISSING: &[&str] = &["customer.name", "customer.locale", "customer.country"];

type Fields = BTreeMap<&'static str, Value>;

impl TemplateFacts {
    pub(super) fn context(&self, brand: &Value) -> Value {
        let texts = |list: &[String]| Value::from_iter(list.iter().map(String::as_str));
        let stay = Fields::from([
            ("entered_at", Value::from(&*self.stay.entered_at)),
            ("days", Value::from(self.stay.days)),
            ("hours", Value::from(self.stay.hours)),
        ]);
        let all = Fields::from([
            ("brand", brand.clone()),
            ("customer", self.customer.context()),
            ("from", Value::from(self.from.as_deref().unwrap_or("new"))),
            ("to", Value::from(&*self.to)),
            ("missing_docs", texts(&self.missing_docs)),
            ("reject_labels", texts(&self.reject_labels)),
            ("message", Value::from(&*self.message)),
            ("visit", Value::from(self.visit)),
            ("step", Value::from(self.step)),
            ("stay", Value::from(stay)),
            ("tags", texts(&self.tags)),
            ("rule", Value::from(&*self.rule)),
            ("now", Value::from(&*self.now)),
        ]);
        Value::from(all)
    }
}

impl CustomerFacts {
    fn context(&self) -> Value {
        let known = self.attributes.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)));
        let attributes: BTreeMap<&str, Value> = known.map(|(name, value)| (name, Value::from(value))).collect();
        let mut fields = Fields::from([("id", Value::from(&*self.id)), ("attributes", Value::from(attributes))]);
        for (name, value) in [("name", &self.name), ("locale", &self.locale), ("country", &self.country)] {
            if let Some(value) = value {
                fields.insert(name, Value::from(&**value));
            }
        }
        Value::from(fields)
    }
}

impl Brand {
    pub(super) fn context(&self) -> Value {
        let fields = Fields::from([
            ("name", Value::from(&*self.name)),
            ("support", Value::from(&*self.support)),
            ("url", Value::from_object(AllowedAddress(self.url.trim_end_matches('/').to_owned()))),
        ]);
        Value::from(fields)
    }
}

/// The customers with which every template is checked: one with only an id, one with every field, and three in between.
pub(super) fn samples(attributes: &[String]) -> Vec<TemplateFacts> {
    let lacking: BTreeMap<String, Option<String>> = attributes.iter().map(|name| (name.clone(), None)).collect();
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let bare = TemplateFacts {
        customer: CustomerFacts { id: "C-1042".into(), attributes: lacking.clone(), ..CustomerFacts::default() },
        to: "CREATED".into(),
        visit: 1,
        stay: StayFacts { entered_at: "2026-03-03T21:30:00Z".into(), days: 0, hours: 0 },
        rule: "sample".into(),
        now: "2026-03-03T21:30:00Z".into(),
        ..TemplateFacts::default()
    };
    let full = TemplateFacts {
        customer: CustomerFacts {
            id: "C-1043".into(),
            name: Some("Ada Lovelace".into()),
            locale: Some("de-AT".into()),
            country: Some("AT".into()),
            attributes: lacking.into_keys().map(|name| (name, Some("sample".into()))).collect(),
        },
        from: Some("KYC_PENDING".into()),
        to: "SOFT_KYC_FAILED".into(),
        missing_docs: texts(&["PASSPORT", "SELFIE"]),
        reject_labels: texts(&["BAD_PASSPORT", "BAD_SELFIE"]),
        message: "Enter your date of birth exactly as it is on your identity document.".into(),
        visit: 3,
        step: 2,
        stay: StayFacts { entered_at: "2026-03-03T21:30:00+01:00[Europe/Vienna]".into(), days: 5, hours: 121 },
        tags: texts(&["needs-person"]),
        rule: "sample".into(),
        now: "2026-03-08T22:30:00+01:00[Europe/Vienna]".into(),
    };
    let one_doc = TemplateFacts {
        missing_docs: texts(&["SELFIE"]),
        message: String::new(),
        reject_labels: Vec::new(),
        tags: Vec::new(),
        step: 1,
        visit: 1,
        from: Some("none".into()),
        ..full.clone()
    };
    let labels_only = TemplateFacts {
        missing_docs: Vec::new(),
        message: String::new(),
        reject_labels: texts(&["BAD_SELFIE"]),
        step: 0,
        ..full.clone()
    };
    let message_only = TemplateFacts { message: full.message.clone(), to: full.to.clone(), ..bare.clone() };
    vec![bare, full, one_doc, labels_only, message_only]
}
