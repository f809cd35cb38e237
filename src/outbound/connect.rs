//! Connects to a target without sending a request, to test whether it is reachable.

use std::{error::Error, net::SocketAddr, sync::Arc};

use rustls::pki_types::ServerName;
use tokio::{
    net::TcpStream,
    time::{Duration, Instant, timeout_at},
};
use tokio_rustls::TlsConnector;

use super::{HttpClient, HttpFailure, TargetUrl, tls};

type ConnectFailure = Box<dyn Error + Send + Sync>;

/// The limit for the TCP connection after a TLS timeout.
const LOOKS_FOR: Duration = Duration::from_secs(1);

impl HttpClient {
    /// Connects like a request, with TLS if the URL is `https`, and closes the connection.
    pub async fn connect(&self, target: &TargetUrl) -> Result<(), HttpFailure> {
        self.may_send_to(target)?;
        let until = Instant::now() + self.timeouts.connect;
        let failed = |cause: ConnectFailure| HttpFailure::of_connecting(target, &*cause);
        let stream = match timeout_at(until, self.tcp(target)).await {
            Ok(stream) => stream.map_err(failed)?,
            Err(_) => return Err(HttpFailure::no_connection(target, self.timeouts.connect)),
        };
        if !target.is_encrypted() {
            return Ok(());
        }
        match timeout_at(until, self.tls(target, stream)).await {
            Ok(encrypted) => encrypted.map_err(failed),
            Err(_) => Err(HttpFailure::no_tls(target, self.timeouts.connect)),
        }
    }

    /// Whether the target accepts TCP connections. Used after a timeout, because reqwest does not report whether TCP
    /// or TLS timed out.
    pub(super) async fn takes_connections(&self, target: &TargetUrl) -> bool {
        let until = Instant::now() + self.timeouts.connect.min(LOOKS_FOR);
        matches!(timeout_at(until, self.tcp(target)).await, Ok(Ok(_)))
    }

    async fn tcp(&self, target: &TargetUrl) -> Result<TcpStream, ConnectFailure> {
        let (host, port) = target.server();
        let addresses = match target.address() {
            Some(address) => vec![SocketAddr::new(address, port)],
            None => self.names.addresses(host, port).await?,
        };
        Ok(TcpStream::connect(&*addresses).await?)
    }

    async fn tls(&self, target: &TargetUrl, stream: TcpStream) -> Result<(), ConnectFailure> {
        let (host, _) = target.server();
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
        TlsConnector::from(Arc::new(tls::verifier(&self.extra_roots)?)).connect(name, stream).await?;
        Ok(())
    }
}
