//! TLS for all outgoing connections: the trusted certificates, and error texts for the operator.
//!
//! The system's certificates are trusted; if `SSL_CERT_FILE` or `SSL_CERT_DIR` is set, the certificates there are
//! trusted instead.

use std::{error::Error as StdError, fmt, io, sync::Arc};

use rustls::{
    CertificateError as Why, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use rustls_platform_verifier::Verifier;

/// What to do if a certificate authority should be trusted.
const TRUST: &str = "add it to the certificates that this machine trusts, or to the file in SSL_CERT_FILE";

/// Returns a configuration that trusts the system's certificates and these, each in PEM.
pub fn verifier(extra_roots: &[Vec<u8>]) -> Result<ClientConfig, Box<dyn StdError + Send + Sync>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots: Result<Vec<CertificateDer<'static>>, _> =
        extra_roots.iter().map(|pem| CertificateDer::from_pem_slice(pem)).collect();
    let roots = roots.map_err(|_| io::Error::other("an extra root certificate cannot be parsed"))?;
    let verifier = ExplainingVerifier(Verifier::new_with_extra_roots(roots, Arc::clone(&provider))?);
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// Describes a TLS error, in the same words for every protocol.
pub fn explain(error: &Error) -> String {
    let Error::InvalidCertificate(why) = error else { return format!("no TLS connection: {error}") };
    let why = match why {
        Why::Expired | Why::ExpiredContext { .. } => "it has expired".to_owned(),
        Why::NotValidYet | Why::NotValidYetContext { .. } => {
            "it is not valid yet (or this machine's clock is slow)".to_owned()
        }
        Why::NotValidForName | Why::NotValidForNameContext { .. } => "it is for another host name".to_owned(),
        Why::UnknownIssuer => {
            format!("no authority that this machine trusts has signed it; if it is from your own authority, {TRUST}")
        }
        Why::BadSignature => format!(
            "it is not signed by the issuer that it names (which may have a new key); if the issuer is right, {TRUST}"
        ),
        Why::Revoked => "it was revoked".to_owned(),
        Why::Other(OtherError(other)) => of_other(&**other),
        other => other.to_string(),
    };
    format!("the server's certificate is not accepted: {why}")
}

fn of_other(error: &(dyn StdError + Send + Sync + 'static)) -> String {
    if error.is::<SelfSigned>() {
        return format!("it is self-signed and not trusted here; {TRUST}");
    }
    // The library's other errors have no public type.
    match &*format!("{error:?}") {
        "CaUsedAsEndEntity" => {
            "it is a CA certificate (as `openssl req -x509` makes by default), which a server must not use, even where it is \
             trusted; let the CA sign one for the server, or make one that is no CA certificate (`-addext \
             basicConstraints=critical,CA:FALSE`)"
                .to_owned()
        }
        "UnsupportedCertVersion" => {
            "it has the outdated version 1 of X.509; issue one of version 3, with the host's name in it".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Verifies like the platform; also detects whether a certificate without a trusted issuer is self-signed.
#[derive(Debug)]
struct ExplainingVerifier(Verifier);

#[derive(Debug)]
struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("self-signed")
    }
}

impl StdError for SelfSigned {}

impl ServerCertVerifier for ExplainingVerifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0.verify_server_cert(shown, others, name, ocsp, now).map_err(|error| match error {
            Error::InvalidCertificate(Why::UnknownIssuer | Why::BadSignature) if names_itself(shown) == Some(true) => {
                Error::InvalidCertificate(Why::Other(OtherError(Arc::new(SelfSigned))))
            }
            error => error,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, shown, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, shown, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Whether issuer and subject of a certificate are equal. The certificate was rejected already; the result only
/// selects the error text.
fn names_itself(certificate: &[u8]) -> Option<bool> {
    let (_, inside, _) = element(certificate)?;
    let (_, mut fields, _) = element(inside)?;
    // A certificate of version 1 has no version field.
    if let (0xa0, _, rest) = element(fields)? {
        fields = rest;
    }
    // Serial number, algorithm, issuer, validity, subject.
    let mut contents = Vec::with_capacity(5);
    for _ in 0..5 {
        let (_, content, rest) = element(fields)?;
        contents.push(content);
        fields = rest;
    }
    Some(contents[2] == contents[4])
}

/// Parses the first DER element. Returns its tag, its content, and the rest behind it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f)).filter(|(bytes, _)| bytes.len() <= 3)?;
        length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = after;
    }
    let (content, behind) = rest.split_at_checked(length)?;
    Some((tag, content, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_certificate_has_no_issuer() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let der = made.cert.der();
        assert_eq!(names_itself(der), Some(true));
        for length in 0..der.len() {
            let _ = names_itself(&der[..length]);
            assert_eq!(names_itself(&der[..length.min(60)]), None);
        }
        assert_eq!(names_itself(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
