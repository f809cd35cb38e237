//! The conversation with a relay, step by step, so that whoever reads of a failure knows at which one.
//!
//! Connections are kept for the next mail here and not by lettre's own pool: that one takes a connection back whose sending was cut
//! off midway, and the next mail would read the answers meant for the one before. Here a connection comes back only after every
//! command has had its answer, also where that was a refusal; everything else closes it.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use lettre::{
    Message,
    transport::smtp::commands::{Data, Mail, Noop, Quit, Rcpt, Rset},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use super::{
    Security, SendError, Sent, Smtp,
    connection::Connector,
    conversation::{Conversation, Reply},
    rest::Rest,
    secrets::Secrets,
    steps::{Step, Steps},
};

/// As many as mails may be sent at once.
const MAX_KEPT: usize = 64;

pub(super) struct Relay {
    login: Option<(String, SecretString)>,
    connector: Connector,
    steps: Steps,
    rest: Rest,
    kept_for: Duration,
    kept: Mutex<Vec<(Conversation, Instant)>>,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("server", &self.steps.server).finish_non_exhaustive()
    }
}

impl Relay {
    pub fn new(server: Smtp, connector: Connector, patience: Duration, kept_for: Duration) -> Self {
        let steps = Steps {
            server: format!("{}:{}", server.host, server.port),
            security: server.security,
            patience,
            secrets: Secrets::of(server.login.as_ref()),
        };
        let (rest, kept) = (Rest::default(), Mutex::new(Vec::new()));
        Self { login: server.login, connector, steps, rest, kept_for, kept }
    }

    pub async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        let mut conversation = match self.kept().await {
            Some(conversation) => conversation,
            None => self.connect_in_turn().await?,
        };
        let sent = self.talk(&mut conversation, message).await;
        match &sent {
            Ok(_) => self.keep(conversation),
            // The server has said no to this mail, and goes on to the next.
            Err(error) if error.is_answer => self.begin_anew(conversation).await,
            Err(_) => {}
        }
        sent
    }

    async fn talk(&self, conversation: &mut Conversation, message: &Message) -> Result<Sent, SendError> {
        let (steps, envelope) = (&self.steps, message.envelope());
        let from = Mail::new(envelope.from().cloned(), Vec::new());
        steps.answered(Step::Sender, conversation.say(from)).await?;
        for to in envelope.to() {
            steps.answered(Step::Recipient, conversation.say(Rcpt::new(to.clone(), Vec::new()))).await?;
        }
        steps.answered(Step::Announce, conversation.say(Data)).await?;
        let reply = steps.answered(Step::Content, conversation.say_content(&message.formatted())).await?;
        Ok(Sent { answer: format!("{} {}", reply.code, steps.told(&reply)) })
    }

    async fn begin_anew(&self, mut conversation: Conversation) {
        if matches!(timeout(self.steps.patience, conversation.say(Rset)).await, Ok(Ok(Reply { code: 200..300, .. }))) {
            self.keep(conversation);
        }
    }

    /// A connection for a mail, unless the relay has failed just now.
    async fn connect_in_turn(&self) -> Result<Conversation, SendError> {
        let turn = self.rest.turn()?;
        let connected = self.connect().await;
        match &connected {
            Ok(_) => turn.went_well(),
            Err(error) => turn.failed(error),
        }
        connected
    }

    /// A connection as for a mail, and no mail. It is always tried.
    pub async fn probe(&self) -> Result<String, SendError> {
        let mut conversation = self.connect().await?;
        // Whether it takes leave well is nothing that a mail depends on.
        let _ = timeout(self.steps.patience, conversation.say(Quit)).await;
        let tls = match self.steps.security {
            Security::Implicit => "TLS",
            Security::StartTls => "STARTTLS",
            Security::Loopback => "no TLS, on this machine",
        };
        let login = if self.login.is_some() { "logged in" } else { "no login configured" };
        Ok(format!("{}: connected, {tls}, {login}", self.steps.server))
    }

    async fn connect(&self) -> Result<Conversation, SendError> {
        let mut conversation = self.connector.connect(&self.steps).await?;
        if let Some((user, password)) = &self.login {
            let logging_in = conversation.log_in(user, password.expose_secret());
            match self.steps.within(Step::LogIn, logging_in).await? {
                Some(reply) => self.steps.answered(Step::LogIn, async { Ok(reply) }).await?,
                None => {
                    return Err(self.steps.lacks(
                        "the server offers no way to log in that is known here (PLAIN, LOGIN); it may want TLS",
                    ));
                }
            };
        }
        Ok(conversation)
    }

    /// A connection from before that still answers.
    async fn kept(&self) -> Option<Conversation> {
        loop {
            let (mut conversation, since) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            let is_fresh = since.elapsed() < self.kept_for;
            let limit = self.steps.patience.min(Duration::from_secs(5));
            if is_fresh && matches!(timeout(limit, conversation.say(Noop)).await, Ok(Ok(Reply { code: 200..300, .. })))
            {
                return Some(conversation);
            }
        }
    }

    /// Closes those that nobody has used for too long. Returns when there will be another.
    pub fn close_idle(&self) -> Option<Duration> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(_, since)| since.elapsed() < self.kept_for);
        kept.iter().map(|(_, since)| self.kept_for.saturating_sub(since.elapsed())).min()
    }

    fn keep(&self, conversation: Conversation) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(_, since)| since.elapsed() < self.kept_for);
        if kept.len() < MAX_KEPT {
            kept.push((conversation, Instant::now()));
        }
    }
}
