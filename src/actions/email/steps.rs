//! The steps of a conversation, each in its time and with the answer that it wants.
//!
//! | step | goes on with |
//! | --- | --- |
//! | `DATA` | 354 |
//! | all others | 2xx, but for 221, which is a goodbye |
//!
//! 4xx and 5xx are a no. Whatever else is said makes no sense there, and nothing is built on it: it counts like silence.

use std::{future::Future, time::Duration};

use tokio::time::timeout;

use super::{
    Cause, Security, SendError,
    conversation::{Broken, Reply},
    secrets::Secrets,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Connect,
    /// From the first byte.
    Tls,
    Greeting,
    Hello,
    /// The command; then the TLS.
    StartTls,
    Upgrade,
    LogIn,
    Sender,
    Recipient,
    Announce,
    Content,
}

impl Step {
    /// As in "it said … no".
    pub fn to_what(self) -> &'static str {
        match self {
            Self::Connect | Self::Tls | Self::Greeting => "to the connection",
            Self::Hello => "to EHLO",
            Self::StartTls | Self::Upgrade => "to STARTTLS",
            Self::LogIn => "to the login",
            Self::Sender => "to the sender",
            Self::Recipient => "to the recipient",
            Self::Announce | Self::Content => "to the mail",
        }
    }

    /// A mail has begun, and nothing of its text was sent.
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

/// With whom, how patiently, and what is not told of it.
pub(super) struct Steps {
    /// As it is shown.
    pub server: String,
    pub security: Security,
    pub patience: Duration,
    pub secrets: Secrets,
}

impl Steps {
    /// One step, in its time. What fails is not used again, except after a no: dropping a connection closes it.
    pub async fn within<T>(&self, step: Step, doing: impl Future<Output = Result<T, Broken>>) -> Result<T, SendError> {
        let limit = if step == Step::Content { self.patience * 4 } else { self.patience };
        match timeout(limit, doing).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(broken)) => Err(SendError::broken(self, step, &broken)),
            Err(_) => Err(SendError::timed_out(self, step, limit)),
        }
    }

    /// Likewise, and the answer is the one that the step wants.
    pub async fn answered(
        &self,
        step: Step,
        asking: impl Future<Output = Result<Reply, Broken>>,
    ) -> Result<Reply, SendError> {
        let reply = self.within(step, asking).await?;
        if step.goes_on_with(reply.code) { Ok(reply) } else { Err(SendError::said(self, step, &reply)) }
    }

    /// It does not offer what is needed.
    pub fn lacks(&self, what: &str, cause: Cause) -> SendError {
        SendError::lacking(self, what, cause)
    }

    /// What was said, without what it may repeat of the login.
    pub fn told(&self, reply: &Reply) -> String {
        self.secrets.blotted(&reply.text)
    }
}
