//! All metrics, and the setup of the log.
//!
//! Labels are constants of this program and names of rules and channels. Neither metrics nor log lines contain a
//! customer, an address, a message or a hash. Log lines that any client on the network can trigger are limited by a
//! [`LogThrottle`].

mod panics;
mod refusals;
mod throttle;

use std::{
    io::{self, Write},
    sync::atomic::{AtomicI64, Ordering::Relaxed},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use tracing_subscriber::EnvFilter;

pub use self::{
    refusals::{ListenerRefusals, Refusal, RefusalCount, Refusals},
    throttle::LogThrottle,
};
use crate::{
    clock::Timestamp,
    decide::{Changes, RuleOutcome},
    providers::xgateway::OtherType,
    store::StoreFigures,
};

/// The kinds of responses to callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types)]
pub enum CallbackAnswer {
    accepted,
    duplicate,
    /// Verified, but of a type that this program does not process.
    ignored,
    malformed,
    other_type,
    unauthorized,
    unavailable,
    failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    answer: CallbackAnswer,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TypeLabels {
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    listener: &'static str,
    refused: &'static str,
}

/// The callbacks that were answered with 200 since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedCallbacks {
    pub accepted: u64,
    pub duplicate: u64,
    /// By type, with the provider's name for it.
    pub ignored: Vec<(&'static str, u64)>,
    pub last_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleLabels {
    rule: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    channel: String,
    outcome: &'static str,
}

/// The service that was asked for a customer's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types)]
pub enum QuestionTarget {
    provider,
    directory,
}

/// The outcome of such a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types)]
pub enum QuestionResult {
    answered,
    /// The service does not know this customer.
    unknown,
    /// The service's data about the customer cannot be used.
    odd,
    /// The request failed.
    failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuestionLabels {
    service: QuestionTarget,
    outcome: QuestionResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChannelLabels {
    channel: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

/// The metrics for Prometheus.
pub struct Metrics {
    registry: Registry,
    callbacks: Family<AnswerLabels, Counter>,
    callback_seconds: Histogram,
    ignored: Family<TypeLabels, Counter>,
    refused: Family<RefusalLabels, Counter>,
    /// The time of the last callback that was answered with 200, in milliseconds since the epoch; 0 before the first.
    taken_ms: AtomicI64,
    rules: Family<RuleLabels, Counter>,
    attempts: Family<AttemptLabels, Counter>,
    in_doubt: Counter,
    questions: Family<QuestionLabels, Counter>,
    reloads: Family<ReloadLabels, Counter>,
    rules_refused: Gauge,
    jobs: Family<StateLabels, Gauge>,
    waiting: Gauge,
    unanswered: Gauge,
    timers_unanswered: Gauge,
    key_refused: Gauge,
    customers: Gauge,
    records: Gauge,
    view_behind: Gauge,
    braked: Gauge,
    relay_down: Family<ChannelLabels, Gauge>,
    store_bytes: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("kyc_rules");
        let new = Self {
            registry: Registry::default(),
            callbacks: Family::default(),
            callback_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
            ignored: Family::default(),
            refused: Family::default(),
            taken_ms: AtomicI64::new(0),
            rules: Family::default(),
            attempts: Family::default(),
            in_doubt: Counter::default(),
            questions: Family::default(),
            reloads: Family::default(),
            rules_refused: Gauge::default(),
            jobs: Family::default(),
            waiting: Gauge::default(),
            unanswered: Gauge::default(),
            timers_unanswered: Gauge::default(),
            key_refused: Gauge::default(),
            customers: Gauge::default(),
            records: Gauge::default(),
            view_behind: Gauge::default(),
            braked: Gauge::default(),
            relay_down: Family::default(),
            store_bytes: Gauge::default(),
        };
        registry.register("callbacks", "Callbacks by response", new.callbacks.clone());
        registry.register_with_unit(
            "callback",
            "Time from a callback's body to its response, for stored callbacks",
            Unit::Seconds,
            new.callback_seconds.clone(),
        );
        registry.register(
            "callbacks_ignored",
            "Verified callbacks that are not about KYC and were ignored, by type",
            new.ignored.clone(),
        );
        registry.register(
            "refused",
            "Requests and connections that a listener refused, by reason",
            new.refused.clone(),
        );
        registry.register("rules", "Rules whose trigger matched, by outcome", new.rules.clone());
        registry.register("attempts", "Attempts at jobs, by outcome", new.attempts.clone());
        registry.register(
            "attempts_in_doubt",
            "Attempts that were running when the process ended",
            new.in_doubt.clone(),
        );
        registry.register(
            "questions",
            "Requests to the provider's API and the merchant's directory, by outcome",
            new.questions.clone(),
        );
        registry.register("reloads", "Reloads of the rules", new.reloads.clone());
        registry.register("rules_refused", "1 while the rule files are refused", new.rules_refused.clone());
        registry.register("jobs", "Jobs that are not done, by state", new.jobs.clone());
        registry.register("customers_waiting", "Customers whose callbacks wait for a decision", new.waiting.clone());
        registry.register(
            "customers_unanswered",
            "Customers whose callbacks have waited longer than provider.patience",
            new.unanswered.clone(),
        );
        registry.register(
            "customers_timers_unanswered",
            "Customers whose due timers have waited longer than provider.patience for the provider's API",
            new.timers_unanswered.clone(),
        );
        registry.register(
            "provider_key_refused",
            "1 while the provider's API rejects provider.api_key",
            new.key_refused.clone(),
        );
        registry.register("customers", "Known customers", new.customers.clone());
        registry.register("records", "The number of the latest durable record", new.records.clone());
        registry.register("channels_braked", "Channels paused by their brakes", new.braked.clone());
        registry.register(
            "relay_down",
            "1 while a channel's mail relay is down or refuses every mail",
            new.relay_down.clone(),
        );
        registry.register("view_behind", "Customers whose view entry is not up to date", new.view_behind.clone());
        registry.register_with_unit("store", "Size of the store on the disk", Unit::Bytes, new.store_bytes.clone());
        Self { registry, ..new }
    }
}

impl Metrics {
    pub fn answered(&self, answer: CallbackAnswer) {
        self.callbacks.get_or_create(&AnswerLabels { answer }).inc();
    }

    /// Counts a callback that was answered with 200.
    pub fn taken(&self, answer: CallbackAnswer, at: Timestamp) {
        self.answered(answer);
        self.taken_ms.store(at.millis(), Relaxed);
    }

    /// Counts a callback that is not about KYC and was answered with 200.
    pub fn ignored(&self, kind: OtherType, at: Timestamp) {
        self.ignored.get_or_create(&TypeLabels { r#type: kind.name() }).inc();
        self.taken(CallbackAnswer::ignored, at);
    }

    pub fn callbacks_taken(&self) -> AcceptedCallbacks {
        let count = |answer| self.callbacks.get_or_create(&AnswerLabels { answer }).get();
        let ignored = OtherType::ALL.map(|kind| {
            let r#type = kind.name();
            (r#type, self.ignored.get_or_create(&TypeLabels { r#type }).get())
        });
        AcceptedCallbacks {
            accepted: count(CallbackAnswer::accepted),
            duplicate: count(CallbackAnswer::duplicate),
            ignored: ignored.into(),
            last_at: Some(Timestamp(self.taken_ms.load(Relaxed))).filter(|at| at.millis() != 0),
        }
    }

    pub fn stored_after(&self, seconds: f64) {
        self.callback_seconds.observe(seconds);
    }

    /// Counts the changes of a durable record.
    pub fn recorded(&self, effects: &Changes) {
        for ruling in &effects.rules {
            // A rule that did not fire is not counted, because there may be thousands. A rule that could not be
            // evaluated is counted.
            if ruling.outcome != RuleOutcome::No {
                let labels = RuleLabels { rule: ruling.id.to_string(), outcome: ruling.outcome.name() };
                self.rules.get_or_create(&labels).inc();
            }
        }
    }

    pub fn attempted(&self, channel: &str, outcome: &'static str) {
        self.attempts.get_or_create(&AttemptLabels { channel: channel.to_owned(), outcome }).inc();
    }

    pub fn in_doubt(&self, attempts: usize) {
        self.in_doubt.inc_by(attempts as u64);
    }

    /// Sets whether the provider's API currently rejects the key.
    pub fn key_refused(&self, refused: bool) {
        self.key_refused.set(i64::from(refused));
    }

    /// Sets the number of customers whose due timers have waited longer than the patience for the provider's API.
    pub fn timers_unanswered(&self, customers: u64) {
        self.timers_unanswered.set(signed(customers));
    }

    pub fn asked(&self, service: QuestionTarget, outcome: QuestionResult) {
        self.questions.get_or_create(&QuestionLabels { service, outcome }).inc();
    }

    pub fn reloaded(&self, loaded: bool) {
        self.reloads.get_or_create(&ReloadLabels { result: if loaded { "loaded" } else { "refused" } }).inc();
        self.rules_refused.set(i64::from(!loaded));
    }

    pub fn relay_is_down(&self, channel: &str, is_down: bool) {
        self.relay_down.get_or_create(&ChannelLabels { channel: channel.to_owned() }).set(i64::from(is_down));
    }

    /// Returns the text of `/metrics`.
    pub fn text(&self, figures: Option<&StoreFigures>, listeners: &[&Refusals]) -> String {
        for refusals in listeners {
            for counted in refusals.counts() {
                let labels = RefusalLabels { listener: refusals.listener(), refused: counted.kind.name() };
                self.refused.get_or_create(&labels).inner().store(counted.count, Relaxed);
            }
        }
        if let Some(figures) = figures {
            for (state, count) in [
                ("queued", figures.queued),
                ("held", figures.held),
                ("running", figures.running),
                ("problem", figures.problem),
            ] {
                self.jobs.get_or_create(&StateLabels { state }).set(signed(count));
            }
            self.waiting.set(signed(figures.asked_about));
            self.unanswered.set(signed(figures.unanswered));
            self.customers.set(signed(figures.customers));
            self.records.set(signed(figures.durable));
            self.view_behind.set(signed(figures.behind));
            self.braked.set(signed(figures.braked));
            self.store_bytes.set(signed(figures.bytes));
        }
        let mut text = String::new();
        // Writing to a `String` cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The format of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// Standard error as the output of the log. Write errors (a closed pipe, a full disk) are ignored: only the line is
/// lost. Otherwise the subscriber would report the error with `eprintln!`, which panics for the same reason and ends
/// the thread that logs.
struct LossyStderr;

impl Write for LossyStderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = io::stderr().flush();
        Ok(())
    }
}

/// Starts the log on standard error. `level` applies to this program. Libraries log warnings and errors only, because
/// at finer levels they log paths and responses, which contain ids and names; no environment variable changes that.
/// rustls logs nothing: the peer controls how often it warns, and this program logs its errors.
pub fn start_log(format: LogFormat, level: &str) {
    let others = if level == "error" { "error" } else { "warn" };
    let filter = EnvFilter::new(format!("{others},rustls=off,{}={level}", env!("CARGO_CRATE_NAME")));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| LossyStderr).log_internal_errors(false);
    panics::log_panics();
    // A second call in the same process has no effect.
    let _ = match format {
        LogFormat::Text => log.with_ansi(false).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
}
