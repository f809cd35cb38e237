//! The decision policy that the configuration defines.

use super::Config;
use crate::decide::Policy;

impl Policy {
    /// Returns the policy of a configuration, for the server and for each command that works without a server. A caller
    /// that must not wait for the provider's API or the merchant's directory uses [`Policy::for_simulation`] of the
    /// result.
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
