//! Mails out of the house: over SMTP, or as `.eml` files for a look at them.
//!
//! A [`Mailer`] sends one [`Envelope`] once. The same `Message-ID` stands in every attempt of a job, so that a mail sent
//! twice after a lost answer is told as one. No address, secret or text of a mail is logged here.

mod connection;
mod conversation;
mod eml;
mod encoded;
mod failure;
mod lines;
mod message;
mod rest;
mod secrets;
mod smtp;
mod steps;
mod transport;

use std::{fmt, time::Duration};

use connection::Connector;
pub use failure::{Class, SendError};
pub use message::{Envelope, Party, PartyError};
pub use transport::{Security, Smtp, Transport, TransportError};

const KEPT_FOR: Duration = Duration::from_secs(30);

/// How mails are sent.
#[derive(Clone, Debug)]
pub struct MailerConfig {
    pub transport: Transport,
    /// How long one step of the conversation may take; the server gets four times as long to take the text in.
    pub step_timeout: Duration,
    /// How long a connection that nobody uses is kept for the next mail.
    pub kept_for: Duration,
    /// Certificates to trust beside the system's, each in PEM: for a relay with a certificate of the house's own.
    pub extra_roots: Vec<Vec<u8>>,
}

impl MailerConfig {
    pub fn new(transport: Transport) -> Self {
        Self { transport, step_timeout: Duration::from_secs(30), kept_for: KEPT_FOR, extra_roots: Vec::new() }
    }
}

/// Why no mailer could be made, in words for whoever wrote the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailerError(pub String);

impl fmt::Display for MailerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MailerError {}

/// A mail that was taken: what the server said, or the file's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub answer: String,
}

#[derive(Debug)]
pub struct Mailer(Way);

#[derive(Debug)]
enum Way {
    Smtp(Box<smtp::Relay>),
    Eml(eml::Directory),
}

impl Mailer {
    pub fn new(config: MailerConfig) -> Result<Self, MailerError> {
        let way = match config.transport {
            Transport::Smtp(server) => {
                let connector = Connector::new(&server, &config.extra_roots)?;
                Way::Smtp(Box::new(smtp::Relay::new(server, connector, config.step_timeout, config.kept_for)))
            }
            Transport::File(path) => Way::Eml(eml::Directory::new(path)?),
        };
        Ok(Self(way))
    }

    /// Goes as far as a mail would, without one: the connection, TLS and the login, or the directory. Returns how far that is.
    pub async fn probe(&self) -> Result<String, SendError> {
        match &self.0 {
            Way::Smtp(relay) => relay.probe().await,
            Way::Eml(directory) => directory.probe(),
        }
    }

    /// Closes the connections that nobody has used for too long. Returns when there will be another, if nobody uses it.
    pub fn close_idle(&self) -> Option<Duration> {
        match &self.0 {
            Way::Smtp(relay) => relay.close_idle(),
            Way::Eml(_) => None,
        }
    }

    /// One attempt. Dropping it midway is safe: the connection is closed and not used again.
    pub async fn send(&self, envelope: &Envelope) -> Result<Sent, SendError> {
        let message = message::build(envelope)?;
        match &self.0 {
            Way::Smtp(relay) => relay.send(&message).await.map_err(|error| error.without(envelope)),
            Way::Eml(directory) => directory.write(envelope, message.formatted()).await,
        }
    }
}
