//! What the configuration says about decisions.

use super::Config;
use crate::decide::Policy;

impl Policy {
    /// The one policy of a configuration, for the server and for each command that works without one. What must not wait for an
    /// answer of the provider's API or of the merchant's directory takes [`Policy::for_simulation`] of it.
    pub fn of(config: &Config) -> Self {
        let cache_ms = |cache: std::time::Duration| i64::try_from(cache.as_millis()).unwrap_or(i64::MAX);
        Self {
            timezone: config.timezone.clone(),
            attributes: config.directory.attributes.clone().into(),
            confirms: config.provider.api_key.is_some(),
            looks_up: config.directory.lookup.as_ref().map(|lookup| cache_ms(lookup.cache)),
        }
    }
}
