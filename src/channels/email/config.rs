//! The configuration of mails, and the sender that it describes.

use std::time::Duration;

use super::{EhloName, MailAddress, MailSender, Mailer, MailerConfig, Transport};
use crate::{
    channels::{
        domain_limiter::DomainLimiter,
        sender::{ChannelConfig, Sender},
    },
    decide::Brake,
};

/// The configuration of mails.
#[derive(Clone, Debug)]
pub struct EmailConfig {
    pub from: MailAddress,
    /// `None` only if it was left unfilled.
    pub transport: Option<Transport>,
    /// The name in EHLO; `None`: the machine's full name, or the connection's local address if there is none.
    pub hello: Option<EhloName>,
    pub reply_to: Option<MailAddress>,
    /// `None`: no brake.
    pub brake: Option<Brake>,
    /// Maximum number of mails that are sent at the same time.
    pub concurrency: usize,
    /// Minimum time between two mails to addresses of one domain; `None`: no minimum.
    pub per_domain: Option<Duration>,
}

impl EmailConfig {
    /// Everything that sending mails needs; `None` if `email.transport` is not set.
    pub fn mail_sender(&self, extra_roots: &[Vec<u8>]) -> Result<Option<MailSender>, String> {
        let Some(transport) = &self.transport else { return Ok(None) };
        let is_smtp = matches!(transport, Transport::Smtp(_));
        let between_ms = self.per_domain.filter(|_| is_smtp).map(|between| i64::try_from(between.as_millis()));
        let domains = between_ms.and_then(Result::ok).map(DomainLimiter::new);
        let config = MailerConfig {
            extra_roots: extra_roots.to_vec(),
            hello: self.hello.clone(),
            ..MailerConfig::new(transport.clone())
        };
        let mailer = Mailer::new(config).map_err(|error| format!("email.transport: {error}"))?;
        Ok(Some(MailSender::new(mailer, self.from.clone(), self.reply_to.clone(), domains)))
    }
}

impl ChannelConfig for EmailConfig {
    fn brake(&self) -> Option<Brake> {
        self.brake
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn sender(&self, _name: &str, extra_roots: &[Vec<u8>]) -> Result<Option<Box<dyn Sender>>, String> {
        Ok(self.mail_sender(extra_roots)?.map(|sender| Box::new(sender) as Box<dyn Sender>))
    }
}
