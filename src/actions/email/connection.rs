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
    Cause, Hello, MailerError, Security, SendError, Smtp,
    conversation::{Broken, Conversation, Opening, Reply},
    hello::Names,
    lines::Stream,
    steps::{Step, Steps},
};
use crate::outbound::tls;

pub(super) struct Connector {
    host: String,
    port: u16,
    security: Security,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    names: Names,
}

impl Connector {
    pub fn new(server: &Smtp, extra_roots: &[Vec<u8>], hello: Option<Hello>) -> Result<Self, MailerError> {
        let tls = match server.security {
            Security::Loopback => None,
            Security::Implicit | Security::StartTls => Some(tls_to(&server.host, extra_roots)?),
        };
        Ok(Self {
            host: server.host.clone(),
            port: server.port,
            security: server.security,
            tls,
            names: Names::new(hello),
        })
    }

    /// Connects to the server, up to the point where it waits for a login or a mail.
    pub async fn connect(&self, steps: &Steps) -> Result<Conversation, SendError> {
        let tcp = steps.within(Step::Connect, self.tcp(steps.patience)).await?;
        let local = steps.within(Step::Connect, async { Ok(tcp.local_addr()?) }).await?;
        let hello = self.names.hello(local).await;
        let stream: Box<dyn Stream> = match self.security {
            Security::Implicit => steps.within(Step::Tls, self.encrypted(Box::new(tcp))).await?,
            Security::StartTls | Security::Loopback => Box::new(tcp),
        };
        let mut opening = Opening::over(stream);
        steps.answered(Step::Greeting, opening.reply()).await?;
        let stream = match self.security {
            Security::StartTls => self.upgraded(steps, opening, &hello.to_string()).await?,
            Security::Implicit | Security::Loopback => {
                steps.within(Step::Hello, async { opening.into_stream() }).await?
            }
        };
        let begun = steps.within(Step::Hello, Conversation::begin(stream, &hello)).await?;
        begun.map_err(|reply| SendError::said(steps, Step::Hello, &reply))
    }

    /// Negotiates STARTTLS, and discards everything received before TLS.
    async fn upgraded(&self, steps: &Steps, mut opening: Opening, hello: &str) -> Result<Box<dyn Stream>, SendError> {
        let offers = steps.answered(Step::Hello, opening.say(&format!("EHLO {hello}"))).await?;
        if !offers_tls(&offers) {
            return Err(steps.lacks(
                "the server offers no STARTTLS, and nothing is sent without TLS (try smtps:// or another port)",
                Cause::Unreachable,
            ));
        }
        steps.answered(Step::StartTls, opening.say("STARTTLS")).await?;
        steps.within(Step::Upgrade, async { self.encrypted(opening.into_stream()?).await }).await
    }

    /// Tries each address in turn. An address that does not answer gets no more than its share of the time.
    async fn tcp(&self, patience: Duration) -> Result<TcpStream, Broken> {
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

    async fn encrypted(&self, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, Broken> {
        let Some((connector, name)) = &self.tls else { return Ok(stream) };
        Ok(Box::new(connector.connect(name.clone(), stream).await?))
    }
}

fn tls_to(host: &str, extra_roots: &[Vec<u8>]) -> Result<(TlsConnector, ServerName<'static>), MailerError> {
    let config: ClientConfig =
        tls::trusting(extra_roots).map_err(|error| MailerError(format!("TLS cannot be set up: {error}")))?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| MailerError("no certificate can be issued for a host of this name".to_owned()))?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// Searches the lines of the EHLO reply; the first line is the server's name.
fn offers_tls(offers: &Reply) -> bool {
    offers.text.lines().skip(1).any(|line| line.trim().eq_ignore_ascii_case("STARTTLS"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starttls_is_read_as_an_extension_and_not_as_the_servers_name() {
        let offers = |text: &str| offers_tls(&Reply { code: 250, text: text.to_owned() });
        assert!(offers("mail.example\n8BITMIME\nstarttls\nSIZE 10"));
        assert!(!offers("starttls\n8BITMIME") && !offers("STARTTLS") && !offers("mail.example\nXSTARTTLS"));
    }
}
