//! The sections of the configuration about the systems that the program connects to: mail, webhooks, chats, the
//! merchant's directory and the provider.

use std::{collections::BTreeMap, time::Duration};

use secrecy::{ExposeSecret, SecretString};

use super::{DirectoryConfig, LookupConfig, ProviderConfig, reader::SectionReader, values};
use crate::{
    channels::{
        chat::{ChatConfig, ChatKind},
        email::{EhloName, EmailConfig, MailAddress, Transport},
        webhook::{SigningKey, WebhookConfig},
    },
    decide::Brake,
    yaml::{self, Diagnostic, MapFields, Node},
};

/// Default number of mails that are sent at the same time.
pub(super) const CONCURRENCY: usize = 4;
/// Default time between two mails to one domain.
const PER_DOMAIN: Duration = Duration::from_millis(100);
const CACHE: Duration = Duration::from_mins(10);

pub(super) fn email(node: Option<&Node<'_>>, reader: &mut SectionReader<'_, '_>) -> Option<EmailConfig> {
    const KEYS: &[&str] = &["from", "transport", "hello", "reply_to", "brake", "concurrency", "per_domain"];
    let fields = reader.section(node, "`email`", KEYS)?;
    let from = fields.need("from", reader.report);
    let transport = fields.need("transport", reader.report);
    let party = |text: &str| {
        MailAddress::parse(text).map_err(|why| format!("{why}; write as `Example Shop <kyc@shop.example>`"))
    };
    let from = reader.form(from, "`email.from`", party);
    let transport = reader.form(transport, "`email.transport`", Transport::parse);
    let brake = reader.form(fields.get("brake"), "`email.brake`", values::brake);
    let concurrency = reader.whole(fields.get("concurrency"), "`email.concurrency`", 1..=64);
    let per_domain = reader.form(fields.get("per_domain"), "`email.per_domain`", values::rate);
    Some(EmailConfig {
        // It is unfilled only in commands that send nothing.
        from: from.unwrap_or_else(|| MailAddress::new(None, "unfilled@invalid")),
        transport: transport.map(|transport| match transport {
            Transport::File(path) => Transport::File(reader.beside(path)),
            smtp @ Transport::Smtp(_) => smtp,
        }),
        hello: reader.form(fields.get("hello"), "`email.hello`", EhloName::parse),
        reply_to: reader.form(fields.get("reply_to"), "`email.reply_to`", party),
        brake: brake.unwrap_or(Some(Brake::default())),
        concurrency: concurrency.and_then(|count| usize::try_from(count).ok()).unwrap_or(CONCURRENCY),
        per_domain: per_domain.unwrap_or(Some(PER_DOMAIN)),
    })
}

pub(super) fn webhooks(node: Option<&Node<'_>>, reader: &mut SectionReader<'_, '_>) -> BTreeMap<String, WebhookConfig> {
    reader.named(node, "`webhooks`", |reader, name, node| {
        let what = format!("`webhooks.{name}`");
        let fields = reader.section(Some(node), &what, &["url", "secret", "private", "brake"])?;
        let (url, private) = reader.target(&fields, &format!("webhooks.{name}"));
        let secret = fields.need("secret", reader.report);
        let secrets = reader.secrets(secret, &format!("`webhooks.{name}.secret`"));
        let wrong = secrets.iter().find_map(|secret| SigningKey::parse(secret.expose_secret()).err());
        if let (Some(why), Some(node)) = (wrong, secret) {
            reader.report.error("value", node.span.clone(), format!("`webhooks.{name}.secret`: {why}"));
        }
        Some(WebhookConfig {
            url: url.unwrap_or_default(),
            secrets,
            private,
            brake: reader.form(fields.get("brake"), &format!("`webhooks.{name}.brake`"), values::brake).flatten(),
        })
    })
}

pub(super) fn chats(node: Option<&Node<'_>>, reader: &mut SectionReader<'_, '_>) -> BTreeMap<String, ChatConfig> {
    const KINDS: [(&str, ChatKind); 4] = [
        ("slack", ChatKind::Slack),
        ("mattermost", ChatKind::Mattermost),
        ("teams", ChatKind::Teams),
        ("discord", ChatKind::Discord),
    ];
    reader.named(node, "`chats`", |reader, name, node| {
        let what = format!("`chats.{name}`");
        let fields = reader.section(Some(node), &what, &["kind", "url", "private", "brake"])?;
        let kind = fields.need("kind", reader.report);
        let (url, private) = reader.target(&fields, &format!("chats.{name}"));
        let kind = reader.word(kind, &format!("`chats.{name}.kind`"), &KINDS);
        Some(ChatConfig {
            kind: kind.unwrap_or(ChatKind::Slack),
            url: SecretString::from(url.unwrap_or_default()),
            private,
            brake: reader.form(fields.get("brake"), &format!("`chats.{name}.brake`"), values::brake).flatten(),
        })
    })
}

pub(super) fn directory(node: Option<&Node<'_>>, reader: &mut SectionReader<'_, '_>) -> DirectoryConfig {
    let Some(fields) = reader.section(node, "`directory`", &["attributes", "lookup"]) else {
        return DirectoryConfig::default();
    };
    // Rules and templates write an attribute after a dot, which limits its characters.
    let attribute = |text: &str| {
        let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if first && text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            Ok(text.to_owned())
        } else {
            Err(format!("`{text}` is not a valid attribute name; use letters, digits and `_`"))
        }
    };
    let attributes = reader.forms(fields.get("attributes"), "`directory.attributes`", attribute);
    DirectoryConfig { attributes, lookup: lookup(fields.get("lookup"), reader) }
}

fn lookup(node: Option<&Node<'_>>, reader: &mut SectionReader<'_, '_>) -> Option<LookupConfig> {
    let fields = reader.section(node, "`directory.lookup`", &["url", "header", "cache", "private"])?;
    let (text, private) = reader.target(&fields, "directory.lookup");
    if let (Some(node), Some(text)) = (fields.get("url"), &text)
        && text.matches("{id}").count() != 1
    {
        let message = "`directory.lookup.url` needs `{id}` once, where the customer's id goes";
        let label = "write as `https://shop.example/api/customers/{id}`";
        reader.report.error("value", node.span.clone(), message).label(label);
    }
    let header = reader.form(fields.get("header"), "`directory.lookup.header`", values::header);
    let cache = |text: &str| text.parse::<yaml::Duration>().map_err(|why| format!("`{text}` {why}"));
    Some(LookupConfig {
        url: text.unwrap_or_default(),
        header: header.map(|(name, value)| (name, SecretString::from(value))),
        cache: reader.form(fields.get("cache"), "`directory.lookup.cache`", cache).map_or(CACHE, |time| time.as_std()),
        private,
    })
}

pub(super) fn provider(
    all: &MapFields<'_, '_>,
    plain: ProviderConfig,
    reader: &mut SectionReader<'_, '_>,
) -> ProviderConfig {
    const KEYS: &[&str] = &["api", "api_key", "reconcile", "reconcile_final", "patience"];
    let node = all.get("provider");
    let Some(fields) = reader.section(node, "`provider`", KEYS) else {
        warn_of_no_key(all, reader);
        return plain;
    };
    if fields.get("api_key").is_none() {
        warn_of_no_key(all, reader);
    }
    let api = provider_api(fields.get("api"), reader);
    let mut pause = |key: &str, plain: Option<Duration>| {
        reader.form(fields.get(key), &format!("`provider.{key}`"), values::pause).unwrap_or(plain)
    };
    let reconcile = pause("reconcile", plain.reconcile);
    let reconcile_final = pause("reconcile_final", plain.reconcile_final);
    let patience = |text: &str| text.parse::<yaml::Duration>().map_err(|why| format!("`{text}` {why}"));
    let patience = reader.form(fields.get("patience"), "`provider.patience`", patience);
    ProviderConfig {
        api: api.map_or(plain.api, |api| api.trim_end_matches('/').to_owned()),
        api_key: reader.owned(fields.get("api_key"), "`provider.api_key`").map(SecretString::from),
        reconcile,
        reconcile_final,
        patience: patience.map_or(plain.patience, |time| time.as_std()),
    }
}

/// The name of an environment of the provider, or a URL.
fn provider_api(node: Option<&Node<'_>>, reader: &mut SectionReader<'_, '_>) -> Option<String> {
    match reader.form(node, "`provider.api`", values::environment)? {
        Some(url) => Some(url.to_owned()),
        None => reader.url(node, "`provider.api`"),
    }
}

/// Warns that callbacks are applied without confirmation, because there is no key.
fn warn_of_no_key(all: &MapFields<'_, '_>, reader: &mut SectionReader<'_, '_>) {
    let message = "there is no `provider.api_key`, so callbacks are applied without confirmation: a late retry or a \
                   captured callback can move a customer back";
    let mut warning = Diagnostic::warning("provider", reader.report.file(), message);
    warning.span = all.entry("provider").map(|entry| entry.key_span.clone());
    reader.report.add(warning).help("with a key, the provider's API confirms each status before a rule acts on it");
}
