//! Deserialises a node into a serde type, with the place of the part that does not fit.

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use super::{Node, Report, Value};

impl Node<'_> {
    /// This node as a serde_yaml value, without spans.
    pub fn to_value(&self) -> serde_yaml::Value {
        match &self.value {
            Value::Null | Value::Refused => serde_yaml::Value::Null,
            Value::Bool(value) => serde_yaml::Value::Bool(*value),
            Value::Number(number, _) => serde_yaml::Value::Number(number.clone()),
            Value::Text(text) => serde_yaml::Value::String(text.clone().into_owned()),
            Value::List(items) => serde_yaml::Value::Sequence(items.iter().map(Node::to_value).collect()),
            Value::Map(entries) => serde_yaml::Value::Mapping(
                entries.iter().map(|entry| (entry.key.clone().into_owned().into(), entry.value.to_value())).collect(),
            ),
        }
    }

    /// Deserialises this node into a `T`. It reports at most one error, at the part that does not fit; to report every
    /// error, read the parts one by one.
    pub fn typed<T: DeserializeOwned>(&self, what: &str, report: &mut Report<'_>) -> Option<T> {
        match serde_path_to_error::deserialize::<_, T>(self.to_value()) {
            Ok(value) => Some(value),
            Err(error) => {
                let at = self.follow(error.path().iter());
                report.error("type", at.span.clone(), format!("{what}: {}", error.inner()));
                None
            }
        }
    }

    fn follow<'p>(&self, path: impl Iterator<Item = &'p Segment>) -> &Self {
        let mut at = self;
        for segment in path {
            let next = match (&at.value, segment) {
                (Value::List(items), Segment::Seq { index }) => items.get(*index),
                (Value::Map(_), Segment::Map { key } | Segment::Enum { variant: key }) => at.get(key),
                _ => None,
            };
            let Some(next) = next else { break };
            at = next;
        }
        at
    }
}
