//! Reading a node into a type of serde's, with the place of what does not fit.

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use super::{Node, Report, Value};

impl Node<'_> {
    /// This node as a value of serde_yaml's, without its places.
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

    /// This node as a `T`. One error at most, at the place that did not fit; where every error should be told, read the
    /// parts one by one.
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
