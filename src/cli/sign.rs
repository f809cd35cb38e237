//! The `sign` command: prints the hash of a customer, or a complete signed callback, as the provider sends it.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::{CommandError, Exit, Output, settings};
use crate::{
    domain::CustomerId,
    providers::xgateway::{Secret, hash_of},
};

#[derive(Debug, Args)]
pub struct SignArgs {
    /// Id of the customer.
    customer: String,

    /// The key shared with the provider. Default: the first of `callback.secrets`.
    #[arg(long, env = "KYC_RULES_SECRET", hide_env_values = true)]
    secret: Option<String>,

    /// Print a complete callback with this status (`none` for null) instead of the hash only.
    #[arg(long)]
    status: Option<String>,

    /// Missing documents of the callback, for example SELFIE,PASSPORT.
    #[arg(long, value_delimiter = ',', requires = "status")]
    docs: Vec<String>,

    /// Reject labels of the callback, for example BAD_SELFIE,BAD_PASSPORT.
    #[arg(long, value_delimiter = ',', requires = "status")]
    labels: Vec<String>,

    /// Message for the customer.
    #[arg(long, requires = "status")]
    message: Option<String>,

    /// Processing status (`none` for null).
    #[arg(long, requires = "status")]
    processing: Option<String>,
}

impl SignArgs {
    pub fn run(self, config: Option<&Path>, output: &mut Output) -> Result<(), CommandError> {
        let customer = CustomerId::new(&self.customer).map_err(|error| CommandError::new(Exit::Usage, error))?;
        let secret = match &self.secret {
            Some(secret) => Secret::new(secret.as_str()),
            None => settings::first_secret(config)?,
        };
        let hash = hash_of(customer.as_str(), &secret);
        match &self.status {
            Some(status) => output.json(&self.callback(status, &hash)),
            None if output.is_json() => output.json(&json!({"customerId": customer, "hash": hash})),
            None => output.line(hash),
        }
        Ok(())
    }

    fn callback(&self, status: &str, hash: &str) -> Value {
        let trimmed = |codes: &[String]| -> Vec<String> {
            codes.iter().map(|code| code.trim().to_owned()).filter(|code| !code.is_empty()).collect()
        };
        let (docs, labels) = (trimmed(&self.docs), trimmed(&self.labels).join(", "));
        json!({
            "callbackType": "kyc",
            "customerId": self.customer,
            "hash": hash,
            "status": (status != "none").then_some(status),
            "docsMissing": docs,
            "kycRejectLabel": (!labels.is_empty()).then_some(labels),
            "kycEndUserErrorMessage": self.message,
            "kycProcessingStatus": self.processing.as_deref().filter(|status| *status != "none"),
        })
    }
}
