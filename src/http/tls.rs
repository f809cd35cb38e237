//! The certificate and the key of a listener. They are read once, at start.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ServerConfig,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{Error as PemError, PemObject},
    },
};
use tokio_rustls::TlsAcceptor;

/// A certificate chain and its private key, ready for use by a listener.
#[derive(Clone)]
pub struct TlsConfig(Arc<ServerConfig>);

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsConfig(..)")
    }
}

/// The file that is wrong, and the problem with it.
#[derive(Debug)]
pub struct TlsError {
    pub file: PathBuf,
    pub problem: String,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.problem)
    }
}

impl std::error::Error for TlsError {}

impl TlsConfig {
    /// Reads PEM files: a chain that begins with the server's certificate, and the private key.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let wrong = |file: &Path, problem: String| TlsError { file: file.to_owned(), problem };
        let pem = |file: &Path, what: &str, error: PemError| wrong(file, explain(what, &error));
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| pem(certificate, "certificate", error))?;
        if chain.is_empty() {
            return Err(pem(certificate, "certificate", PemError::NoItemsFound));
        }
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| pem(key, "private key", error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(certificate, error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    wrong(key, format!("is not the key of the certificate in {}", certificate.display()))
                }
                rustls::Error::InvalidCertificate(problem) => {
                    wrong(certificate, format!("the certificate cannot be used: {problem:?}"))
                }
                other => wrong(key, format!("the private key cannot be used: {other}")),
            })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.clone())
    }
}

fn explain(what: &str, error: &PemError) -> String {
    match error {
        PemError::Io(error) => format!("cannot be read: {error}"),
        PemError::NoItemsFound => format!("contains no {what} in PEM format (a block starting with -----BEGIN …-----)"),
        other => format!("is not a {what} in PEM format: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_file_and_what_is_wrong_with_it() {
        let dir = tempfile::tempdir().expect("directory");
        let make = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("certificate");
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let (one, two) = (make(), make());
        let certificate = write("a.crt", &one.cert.pem());
        let key = write("a.key", &one.signing_key.serialize_pem());
        let other = write("b.key", &two.signing_key.serialize_pem());
        let empty = write("empty", "");
        let missing = dir.path().join("missing");
        assert!(TlsConfig::load(&certificate, &key).is_ok());
        for (certificate, key, file, part) in [
            (&certificate, &other, &other, "is not the key of the certificate in"),
            (&certificate, &empty, &empty, "contains no private key"),
            (&empty, &key, &empty, "contains no certificate"),
            (&key, &key, &key, "contains no certificate"),
            (&missing, &key, &missing, "cannot be read"),
        ] {
            let error = TlsConfig::load(certificate, key).expect_err("refused");
            assert_eq!(&error.file, file);
            assert!(error.problem.contains(part), "{error}");
        }
    }
}
