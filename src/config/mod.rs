//! What the merchant has configured, as it is meant: `kyc-rules.yaml` read, filled in and checked.
//!
//! What was typed is a [`Document`] with `${VAR}` and `${file:PATH}` in it, and nobody outside of this folder sees it; a
//! [`Config`] has addresses, durations and secrets. Relative paths start at the configuration's directory. Everything wrong is
//! told at once. Nothing here is read again while the program runs: the rules are reloaded, the configuration is not.

mod channels;
mod fill;
mod mask;
mod policy;
mod reader;
mod sections;
mod values;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use http::HeaderName;
use ipnet::IpNet;
use jiff::tz::TimeZone;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

pub use fill::Unfilled;

use crate::{
    actions::{
        chat,
        email::{Hello, Party, Transport},
    },
    decide::Brake,
    http::{Access, Limits},
    kyc::Secret,
    source::{Diagnostic, Document, Report},
    telemetry::LogFormat,
    template::Brand,
};

/// Where the configuration is looked for when nobody says where it is.
pub const PLACES: [&str; 2] = ["./kyc-rules.yaml", "/etc/kyc-rules/kyc-rules.yaml"];
/// The variable that says where it is.
pub const VARIABLE: &str = "KYC_RULES_CONFIG";

#[derive(Clone, Debug)]
pub struct Config {
    /// Where it was read from, if it was.
    pub source: Option<Origin>,
    pub data: Data,
    /// The rules directory.
    pub rules: PathBuf,
    pub brand: Brand,
    /// For customers of whom no language is known, as `en`.
    pub locale: String,
    /// For customers of whom no time zone is known.
    pub timezone: TimeZone,
    /// Status names beyond the documented ones.
    pub statuses: Vec<String>,
    /// Processing status names beyond the documented ones.
    pub processing_statuses: Vec<String>,
    pub callback: Callback,
    pub admin: Admin,
    /// `None`: rules can't mail.
    pub email: Option<Email>,
    pub webhooks: BTreeMap<String, Webhook>,
    pub chats: BTreeMap<String, Chat>,
    pub directory: Directory,
    pub provider: Provider,
    pub store: Store,
    pub reload: Reload,
    pub log: Log,
}

/// The file that a configuration was read from, and what was in it.
#[derive(Clone, Debug)]
pub struct Origin {
    pub path: PathBuf,
    digest: [u8; 32],
}

impl Origin {
    /// Whether the file says something else by now, or is gone.
    pub fn has_changed(&self) -> bool {
        fs::read(&self.path).map_or(true, |bytes| digest(&bytes) != self.digest)
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[derive(Clone, Debug)]
pub enum Data {
    /// The embedded store's directory.
    Directory(PathBuf),
    /// A `postgres://` URL, which may have a password.
    Postgres(SecretString),
    /// It was left unfilled; what does without it must not write anywhere else.
    Unfilled,
}

#[derive(Clone, Debug)]
pub struct Callback {
    pub listen: SocketAddr,
    pub path: String,
    /// The newest first.
    pub secrets: Vec<Secret>,
    pub tls: Option<TlsFiles>,
    /// Empty: everybody.
    pub allow_from: Vec<IpNet>,
    pub trusted_proxies: Vec<IpNet>,
    pub connections: usize,
}

impl Callback {
    pub fn access(&self) -> Access {
        Access { allow_from: self.allow_from.clone(), trusted_proxies: self.trusted_proxies.clone() }
    }

    pub fn limits(&self) -> Limits {
        Limits::of(self.connections)
    }
}

#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Clone, Debug)]
pub struct Admin {
    pub listen: SocketAddr,
    /// `None`: the one in the data directory, or one that was left unfilled.
    pub token: Option<SecretString>,
    /// There is one, and it was left unfilled.
    pub token_unfilled: bool,
    /// Names beyond those that a browser on this machine uses.
    pub hosts: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Email {
    pub from: Party,
    /// `None` only where it was left unfilled.
    pub transport: Option<Transport>,
    /// What EHLO says; `None`: the machine's full name, or else the connection's local address.
    pub hello: Option<Hello>,
    pub reply_to: Option<Party>,
    /// `None`: switched off.
    pub brake: Option<Brake>,
    /// Mails sent at once.
    pub concurrency: usize,
    /// The least time between two mails to addresses of one domain; `None`: there need not be any.
    pub per_domain: Option<Duration>,
}

#[derive(Clone, Debug)]
pub struct Webhook {
    pub url: String,
    /// The newest first; what is sent is signed with each.
    pub secrets: Vec<SecretString>,
    /// Addresses of the merchant's own network are allowed.
    pub private: bool,
    /// `None`: there is none.
    pub brake: Option<Brake>,
}

#[derive(Clone, Debug)]
pub struct Chat {
    pub kind: chat::Kind,
    /// Whoever knows it can write there.
    pub url: SecretString,
    pub private: bool,
    pub brake: Option<Brake>,
}

#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// The names of attributes that customers may have.
    pub attributes: Vec<String>,
    pub lookup: Option<Lookup>,
}

#[derive(Clone, Debug)]
pub struct Lookup {
    /// With `{id}` where the customer's id goes, percent-encoded.
    pub url: String,
    pub header: Option<(HeaderName, SecretString)>,
    pub cache: Duration,
    pub private: bool,
}

#[derive(Clone, Debug)]
pub struct Provider {
    /// A URL, without a slash at the end.
    pub api: String,
    /// `None`: callbacks are believed.
    pub api_key: Option<SecretString>,
    /// How often each customer is asked about whose status is not final; `None`: never.
    pub reconcile: Option<Duration>,
    /// How often the others are.
    pub reconcile_final: Option<Duration>,
    /// How long a callback may wait for a decision before it is the problem `unanswered`.
    pub patience: Duration,
}

#[derive(Clone, Debug)]
pub struct Store {
    /// Below so much free space on the disk callbacks are refused, in bytes.
    pub min_free_bytes: u64,
    /// What the view may keep in memory, in bytes.
    pub view_cache_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadTests {
    /// Rules whose tests fail are not loaded.
    Enforce,
    /// They are, with a warning.
    Warn,
}

#[derive(Clone, Debug)]
pub struct Reload {
    pub tests: ReloadTests,
    /// A reload that would act at once for more customers than this is refused; `None`: never.
    pub blast_limit: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct Log {
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
}

impl Default for Config {
    /// What holds where the file says nothing. There is no secret among it, so no callback passes.
    fn default() -> Self {
        Self {
            source: None,
            data: Data::Directory("./data".into()),
            rules: "./rules".into(),
            brand: Brand::default(),
            locale: "en".to_owned(),
            timezone: TimeZone::UTC,
            statuses: Vec::new(),
            processing_statuses: Vec::new(),
            callback: Callback {
                listen: (Ipv4Addr::UNSPECIFIED, 8080).into(),
                path: "/callbacks/kyc".to_owned(),
                secrets: Vec::new(),
                tls: None,
                allow_from: Vec::new(),
                trusted_proxies: Vec::new(),
                connections: Limits::default().connections,
            },
            admin: Admin {
                listen: (Ipv4Addr::LOCALHOST, 8081).into(),
                token: None,
                token_unfilled: false,
                hosts: Vec::new(),
            },
            email: None,
            webhooks: BTreeMap::new(),
            chats: BTreeMap::new(),
            directory: Directory::default(),
            provider: Provider {
                api: values::PRODUCTION.to_owned(),
                api_key: None,
                reconcile: Some(Duration::from_hours(6)),
                reconcile_final: Some(Duration::from_hours(7 * 24)),
                patience: Duration::from_hours(1),
            },
            store: Store { min_free_bytes: 256 << 20, view_cache_bytes: 32 << 20 },
            reload: Reload { tests: ReloadTests::Enforce, blast_limit: None },
            log: Log { format: LogFormat::Text, level: "info".to_owned() },
        }
    }
}

/// A configuration, and what there is to say about it.
#[derive(Debug)]
pub struct Loaded {
    /// `None` where there is an error among the diagnostics.
    pub config: Option<Config>,
    pub diagnostics: Vec<Diagnostic>,
    /// The path as diagnostics name it.
    pub file: String,
    /// The file's text to show diagnostics in, of the same length, with its secrets blotted out.
    pub text: String,
}

impl Config {
    /// Everything on loopback and in one directory: ports chosen by the system, mails as files.
    pub fn demo(directory: &Path, secret: Secret) -> Self {
        let plain = Self::default();
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            data: Data::Directory(directory.join("data")),
            rules: directory.join("rules"),
            brand: Brand {
                name: "Example Shop".to_owned(),
                support: "support@shop.example".to_owned(),
                url: "https://shop.example".to_owned(),
            },
            callback: Callback { listen: loopback, secrets: vec![secret], ..plain.callback },
            admin: Admin { listen: loopback, ..plain.admin },
            email: Some(Email {
                from: Party::new(Some("Example Shop"), "kyc@shop.example"),
                transport: Some(Transport::File(directory.join("mail"))),
                hello: None,
                reply_to: None,
                brake: Some(Brake::default()),
                concurrency: channels::CONCURRENCY,
                per_domain: None,
            }),
            ..plain
        }
    }

    /// Where the configuration is: where `given` says, or the environment, or the first place that has one.
    pub fn find(given: Option<&Path>) -> Option<PathBuf> {
        let named = given.map(Path::to_owned);
        let named = named.or_else(|| std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from));
        named.or_else(|| PLACES.iter().map(PathBuf::from).find(|path| path.exists()))
    }

    /// Reads the file, with the environment of this process.
    pub fn load(path: &Path, unfilled: Unfilled) -> io::Result<Loaded> {
        let text = fs::read_to_string(path)?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let mut loaded =
            Self::read(&text, &path.to_string_lossy(), directory, &|name| std::env::var(name).ok(), unfilled);
        if let Some(config) = &mut loaded.config {
            config.source = Some(Origin { path: path.to_owned(), digest: digest(text.as_bytes()) });
        }
        Ok(loaded)
    }

    /// Reads a configuration of this name, which stands in this directory, where these variables are set.
    pub fn read(
        text: &str,
        file: &str,
        directory: &Path,
        variable: &dyn Fn(&str) -> Option<String>,
        unfilled: Unfilled,
    ) -> Loaded {
        let mut report = Report::new(file, text);
        let mut config = None;
        let mut shown = text.to_owned();
        if let Some(Document { mut root }) = Document::read(&mut report) {
            shown = mask::without_secrets(text, &root);
            let places = fill::Filling { directory, variable, unfilled }.fill(&mut root, &mut report);
            config = Some(sections::read(&root, reader::Reader::new(&mut report, places, directory)));
        }
        let config = config.filter(|_| !report.has_errors());
        Loaded { config, diagnostics: report.into_diagnostics(), file: file.to_owned(), text: shown }
    }
}
