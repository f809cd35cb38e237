//! TLS as everybody here speaks it who goes out: whom this machine trusts, and what is wrong, in words for a person.
//!
//! Trusted is what the system trusts; where `SSL_CERT_FILE` or `SSL_CERT_DIR` name something, that instead.

use std::{error::Error as StdError, fmt, io, sync::Arc};

use rustls::{
    CertificateError as Why, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use rustls_platform_verifier::Verifier;

/// What can be done about an authority that is meant to be trusted.
const TRUST: &str = "put it among those that this machine trusts, or into the file that SSL_CERT_FILE names";

/// Trusts what the system trusts, and beside it these certificates, each in PEM.
pub fn trusting(extra_roots: &[Vec<u8>]) -> Result<ClientConfig, Box<dyn StdError + Send + Sync>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots: Result<Vec<CertificateDer<'static>>, _> =
        extra_roots.iter().map(|pem| CertificateDer::from_pem_slice(pem)).collect();
    let roots = roots.map_err(|_| io::Error::other("an extra root certificate can't be read"))?;
    let verifier = Telling(Verifier::new_with_extra_roots(roots, Arc::clone(&provider))?);
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// Whatever else is connected over TLS says it in the same words.
pub fn why(error: &Error) -> String {
    let Error::InvalidCertificate(why) = error else { return format!("no TLS connection: {error}") };
    let why = match why {
        Why::Expired | Why::ExpiredContext { .. } => "it has expired".to_owned(),
        Why::NotValidYet | Why::NotValidYetContext { .. } => {
            "it is not valid yet (or this machine's clock is slow)".to_owned()
        }
        Why::NotValidForName | Why::NotValidForNameContext { .. } => "it is for another host name".to_owned(),
        Why::UnknownIssuer => {
            format!("nobody whom this machine trusts has signed it; if it is of an authority of your own, {TRUST}")
        }
        Why::BadSignature => format!(
            "it is not signed by whom it names (an authority that was made anew under its old name, perhaps); if the new one is meant, {TRUST}"
        ),
        Why::Revoked => "it was revoked".to_owned(),
        Why::Other(OtherError(other)) => of_other(&**other),
        other => other.to_string(),
    };
    format!("the server's certificate is not accepted: {why}")
}

fn of_other(error: &(dyn StdError + Send + Sync + 'static)) -> String {
    if error.is::<SignedByItself>() {
        return format!("it is signed by itself and not trusted here; {TRUST}");
    }
    // The library's own errors bear no other type that could be named here.
    match &*format!("{error:?}") {
        "CaUsedAsEndEntity" => {
            "it is an authority's own (as `openssl req -x509` makes them), which no server may show, even where \
             it is trusted; have the authority sign one for the server, or make one that is no authority's (`-addext \
             basicConstraints=critical,CA:FALSE`)"
                .to_owned()
        }
        "UnsupportedCertVersion" => {
            "it is of an outdated version (X.509 version 1); have one made of version 3, with the host's name in it"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

/// The platform's verdict; of a certificate that nobody trusted has signed it is also said when nobody else has.
#[derive(Debug)]
struct Telling(Verifier);

#[derive(Debug)]
struct SignedByItself;

impl fmt::Display for SignedByItself {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("signed by itself")
    }
}

impl StdError for SignedByItself {}

impl ServerCertVerifier for Telling {
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
                Error::InvalidCertificate(Why::Other(OtherError(Arc::new(SignedByItself))))
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

/// Whether a certificate names as its signer whom it is for. It was refused already; this only chooses the words.
fn names_itself(certificate: &[u8]) -> Option<bool> {
    let (_, inside, _) = element(certificate)?;
    let (_, mut fields, _) = element(inside)?;
    // The version is not in those of version 1.
    if let (0xa0, _, rest) = element(fields)? {
        fields = rest;
    }
    // Number, algorithm, signer, validity, whom it is for.
    let mut contents = Vec::with_capacity(5);
    for _ in 0..5 {
        let (_, content, rest) = element(fields)?;
        contents.push(content);
        fields = rest;
    }
    Some(contents[2] == contents[4])
}

/// The first DER element: its tag, its content, and what stands behind it.
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
    fn what_is_no_certificate_names_nobody() {
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
