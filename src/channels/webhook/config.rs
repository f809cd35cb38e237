//! The configuration of a webhook target, and the sender that it describes.

use secrecy::{ExposeSecret, SecretString};

use super::{SigningKey, SigningKeys, WebhookTarget};
use crate::{
    channels::sender::{ChannelConfig, Sender},
    decide::Brake,
    outbound::{ClientOptions, HttpClient, TargetUrl},
};

/// The configuration of one target.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    pub url: String,
    /// The newest secret first; each request is signed with every secret.
    pub secrets: Vec<SecretString>,
    /// Addresses in the merchant's own network are allowed.
    pub private: bool,
    /// `None`: no brake.
    pub brake: Option<Brake>,
}

impl ChannelConfig for WebhookConfig {
    fn brake(&self) -> Option<Brake> {
        self.brake
    }

    fn probed_url(&self) -> Option<(SecretString, bool)> {
        Some((SecretString::from(self.url.clone()), self.private))
    }

    fn sender(&self, name: &str, extra_roots: &[Vec<u8>]) -> Result<Option<Box<dyn Sender>>, String> {
        let wrong = |what: &str, why: String| format!("webhooks.{name}{what}: {why}");
        let keys: Result<Vec<SigningKey>, _> =
            self.secrets.iter().map(|secret| SigningKey::parse(secret.expose_secret())).collect();
        let options = ClientOptions::reaching(self.private, extra_roots);
        Ok(Some(Box::new(WebhookTarget {
            client: HttpClient::new(options).map_err(|error| wrong("", error.to_string()))?,
            target: TargetUrl::parse(&self.url).map_err(|why| wrong(".url", why))?,
            keys: SigningKeys(keys.map_err(|why| wrong(".secret", why.to_owned()))?),
        })))
    }
}
