//! Asks the provider's API about a customer by hand, or lets a person decide in its place.

use std::path::Path;

use clap::Args;
use serde_json::json;

use super::{Failure, Output, client::part, settings};

#[derive(Debug, Args)]
pub struct Refresh {
    customer: String,

    /// The newest callback that waits to be confirmed is right, whatever the API says.
    #[arg(long)]
    believe: bool,
}

impl Refresh {
    pub fn run(self, config: Option<&Path>, output: &mut Output) -> Result<(), Failure> {
        let path = format!("customers/{}/refresh", part(&self.customer));
        let body = json!({"believe": self.believe});
        let answer = settings::block_on(async { settings::client(config)?.post_json(&path, &body).await })?;
        let status = match answer["known"] == true {
            true => answer["status"].as_str().unwrap_or("none"),
            false => "not known",
        };
        let verdict = match answer["verdict"].as_str() {
            Some("duplicate") => "nothing is new".to_owned(),
            Some("unconfirmed") => "the provider does not know this customer".to_owned(),
            Some(verdict) => verdict.to_owned(),
            None => "the provider may be late; it is asked again".to_owned(),
        };
        let waiting = match answer["waiting"].as_u64().unwrap_or_default() {
            0 => String::new(),
            count => format!("; callbacks that wait to be confirmed: {count}"),
        };
        output.either(&answer, format_args!("{}: {verdict}; status {status}{waiting}", self.customer));
        Ok(())
    }
}
