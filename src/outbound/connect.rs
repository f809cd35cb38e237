//! A connection and nothing else: whether a target could be reached, without telling it anything.

use std::{error::Error, net::SocketAddr, sync::Arc};

use rustls::pki_types::ServerName;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsConnector;

use super::{Client, Failure, Target, tls};

type Cause = Box<dyn Error + Send + Sync>;

impl Client {
    /// Connects as a request would, with TLS where the URL says so, and hangs up.
    pub async fn connect(&self, target: &Target) -> Result<(), Failure> {
        self.may_send_to(target)?;
        let until = Instant::now() + self.timeouts.connect;
        match timeout_at(until, self.connected(target)).await {
            Ok(connected) => connected.map_err(|cause| Failure::of_connecting(target, &*cause)),
            Err(_) => Err(Failure::no_connection(target, self.timeouts.connect)),
        }
    }

    async fn connected(&self, target: &Target) -> Result<(), Cause> {
        let (host, port) = target.server();
        let addresses = match target.address() {
            Some(address) => vec![SocketAddr::new(address, port)],
            None => self.names.addresses(host, port).await?,
        };
        let stream = TcpStream::connect(&*addresses).await?;
        if target.is_encrypted() {
            let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
            TlsConnector::from(Arc::new(tls::trusting(&self.extra_roots)?)).connect(name, stream).await?;
        }
        Ok(())
    }
}
