//! The simulated provider: sends callbacks with a right or a wrong hash over HTTP.

use serde_json::{Value, json};

use super::{DemoService, lives::DemoCallback};
use crate::{
    cli::{CommandError, Exit},
    providers::xgateway::{Secret, hash_of},
};

pub struct DemoProvider {
    http: reqwest::Client,
    url: String,
    secret: Secret,
}

impl DemoProvider {
    pub fn new(stage: &DemoService) -> Result<Self, CommandError> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .map_err(|error| CommandError::new(Exit::Failed, format!("the HTTP client cannot be created: {error}")))?;
        Ok(Self { http, url: stage.callbacks.clone(), secret: stage.secret.clone() })
    }

    /// Returns the body of a callback with the right hash.
    pub fn callback(&self, customer: &str, said: &DemoCallback) -> Value {
        let docs: Vec<Value> = said.docs.iter().map(|doc| json!({"docType": doc})).collect();
        json!({
            "callbackType": "kyc",
            "customerId": customer,
            "hash": hash_of(customer, &self.secret),
            "status": said.status,
            "kycProcessingStatus": said.processing,
            "docsMissing": docs,
            "kycRejectLabel": (!said.labels.is_empty()).then_some(said.labels),
            "kycEndUserErrorMessage": said.message,
        })
    }

    /// Sends a body. Returns the status and the text of the response.
    pub async fn send(&self, body: &Value) -> Result<(u16, String), CommandError> {
        let failed = |error: reqwest::Error| {
            CommandError::new(Exit::Unavailable, format!("the callback could not be sent: {error}"))
        };
        let answer = self.http.post(&self.url).json(body).send().await.map_err(failed)?;
        let status = answer.status().as_u16();
        let said: Value = serde_json::from_slice(&answer.bytes().await.map_err(failed)?).unwrap_or_default();
        let text = ["outcome", "detail", "title"].iter().find_map(|key| said[key].as_str()).unwrap_or_default();
        Ok((status, text.to_owned()))
    }
}
