//! The sections of the configuration that say how the program runs. [`channels`] has the sections about the systems
//! that it connects to.

use std::path::PathBuf;

use jiff::tz::TimeZone;
use secrecy::{ExposeSecret, SecretString};

use super::{
    AdminConfig, CallbackConfig, Config, DataConfig, LogConfig, ReloadConfig, ReloadTests, StoreConfig, TlsFiles,
    channels, reader::SectionReader, values,
};
use crate::{
    domain::{NameError, Status},
    providers::xgateway::Secret,
    telemetry::LogFormat,
    template::Brand,
    yaml::{MapFields, Node, Value},
    zone,
};

const KEYS: &[&str] = &[
    "data",
    "rules",
    "brand",
    "locale",
    "timezone",
    "statuses",
    "processing_statuses",
    "callback",
    "admin",
    "email",
    "webhooks",
    "chats",
    "directory",
    "provider",
    "store",
    "retention",
    "reload",
    "log",
];

/// Reads the whole configuration. In place of a wrong value it uses the default; the report has the error.
pub(super) fn read(root: &Node<'_>, mut reader: SectionReader<'_, '_>) -> Config {
    let reader = &mut reader;
    let plain = Config::default();
    if root.is_null() {
        reader
            .report
            .error("type", 0..0, "the configuration is empty")
            .help("`kyc-rules init DIR` writes one to start from");
        return plain;
    }
    let Some(fields) = reader.section(Some(root), "the configuration", KEYS) else { return plain };
    let (statuses, processing_statuses) = statuses(&fields, reader);
    let callback = callback(&fields, plain.callback, reader);
    let admin = admin(fields.get("admin"), plain.admin, reader);
    if callback.listen == admin.listen && callback.listen.port() != 0 {
        let span = fields.entry("admin").or(fields.entry("callback")).map_or(fields.span(), |at| at.key_span.clone());
        let message = format!("`callback.listen` and `admin.listen` are both {}", admin.listen);
        reader.report.error("value", span, message).label("use two different ports");
    }
    refuse_retention(fields.get("retention"), reader);
    Config {
        source: None,
        data: data(fields.get("data"), reader),
        rules: reader.path(fields.get("rules"), "`rules`").unwrap_or_else(|| reader.beside(plain.rules)),
        brand: brand(fields.get("brand"), reader),
        locale: reader.form(fields.get("locale"), "`locale`", values::locale).unwrap_or(plain.locale),
        timezone: reader.form(fields.get("timezone"), "`timezone`", timezone).unwrap_or(plain.timezone),
        statuses,
        processing_statuses,
        callback,
        admin,
        email: channels::email(fields.get("email"), reader),
        webhooks: channels::webhooks(fields.get("webhooks"), reader),
        chats: channels::chats(fields.get("chats"), reader),
        directory: channels::directory(fields.get("directory"), reader),
        provider: channels::provider(&fields, plain.provider, reader),
        store: store(fields.get("store"), plain.store, reader),
        reload: reload(fields.get("reload"), plain.reload, reader),
        log: log(fields.get("log"), plain.log, reader),
    }
}

fn timezone(name: &str) -> Result<TimeZone, String> {
    zone::named(name).ok_or_else(|| format!("`{name}` is not a time zone; write as `Europe/Berlin`"))
}

fn data(node: Option<&Node<'_>>, reader: &mut SectionReader<'_, '_>) -> DataConfig {
    match reader.text(node, "`data`") {
        Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
            DataConfig::Postgres(SecretString::from(url))
        }
        Some(text) if text.contains("://") => {
            let span = node.map_or(0..0, |node| node.span.clone());
            let problem = "`data` has to be a directory or a `postgres://` URL";
            reader.report.error("value", span, problem).label("write as `./data` or `postgres://user@host/database`");
            DataConfig::Directory(PathBuf::new())
        }
        Some(path) => DataConfig::Directory(reader.beside(path)),
        None if node.is_some() => DataConfig::Unfilled,
        None => DataConfig::Directory(reader.beside("./data")),
    }
}

fn brand(node: Option<&Node<'_>>, reader: &mut SectionReader<'_, '_>) -> Brand {
    let Some(fields) = reader.section(node, "`brand`", &["name", "support", "url"]) else { return Brand::default() };
    let mut text = |key: &str| reader.owned(fields.get(key), &format!("`brand.{key}`")).unwrap_or_default();
    Brand { name: text("name"), support: text("support"), url: text("url") }
}

/// `statuses` is a list of names for KYC and processing statuses alike, or a map with a list for each kind.
fn statuses(fields: &MapFields<'_, '_>, reader: &mut SectionReader<'_, '_>) -> (Vec<String>, Vec<String>) {
    let name =
        |text: &str| Status::from_wire(Some(text)).map(|_| text.to_owned()).map_err(|why: NameError| why.to_string());
    let node = fields.get("statuses");
    let mut processing = reader.forms(fields.get("processing_statuses"), "`processing_statuses`", name);
    if node.is_none_or(|node| !matches!(node.value, Value::Map(_))) {
        let names = reader.forms(node, "`statuses`", name);
        processing.extend(names.iter().cloned());
        return (names, processing);
    }
    let Some(both) = reader.section(node, "`statuses`", &["kyc", "processing"]) else { return Default::default() };
    processing.extend(reader.forms(both.get("processing"), "`statuses.processing`", name));
    (reader.forms(both.get("kyc"), "`statuses.kyc`", name), processing)
}

fn callback(all: &MapFields<'_, '_>, plain: CallbackConfig, reader: &mut SectionReader<'_, '_>) -> CallbackConfig {
    const KEYS: &[&str] = &["listen", "path", "secrets", "tls", "allow_from", "trusted_proxies", "connections"];
    let Some(node) = all.need("callback", reader.report) else { return plain };
    let Some(fields) = reader.section(Some(node), "`callback`", KEYS) else { return plain };
    let secrets = fields.need("secrets", reader.report);
    let secrets = reader.secrets(secrets, "`callback.secrets`");
    let connections = reader.whole(fields.get("connections"), "`callback.connections`", 16..=1_000_000);
    CallbackConfig {
        listen: reader.form(fields.get("listen"), "`callback.listen`", values::listen).unwrap_or(plain.listen),
        path: reader.form(fields.get("path"), "`callback.path`", values::path).unwrap_or(plain.path),
        secrets: secrets.iter().map(|secret| Secret::new(secret.expose_secret())).collect(),
        tls: tls(fields.get("tls"), reader),
        allow_from: reader.forms(fields.get("allow_from"), "`callback.allow_from`", values::net),
        trusted_proxies: reader.forms(fields.get("trusted_proxies"), "`callback.trusted_proxies`", values::net),
        connections: connections.and_then(|count| usize::try_from(count).ok()).unwrap_or(plain.connections),
    }
}

fn tls(node: Option<&Node<'_>>, reader: &mut SectionReader<'_, '_>) -> Option<TlsFiles> {
    let fields = reader.section(node, "`callback.tls`", &["certificate", "key"])?;
    let certificate = fields.need("certificate", reader.report);
    let key = fields.need("key", reader.report);
    let certificate = reader.path(certificate, "`callback.tls.certificate`");
    let key = reader.path(key, "`callback.tls.key`");
    Some(TlsFiles { certificate: certificate?, key: key? })
}

fn admin(node: Option<&Node<'_>>, plain: AdminConfig, reader: &mut SectionReader<'_, '_>) -> AdminConfig {
    let Some(fields) = reader.section(node, "`admin`", &["listen", "token", "hosts"]) else { return plain };
    let listen = reader.form(fields.get("listen"), "`admin.listen`", values::listen).unwrap_or(plain.listen);
    if let Some(node) = fields.get("listen")
        && !listen.ip().is_loopback()
    {
        let message = "the admin API listens beyond this machine, and its token crosses the network unencrypted";
        let help = "listen on 127.0.0.1 and put an HTTPS proxy or an SSH tunnel in front of it";
        reader.report.warning("admin", node.span.clone(), message).help(help);
    }
    let token = reader.form(fields.get("token"), "`admin.token`", |text| {
        if text.len() >= 16 && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(SecretString::from(text))
        } else {
            Err("a token has 16 characters or more, without spaces; make one with `openssl rand -hex 32`")
        }
    });
    let host = |text: &str| match text.parse::<http::uri::Authority>() {
        Ok(name) if name.as_str() == name.host() => Ok(text.to_owned()),
        _ => Err(format!("`{text}` is not a host name; write as `admin.shop.example`, without a port")),
    };
    let token_unfilled = token.is_none() && fields.get("token").is_some();
    AdminConfig { listen, token, token_unfilled, hosts: reader.forms(fields.get("hosts"), "`admin.hosts`", host) }
}

fn store(node: Option<&Node<'_>>, plain: StoreConfig, reader: &mut SectionReader<'_, '_>) -> StoreConfig {
    let Some(fields) = reader.section(node, "`store`", &["min_free", "view_cache"]) else { return plain };
    let mut size =
        |key: &str, plain: u64| reader.form(fields.get(key), &format!("`store.{key}`"), values::size).unwrap_or(plain);
    StoreConfig {
        min_free_bytes: size("min_free", plain.min_free_bytes),
        view_cache_bytes: size("view_cache", plain.view_cache_bytes),
    }
}

/// This version never deletes history. A merchant who sets a retention time relies on it, so the key is rejected.
fn refuse_retention(node: Option<&Node<'_>>, reader: &mut SectionReader<'_, '_>) {
    let Some(fields) = reader.section(node, "`retention`", &["history"]) else { return };
    if let Some(entry) = fields.entry("history") {
        let message = "`retention.history` is not supported in this version: history is never deleted";
        reader.report.error("unsupported", entry.key_span.clone(), message).label("remove the line");
    }
}

fn reload(node: Option<&Node<'_>>, plain: ReloadConfig, reader: &mut SectionReader<'_, '_>) -> ReloadConfig {
    let Some(fields) = reader.section(node, "`reload`", &["tests", "blast_limit"]) else { return plain };
    let words = [("enforce", ReloadTests::Enforce), ("warn", ReloadTests::Warn)];
    ReloadConfig {
        tests: reader.word(fields.get("tests"), "`reload.tests`", &words).unwrap_or(plain.tests),
        blast_limit: reader.whole(fields.get("blast_limit"), "`reload.blast_limit`", 0..=1_000_000_000),
    }
}

fn log(node: Option<&Node<'_>>, plain: LogConfig, reader: &mut SectionReader<'_, '_>) -> LogConfig {
    let Some(fields) = reader.section(node, "`log`", &["format", "level"]) else { return plain };
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let levels = ["error", "warn", "info", "debug", "trace"].map(|level| (level, level));
    LogConfig {
        format: reader.word(fields.get("format"), "`log.format`", &formats).unwrap_or(plain.format),
        level: reader.word(fields.get("level"), "`log.level`", &levels).map_or(plain.level, str::to_owned),
    }
}
