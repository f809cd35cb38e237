//! Mail relays that are down or refuse every mail: their description in the API, and trying them at once.

use super::AdminContext;
use crate::{
    api::{jobs::ServiceProblem, status::RelayStatus},
    channels::email::RelayOutage,
    outbox::Channel,
};

impl RelayStatus {
    fn new(channel: &Channel, outage: &RelayOutage) -> Self {
        Self {
            channel: channel.to_string(),
            since: outage.since.to_string(),
            cause: outage.cause.name().to_owned(),
            reason: outage.reason(),
            again_in_s: outage.again_in_s,
        }
    }
}

impl AdminContext {
    pub(super) fn outage(&self, channel: &Channel) -> Option<RelayOutage> {
        self.relays.iter().find(|(of, _)| of == channel).and_then(|(_, breaker)| breaker.outage())
    }

    pub(super) fn relays_down(&self) -> Vec<RelayStatus> {
        let down = self.relays.iter().filter_map(|(channel, breaker)| Some((channel, breaker.outage()?)));
        down.map(|(channel, outage)| RelayStatus::new(channel, &outage)).collect()
    }

    /// Returns the outages as problems of the service, one for each channel.
    pub(super) fn relay_problems(&self) -> impl Iterator<Item = ServiceProblem> {
        self.relays_down().into_iter().map(|RelayStatus { channel, since, cause, reason, .. }| {
            let reason = format!(
                "no {channel} has been sent since {since}: {reason}; waiting mails are sent once the relay recovers, \
                 and `kyc-rules resume --channel {channel}` retries at once"
            );
            ServiceProblem {
                problem: "relay".to_owned(),
                reason,
                channel: Some(channel),
                since: Some(since),
                cause: Some(cause),
                ..ServiceProblem::default()
            }
        })
    }

    /// Tries the channel's relay at once if its circuit is open. Returns whether it did.
    pub(super) fn try_relay(&self, channel: &Channel) -> bool {
        self.relays.iter().any(|(of, breaker)| of == channel && breaker.try_now())
    }
}
