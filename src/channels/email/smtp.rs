//! The SMTP conversation with a relay, step by step, so that an error names its step.
//!
//! Connections are kept in a pool of this program: lettre's pool keeps a connection whose mail was aborted, and the
//! next mail would read the replies to the previous one. Here a connection returns to the pool only if every command
//! got its reply, even if that reply was a refusal; after any other failure it is closed.
//!
//! A kept connection may have ended, or be about to end. If that is detected before the text of the mail was sent,
//! the same attempt continues over a new connection; if a new connection ends in this way, the attempt fails.

use std::{fmt, time::Duration};

use lettre::{
    Address, Message,
    transport::smtp::commands::{Data, Mail, Noop, Quit, Rcpt, Rset},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use super::{
    AcceptedMail, FailureScope, MailAddress, RelayCause, SendError, SmtpSettings, TlsMode,
    connection::Connector,
    conversation::{SmtpReply, SmtpSession},
    pool::{ConnectionLimits, ConnectionPool, PooledConnection},
    secrets::RedactedSecrets,
    steps::{SmtpStep, SmtpSteps},
};

/// The limit for testing a kept connection, and for the `QUIT` of a finished one.
const COURTESY: Duration = Duration::from_secs(5);

pub(super) struct Relay {
    login: Option<(String, SecretString)>,
    connector: Connector,
    steps: SmtpSteps,
    pool: ConnectionPool,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("server", &self.steps.server).finish_non_exhaustive()
    }
}

impl Relay {
    pub fn new(server: SmtpSettings, connector: Connector, patience: Duration, lifetimes: ConnectionLimits) -> Self {
        let steps = SmtpSteps {
            server: format!("{}:{}", server.host, server.port),
            security: server.security,
            patience,
            secrets: RedactedSecrets::of(server.login.as_ref()),
        };
        Self { login: server.login, connector, steps, pool: ConnectionPool::new(lifetimes) }
    }

    pub async fn send(&self, message: &Message) -> Result<AcceptedMail, SendError> {
        if let Some(mut kept) = self.pooled().await {
            match self.deliver(&mut kept.conversation, message).await {
                Err(error) if error.is_stale => drop(kept),
                sent => return self.after(kept, sent).await,
            }
        }
        let mut connection = PooledConnection::new(self.connect().await?);
        let sent = self.deliver(&mut connection.conversation, message).await;
        self.after(connection, sent).await
    }

    async fn deliver(&self, conversation: &mut SmtpSession, message: &Message) -> Result<AcceptedMail, SendError> {
        let (steps, envelope) = (&self.steps, message.envelope());
        let from = Mail::new(envelope.from().cloned(), Vec::new());
        steps.after_reply(SmtpStep::Sender, conversation.say(from)).await?;
        for to in envelope.to() {
            steps.after_reply(SmtpStep::Recipient, conversation.say(Rcpt::new(to.clone(), Vec::new()))).await?;
        }
        steps.after_reply(SmtpStep::Announce, conversation.say(Data)).await?;
        let reply = steps.after_reply(SmtpStep::Content, conversation.send_content(&message.formatted())).await?;
        Ok(AcceptedMail { answer: format!("{} {}", reply.code, steps.describe(&reply)) })
    }

    /// Keeps or closes a connection, depending on the outcome of its mail.
    async fn after(
        &self,
        mut connection: PooledConnection,
        sent: Result<AcceptedMail, SendError>,
    ) -> Result<AcceptedMail, SendError> {
        let goes_on = match &sent {
            Ok(_) => true,
            // After the relay's settings are corrected, a server process with an old connection may continue to
            // refuse.
            Err(error) if matches!(error.scope, FailureScope::Relay(_)) => {
                self.pool.clear();
                if error.is_answer {
                    self.quit(connection.conversation).await;
                }
                return sent;
            }
            // The server has refused this mail and accepts the next one.
            Err(error) => error.is_answer && self.is_alive(connection.conversation.say(Rset)).await,
        };
        if goes_on && let Some(finished) = self.pool.keep(connection) {
            self.quit(finished.conversation).await;
        }
        sent
    }

    /// Opens a connection and keeps it for the next mail.
    pub async fn connect_ahead(&self) -> Result<(), SendError> {
        let connection = PooledConnection::new(self.connect().await?);
        if let Some(finished) = self.pool.keep(connection) {
            self.quit(finished.conversation).await;
        }
        Ok(())
    }

    /// Connects as for a mail, with a sender and a recipient if `sender` is given, and sends no mail. Returns a text
    /// for the operator.
    pub async fn probe(&self, sender: Option<&MailAddress>) -> Result<String, SendError> {
        let mut conversation = self.connect().await?;
        let accepted = match sender {
            Some(sender) => {
                self.announce(&mut conversation, sender).await.map(|()| "accepts a sender and a recipient, ")
            }
            None => Ok(""),
        };
        let hello = conversation.hello.clone();
        self.quit(conversation).await;
        let tls = match self.steps.security {
            TlsMode::Implicit => "TLS",
            TlsMode::StartTls => "STARTTLS",
            TlsMode::Loopback => "no TLS, on this machine",
        };
        let login = if self.login.is_some() { "logged in" } else { "no login configured" };
        Ok(format!("{}: {}EHLO {hello}; connected, {tls}, {login}", self.steps.server, accepted?))
    }

    /// Starts a mail from this address to itself and stops before its text.
    async fn announce(&self, conversation: &mut SmtpSession, sender: &MailAddress) -> Result<(), SendError> {
        let address: Address = sender.mailbox().map_err(SendError::retry)?.email;
        let from = Mail::new(Some(address.clone()), Vec::new());
        self.steps.after_reply(SmtpStep::Sender, conversation.say(from)).await?;
        self.steps.after_reply(SmtpStep::Recipient, conversation.say(Rcpt::new(address, Vec::new()))).await?;
        self.is_alive(conversation.say(Rset)).await;
        Ok(())
    }

    async fn connect(&self) -> Result<SmtpSession, SendError> {
        let mut conversation = self.connector.connect(&self.steps).await?;
        if let Some((user, password)) = &self.login {
            let logging_in = conversation.log_in(user, password.expose_secret());
            match self.steps.within(SmtpStep::LogIn, logging_in).await? {
                Some(reply) => self.steps.after_reply(SmtpStep::LogIn, async { Ok(reply) }).await?,
                None => {
                    return Err(self.steps.missing(
                        "the server offers no supported way to log in (PLAIN, LOGIN); it may require TLS",
                        RelayCause::Login,
                    ));
                }
            };
        }
        Ok(conversation)
    }

    /// Returns a kept connection that still replies. Data that was not requested is detected when a command is sent.
    async fn pooled(&self) -> Option<PooledConnection> {
        loop {
            let mut connection = self.pool.take()?;
            let limit = self.steps.patience.min(COURTESY);
            match timeout(limit, connection.conversation.say(Noop)).await {
                Ok(Ok(SmtpReply { code: 250, .. })) => return Some(connection),
                Ok(_) => {}
                // No reply: the other connections are as old, and each test would take as long again.
                Err(_) => self.pool.clear(),
            }
        }
    }

    async fn is_alive(&self, saying: impl Future<Output = Result<SmtpReply, super::conversation::NoReply>>) -> bool {
        matches!(timeout(self.steps.patience, saying).await, Ok(Ok(SmtpReply { code: 200..300, .. })))
    }

    /// Sends `QUIT`. No mail depends on the reply.
    async fn quit(&self, mut conversation: SmtpSession) {
        let _ = timeout(self.steps.patience.min(COURTESY), conversation.say(Quit)).await;
    }

    pub fn close_kept(&self) {
        self.pool.clear();
    }

    /// Closes expired connections. Returns the time until the next one expires.
    pub fn close_idle(&self) -> Option<Duration> {
        self.pool.close_expired()
    }
}
