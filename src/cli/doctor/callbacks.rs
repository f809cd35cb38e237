//! Checks the callbacks that the running server has rejected, and says what to do about them.

use super::{CheckResult, CheckStatus};
use crate::{
    api::status::{CallbackCounts, RefusalInfo},
    cli::traffic::{shown, taken},
    clock::Timestamp,
};

/// Rejected requests older than this, in milliseconds, are printed but cause no warning.
const RECENT_MS: i64 = 24 * 60 * 60 * 1_000;

/// The meaning of some kinds of rejected requests.
struct RefusalMeaning {
    kinds: &'static [&'static str],
    health: CheckStatus,
    /// A later accepted callback shows that the fault is over, or that the request was not from the provider.
    is_over_when_accepted: bool,
    said: &'static str,
}

const fn meaning(kinds: &'static [&'static str], health: CheckStatus, said: &'static str) -> RefusalMeaning {
    RefusalMeaning { kinds, health, is_over_when_accepted: true, said }
}

/// The most severe first.
const MEANINGS: &[RefusalMeaning] = &[
    RefusalMeaning {
        is_over_when_accepted: false,
        ..meaning(
            &["malformed_signed", "unknown_type_signed"],
            CheckStatus::Fail,
            "callbacks with a right hash were refused, because the provider has changed their format: look for a newer version \
             of kyc-rules, and for these callbacks in the provider's back office",
        )
    },
    meaning(
        &["wrong_hash", "no_hash"],
        CheckStatus::Fail,
        "callbacks had a wrong hash or none: compare `callback.secrets` with the secret in the provider's back office",
    ),
    meaning(
        &["forbidden"],
        CheckStatus::Warn,
        "requests from addresses that are not in `callback.allow_from`: compare it with the provider's addresses",
    ),
    meaning(
        &["wrong_path", "wrong_method"],
        CheckStatus::Warn,
        "requests to another path, or not a POST: compare `callback.path` with the URL in the provider's back office",
    ),
    meaning(
        &["tls", "no_tls"],
        CheckStatus::Warn,
        "TLS handshakes failed: compare `callback.tls` with the URL in the provider's back office",
    ),
    meaning(
        &["malformed", "unknown_type", "transfer_coding"],
        CheckStatus::Warn,
        "requests that are not callbacks of the provider",
    ),
    meaning(
        &["too_large", "body_timeout", "body_broken"],
        CheckStatus::Warn,
        "request bodies were too large, too slow or incomplete",
    ),
    meaning(
        &["unavailable", "failed", "panic"],
        CheckStatus::Warn,
        "callbacks could not be stored: the log has the reason",
    ),
    meaning(
        &["crowded", "no_descriptor"],
        CheckStatus::Warn,
        "there were too many connections: raise `callback.connections` and the limit of open files",
    ),
];

/// Returns `None` if no request has been rejected.
pub fn look(callbacks: &CallbackCounts, now: Timestamp) -> Option<CheckResult> {
    let refused = &callbacks.refused;
    if refused.is_empty() {
        return None;
    }
    let taken_at = callbacks.last_at.as_deref().and_then(moment);
    let counts: Vec<String> = refused.iter().map(shown).collect();
    let said = format!("{}; refused since the start: {}", taken(callbacks), counts.join(", "));
    let Some(meaning) = MEANINGS.iter().find(|meaning| meaning.holds(refused, taken_at, now)) else {
        return Some(CheckResult::ok("callbacks", said));
    };
    // If callbacks have been accepted before, a wrong hash may come from another sender than the provider.
    let may_be_a_stranger = meaning.is_over_when_accepted && taken_at.is_some();
    let health = if may_be_a_stranger { CheckStatus::Warn } else { meaning.health };
    Some(CheckResult::new("callbacks", health, format!("{} ({said})", meaning.said)))
}

impl RefusalMeaning {
    /// Returns `true` if any of these requests is of the last 24 hours and the fault is not over.
    fn holds(&self, refused: &[RefusalInfo], taken_at: Option<Timestamp>, now: Timestamp) -> bool {
        let mut kinds = refused.iter().filter(|one| self.kinds.contains(&&*one.kind));
        kinds.any(|one| {
            moment(&one.last_at).is_some_and(|at| {
                let is_over = self.is_over_when_accepted && taken_at.is_some_and(|taken| taken >= at);
                now.since_ms(at) < RECENT_MS && !is_over
            })
        })
    }
}

fn moment(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(Timestamp::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-03-03T20:30:00Z";

    fn looked(last_at: Option<&str>, refused: &[(&str, &str)]) -> Option<(CheckStatus, String)> {
        let refused = refused.iter().map(|(kind, at)| RefusalInfo {
            kind: (*kind).to_owned(),
            answer: Some(401),
            count: 3,
            last_at: (*at).to_owned(),
            about: String::new(),
        });
        let callbacks = CallbackCounts {
            accepted: 0,
            duplicate: 0,
            ignored: Default::default(),
            last_at: last_at.map(str::to_owned),
            refused: refused.collect(),
        };
        look(&callbacks, moment(NOW).expect("a time")).map(|found| (found.health, found.said))
    }

    #[test]
    fn a_wrong_secret_without_an_accepted_callback_fails_with_advice() {
        let (health, said) = looked(None, &[("wrong_hash", "2026-03-03T20:29:58Z")]).expect("found");
        assert_eq!(health, CheckStatus::Fail);
        for part in ["compare `callback.secrets`", "3 wrong_hash (401, the last at 2026-03-03T20:29:58Z)", "0 accepted"]
        {
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn a_fault_is_over_after_an_accepted_callback() {
        let health = |taken, kind, at| looked(taken, &[(kind, at)]).expect("found").0;
        let (before, after) = ("2026-03-03T20:00:00Z", "2026-03-03T20:20:00Z");
        assert_eq!(health(Some(after), "wrong_hash", before), CheckStatus::Ok);
        assert_eq!(health(Some(before), "wrong_hash", after), CheckStatus::Warn);
        assert_eq!(health(Some(after), "malformed_signed", before), CheckStatus::Fail);
        assert_eq!(health(None, "wrong_path", after), CheckStatus::Warn);
        assert_eq!(health(None, "wrong_hash", "2026-03-02T20:00:00Z"), CheckStatus::Ok, "more than a day ago");
        assert_eq!(health(None, "not_found", after), CheckStatus::Ok, "such requests are common on the Internet");
        assert_eq!(looked(None, &[]), None);
    }

    #[test]
    fn the_server_counts_all_kinds_that_have_a_meaning() {
        let counted: Vec<&str> = crate::telemetry::Refusal::ALL.iter().map(|kind| kind.name()).collect();
        for kind in MEANINGS.iter().flat_map(|meaning| meaning.kinds) {
            assert!(counted.contains(kind), "{kind}");
        }
    }
}
