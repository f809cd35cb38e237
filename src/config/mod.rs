//! The merchant's configuration: `kyc-rules.yaml`, parsed, filled in and checked.
//!
//! A [`Document`] is the text as written, with `${VAR}` and `${file:PATH}`; it is used only inside this folder. A
//! [`Config`] has addresses, durations and secrets. Relative paths start at the configuration's directory. All errors
//! are reported at once. The configuration is read once, at the start of the program: a reload reads the rules again,
//! but not the configuration.

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

pub use fill::OnMissing;

use crate::{
    channels::{
        chat::ChatConfig,
        email::{EmailConfig, MailAddress, Transport},
        sender::ChannelConfig,
        webhook::WebhookConfig,
    },
    decide::Brake,
    http::{AddressFilter, ListenerLimits},
    outbox::Channel,
    providers::xgateway::Secret,
    rules::ChannelKind,
    telemetry::LogFormat,
    template::Brand,
    yaml::{Diagnostic, Document, Report},
};

/// The paths at which the configuration is looked for when none is given.
pub const PLACES: [&str; 2] = ["./kyc-rules.yaml", "/etc/kyc-rules/kyc-rules.yaml"];
/// The environment variable with the path of the configuration.
pub const VARIABLE: &str = "KYC_RULES_CONFIG";

#[derive(Clone, Debug)]
pub struct Config {
    /// The file from which it was read; `None`: it was not read from a file.
    pub source: Option<ConfigOrigin>,
    pub data: DataConfig,
    /// The rules directory.
    pub rules: PathBuf,
    pub brand: Brand,
    /// The locale of customers whose language is not known, for example `en`.
    pub locale: String,
    /// The time zone of customers whose time zone is not known.
    pub timezone: TimeZone,
    /// Status names beyond the documented ones.
    pub statuses: Vec<String>,
    /// Processing status names beyond the documented ones.
    pub processing_statuses: Vec<String>,
    pub callback: CallbackConfig,
    pub admin: AdminConfig,
    /// `None`: rules cannot send mails.
    pub email: Option<EmailConfig>,
    pub webhooks: BTreeMap<String, WebhookConfig>,
    pub chats: BTreeMap<String, ChatConfig>,
    pub directory: DirectoryConfig,
    pub provider: ProviderConfig,
    pub store: StoreConfig,
    pub reload: ReloadConfig,
    pub log: LogConfig,
}

/// The file from which a configuration was read, and the SHA-256 of its content.
#[derive(Clone, Debug)]
pub struct ConfigOrigin {
    pub path: PathBuf,
    digest: [u8; 32],
}

impl ConfigOrigin {
    /// Whether the content of the file has changed, or the file cannot be read.
    pub fn has_changed(&self) -> bool {
        fs::read(&self.path).map_or(true, |bytes| digest(&bytes) != self.digest)
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[derive(Clone, Debug)]
pub enum DataConfig {
    /// The embedded store's directory.
    Directory(PathBuf),
    /// A `postgres://` URL, which may have a password.
    Postgres(SecretString),
    /// The value was left unfilled. A command that runs without it must not write data anywhere else.
    Unfilled,
}

#[derive(Clone, Debug)]
pub struct CallbackConfig {
    pub listen: SocketAddr,
    pub path: String,
    /// The newest secret first.
    pub secrets: Vec<Secret>,
    pub tls: Option<TlsFiles>,
    /// The ranges from which callbacks are accepted. Empty: from every address.
    pub allow_from: Vec<IpNet>,
    pub trusted_proxies: Vec<IpNet>,
    pub connections: usize,
}

impl CallbackConfig {
    pub fn access(&self) -> AddressFilter {
        AddressFilter { allow_from: self.allow_from.clone(), trusted_proxies: self.trusted_proxies.clone() }
    }

    pub fn limits(&self) -> ListenerLimits {
        ListenerLimits::of(self.connections)
    }
}

#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Clone, Debug)]
pub struct AdminConfig {
    pub listen: SocketAddr,
    /// `None`: the token is in the data directory, or was left unfilled.
    pub token: Option<SecretString>,
    /// The configuration has a token, and it was left unfilled.
    pub token_unfilled: bool,
    /// Host names beyond those that a browser on this machine uses.
    pub hosts: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub struct DirectoryConfig {
    /// The names of the attributes that customers can have.
    pub attributes: Vec<String>,
    pub lookup: Option<LookupConfig>,
}

#[derive(Clone, Debug)]
pub struct LookupConfig {
    /// With `{id}` in place of the customer's id, which is inserted percent-encoded.
    pub url: String,
    pub header: Option<(HeaderName, SecretString)>,
    pub cache: Duration,
    pub private: bool,
}

#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// A URL, without a slash at the end.
    pub api: String,
    /// `None`: callbacks are applied without confirmation.
    pub api_key: Option<SecretString>,
    /// The interval at which each customer without a final status is confirmed with the API; `None`: never.
    pub reconcile: Option<Duration>,
    /// The interval for customers with a final status; `None`: never.
    pub reconcile_final: Option<Duration>,
    /// The time that a callback may wait for a decision before the problem `unanswered` is raised.
    pub patience: Duration,
}

#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Minimum free space on the disk, in bytes; below it, callbacks are rejected.
    pub min_free_bytes: u64,
    /// Maximum memory of the view's cache, in bytes.
    pub view_cache_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadTests {
    /// Rules whose tests fail are rejected.
    Enforce,
    /// Rules whose tests fail are loaded, with a warning.
    Warn,
}

#[derive(Clone, Debug)]
pub struct ReloadConfig {
    pub tests: ReloadTests,
    /// A reload is refused if it would order more jobs than this within an hour; `None`: no limit.
    pub blast_limit: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct LogConfig {
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
}

impl Default for Config {
    /// The defaults. They contain no secret, so no callback is accepted.
    fn default() -> Self {
        Self {
            source: None,
            data: DataConfig::Directory("./data".into()),
            rules: "./rules".into(),
            brand: Brand::default(),
            locale: "en".to_owned(),
            timezone: TimeZone::UTC,
            statuses: Vec::new(),
            processing_statuses: Vec::new(),
            callback: CallbackConfig {
                listen: (Ipv4Addr::UNSPECIFIED, 8080).into(),
                path: "/callbacks/kyc".to_owned(),
                secrets: Vec::new(),
                tls: None,
                allow_from: Vec::new(),
                trusted_proxies: Vec::new(),
                connections: ListenerLimits::default().connections,
            },
            admin: AdminConfig {
                listen: (Ipv4Addr::LOCALHOST, 8081).into(),
                token: None,
                token_unfilled: false,
                hosts: Vec::new(),
            },
            email: None,
            webhooks: BTreeMap::new(),
            chats: BTreeMap::new(),
            directory: DirectoryConfig::default(),
            provider: ProviderConfig {
                api: values::PRODUCTION.to_owned(),
                api_key: None,
                reconcile: Some(Duration::from_hours(6)),
                reconcile_final: Some(Duration::from_hours(7 * 24)),
                patience: Duration::from_hours(1),
            },
            store: StoreConfig { min_free_bytes: 256 << 20, view_cache_bytes: 32 << 20 },
            reload: ReloadConfig { tests: ReloadTests::Enforce, blast_limit: None },
            log: LogConfig { format: LogFormat::Text, level: "info".to_owned() },
        }
    }
}

/// A configuration with its diagnostics.
#[derive(Debug)]
pub struct LoadedConfig {
    /// `None` if there is an error among the diagnostics.
    pub config: Option<Config>,
    pub diagnostics: Vec<Diagnostic>,
    /// The path as diagnostics show it.
    pub file: String,
    /// The text of the file for showing diagnostics, of the same length, with its secrets masked.
    pub text: String,
}

impl Config {
    /// The configured channels, also those that have nothing to send. This list is the registration of a channel.
    pub fn channels(&self) -> Vec<(Channel, &dyn ChannelConfig)> {
        fn named<C: ChannelConfig>(
            configs: &BTreeMap<String, C>,
            kind: ChannelKind,
        ) -> impl Iterator<Item = (Channel, &dyn ChannelConfig)> {
            configs.iter().map(move |(name, config)| (Channel::new(kind, name), config as &dyn ChannelConfig))
        }
        let email = self.email.iter().map(|email| (Channel::email(), email as &dyn ChannelConfig));
        let webhooks = named(&self.webhooks, ChannelKind::Webhook);
        email.chain(webhooks).chain(named(&self.chats, ChannelKind::Chat)).collect()
    }

    /// A configuration on loopback and in one directory: the system chooses the ports, and mails are written to files.
    pub fn demo(directory: &Path, secret: Secret) -> Self {
        let plain = Self::default();
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            data: DataConfig::Directory(directory.join("data")),
            rules: directory.join("rules"),
            brand: Brand {
                name: "Example Shop".to_owned(),
                support: "support@shop.example".to_owned(),
                url: "https://shop.example".to_owned(),
            },
            callback: CallbackConfig { listen: loopback, secrets: vec![secret], ..plain.callback },
            admin: AdminConfig { listen: loopback, ..plain.admin },
            email: Some(EmailConfig {
                from: MailAddress::new(Some("Example Shop"), "kyc@shop.example"),
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

    /// Returns the path of the configuration: `given`, otherwise the environment variable, otherwise the first existing
    /// path of [`PLACES`].
    pub fn find(given: Option<&Path>) -> Option<PathBuf> {
        let named = given.map(Path::to_owned);
        let named = named.or_else(|| std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from));
        named.or_else(|| PLACES.iter().map(PathBuf::from).find(|path| path.exists()))
    }

    /// Reads the file, with the environment of this process.
    pub fn load(path: &Path, unfilled: OnMissing) -> io::Result<LoadedConfig> {
        let text = fs::read_to_string(path)?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let mut loaded =
            Self::read(&text, &path.to_string_lossy(), directory, &|name| std::env::var(name).ok(), unfilled);
        if let Some(config) = &mut loaded.config {
            config.source = Some(ConfigOrigin { path: path.to_owned(), digest: digest(text.as_bytes()) });
        }
        Ok(loaded)
    }

    /// Parses a configuration with this name, in this directory, with these environment variables.
    pub fn read(
        text: &str,
        file: &str,
        directory: &Path,
        variable: &dyn Fn(&str) -> Option<String>,
        unfilled: OnMissing,
    ) -> LoadedConfig {
        let mut report = Report::new(file, text);
        let mut config = None;
        let mut shown = text.to_owned();
        if let Some(Document { mut root }) = Document::read(&mut report) {
            shown = mask::without_secrets(text, &root);
            let places = fill::Substitution { directory, variable, unfilled }.substitute(&mut root, &mut report);
            config = Some(sections::read(&root, reader::SectionReader::new(&mut report, places, directory)));
        }
        let config = config.filter(|_| !report.has_errors());
        LoadedConfig { config, diagnostics: report.into_diagnostics(), file: file.to_owned(), text: shown }
    }
}
