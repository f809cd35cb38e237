//! Builds the channels that the configuration names, each with its own client.
//!
//! Channels share nothing: each has its own connections, workers and queue, so that a target that hangs does not
//! delay another.

use std::sync::Arc;

use crate::{
    channels::{
        email::CircuitBreaker,
        sender::{ChannelConfig, Sender},
    },
    config::Config,
    decide::Brake,
    directory::ShopApi,
    outbound::ClientOptions,
    outbox::Channel,
};

/// A channel that is ready to send.
pub struct ChannelSetup {
    pub channel: Channel,
    pub workers: usize,
    pub sender: Box<dyn Sender>,
}

/// All configured channels, including those that have nothing to send.
pub fn set_up(config: &Config) -> Vec<Channel> {
    config.channels().into_iter().map(|(channel, _)| channel).collect()
}

/// The brakes of the channels that have one.
pub fn brakes(config: &Config) -> Vec<(Channel, Brake)> {
    config.channels().into_iter().filter_map(|(channel, config)| Some((channel, config.brake()?))).collect()
}

/// The circuit breakers of the channels that have one.
pub fn relays(ways: &[ChannelSetup]) -> Vec<(Channel, Arc<CircuitBreaker>)> {
    let breaker = |setup: &ChannelSetup| Some((setup.channel.clone(), Arc::clone(setup.sender.breaker()?)));
    ways.iter().filter_map(breaker).collect()
}

/// Builds these channels. The error names the configuration key that is wrong.
pub fn start(
    channels: Vec<(Channel, &dyn ChannelConfig)>,
    extra_roots: &[Vec<u8>],
) -> Result<Vec<ChannelSetup>, String> {
    let mut ways = Vec::new();
    for (channel, config) in channels {
        if let Some(sender) = config.sender(channel.target(), extra_roots)? {
            ways.push(ChannelSetup { channel, workers: config.concurrency(), sender });
        }
    }
    Ok(ways)
}

/// The shop's API that is asked for contacts, and how long its answers stay fresh, in milliseconds.
pub fn shop(config: &Config, extra_roots: &[Vec<u8>]) -> Result<Option<(ShopApi, i64)>, String> {
    let Some(lookup) = &config.directory.lookup else { return Ok(None) };
    let reach = ClientOptions::reaching(lookup.private, extra_roots);
    let shop = ShopApi::new(lookup.url.clone(), lookup.header.as_ref(), config.directory.attributes.clone(), reach)
        .map_err(|why| format!("directory.lookup: {why}"))?;
    Ok(Some((shop, i64::try_from(lookup.cache.as_millis()).unwrap_or(i64::MAX))))
}
