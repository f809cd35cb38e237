//! The configuration of a chat room, and the sender that it describes.

use secrecy::{ExposeSecret, SecretString};

use super::{ChatKind, ChatRoom};
use crate::{
    channels::sender::{ChannelConfig, Sender},
    decide::Brake,
    outbound::{ClientOptions, HttpClient, TargetUrl},
};

/// The configuration of one chat room.
#[derive(Clone, Debug)]
pub struct ChatConfig {
    pub kind: ChatKind,
    /// Secret, because the URL is enough to post to the chat.
    pub url: SecretString,
    pub private: bool,
    pub brake: Option<Brake>,
}

impl ChannelConfig for ChatConfig {
    fn brake(&self) -> Option<Brake> {
        self.brake
    }

    fn probed_url(&self) -> Option<(SecretString, bool)> {
        Some((self.url.clone(), self.private))
    }

    fn sender(&self, name: &str, extra_roots: &[Vec<u8>]) -> Result<Option<Box<dyn Sender>>, String> {
        let wrong = |what: &str, why: String| format!("chats.{name}{what}: {why}");
        let options = ClientOptions::reaching(self.private, extra_roots);
        Ok(Some(Box::new(ChatRoom {
            kind: self.kind,
            client: HttpClient::new(options).map_err(|error| wrong("", error.to_string()))?,
            target: TargetUrl::parse(self.url.expose_secret()).map_err(|why| wrong(".url", why))?,
        })))
    }
}
