//! The way to a relay: an address that answers, TLS as the configuration wants it, and a server that has said what it offers.
//!
//! TLS comes from here and not from lettre: with STARTTLS the rest of the conversation must not begin with what somebody on the
//! way has written behind the server's go-ahead. All that was said in the open is forgotten, what the server offers too.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use lettre::transport::smtp::extension::ClientId;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    MailerError, Security, SendError, Smtp,
    conversation::{Broken, Conversation, Reply, Stream},
    steps::{Step, Steps},
};
use crate::outbound::tls;

pub(super) struct Connector {
    host: String,
    port: u16,
    security: Security,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// `EHLO` and who we are.
    hello: String,
}

/// A server that waits for a login or a mail.
pub(super) struct Connected {
    pub conversation: Conversation,
    pub offers: Offers,
}

impl Connector {
    pub fn new(server: &Smtp, extra_roots: &[Vec<u8>]) -> Result<Self, MailerError> {
        let tls = match server.security {
            Security::Loopback => None,
            Security::Implicit | Security::StartTls => Some(tls_to(&server.host, extra_roots)?),
        };
        let (host, hello) = (server.host.clone(), format!("EHLO {}", ClientId::default()));
        Ok(Self { host, port: server.port, security: server.security, tls, hello })
    }

    pub async fn connect(&self, steps: &Steps) -> Result<Connected, SendError> {
        let tcp = steps.within(Step::Connect, self.tcp(steps.patience)).await?;
        let stream: Box<dyn Stream> = match self.security {
            Security::Implicit => steps.within(Step::Tls, self.encrypted(Box::new(tcp))).await?,
            Security::StartTls | Security::Loopback => Box::new(tcp),
        };
        let mut conversation = Conversation::new(stream);
        steps.answered(Step::Greeting, conversation.reply()).await?;
        let mut offers = self.hello(steps, &mut conversation).await?;
        if self.security == Security::StartTls {
            if !offers.has("STARTTLS") {
                return Err(steps.lacks(
                    "the server offers no STARTTLS, and nothing is sent without TLS (smtps:// or another port, perhaps)",
                ));
            }
            steps.answered(Step::StartTls, conversation.say("STARTTLS")).await?;
            let encrypted = async { self.encrypted(conversation.into_stream()?).await };
            conversation = Conversation::new(steps.within(Step::Upgrade, encrypted).await?);
            offers = self.hello(steps, &mut conversation).await?;
        }
        Ok(Connected { conversation, offers })
    }

    async fn hello(&self, steps: &Steps, conversation: &mut Conversation) -> Result<Offers, SendError> {
        Ok(Offers(steps.answered(Step::Hello, conversation.say(&self.hello)).await?))
    }

    /// Each address in turn, of which one that does not answer has no more than its share of the time.
    async fn tcp(&self, patience: Duration) -> Result<TcpStream, Broken> {
        let until = Instant::now() + patience;
        let addresses: Vec<SocketAddr> = lookup_host((self.host.as_str(), self.port)).await?.collect();
        let mut failed = io::Error::other("the name has no address");
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
        tls::trusting(extra_roots).map_err(|error| MailerError(format!("TLS can't be set up: {error}")))?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| MailerError("no certificate can be for a host of this name".to_owned()))?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// What a server has said that it can do.
pub(super) struct Offers(Reply);

impl Offers {
    pub fn has(&self, what: &str) -> bool {
        self.words().any(|mut words| words.next().is_some_and(|word| word.eq_ignore_ascii_case(what)))
    }

    pub fn has_login(&self, mechanism: &str) -> bool {
        self.words().any(|mut words| {
            words.next().is_some_and(|word| word.eq_ignore_ascii_case("AUTH"))
                && words.any(|word| word.eq_ignore_ascii_case(mechanism))
        })
    }

    /// Line by line; the first is the server's name. `AUTH=` is how it was written before it was a standard.
    fn words(&self) -> impl Iterator<Item = impl Iterator<Item = &str>> {
        self.0.lines.iter().skip(1).map(|line| line.split([' ', '=']).filter(|word| !word.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_read_as_servers_write_them() {
        let lines = ["starttls.example at your service", "8BITMIME", "auth=LOGIN", "AUTH GSSAPI plain", "SIZE 10"];
        let offers = Offers(Reply { code: 250, lines: lines.map(str::to_owned).to_vec() });
        assert!(offers.has("8bitmime") && offers.has("SIZE") && !offers.has("STARTTLS") && !offers.has("plain"));
        assert!(offers.has_login("PLAIN") && offers.has_login("LOGIN") && !offers.has_login("CRAM-MD5"));
    }
}
