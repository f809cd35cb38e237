//! The `refresh` command: queries the provider's API about one customer, or lets an operator confirm the customer's
//! newest callback. [`refresh_all`] does this for all unanswered customers.

use std::path::Path;

use clap::Args;

use super::{
    CommandError, Output,
    client::{Original, part},
    refresh_all, settings,
};
use crate::api::refresh::{RefreshRequest, RefreshResponse};

#[derive(Debug, Args)]
pub struct RefreshArgs {
    /// Id of the customer.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    customer: Option<String>,

    /// All customers whose callbacks have waited longer than `provider.patience`, as `kyc-rules problems` lists them.
    #[arg(long)]
    all: bool,

    /// Accept the newest waiting callback of the customer as right, regardless of the API.
    #[arg(long)]
    believe: bool,

    /// With --all: do not ask for confirmation.
    #[arg(long, conflicts_with = "customer")]
    yes: bool,
}

impl RefreshArgs {
    pub fn run(self, config: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        let Some(customer) = &self.customer else {
            return refresh_all::run(config, self.believe, self.yes, output);
        };
        let path = format!("customers/{}/refresh", part(customer));
        let body = RefreshRequest { believe: self.believe, import: false };
        let answer: Original<RefreshResponse> =
            settings::block_on(async { settings::client(config)?.post_json(&path, &body).await })?;
        let status = match answer.known {
            true => answer.status.as_deref().unwrap_or("none"),
            false => "not known",
        };
        let verdict = match answer.verdict.as_deref() {
            Some("duplicate" | "unconfirmed") if answer.provider_knows == Some(false) => {
                "the provider does not know this customer (yet)".to_owned()
            }
            Some("duplicate") => "nothing has changed".to_owned(),
            Some(verdict) => verdict.to_owned(),
            None if answer.provider_knows == Some(false) => {
                "the provider does not know this customer (yet); it may be late, and is asked again".to_owned()
            }
            None => "the provider may be late, and is asked again".to_owned(),
        };
        let waiting = match answer.waiting {
            0 => String::new(),
            count => format!("; callbacks that wait for confirmation: {count}"),
        };
        output.json_or_text(&answer, format_args!("{}: {verdict}; status {status}{waiting}", customer));
        Ok(())
    }
}
