//! How people say which jobs are meant. What can't be meant is a matter of the command line, and no server is asked about it.

use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};

use crate::{
    kyc::CustomerId,
    outbox::{Channel, State},
    rules::RuleId,
    store::Since,
};

pub fn state() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(State::ALL.iter().map(|state| state.name()))
}

pub fn max() -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..)
}

pub fn customer(text: &str) -> Result<CustomerId, String> {
    CustomerId::new(text).map_err(|error| error.to_string())
}

/// Also of a rule that has gone: its jobs have not.
pub fn rule(text: &str) -> Result<RuleId, String> {
    let form = || format!("a rule's id has 1 to {} letters, digits, -, _ and .", RuleId::MAX_BYTES);
    RuleId::new(text).ok_or_else(form)
}

/// Also of a target that has gone.
pub fn channel(text: &str) -> Result<Channel, String> {
    Channel::parse(text).ok_or_else(|| "write email, webhook:NAME or chat:NAME".to_owned())
}

/// The server reads it, by its own clock.
pub fn since(text: &str) -> Result<String, String> {
    text.parse::<Since>().map(|_| text.to_owned())
}

pub fn error(text: &str) -> Result<String, String> {
    match text.trim().is_empty() {
        true => Err("nothing is a part of every error; write a part of the text, as 450 or no_contact".to_owned()),
        false => Ok(text.to_owned()),
    }
}
