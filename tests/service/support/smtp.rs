//! An SMTP relay on a socket in this process, with a script of failures.
//!
//! `SmtpServer::start()` accepts every mail. A script replaces the response at a stage, once for each entry, in order;
//! after the script has ended, every mail is accepted again.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, rustls};

/// An accepted mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub from: String,
    pub to: Vec<String>,
    /// The mail as received, including headers, without the dots that SMTP adds.
    pub data: String,
    /// Whether it came over TLS.
    pub encrypted: bool,
    /// The user that was logged in.
    pub user: Option<String>,
    /// The number of the connection, in the order in which they were opened.
    pub connection: usize,
}

impl Received {
    /// Returns the value of a header, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.data.split("\r\n\r\n").next()?.replace("\r\n ", " ").replace("\r\n\t", " ");
        let found = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{}:", name.to_lowercase())))?;
        Some(found[name.len() + 1..].trim().to_owned())
    }

    /// Returns the decoded text of the part with this content type.
    pub fn part(&self, content_type: &str) -> Option<String> {
        let start = self.data.find(&format!("Content-Type: {content_type}"))?;
        let (head, rest) = self.data[start..].split_once("\r\n\r\n")?;
        let body = rest.split("\r\n--").next()?;
        let bytes = if head.contains("base64") {
            BASE64_STANDARD.decode(body.replace("\r\n", "")).ok()?
        } else if head.contains("quoted-printable") {
            quoted_printable(body)
        } else {
            body.as_bytes().to_vec()
        };
        String::from_utf8(bytes).ok().map(|text| text.replace("\r\n", "\n"))
    }
}

fn quoted_printable(body: &str) -> Vec<u8> {
    let joined = body.replace("=\r\n", "");
    let mut bytes = Vec::new();
    let mut rest = joined.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = (byte == b'=').then(|| after.get(..2)).flatten();
        match code.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    bytes
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Greeting,
    Ehlo,
    /// After the response, TLS starts, whatever the response was.
    StartTls,
    Auth,
    MailFrom,
    RcptTo,
    /// The command DATA.
    Data,
    /// After the last dot of the text.
    Content,
}

#[derive(Clone, Debug)]
pub enum Act {
    /// Sends this line instead of the usual response, such as `451 4.3.0 later`.
    Say(&'static str),
    /// Sends these bytes instead, which need not be UTF-8.
    SayBytes(&'static [u8]),
    /// Sends the first line, and the second one a little later.
    SayLater(&'static str, &'static str),
    /// Sends nothing more.
    Hang,
    /// Closes the connection.
    Drop,
    /// Accepts the mail and closes the connection without a response. Only for `Content`.
    KeepAndDrop,
    /// Accepts the mail, but responds only after this time. Only for `Content`.
    Slow(Duration),
    /// Accepts the mail and responds; a little later sends this line unasked, then may close the connection. Only for
    /// `Content`.
    KeepThen(&'static str, Hangup),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    Yes,
    No,
}

#[derive(Clone, Default)]
pub struct Setup {
    pub script: Vec<(Stage, Act)>,
    /// The required user and password.
    pub login: Option<(&'static str, &'static str)>,
    /// Offer only LOGIN, not PLAIN.
    pub only_auth_login: bool,
    pub tls: Tls,
    /// Recipients whose address contains the first string are refused with the second as the response.
    pub refused: Option<(&'static str, &'static str)>,
}

#[derive(Clone, Default)]
pub enum Tls {
    #[default]
    None,
    /// Offered with STARTTLS.
    Upgrade(Certificate),
    /// TLS from the first byte.
    Implicit(Certificate),
}

/// A certificate of the server, and the PEM that a client must trust to accept it.
#[derive(Clone)]
pub struct Certificate {
    pub pem: Vec<u8>,
    config: Arc<rustls::ServerConfig>,
}

impl Certificate {
    /// A self-signed certificate for this name: `localhost`, or another name for a mismatch.
    pub fn for_name(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        Self::of(made.cert.der().to_vec(), &made.signing_key)
    }

    /// A self-signed certificate of a certificate authority.
    pub fn of_an_authority() -> Self {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("parameters");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).expect("a certificate");
        Self::of(certificate.der().to_vec(), &key)
    }

    /// A certificate signed by an authority; the client must trust the authority.
    pub fn signed_by(authority: &str) -> Self {
        let keys = [(); 2].map(|()| rcgen::KeyPair::generate().expect("a key"));
        let mut above = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        above.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        above.distinguished_name.push(rcgen::DnType::CommonName, authority);
        let root = above.self_signed(&keys[0]).expect("a certificate");
        let parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("parameters");
        let issuer = rcgen::Issuer::from_params(&above, &keys[0]);
        let certificate = parameters.signed_by(&keys[1], &issuer).expect("a certificate");
        Self { pem: root.pem().into_bytes(), ..Self::of(certificate.der().to_vec(), &keys[1]) }
    }

    /// A certificate that claims X.509 version 1.
    pub fn outdated() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let mut der = made.cert.der().to_vec();
        let version = der.windows(5).position(|five| five == [0xa0, 3, 2, 1, 2]).expect("version 3");
        der[version + 4] = 0;
        Self::of(der, &made.signing_key)
    }

    fn of(der: Vec<u8>, key: &rcgen::KeyPair) -> Self {
        let der = rustls::pki_types::CertificateDer::from(der);
        let pem = BASE64_STANDARD.encode(&der);
        let pem = format!("-----BEGIN CERTIFICATE-----\n{pem}\n-----END CERTIFICATE-----\n").into_bytes();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
        let key = provider.key_provider.load_private_key(key.into()).expect("a key");
        // Does not check that the key matches the certificate, because some tests need wrong ones.
        let shown = rustls::sign::SingleCertAndKey::from(rustls::sign::CertifiedKey::new(vec![der], key));
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(shown));
        Self { pem, config: Arc::new(config) }
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

#[derive(Default)]
struct Records {
    received: Vec<Received>,
    connections: usize,
    open: usize,
    unasked: usize,
    commands: Vec<String>,
    script: VecDeque<(Stage, Act)>,
}

pub struct SmtpServer {
    pub address: SocketAddr,
    records: Arc<Mutex<Records>>,
    task: JoinHandle<()>,
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SmtpServer {
    /// Starts a server that accepts every mail, without TLS.
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    /// Starts a server with this script.
    pub async fn scripted(script: &[(Stage, Act)]) -> Self {
        Self::with(Setup { script: script.to_vec(), ..Setup::default() }).await
    }

    pub async fn with(setup: Setup) -> Self {
        Self::at("127.0.0.1:0".parse().expect("an address"), setup).await
    }

    /// Starts a server that listens on this address.
    pub async fn at(address: SocketAddr, setup: Setup) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let records =
            Arc::new(Mutex::new(Records { script: setup.script.iter().cloned().collect(), ..Records::default() }));
        let shared = records.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = {
                    let mut records = shared.lock().expect("records");
                    records.connections += 1;
                    records.open += 1;
                    records.connections
                };
                tokio::spawn(talk(stream, connection, setup.clone(), shared.clone()));
            }
        });
        Self { address, records, task }
    }

    /// Returns the transport URL of this server without TLS.
    pub fn url(&self) -> String {
        format!("smtp://{}?tls=none", self.address)
    }

    pub fn received(&self) -> Vec<Received> {
        self.records.lock().expect("records").received.clone()
    }

    pub fn connections(&self) -> usize {
        self.records.lock().expect("records").connections
    }

    /// The number of lines sent unasked and of connections closed unasked.
    pub fn unasked(&self) -> usize {
        self.records.lock().expect("records").unasked
    }

    /// Returns every command of all connections, in the order in which they arrived.
    pub fn commands(&self) -> Vec<String> {
        self.records.lock().expect("records").commands.clone()
    }

    /// The number of connections that are still open.
    pub fn open(&self) -> usize {
        self.records.lock().expect("records").open
    }

    /// Whether all entries of the script have been used.
    pub fn script_is_over(&self) -> bool {
        self.records.lock().expect("records").script.is_empty()
    }

    /// Removes the unused entries of the script.
    pub fn forget_script(&self) {
        self.records.lock().expect("records").script.clear();
    }

    /// Appends an entry to the script.
    pub fn then(&self, stage: Stage, act: Act) {
        self.records.lock().expect("records").script.push_back((stage, act));
    }

    /// Returns the mails once there are `count` of them; panics after five seconds.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        self.wait_for_within(count, Duration::from_secs(5)).await
    }

    /// Returns the mails once there are `count` of them; panics after this time.
    pub async fn wait_for_within(&self, count: usize, patience: Duration) -> Vec<Received> {
        let began = std::time::Instant::now();
        while began.elapsed() < patience {
            let received = self.received();
            if received.len() >= count {
                return received;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} mails came, not {count}", self.received().len());
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// The conversation has ended.
struct Over;

struct Session {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    connection: usize,
    setup: Setup,
    records: Arc<Mutex<Records>>,
    encrypted: bool,
    user: Option<String>,
}

async fn talk(stream: TcpStream, connection: usize, setup: Setup, records: Arc<Mutex<Records>>) {
    let (stream, shared) = (Box::new(stream), records.clone());
    let mut session = Session { stream, buffer: Vec::new(), connection, setup, records, encrypted: false, user: None };
    let _ = session.run().await;
    shared.lock().expect("records").open -= 1;
}

impl Session {
    async fn run(&mut self) -> Result<(), Over> {
        if let Tls::Implicit(certificate) = self.setup.tls.clone() {
            self.encrypt(&certificate).await?;
        }
        self.answer(Stage::Greeting, "220 test ESMTP").await?;
        let (mut from, mut to) = (String::new(), Vec::new());
        loop {
            let line = self.line().await?;
            self.records.lock().expect("records").commands.push(line.clone());
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
            match &*verb {
                "EHLO" => {
                    let offers = self.offers();
                    self.answer(Stage::Ehlo, &offers).await?;
                }
                "STARTTLS" => match self.setup.tls.clone() {
                    Tls::Upgrade(certificate) if !self.encrypted => {
                        self.answer(Stage::StartTls, "220 go ahead").await?;
                        self.encrypt(&certificate).await?;
                    }
                    _ => self.say("502 no").await?,
                },
                "AUTH" => self.log_in(&line).await?,
                "MAIL" if self.setup.login.is_some() && self.user.is_none() => self.say("530 log in first").await?,
                "MAIL" => {
                    (from, to) = (address(&line), Vec::new());
                    self.answer(Stage::MailFrom, "250 ok").await?;
                }
                "RCPT" => {
                    let refused = self.setup.refused.filter(|(part, _)| address(&line).contains(part));
                    if let Some((_, said)) = refused {
                        self.say(said).await?;
                    } else if self.answer(Stage::RcptTo, "250 ok").await? {
                        to.push(address(&line));
                    }
                }
                "DATA" => {
                    if self.answer(Stage::Data, "354 go on").await? {
                        self.take_in(&from, &to).await?;
                    }
                }
                "NOOP" | "RSET" => self.say("250 ok").await?,
                "QUIT" => {
                    self.say("221 bye").await?;
                    return Err(Over);
                }
                _ => self.say("502 what?").await?,
            }
        }
    }

    fn offers(&self) -> String {
        let mut offers = vec!["test", "8BITMIME", "SMTPUTF8"];
        if matches!(self.setup.tls, Tls::Upgrade(_)) && !self.encrypted {
            offers.push("STARTTLS");
        }
        if self.setup.login.is_some() {
            offers.push(if self.setup.only_auth_login { "AUTH LOGIN" } else { "AUTH PLAIN LOGIN" });
        }
        let last = offers.len() - 1;
        let lines = offers.iter().enumerate();
        lines
            .map(|(nth, offer)| format!("250{}{offer}", if nth == last { " " } else { "-" }))
            .collect::<Vec<_>>()
            .join("\r\n")
    }

    async fn take_in(&mut self, from: &str, to: &[String]) -> Result<(), Over> {
        let mut data = String::new();
        loop {
            let line = self.line().await?;
            if line == "." {
                break;
            }
            data.push_str(line.strip_prefix('.').unwrap_or(&line));
            data.push_str("\r\n");
        }
        let (encrypted, user) = (self.encrypted, self.user.clone());
        let connection = self.connection;
        let received = Received { from: from.to_owned(), to: to.to_vec(), data, encrypted, user, connection };
        let keep = |session: &Self| session.records.lock().expect("records").received.push(received);
        match self.next(Stage::Content) {
            None => {
                keep(self);
                self.say("250 2.0.0 queued as TEST").await
            }
            Some(Act::Slow(time)) => {
                keep(self);
                tokio::time::sleep(time).await;
                self.say("250 2.0.0 queued as TEST").await
            }
            Some(Act::KeepAndDrop) => {
                keep(self);
                Err(Over)
            }
            Some(Act::KeepThen(unasked, hangup)) => {
                keep(self);
                self.say("250 2.0.0 queued as TEST").await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
                if !unasked.is_empty() {
                    self.say(unasked).await?;
                }
                if hangup == Hangup::Yes {
                    let _ = self.stream.shutdown().await;
                }
                self.records.lock().expect("records").unasked += 1;
                if hangup == Hangup::Yes { Err(Over) } else { Ok(()) }
            }
            Some(act) => self.act(act).await,
        }
    }

    async fn log_in(&mut self, line: &str) -> Result<(), Over> {
        let mut words = line.split_whitespace().skip(1);
        let (mechanism, first) = (words.next().unwrap_or_default().to_uppercase(), words.next());
        let said = |text: &str| String::from_utf8(BASE64_STANDARD.decode(text).unwrap_or_default()).unwrap_or_default();
        let (user, password) = if mechanism == "PLAIN" {
            let plain = said(first.unwrap_or_default());
            let mut parts = plain.split('\0').skip(1).map(str::to_owned);
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
        } else {
            self.say("334 VXNlcm5hbWU6").await?;
            let user = said(&self.line().await?);
            self.say("334 UGFzc3dvcmQ6").await?;
            (user, said(&self.line().await?))
        };
        if self.setup.login == Some((&*user, &*password)) {
            if self.answer(Stage::Auth, "235 welcome").await? {
                self.user = Some(user);
            }
            Ok(())
        } else {
            self.say("535 5.7.8 user or password is wrong").await
        }
    }

    /// Sends the script's response for this stage, or else the usual one. Returns whether it was the usual one.
    async fn answer(&mut self, stage: Stage, usual: &str) -> Result<bool, Over> {
        match self.next(stage) {
            Some(act) => self.act(act).await.map(|()| false),
            None => self.say(usual).await.map(|()| true),
        }
    }

    fn next(&self, stage: Stage) -> Option<Act> {
        let script = &mut self.records.lock().expect("records").script;
        script.pop_front_if(|(at, _)| *at == stage).map(|(_, act)| act)
    }

    async fn act(&mut self, act: Act) -> Result<(), Over> {
        match act {
            Act::Say(line) => self.say(line).await,
            Act::SayBytes(line) => self.say_bytes(line).await,
            Act::SayLater(line, later) => {
                self.say(line).await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
                self.say(later).await
            }
            Act::Hang => std::future::pending().await,
            Act::Drop | Act::KeepAndDrop | Act::Slow(_) | Act::KeepThen(..) => Err(Over),
        }
    }

    async fn say(&mut self, line: &str) -> Result<(), Over> {
        self.say_bytes(line.as_bytes()).await
    }

    async fn say_bytes(&mut self, line: &[u8]) -> Result<(), Over> {
        self.stream.write_all(&[line, b"\r\n"].concat()).await.map_err(|_| Over)?;
        self.stream.flush().await.map_err(|_| Over)
    }

    async fn line(&mut self) -> Result<String, Over> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).take(end).collect();
                return String::from_utf8(line).map_err(|_| Over);
            }
            if self.stream.read_buf(&mut self.buffer).await.map_err(|_| Over)? == 0 {
                return Err(Over);
            }
        }
    }

    async fn encrypt(&mut self, certificate: &Certificate) -> Result<(), Over> {
        let open = std::mem::replace(&mut self.stream, Box::new(tokio::io::empty()));
        let acceptor = certificate.acceptor();
        self.stream = Box::new(acceptor.accept(open).await.map_err(|_| Over)?);
        self.encrypted = true;
        Ok(())
    }
}

/// Returns the text between `<` and `>`.
fn address(line: &str) -> String {
    line.split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map(|(address, _)| address.to_owned())
        .unwrap_or_default()
}
