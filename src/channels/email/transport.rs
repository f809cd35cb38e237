//! The transport of mails in the configuration: `smtps://…`, `smtp://…` or `file:…`.

use std::{fmt, net::IpAddr, path::PathBuf};

use percent_encoding::percent_decode_str;
use secrecy::SecretString;

#[derive(Clone, Debug)]
pub enum Transport {
    Smtp(SmtpSettings),
    /// A directory that gets one `.eml` file for each mail.
    File(PathBuf),
}

#[derive(Clone, Debug)]
pub struct SmtpSettings {
    /// A name, or an IP address without brackets.
    pub host: String,
    pub port: u16,
    pub security: TlsMode,
    pub login: Option<(String, SecretString)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// TLS from the first byte.
    Implicit,
    /// STARTTLS; without it nothing is sent.
    StartTls,
    /// No encryption; only for this machine.
    Loopback,
}

/// The error in a transport, without its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportError(String);

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TransportError {}

fn wrong<T>(text: impl Into<String>) -> Result<T, TransportError> {
    Err(TransportError(text.into()))
}

impl Transport {
    /// Parses `smtps://user:password@host[:port]`, `smtp://…`, `smtp://…?tls=none` or `file:DIRECTORY`.
    ///
    /// User and password are percent-decoded; an `@`, `/` or `?` in a password may also be written literally.
    pub fn parse(text: &str) -> Result<Self, TransportError> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("file:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" => wrong("`file:` needs a directory, as `file:./mail`"),
                path => Ok(Self::File(PathBuf::from(path))),
            };
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return wrong("the transport must begin with smtps://, smtp:// or file:");
        };
        let (security, port) = match scheme {
            "smtps" => (TlsMode::Implicit, 465),
            "smtp" => (TlsMode::StartTls, 587),
            _ => return wrong(format!("mails cannot be sent by {scheme}://; write smtps://, smtp:// or file:")),
        };
        let (login, server) = match rest.rsplit_once('@') {
            Some((login, server)) => (Some(parse_login(login)?), server),
            None => (None, rest),
        };
        let (server, options) = server.split_once('?').unwrap_or((server, ""));
        let (host, port) = parse_server(server.trim_end_matches('/'), port)?;
        let security = match options {
            "" => security,
            "tls=none" if scheme == "smtps" => return wrong("smtps:// always uses TLS; `tls=none` goes with smtp://"),
            "tls=none" if is_loopback(&host) => TlsMode::Loopback,
            "tls=none" => {
                return wrong(format!(
                    "`tls=none` is only for this machine (localhost, 127.0.0.1, ::1): to {host} it would send in plain text"
                ));
            }
            _ => return wrong("the only option of a transport is `?tls=none`"),
        };
        Ok(Self::Smtp(SmtpSettings { host, port, security, login }))
    }
}

fn parse_login(login: &str) -> Result<(String, SecretString), TransportError> {
    let Some((user, password)) = login.split_once(':') else {
        return wrong("the user has no password: write `user:password@host`");
    };
    let decoded = |text: &str, what: &str| match percent_decode_str(text).decode_utf8() {
        Ok(text) if text.is_empty() => wrong(format!("the {what} is empty")),
        Ok(text) if text.chars().any(char::is_control) => {
            wrong(format!("the {what} has control characters (a line break, perhaps)"))
        }
        Ok(text) => Ok(text.into_owned()),
        Err(_) => wrong(format!("the {what} is not UTF-8 after percent-decoding; write a `%` in it as `%25`")),
    };
    Ok((decoded(user, "user")?, SecretString::from(decoded(password, "password")?)))
}

fn parse_server(server: &str, default_port: u16) -> Result<(String, u16), TransportError> {
    let (host, port) = match server.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').unwrap_or("?"))),
        None => match server.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (server, None),
        },
    };
    let is_name = host
        .split('.')
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    if !is_name && host.parse::<IpAddr>().is_err() {
        return wrong(match host {
            "" => "the transport names no host".to_owned(),
            // Not shown: if the `@` is missing, it may be a password.
            _ => "the transport's host is not a host name; write an IPv6 address in [brackets]".to_owned(),
        });
    }
    match port.map(str::parse::<u16>) {
        None => Ok((host.to_owned(), default_port)),
        Some(Ok(port)) if port > 0 => Ok((host.to_owned(), port)),
        Some(_) => wrong("the transport's port is not a number from 1 to 65535"),
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn transports_are_parsed_with_their_default_ports() {
        for (text, host, port, security, login) in [
            ("smtps://mail.example", "mail.example", 465, TlsMode::Implicit, None),
            ("smtp://mail.example:2525", "mail.example", 2525, TlsMode::StartTls, None),
            ("smtps://u:p@mail.example/", "mail.example", 465, TlsMode::Implicit, Some(("u", "p"))),
            ("smtps://u%40x:p%3A%2F@mail.example", "mail.example", 465, TlsMode::Implicit, Some(("u@x", "p:/"))),
            ("smtps://u:p@ss/w?rd@mail.example", "mail.example", 465, TlsMode::Implicit, Some(("u", "p@ss/w?rd"))),
            ("smtp://[::1]:25?tls=none", "::1", 25, TlsMode::Loopback, None),
            ("smtp://127.0.0.1:25?tls=none", "127.0.0.1", 25, TlsMode::Loopback, None),
            ("smtp://localhost?tls=none", "localhost", 587, TlsMode::Loopback, None),
        ] {
            let Ok(Transport::Smtp(smtp)) = Transport::parse(text) else { panic!("{text}") };
            assert_eq!((&*smtp.host, smtp.port, smtp.security), (host, port, security), "{text}");
            let found = smtp.login.as_ref().map(|(user, password)| (user.as_str(), password.expose_secret()));
            assert_eq!(found, login, "{text}");
            assert!(!format!("{smtp:?}").contains("ss/w"), "the password is not shown");
        }
        assert!(matches!(Transport::parse("file:./mail"), Ok(Transport::File(path)) if path == *"./mail"));
        assert!(matches!(Transport::parse("file:///var/mail"), Ok(Transport::File(path)) if path == *"/var/mail"));
    }

    #[test]
    fn errors_in_a_transport_do_not_contain_its_password() {
        for (text, said) in [
            ("mail.example", "the transport must begin with"),
            ("http://mail.example", "mails cannot be sent by http://"),
            ("smtps://", "the transport names no host"),
            ("smtps://u@mail.example", "the user has no password"),
            ("smtps://u:@mail.example", "the password is empty"),
            ("smtps://u:hunter2", "the transport's port is not a number"),
            ("smtps://mail.example:0", "the transport's port is not a number"),
            ("smtps://u:%ff@mail.example", "the password is not UTF-8"),
            ("smtps://u:a%0d%0ab@mail.example", "the password has control characters"),
            ("smtps://::1", "the transport names no host"),
            ("smtp://mail.example?tls=none", "`tls=none` is only for this machine"),
            ("smtps://localhost?tls=none", "smtps:// always uses TLS"),
            ("smtp://mail.example?tls=maybe", "the only option"),
            ("file:", "`file:` needs a directory"),
        ] {
            let error = Transport::parse(text).expect_err(text).to_string();
            assert!(error.starts_with(said), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{text}: {error}");
        }
    }
}
