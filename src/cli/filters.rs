//! Parsers of the options that filter jobs. A wrong value is a usage error and is found without a server.

use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};

use crate::{
    domain::CustomerId,
    outbox::{Channel, JobState},
    rules::RuleId,
    store::Since,
};

pub fn state() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(JobState::ALL.iter().map(|state| state.name()))
}

pub fn max() -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..)
}

pub fn customer(text: &str) -> Result<CustomerId, String> {
    CustomerId::new(text).map_err(|error| error.to_string())
}

/// Parses the id of a rule. The rule may be gone, because its jobs may still exist.
pub fn rule(text: &str) -> Result<RuleId, String> {
    let form = || format!("a rule's id has 1 to {} letters, digits, -, _ and .", RuleId::MAX_BYTES);
    RuleId::new(text).ok_or_else(form)
}

/// Parses the name of a channel. The channel may be gone from the configuration.
pub fn channel(text: &str) -> Result<Channel, String> {
    Channel::parse(text).ok_or_else(|| format!("write {}", Channel::forms()))
}

/// Checks the syntax only. The server evaluates the value by its own clock.
pub fn since(text: &str) -> Result<String, String> {
    text.parse::<Since>().map(|_| text.to_owned())
}

pub fn error(text: &str) -> Result<String, String> {
    match text.trim().is_empty() {
        true => {
            Err("an empty text matches every error; write a part of the error, for example 450 or no_contact"
                .to_owned())
        }
        false => Ok(text.to_owned()),
    }
}
