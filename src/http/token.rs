//! Access control of the admin side: a request must carry its token and name one of its hosts.
//!
//! The check of `Host` blocks web pages of other sites: such a page could let a domain of its own resolve to this
//! machine. The token blocks all other callers.

use std::{
    fmt, fs,
    io::{self, Write},
    net::{IpAddr, SocketAddr},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, Uri, header::AUTHORIZATION, header::HOST};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const TOKEN_BYTES: usize = 32;

/// The token of the admin side, stored as a digest, so that all compared values have the same length.
#[derive(Clone)]
pub struct AdminToken([u8; 32]);

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl AdminToken {
    pub fn new(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Compares in constant time.
    pub fn is(&self, given: &[u8]) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        bool::from(self.0.ct_eq(&given))
    }

    /// Whether the request has the header `Authorization: Bearer` with this token.
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(AUTHORIZATION) else { return false };
        match value.as_bytes().split_at_checked(7) {
            Some((scheme, token)) => scheme.eq_ignore_ascii_case(b"bearer ") && self.is(token.trim_ascii()),
            None => false,
        }
    }

    /// Reads the token from this file. If the file does not exist, creates it with a new token and makes it readable
    /// only for its owner.
    pub fn load_or_create(path: &Path) -> io::Result<String> {
        match fs::read_to_string(path) {
            Ok(text) => checked(path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path),
            Err(error) => Err(error),
        }
    }
}

fn checked(path: &Path, text: &str) -> io::Result<String> {
    let token = text.trim();
    if token.len() < 16 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let problem = format!("{} contains no token; remove the file, and a new token is created", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    Ok(token.to_owned())
}

/// Writes the whole file under another name and then links it, so that no process reads half a token. If two processes
/// start at once, one of them creates the token and both use it.
fn create(path: &Path) -> io::Result<String> {
    let mut random = [0; TOKEN_BYTES];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let token = URL_SAFE_NO_PAD.encode(random);
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o600))
        .make_in(directory, |path| fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path))?;
    writeln!(file, "{token}")?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => fs::File::open(directory)?.sync_all().map(|()| token),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => checked(path, &fs::read_to_string(path)?),
        Err(error) => Err(error.error),
    }
}

/// The host names that requests to the admin side may use.
#[derive(Clone, Debug)]
pub struct AllowedHosts {
    listen: SocketAddr,
    names: Vec<String>,
}

impl AllowedHosts {
    /// Allows loopback in any spelling, the address of the listener, and the configured names. If the listener is bound
    /// to all addresses, allows any IP literal, because a web page of another site is reached by a name.
    pub fn new(listen: SocketAddr, names: &[String]) -> Self {
        Self { listen, names: names.iter().map(|name| name.trim_end_matches('.').to_ascii_lowercase()).collect() }
    }

    /// Whether a request to `uri` with these headers names an allowed host.
    pub fn allow(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        let given = match (uri.host(), hosts.next(), hosts.next()) {
            (Some(host), _, None) => Some(host),
            (None, Some(host), None) => host.to_str().ok().and_then(without_port),
            _ => None,
        };
        given.is_some_and(|host| self.allows(host))
    }

    fn allows(&self, host: &str) -> bool {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            let address = address.to_canonical();
            let listens = self.listen.ip().to_canonical();
            return address.is_loopback()
                || address == listens
                || listens.is_unspecified()
                || self.names.iter().any(|name| name == bare);
        }
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        name == "localhost" || name.ends_with(".localhost") || self.names.contains(&name)
    }
}

/// Returns the host of `host`, `host:port` or `[v6]:port`.
fn without_port(text: &str) -> Option<&str> {
    let authority: http::uri::Authority = text.parse().ok()?;
    let host = authority.host().len();
    (!text.contains('@')).then(|| &text[..host])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_created_once_and_only_readable_for_its_owner() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("token");
        let token = AdminToken::load_or_create(&path).expect("made");
        assert_eq!(URL_SAFE_NO_PAD.decode(&token).expect("base64").len(), TOKEN_BYTES);
        assert_eq!(fs::metadata(&path).expect("file").permissions().mode() & 0o777, 0o600);
        assert_eq!(AdminToken::load_or_create(&path).expect("read"), token);
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1, "no other file remains");
        fs::write(&path, "\n").expect("emptied");
        assert!(AdminToken::load_or_create(&path).expect_err("refused").to_string().contains("contains no token"));
    }

    #[test]
    fn only_the_right_token_in_the_right_header_is_accepted() {
        let token = AdminToken::new("the-token");
        let passes = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, http::HeaderValue::from_bytes(value).expect("value"));
            token.is_in(&headers)
        };
        assert!(passes(b"Bearer the-token") && passes(b"bearer  the-token"));
        for wrong in
            [&b"Bearer the-toke"[..], b"Bearer the-token2", b"Bearer", b"Basic the-token", b"the-token", b"\xe4"]
        {
            assert!(!passes(wrong), "{wrong:?}");
        }
        assert!(!token.is_in(&HeaderMap::new()));
    }

    #[test]
    fn a_host_name_of_another_site_is_refused() {
        let hosts =
            |listen: &str| AllowedHosts::new(listen.parse().expect("address"), &["Admin.Shop.example".to_owned()]);
        let asked = |hosts: &AllowedHosts, host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().expect("value"));
            hosts.allow(&Uri::from_static("/"), &headers)
        };
        let local = hosts("127.0.0.1:8081");
        for host in ["127.0.0.1:8081", "localhost", "LOCALHOST:1", "[::1]:8081", "127.0.0.9", "admin.shop.example:443"]
        {
            assert!(asked(&local, host), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "192.0.2.1", "localhost@evil.example", "", "a b", "[::1"]
        {
            assert!(!asked(&local, host), "{host}");
        }
        assert!(asked(&hosts("192.0.2.1:8081"), "192.0.2.1:8081"));
        assert!(asked(&hosts("0.0.0.0:8081"), "192.0.2.1:8081"), "the listener is bound to all addresses");
        assert!(!asked(&hosts("0.0.0.0:8081"), "evil.example"));
        assert!(!local.allow(&Uri::from_static("/"), &HeaderMap::new()), "no host at all");
    }

    #[test]
    fn the_host_of_an_absolute_target_is_checked() {
        let hosts = AllowedHosts::new("127.0.0.1:8081".parse().expect("address"), &[]);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "127.0.0.1".parse().expect("value"));
        assert!(!hosts.allow(&Uri::from_static("http://evil.example/"), &headers));
        headers.append(HOST, "127.0.0.1".parse().expect("value"));
        assert!(!hosts.allow(&Uri::from_static("/"), &headers), "two hosts are invalid");
    }
}
