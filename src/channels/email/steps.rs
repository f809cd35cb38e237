//! The steps of a conversation, each with its time limit and its expected reply.
//!
//! | step | continues after |
//! | --- | --- |
//! | `DATA` | 354 |
//! | all others | 2xx, except 221, which closes the connection |
//!
//! 4xx and 5xx are refusals. Any other reply is not valid there and counts like a missing reply.

use std::{future::Future, time::Duration};

use tokio::time::timeout;

use super::{
    RelayCause, SendError, TlsMode,
    conversation::{NoReply, SmtpReply},
    secrets::RedactedSecrets,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SmtpStep {
    Connect,
    /// TLS from the first byte.
    Tls,
    Greeting,
    Hello,
    /// The STARTTLS command; below, its TLS handshake.
    StartTls,
    Upgrade,
    LogIn,
    Sender,
    Recipient,
    Announce,
    Content,
}

impl SmtpStep {
    /// As in "replied to RCPT TO".
    pub fn to_what(self) -> &'static str {
        match self {
            Self::Connect | Self::Tls | Self::Greeting => "to the connection",
            Self::Hello => "to EHLO",
            Self::StartTls | Self::Upgrade => "to STARTTLS",
            Self::LogIn => "to AUTH",
            Self::Sender => "to MAIL FROM",
            Self::Recipient => "to RCPT TO",
            Self::Announce | Self::Content => "to DATA",
        }
    }

    /// Whether a mail has begun and none of its text was sent.
    pub fn is_before_content(self) -> bool {
        matches!(self, Self::Sender | Self::Recipient | Self::Announce)
    }

    fn goes_on_with(self, code: u16) -> bool {
        match self {
            Self::Announce => code == 354,
            _ => (200..300).contains(&code) && code != 221,
        }
    }
}

/// The server of the steps, their time limit, and the secrets to hide.
pub(super) struct SmtpSteps {
    /// The server's name in messages.
    pub server: String,
    pub security: TlsMode,
    pub patience: Duration,
    pub secrets: RedactedSecrets,
}

impl SmtpSteps {
    /// Runs one step within its time limit. After an error the connection is not used again, unless the error is a
    /// refusal.
    pub async fn within<T>(
        &self,
        step: SmtpStep,
        doing: impl Future<Output = Result<T, NoReply>>,
    ) -> Result<T, SendError> {
        let limit = if step == SmtpStep::Content { self.patience * 4 } else { self.patience };
        match timeout(limit, doing).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(broken)) => Err(SendError::connection_lost(self, step, &broken)),
            Err(_) => Err(SendError::timed_out(self, step, limit)),
        }
    }

    /// Runs one step, and checks that the reply is the expected one.
    pub async fn after_reply(
        &self,
        step: SmtpStep,
        asking: impl Future<Output = Result<SmtpReply, NoReply>>,
    ) -> Result<SmtpReply, SendError> {
        let reply = self.within(step, asking).await?;
        if step.goes_on_with(reply.code) { Ok(reply) } else { Err(SendError::from_reply(self, step, &reply)) }
    }

    /// The error for a server that does not offer what is needed.
    pub fn missing(&self, what: &str, cause: RelayCause) -> SendError {
        SendError::missing_capability(self, what, cause)
    }

    /// The text of a reply, without the login that it may repeat.
    pub fn describe(&self, reply: &SmtpReply) -> String {
        self.secrets.redacted(&reply.text)
    }
}
