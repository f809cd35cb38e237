//! TLS as everybody here speaks it who is not reqwest: whom this machine trusts, and what is wrong, in words for a person.

use std::{error::Error as StdError, io, sync::Arc};

use rustls::{
    CertificateError as Why, ClientConfig, Error,
    pki_types::{CertificateDer, pem::PemObject},
};
use rustls_platform_verifier::Verifier;

/// Trusts what the system trusts, and beside it these certificates, each in PEM.
pub fn trusting(extra_roots: &[Vec<u8>]) -> Result<ClientConfig, Box<dyn StdError + Send + Sync>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots: Result<Vec<CertificateDer<'static>>, _> =
        extra_roots.iter().map(|pem| CertificateDer::from_pem_slice(pem)).collect();
    let roots = roots.map_err(|_| io::Error::other("an extra root certificate can't be read"))?;
    let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider))?;
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// Whatever else is connected over TLS says it in the same words.
pub fn why(error: &Error) -> String {
    let Error::InvalidCertificate(why) = error else { return format!("no TLS connection: {error}") };
    let why = match why {
        Why::Expired | Why::ExpiredContext { .. } => "it has expired",
        Why::NotValidYet | Why::NotValidYetContext { .. } => "it is not valid yet (or this machine's clock is slow)",
        Why::NotValidForName | Why::NotValidForNameContext { .. } => "it is for another host name",
        Why::UnknownIssuer => "nobody whom this machine trusts has signed it",
        Why::BadSignature => "it is not signed by whom it names; another of that name is trusted here",
        Why::Revoked => "it was revoked",
        other => return format!("the server's certificate is not accepted: {other}"),
    };
    format!("the server's certificate is not accepted: {why}")
}
