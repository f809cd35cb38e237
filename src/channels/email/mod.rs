//! Sends mails over SMTP, or writes them as `.eml` files for inspection.
//!
//! A [`Mailer`] makes one attempt to send an [`OutgoingMail`]. Every attempt of a job has the same `Message-ID`, so that
//! a mail program recognises a mail that was sent twice after a lost reply. This module logs no address, no secret
//! and no text of a mail.

mod circuit_breaker;
mod config;
mod connection;
mod conversation;
mod eml;
mod encoded;
mod failure;
mod hello;
mod lines;
mod message;
mod phrases;
mod pool;
mod refusals;
mod scope;
mod secrets;
mod sender;
mod smtp;
mod steps;
mod streak;
mod transport;
mod trials;

use std::{fmt, time::Duration};

pub use circuit_breaker::{BreakerDecision, CircuitBreaker, RelayOutage, TrialPermit};
pub use config::EmailConfig;
use connection::Connector;
pub use failure::{FailureClass, SendError};
pub use hello::EhloName;
pub use message::{MailAddress, MailAddressError, OutgoingMail};
use pool::ConnectionLimits;
pub use scope::{FailureScope, RelayCause, ReplyCode};
pub use sender::MailSender;
pub use streak::RefusalStreak;
pub use transport::{SmtpSettings, TlsMode, Transport, TransportError};
pub use trials::TrialRank;

const KEPT_FOR: Duration = Duration::from_secs(30);
const MAX_AGE: Duration = Duration::from_mins(2);
const MAX_MAILS: u32 = 100;

/// The settings of a [`Mailer`].
#[derive(Clone, Debug)]
pub struct MailerConfig {
    pub transport: Transport,
    /// The limit for one step of the conversation. The server gets four times as long to accept the text of the mail.
    pub step_timeout: Duration,
    /// How long an unused connection is kept for the next mail.
    pub kept_for: Duration,
    /// How long a connection lives, used or not.
    pub max_age: Duration,
    /// How many mails go over one connection.
    pub max_mails: u32,
    /// The name in EHLO; `None`: this machine's full name, or else the connection's local address.
    pub hello: Option<EhloName>,
    /// PEM certificates to trust in addition to the system's: for a relay with a certificate of a private authority.
    pub extra_roots: Vec<Vec<u8>>,
}

impl MailerConfig {
    pub fn new(transport: Transport) -> Self {
        Self {
            transport,
            step_timeout: Duration::from_secs(30),
            kept_for: KEPT_FOR,
            max_age: MAX_AGE,
            max_mails: MAX_MAILS,
            hello: None,
            extra_roots: Vec::new(),
        }
    }
}

/// The reason why no mailer could be made, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailerError(pub String);

impl fmt::Display for MailerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MailerError {}

/// An accepted mail: the server's reply, or the name of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedMail {
    pub answer: String,
}

#[derive(Debug)]
pub struct Mailer(Backend);

#[derive(Debug)]
enum Backend {
    Smtp(Box<smtp::Relay>),
    Eml(eml::EmlDirectory),
}

impl Mailer {
    pub fn new(config: MailerConfig) -> Result<Self, MailerError> {
        let way = match config.transport {
            Transport::Smtp(server) => {
                let connector = Connector::new(&server, &config.extra_roots, config.hello)?;
                let lifetimes =
                    ConnectionLimits { idle: config.kept_for, age: config.max_age, mails: config.max_mails };
                Backend::Smtp(Box::new(smtp::Relay::new(server, connector, config.step_timeout, lifetimes)))
            }
            Transport::File(path) => Backend::Eml(eml::EmlDirectory::new(path)?),
        };
        Ok(Self(way))
    }

    /// Tests the connection, TLS and the login, or the directory, without a mail. Returns the result for the
    /// operator.
    pub async fn probe(&self) -> Result<String, SendError> {
        match &self.0 {
            Backend::Smtp(relay) => relay.probe(None).await,
            Backend::Eml(directory) => directory.probe(),
        }
    }

    /// Starts a mail from this sender to itself and stops before its text, so that no mail is sent. Returns the
    /// result for the operator.
    pub async fn probe_sender(&self, sender: &MailAddress) -> Result<String, SendError> {
        match &self.0 {
            Backend::Smtp(relay) => relay.probe(Some(sender)).await.map_err(|error| error.without(sender, sender)),
            Backend::Eml(directory) => directory.probe(),
        }
    }

    /// Opens a connection, logs in, and keeps it for the next mail.
    pub async fn connect(&self) -> Result<(), SendError> {
        match &self.0 {
            Backend::Smtp(relay) => relay.connect_ahead().await,
            Backend::Eml(directory) => directory.probe().map(|_| ()),
        }
    }

    /// Closes all idle connections: a server process that has rejected every mail may continue to do so.
    pub fn close_kept(&self) {
        if let Backend::Smtp(relay) = &self.0 {
            relay.close_kept();
        }
    }

    /// Closes expired connections. Returns the time until the next one expires, unless a mail uses it.
    pub fn close_idle(&self) -> Option<Duration> {
        match &self.0 {
            Backend::Smtp(relay) => relay.close_idle(),
            Backend::Eml(_) => None,
        }
    }

    /// Makes one attempt. Dropping the future is safe: its connection is closed and not used again.
    pub async fn send(&self, envelope: &OutgoingMail) -> Result<AcceptedMail, SendError> {
        let message = message::build(envelope)?;
        match &self.0 {
            Backend::Smtp(relay) => {
                relay.send(&message).await.map_err(|error| error.without(&envelope.from, &envelope.to))
            }
            Backend::Eml(directory) => directory.write(envelope, message.formatted()).await,
        }
    }
}
