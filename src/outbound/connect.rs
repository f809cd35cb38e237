//! A connection and nothing else: whether a target could be reached, without telling it anything.

use std::{error::Error, io, net::SocketAddr, sync::Arc};

use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use rustls_platform_verifier::Verifier;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsConnector;

use super::{Client, Failure, Target};

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
            TlsConnector::from(Arc::new(self.tls()?)).connect(name, stream).await?;
        }
        Ok(())
    }

    /// What requests trust, too.
    fn tls(&self) -> Result<ClientConfig, Cause> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots: Result<Vec<CertificateDer<'static>>, _> =
            self.extra_roots.iter().map(|pem| CertificateDer::from_pem_slice(pem)).collect();
        let roots = roots.map_err(|_| io::Error::other("an extra root certificate can't be read"))?;
        let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider))?;
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
    }
}
