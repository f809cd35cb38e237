//! What a kind of channel provides: a configuration ([`ChannelConfig`]) that builds a sender ([`Sender`]).
//!
//! The dispatcher knows only these two traits. A channel implements [`Sender::send`]; each other method has a default
//! for a channel without connections to keep, without a circuit breaker and without spacing.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::BoxFuture;
use secrecy::SecretString;

use super::{
    answer::AttemptEnd,
    domain_limiter::DomainLimiter,
    email::{CircuitBreaker, TrialPermit},
};
use crate::{
    clock::Clock,
    decide::Brake,
    domain::CustomerId,
    outbox::{Job, JobId, ProblemKind},
    rules::{Action, RuleSet},
};

/// Default number of concurrent attempts of a channel.
const CONCURRENCY: usize = 4;

/// The configuration of one channel: of mails, of a webhook target or of a chat room.
pub trait ChannelConfig {
    /// `None`: no brake.
    fn brake(&self) -> Option<Brake>;

    /// Builds the sender, with its own client and connections. `name` is the name of the target; empty for mails.
    /// `extra_roots` are PEM certificates to trust. `None`: the configuration is not filled in. The error names the
    /// configuration key that is wrong.
    fn sender(&self, name: &str, extra_roots: &[Vec<u8>]) -> Result<Option<Box<dyn Sender>>, String>;

    /// The URL to which `doctor` opens a connection, and whether its address may be private; `None`: `doctor` checks
    /// the channel in another way.
    fn probed_url(&self) -> Option<(SecretString, bool)> {
        None
    }

    /// The maximum number of concurrent attempts.
    fn concurrency(&self) -> usize {
        CONCURRENCY
    }
}

/// Sends the jobs of one channel.
pub trait Sender: Send + Sync {
    /// Runs one attempt. The future may be dropped at the time limit of an attempt.
    fn send<'a>(&'a self, request: SendRequest<'a>) -> BoxFuture<'a, DeliveryResult>;

    /// Called once the outcome of an attempt is recorded. Returns the jobs to queue again, because their refusals
    /// were about every job of the channel.
    fn recorded(&self, _delivery: DeliveryResult, _job: Requeue) -> Vec<Requeue> {
        Vec::new()
    }

    /// The circuit breaker, which stops the channel while no job can be sent; `None`: attempts always start.
    fn breaker(&self) -> Option<&Arc<CircuitBreaker>> {
        None
    }

    /// Tests, without a job, whether the receiver that could not be reached is back. Only called if there is a circuit
    /// breaker.
    fn try_connection<'a>(&'a self, _permit: TrialPermit, _clock: &'a Clock) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Spaces the jobs to one domain in time; `None`: jobs are not spaced.
    fn spacing(&self) -> Option<&Mutex<DomainLimiter>> {
        None
    }

    /// Closes connections that are no longer used. Returns the time until the next connection expires.
    fn close_idle(&self) -> Option<Duration> {
        None
    }
}

/// One attempt at a job.
pub struct SendRequest<'a> {
    pub customer: &'a CustomerId,
    pub job: &'a Job,
    /// The permit of a trial in an outage.
    pub permit: Option<TrialPermit>,
    pub rules: &'a dyn OrderedRules,
    pub clock: &'a Clock,
}

/// Finds the rules whose templates render a job that was ordered earlier.
pub trait OrderedRules: Send + Sync {
    /// The rule set with this hash, or the present set if the files of that set are gone.
    fn ordered_under(&self, hash: &str) -> Result<Arc<RuleSet>, String>;
}

/// Identifies a job, so that it can be queued again.
pub type Requeue = (CustomerId, JobId);

/// How an attempt ended, and what remains to do once that is recorded.
pub struct DeliveryResult {
    pub ended: AttemptEnd,
    /// The fingerprint of a refusal that makes the job a problem and may turn out to be about every mail.
    pub(super) refusal: Option<String>,
    pub(super) recalled: Vec<Requeue>,
}

impl From<AttemptEnd> for DeliveryResult {
    fn from(ended: AttemptEnd) -> Self {
        Self { ended, refusal: None, recalled: Vec::new() }
    }
}

impl DeliveryResult {
    /// The job becomes a problem, because it does not contain what the channel sends.
    pub fn unfit(action: &Action, why: &str) -> Self {
        AttemptEnd::failed(ProblemKind::Unrenderable, format!("{action} cannot be executed: {why}")).into()
    }
}
