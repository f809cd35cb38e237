//! Builds the channels that the configuration names, each with its own client.
//!
//! Channels share nothing: each has its own connections, workers and queue, so that a target that hangs does not
//! delay another.

use std::sync::Arc;

use secrecy::ExposeSecret;

use crate::{
    actions::{
        chat::Chat,
        email::{CircuitBreaker, Mailer, MailerConfig, Transport},
        webhook::{Key, Keys, Webhook},
    },
    config::{self, Config},
    decide::Brake,
    directory::Shop,
    dispatch::{Domains, Post, Way},
    outbound::{Client, Reach, Target},
    outbox::Channel,
};

/// The number of concurrent attempts per webhook target or chat room.
const CONCURRENCY: usize = 4;

/// A channel that is ready to send.
pub struct Open {
    pub channel: Channel,
    pub workers: usize,
    pub way: Way,
}

/// All configured channels, including those that have nothing to send.
pub fn channels(config: &Config) -> Vec<Channel> {
    let email = config.email.iter().map(|_| Channel::Email);
    let webhooks = config.webhooks.keys().map(|name| Channel::Webhook(name.as_str().into()));
    let chats = config.chats.keys().map(|name| Channel::Chat(name.as_str().into()));
    email.chain(webhooks).chain(chats).collect()
}

/// The brakes of the channels that have one.
pub fn brakes(config: &Config) -> Vec<(Channel, Brake)> {
    let email = config.email.iter().map(|email| (Channel::Email, email.brake));
    let webhooks = config.webhooks.iter().map(|(name, one)| (Channel::Webhook(name.as_str().into()), one.brake));
    let chats = config.chats.iter().map(|(name, one)| (Channel::Chat(name.as_str().into()), one.brake));
    email.chain(webhooks).chain(chats).filter_map(|(channel, brake)| Some((channel, brake?))).collect()
}

/// The circuit breakers of the channels that send through a mail relay.
pub fn relays(ways: &[Open]) -> Vec<(Channel, Arc<CircuitBreaker>)> {
    let breaker = |open: &Open| match &open.way {
        Way::Post(post) => Some((open.channel.clone(), Arc::clone(&post.breaker))),
        Way::Webhook(_) | Way::Chat(_) => None,
    };
    ways.iter().filter_map(breaker).collect()
}

/// Builds all channels. The error names the configuration key that is wrong.
pub fn open(config: &Config, extra_roots: &[Vec<u8>]) -> Result<Vec<Open>, String> {
    let reach = |private| Reach { private, extra_roots: extra_roots.to_vec(), ..Reach::default() };
    let mut ways = Vec::new();
    if let Some(email) = &config.email
        && let Some(post) = post(email, extra_roots)?
    {
        ways.push(Open { channel: Channel::Email, workers: email.concurrency, way: Way::Post(Box::new(post)) });
    }
    for (name, webhook) in &config.webhooks {
        let wrong = |what: &str, why: String| format!("webhooks.{name}{what}: {why}");
        let keys: Result<Vec<Key>, _> =
            webhook.secrets.iter().map(|secret| Key::parse(secret.expose_secret())).collect();
        let way = Webhook {
            client: Client::new(reach(webhook.private)).map_err(|error| wrong("", error.to_string()))?,
            target: Target::parse(&webhook.url).map_err(|why| wrong(".url", why))?,
            keys: Keys(keys.map_err(|why| wrong(".secret", why.to_owned()))?),
        };
        let channel = Channel::Webhook(name.as_str().into());
        ways.push(Open { channel, workers: CONCURRENCY, way: Way::Webhook(way) });
    }
    for (name, chat) in &config.chats {
        let wrong = |what: &str, why: String| format!("chats.{name}{what}: {why}");
        let way = Chat {
            kind: chat.kind,
            client: Client::new(reach(chat.private)).map_err(|error| wrong("", error.to_string()))?,
            target: Target::parse(chat.url.expose_secret()).map_err(|why| wrong(".url", why))?,
        };
        ways.push(Open { channel: Channel::Chat(name.as_str().into()), workers: CONCURRENCY, way: Way::Chat(way) });
    }
    Ok(ways)
}

/// The shop's API that is asked for contacts, and how long its answers stay fresh, in milliseconds.
pub fn shop(config: &Config, extra_roots: &[Vec<u8>]) -> Result<Option<(Shop, i64)>, String> {
    let Some(lookup) = &config.directory.lookup else { return Ok(None) };
    let reach = Reach { private: lookup.private, extra_roots: extra_roots.to_vec(), ..Reach::default() };
    let shop = Shop::new(lookup.url.clone(), lookup.header.as_ref(), config.directory.attributes.clone(), reach)
        .map_err(|why| format!("directory.lookup: {why}"))?;
    Ok(Some((shop, i64::try_from(lookup.cache.as_millis()).unwrap_or(i64::MAX))))
}

/// Everything that sending mails needs; `None` if `email.transport` is not set.
pub fn post(email: &config::Email, extra_roots: &[Vec<u8>]) -> Result<Option<Post>, String> {
    let Some(transport) = &email.transport else { return Ok(None) };
    let is_smtp = matches!(transport, Transport::Smtp(_));
    let between_ms = email.per_domain.filter(|_| is_smtp).map(|between| i64::try_from(between.as_millis()));
    let domains = between_ms.and_then(Result::ok).map(Domains::new);
    let config = MailerConfig {
        extra_roots: extra_roots.to_vec(),
        hello: email.hello.clone(),
        ..MailerConfig::new(transport.clone())
    };
    let mailer = Mailer::new(config).map_err(|error| format!("email.transport: {error}"))?;
    Ok(Some(Post::new(mailer, email.from.clone(), email.reply_to.clone(), domains)))
}
