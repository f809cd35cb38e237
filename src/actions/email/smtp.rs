//! The conversation with a relay, step by step, so that whoever reads of a failure knows at which one.
//!
//! Connections are kept for the next mail here and not by lettre's own pool: that one takes a connection back whose sending
//! was cut off midway, and the next mail would read the answers meant for the one before. Here a connection comes back only
//! after every command has had its answer, also where that was a refusal; everything else closes it.

use std::{
    fmt,
    future::Future,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use lettre::{
    Message,
    transport::smtp::{
        Error,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        commands::{Data, Mail, Rcpt, Rset},
        extension::ClientId,
    },
};
use secrecy::ExposeSecret;

use super::{MailerError, Security, SendError, Sent, Smtp, failure::Step};

/// As many as mails may be sent at once.
const MAX_KEPT: usize = 64;
const KEPT_FOR: Duration = Duration::from_secs(30);

pub(super) struct Relay {
    server: Smtp,
    /// As it is shown.
    name: String,
    step_timeout: Duration,
    hello: ClientId,
    tls: Option<TlsParameters>,
    kept: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Relay {
    pub fn new(server: Smtp, step_timeout: Duration, extra_roots: &[Vec<u8>]) -> Result<Self, MailerError> {
        let tls = match server.security {
            Security::Loopback => None,
            Security::Implicit | Security::StartTls => {
                let mut parameters = TlsParameters::builder(server.host.clone());
                for pem in extra_roots {
                    let certificate = Certificate::from_pem(pem)
                        .map_err(|error| MailerError(format!("an extra root certificate can't be read: {error}")))?;
                    parameters = parameters.add_root_certificate(certificate);
                }
                let built = parameters.build_rustls();
                Some(built.map_err(|error| MailerError(format!("TLS can't be set up: {error}")))?)
            }
        };
        let name = format!("{}:{}", server.host, server.port);
        Ok(Self { server, name, step_timeout, hello: ClientId::default(), tls, kept: Mutex::new(Vec::new()) })
    }

    pub async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        let mut connection = match self.kept().await {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let sent = self.talk(&mut connection, message).await;
        match &sent {
            Ok(_) => self.keep(connection),
            // The server has said no to this mail, and goes on to the next.
            Err(error) if error.is_answer => self.begin_anew(connection).await,
            Err(_) => {}
        }
        sent
    }

    async fn talk(&self, connection: &mut AsyncSmtpConnection, message: &Message) -> Result<Sent, SendError> {
        let envelope = message.envelope();
        let from = Mail::new(envelope.from().cloned(), Vec::new());
        self.step(Step::Sender, connection.command(from)).await?;
        for to in envelope.to() {
            self.step(Step::Recipient, connection.command(Rcpt::new(to.clone(), Vec::new()))).await?;
        }
        self.step(Step::Announce, connection.command(Data)).await?;
        let content = message.formatted();
        let answer = self.step(Step::Content, connection.message(&content)).await?;
        let said: Vec<&str> = answer.message().collect();
        Ok(Sent { answer: format!("{} {}", answer.code(), said.join(" ")) })
    }

    async fn begin_anew(&self, mut connection: AsyncSmtpConnection) {
        if let Ok(Ok(_)) = tokio::time::timeout(self.step_timeout, connection.command(Rset)).await {
            self.keep(connection);
        }
    }

    /// A connection as for a mail, and no mail.
    pub async fn probe(&self) -> Result<String, SendError> {
        let mut connection = self.connect().await?;
        // Whether it takes leave well is nothing that a mail depends on.
        let _ = tokio::time::timeout(self.step_timeout, connection.quit()).await;
        let tls = match self.server.security {
            Security::Implicit => "TLS",
            Security::StartTls => "STARTTLS",
            Security::Loopback => "no TLS, on this machine",
        };
        let login = if self.server.login.is_some() { "logged in" } else { "no login configured" };
        Ok(format!("{}: connected, {tls}, {login}", self.name))
    }

    /// One step, in its time. What fails is not used again: dropping a connection closes it.
    async fn step<T>(&self, step: Step, doing: impl Future<Output = Result<T, Error>>) -> Result<T, SendError> {
        let limit = if step == Step::Content { self.step_timeout * 4 } else { self.step_timeout };
        match tokio::time::timeout(limit, doing).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(SendError::from_smtp(&self.name, step, &error)),
            Err(_) => Err(SendError::timed_out(&self.name, step, limit)),
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let implicit = self.tls.clone().filter(|_| self.server.security == Security::Implicit);
        let address = (self.server.host.as_str(), self.server.port);
        let connecting =
            AsyncSmtpConnection::connect_tokio1(address, Some(self.step_timeout), &self.hello, implicit, None);
        let mut connection = self.step(Step::Connect, connecting).await?;
        if let (Security::StartTls, Some(tls)) = (self.server.security, &self.tls) {
            self.step(Step::Tls, connection.starttls(tls.clone(), &self.hello)).await?;
        }
        if let Some((user, password)) = &self.server.login {
            let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            self.step(Step::LogIn, connection.auth(&mechanisms, &credentials)).await?;
        }
        Ok(connection)
    }

    /// A connection from before that still answers.
    async fn kept(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let (mut connection, since) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            let is_fresh = since.elapsed() < KEPT_FOR;
            let limit = self.step_timeout.min(Duration::from_secs(5));
            if is_fresh && tokio::time::timeout(limit, connection.test_connected()).await == Ok(true) {
                return Some(connection);
            }
        }
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(_, since)| since.elapsed() < KEPT_FOR);
        if kept.len() < MAX_KEPT {
            kept.push((connection, Instant::now()));
        }
    }
}
