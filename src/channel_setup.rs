//! Builds the channels that the configuration names, each with its own client.
//!
//! Channels share nothing: each has its own connections, workers and queue, so that a target that hangs does not
//! delay another.

use std::sync::Arc;

use secrecy::ExposeSecret;

use crate::{
    channels::{
        chat::ChatRoom,
        email::{CircuitBreaker, Mailer, MailerConfig, Transport},
        webhook::{SigningKey, SigningKeys, WebhookTarget},
    },
    config::{self, Config},
    decide::Brake,
    directory::ShopApi,
    dispatch::{DomainLimiter, MailSender, Sender},
    outbound::{ClientOptions, HttpClient, TargetUrl},
    outbox::Channel,
};

/// The number of concurrent attempts per webhook target or chat room.
const CONCURRENCY: usize = 4;

/// A channel that is ready to send.
pub struct ChannelSetup {
    pub channel: Channel,
    pub workers: usize,
    pub way: Sender,
}

/// All configured channels, including those that have nothing to send.
pub fn set_up(config: &Config) -> Vec<Channel> {
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
pub fn relays(ways: &[ChannelSetup]) -> Vec<(Channel, Arc<CircuitBreaker>)> {
    let breaker = |open: &ChannelSetup| match &open.way {
        Sender::Post(post) => Some((open.channel.clone(), Arc::clone(&post.breaker))),
        Sender::Webhook(_) | Sender::Chat(_) => None,
    };
    ways.iter().filter_map(breaker).collect()
}

/// Builds all channels. The error names the configuration key that is wrong.
pub fn start(config: &Config, extra_roots: &[Vec<u8>]) -> Result<Vec<ChannelSetup>, String> {
    let reach = |private| ClientOptions { private, extra_roots: extra_roots.to_vec(), ..ClientOptions::default() };
    let mut ways = Vec::new();
    if let Some(email) = &config.email
        && let Some(post) = mail_sender(email, extra_roots)?
    {
        ways.push(ChannelSetup {
            channel: Channel::Email,
            workers: email.concurrency,
            way: Sender::Post(Box::new(post)),
        });
    }
    for (name, webhook) in &config.webhooks {
        let wrong = |what: &str, why: String| format!("webhooks.{name}{what}: {why}");
        let keys: Result<Vec<SigningKey>, _> =
            webhook.secrets.iter().map(|secret| SigningKey::parse(secret.expose_secret())).collect();
        let way = WebhookTarget {
            client: HttpClient::new(reach(webhook.private)).map_err(|error| wrong("", error.to_string()))?,
            target: TargetUrl::parse(&webhook.url).map_err(|why| wrong(".url", why))?,
            keys: SigningKeys(keys.map_err(|why| wrong(".secret", why.to_owned()))?),
        };
        let channel = Channel::Webhook(name.as_str().into());
        ways.push(ChannelSetup { channel, workers: CONCURRENCY, way: Sender::Webhook(way) });
    }
    for (name, chat) in &config.chats {
        let wrong = |what: &str, why: String| format!("chats.{name}{what}: {why}");
        let way = ChatRoom {
            kind: chat.kind,
            client: HttpClient::new(reach(chat.private)).map_err(|error| wrong("", error.to_string()))?,
            target: TargetUrl::parse(chat.url.expose_secret()).map_err(|why| wrong(".url", why))?,
        };
        ways.push(ChannelSetup {
            channel: Channel::Chat(name.as_str().into()),
            workers: CONCURRENCY,
            way: Sender::Chat(way),
        });
    }
    Ok(ways)
}

/// The shop's API that is asked for contacts, and how long its answers stay fresh, in milliseconds.
pub fn shop(config: &Config, extra_roots: &[Vec<u8>]) -> Result<Option<(ShopApi, i64)>, String> {
    let Some(lookup) = &config.directory.lookup else { return Ok(None) };
    let reach =
        ClientOptions { private: lookup.private, extra_roots: extra_roots.to_vec(), ..ClientOptions::default() };
    let shop = ShopApi::new(lookup.url.clone(), lookup.header.as_ref(), config.directory.attributes.clone(), reach)
        .map_err(|why| format!("directory.lookup: {why}"))?;
    Ok(Some((shop, i64::try_from(lookup.cache.as_millis()).unwrap_or(i64::MAX))))
}

/// Everything that sending mails needs; `None` if `email.transport` is not set.
pub fn mail_sender(email: &config::EmailConfig, extra_roots: &[Vec<u8>]) -> Result<Option<MailSender>, String> {
    let Some(transport) = &email.transport else { return Ok(None) };
    let is_smtp = matches!(transport, Transport::Smtp(_));
    let between_ms = email.per_domain.filter(|_| is_smtp).map(|between| i64::try_from(between.as_millis()));
    let domains = between_ms.and_then(Result::ok).map(DomainLimiter::new);
    let config = MailerConfig {
        extra_roots: extra_roots.to_vec(),
        hello: email.hello.clone(),
        ..MailerConfig::new(transport.clone())
    };
    let mailer = Mailer::new(config).map_err(|error| format!("email.transport: {error}"))?;
    Ok(Some(MailSender::new(mailer, email.from.clone(), email.reply_to.clone(), domains)))
}
