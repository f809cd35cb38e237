//! Requests and connections that a listener has refused: for each kind the number since the start, the time of the
//! last, and a log line, at once and then at most once a minute.
//!
//! A line contains the status, the field and the reason, all of them constants of this program, and no part of a
//! request.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use tracing::Level;

use super::LogThrottle;
use crate::clock::{Clock, Timestamp};

macro_rules! refusals {
    ($($(#[$doc:meta])* $kind:ident = $level:ident $answer:literal $about:literal),+ $(,)?) => {
        /// The reason why a request or a connection was refused. The names appear in `status` and in metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(non_camel_case_types)]
        pub enum Refusal {
            $($(#[$doc])* $kind,)+
        }

        impl Refusal {
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => stringify!($kind),)+ }
            }

            /// The status code of the response; `None` if the connection was closed without a response.
            pub const fn answer(self) -> Option<u16> {
                let status = match self { $(Self::$kind => $answer,)+ };
                if status == 0 { None } else { Some(status) }
            }

            /// An explanation for the operator.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$kind => $about,)+ }
            }

            /// The log level: info for what scanners on the Internet cause all the time, warning for what may concern
            /// the provider.
            const fn level(self) -> Level {
                match self { $(Self::$kind => Level::$level,)+ }
            }
        }
    };
}

refusals! {
    wrong_hash = WARN 401 "a callback's hash does not match any secret in `callback.secrets`; compare them with the secret in the provider's back office",
    no_hash = WARN 401 "a callback had no hash",
    malformed = WARN 400 "a callback's body could not be read",
    /// The hash is correct, so the provider has changed the shape of its callbacks.
    malformed_signed = ERROR 400 "a callback with a correct hash could not be read: the provider has changed the shape of its callbacks",
    unknown_type = WARN 422 "a callback had a callbackType that the provider does not document",
    /// The body has an unknown shape, but its hash is correct by the formula of KYC callbacks.
    unknown_type_signed = ERROR 422 "a callback with a correct hash had an unknown callbackType: the provider has a new type of callback",
    too_large = WARN 413 "a body was larger than 64 KiB",
    body_timeout = WARN 408 "a body did not arrive in time",
    body_broken = WARN 400 "a body was incomplete, or its chunks were malformed",
    /// A POST may come from the provider, with a path that differs from the configured one.
    wrong_path = WARN 404 "a POST request had a path other than `callback.path`; compare it with the URL in the provider's back office",
    not_found = INFO 404 "a request with a method other than POST had an unknown path",
    wrong_method = WARN 405 "a request to `callback.path` was not a POST",
    forbidden = WARN 403 "a request came from an address that is not in `callback.allow_from`",
    unavailable = WARN 503 "a callback could not be stored; the response told the provider to retry",
    failed = ERROR 500 "the decision about a callback failed",
    bad_request = INFO 400 "a request had a target, a Host or a length that HTTP does not allow",
    transfer_coding = WARN 501 "a request had a Transfer-Encoding other than chunked",
    not_http = INFO 400 "a connection sent no valid HTTP request",
    headers_too_large = INFO 431 "a request's head was too large",
    head_timeout = INFO 408 "a request's head did not arrive in time",
    no_tls = INFO 400 "a connection used plain HTTP on a port that requires TLS",
    tls = INFO 0 "a TLS handshake failed",
    crowded = WARN 0 "a connection was closed because there were too many connections",
    no_descriptor = ERROR 0 "a connection could not be accepted",
    panic = ERROR 500 "the handling of a request panicked",
    wrong_token = WARN 401 "a request to the admin side had a wrong token, or none",
    wrong_host = WARN 421 "a request to the admin side named a host that is not in `admin.hosts`",
}

/// The number of refusals of one kind, and the time of the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalCount {
    pub kind: Refusal,
    pub count: u64,
    pub last_at: Timestamp,
}

#[derive(Debug, Default)]
struct Kept {
    count: AtomicU64,
    last_ms: AtomicI64,
    line: LogThrottle,
}

/// The refusals of one listener.
#[derive(Debug)]
pub struct Refusals {
    listener: &'static str,
    clock: Clock,
    kinds: Vec<Kept>,
}

impl Refusals {
    /// `listener` is `public` or `admin`.
    pub fn new(listener: &'static str, clock: Clock) -> Self {
        Self { listener, clock, kinds: Refusal::ALL.iter().map(|_| Kept::default()).collect() }
    }

    pub fn listener(&self) -> &'static str {
        self.listener
    }

    /// Counts one refusal, and logs it if the throttle of this kind allows a line now. `field` is the part that is
    /// wrong, `reason` a short explanation; neither may contain data from the request.
    pub fn note(&self, kind: Refusal, field: &'static str, reason: impl fmt::Display) {
        self.note_many(kind, 1, field, reason);
    }

    /// Counts several refusals of one kind that happened together.
    pub fn note_many(&self, kind: Refusal, count: u64, field: &'static str, reason: impl fmt::Display) {
        let Some(kept) = self.kinds.get(kind as usize) else { return };
        kept.last_ms.store(self.clock.now().millis(), Relaxed);
        let total = kept.count.fetch_add(count, Relaxed).saturating_add(count);
        let Some(left_out) = kept.line.pass() else { return };
        let (listener, name, about) = (self.listener, kind.name(), kind.about());
        let answer = kind.answer().map_or("none".to_owned(), |status| status.to_string());
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    $level, listener, refused = name, answer = %answer, field, %reason, total, left_out, "{about}"
                )
            };
        }
        match kind.level() {
            Level::ERROR => line!(Level::ERROR),
            Level::WARN => line!(Level::WARN),
            _ => line!(Level::INFO),
        }
    }

    /// Returns the kinds that were counted at least once.
    pub fn counts(&self) -> Vec<RefusalCount> {
        let counted = Refusal::ALL.iter().zip(&self.kinds).map(|(kind, kept)| RefusalCount {
            kind: *kind,
            count: kept.count.load(Relaxed),
            last_at: Timestamp(kept.last_ms.load(Relaxed)),
        });
        counted.filter(|counted| counted.count > 0).collect()
    }
}

/// The refusals of both listeners.
#[derive(Clone, Debug)]
pub struct ListenerRefusals {
    pub public: Arc<Refusals>,
    pub admin: Arc<Refusals>,
}

impl ListenerRefusals {
    pub fn new(clock: &Clock) -> Self {
        let of = |listener| Arc::new(Refusals::new(listener, clock.clone()));
        Self { public: of("public"), admin: of("admin") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_with_the_time_of_its_last_refusal() {
        let clock = Clock::manual(Timestamp(1_000));
        let refusals = Refusals::new("public", clock.clone());
        assert_eq!(refusals.counts(), []);
        refusals.note(Refusal::wrong_hash, "hash", "is wrong");
        clock.advance_ms(500);
        refusals.note(Refusal::wrong_hash, "hash", "is wrong");
        refusals.note_many(Refusal::crowded, 7, "connection", "too many");
        let count = |kind, count| RefusalCount { kind, count, last_at: Timestamp(1_500) };
        assert_eq!(refusals.counts(), [count(Refusal::wrong_hash, 2), count(Refusal::crowded, 7)]);
    }

    #[test]
    fn kinds_are_in_the_order_of_their_numbers() {
        for (number, kind) in Refusal::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, number);
            assert!(kind.about().len() > 10 && kind.answer().is_none_or(|answer| (400..600).contains(&answer)));
        }
    }
}
