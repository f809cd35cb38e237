//! Opens a connection to a relay: finds an address that answers, sets up TLS as configured, and sends EHLO.
//!
//! TLS is set up here and not by lettre: with STARTTLS, data that an attacker injected before TLS must not be read as
//! a part of the encrypted conversation. Everything received before TLS is discarded, including the server's
//! extensions.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    EhloName, MailerError, RelayCause, SendError, SmtpSettings, TlsMode,
    conversation::{Greeting, NoReply, SmtpReply, SmtpSession},
    hello::EhloNames,
    lines::Stream,
    steps::{SmtpStep, SmtpSteps},
};
use crate::outbound::tls;

pub(super) struct Connector {
    host: String,
    port: u16,
    security: TlsMode,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    names: EhloNames,
}

impl Connector {
    pub fn new(server: &SmtpSettings, extra_roots: &[Vec<u8>], hello: Option<EhloName>) -> Result<Self, MailerError> {
        let tls = match server.security {
            TlsMode::Loopback => None,
            TlsMode::Implicit | TlsMode::StartTls => Some(tls_to(&server.host, extra_roots)?),
        };
        Ok(Self {
            host: server.host.clone(),
            port: server.port,
            security: server.security,
            tls,
            names: EhloNames::new(hello),
        })
    }

    /// Connects to the server, up to the point where it waits for a login or a mail.
    pub async fn connect(&self, steps: &SmtpSteps) -> Result<SmtpSession, SendError> {
        let tcp = steps.within(SmtpStep::Connect, self.tcp(steps.patience)).await?;
        let local = steps.within(SmtpStep::Connect, async { Ok(tcp.local_addr()?) }).await?;
        let hello = self.names.ehlo_name(local).await;
        let stream: Box<dyn Stream> = match self.security {
            TlsMode::Implicit => steps.within(SmtpStep::Tls, self.encrypted(Box::new(tcp))).await?,
            TlsMode::StartTls | TlsMode::Loopback => Box::new(tcp),
        };
        let mut opening = Greeting::over(stream);
        steps.after_reply(SmtpStep::Greeting, opening.read_reply()).await?;
        let stream = match self.security {
            TlsMode::StartTls => self.upgraded(steps, opening, &hello.to_string()).await?,
            TlsMode::Implicit | TlsMode::Loopback => {
                steps.within(SmtpStep::Hello, async { opening.into_stream() }).await?
            }
        };
        let begun = steps.within(SmtpStep::Hello, SmtpSession::greet(stream, &hello)).await?;
        begun.map_err(|reply| SendError::from_reply(steps, SmtpStep::Hello, &reply))
    }

    /// Negotiates STARTTLS, and discards everything received before TLS.
    async fn upgraded(
        &self,
        steps: &SmtpSteps,
        mut opening: Greeting,
        hello: &str,
    ) -> Result<Box<dyn Stream>, SendError> {
        let offers = steps.after_reply(SmtpStep::Hello, opening.command(&format!("EHLO {hello}"))).await?;
        if !offers_tls(&offers) {
            return Err(steps.missing(
                "the server offers no STARTTLS, and nothing is sent without TLS (try smtps:// or another port)",
                RelayCause::Unreachable,
            ));
        }
        steps.after_reply(SmtpStep::StartTls, opening.command("STARTTLS")).await?;
        steps.within(SmtpStep::Upgrade, async { self.encrypted(opening.into_stream()?).await }).await
    }

    /// Tries each address in turn. An address that does not answer gets no more than its share of the time.
    async fn tcp(&self, patience: Duration) -> Result<TcpStream, NoReply> {
        let until = Instant::now() + patience;
        let addresses: Vec<SocketAddr> = lookup_host((self.host.as_str(), self.port)).await?.collect();
        let mut failed = io::Error::other("the host name has no address");
        for (nth, address) in addresses.iter().enumerate() {
            let others = u32::try_from(addresses.len() - nth).unwrap_or(u32::MAX);
            let share = until.saturating_duration_since(Instant::now()) / others;
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => failed = error,
                Err(_) => failed = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(failed.into())
    }

    async fn encrypted(&self, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, NoReply> {
        let Some((connector, name)) = &self.tls else { return Ok(stream) };
        Ok(Box::new(connector.connect(name.clone(), stream).await?))
    }
}

fn tls_to(host: &str, extra_roots: &[Vec<u8>]) -> Result<(TlsConnector, ServerName<'static>), MailerError> {
    let config: ClientConfig =
        tls::verifier(extra_roots).map_err(|error| MailerError(format!("TLS cannot be set up: {error}")))?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| MailerError("no certificate can be issued for a host of this name".to_owned()))?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// Searches the lines of the EHLO reply; the first line is the server's name.
fn offers_tls(offers: &SmtpReply) -> bool {
    offers.text.lines().skip(1).any(|line| line.trim().eq_ignore_ascii_case("STARTTLS"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starttls_is_read_as_an_extension_and_not_as_the_servers_name() {
        let offers = |text: &str| offers_tls(&SmtpReply { code: 250, text: text.to_owned() });
        assert!(offers("mail.example\n8BITMIME\nstarttls\nSIZE 10"));
        assert!(!offers("starttls\n8BITMIME") && !offers("STARTTLS") && !offers("mail.example\nXSTARTTLS"));
    }
}
