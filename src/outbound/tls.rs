//! What is wrong with a TLS connection, in words for a person.

use rustls::{CertificateError as Why, Error};

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
