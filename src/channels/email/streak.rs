//! Counts refusals in a row with the same text: if five different recipients are refused and no mail is accepted
//! between them, the text is the relay's reply to every mail.
//!
//! A refused mail is a problem at once, including the first four of a streak: most refusals are about one mail, and
//! the operator should see them. The fifth refusal returns those four, so that they are queued again.

use std::collections::HashSet;

use super::scope::enhanced;

/// After this many refusals in a row the refusals are about the relay.
const STREAK: usize = 5;

/// A streak; `J` identifies a refused job.
#[derive(Debug)]
pub struct RefusalStreak<J> {
    fingerprint: String,
    recipients: HashSet<String>,
    /// The jobs whose refusal is recorded.
    problems: Vec<J>,
}

impl<J> Default for RefusalStreak<J> {
    fn default() -> Self {
        Self { fingerprint: String::new(), recipients: HashSet::new(), problems: Vec::new() }
    }
}

impl<J> RefusalStreak<J> {
    /// Counts a refusal. Returns whether the streak is complete.
    pub fn refused(&mut self, fingerprint: &str, recipient: &str) -> bool {
        if self.fingerprint != fingerprint {
            *self = Self { fingerprint: fingerprint.to_owned(), ..Self::default() };
        }
        if self.recipients.len() < STREAK {
            self.recipients.insert(recipient.to_ascii_lowercase());
        }
        self.is_complete()
    }

    /// Reports that the job of such a refusal is a problem now. Attempts run concurrently, so this may follow the
    /// fifth refusal.
    pub fn recorded(&mut self, fingerprint: &str, job: J) {
        if self.fingerprint == fingerprint {
            self.problems.push(job);
        }
    }

    /// The jobs that became problems in a complete streak. Each is returned once.
    pub fn removed(&mut self) -> Vec<J> {
        if self.is_complete() { std::mem::take(&mut self.problems) } else { Vec::new() }
    }

    /// Ends the streak, because a mail was accepted.
    pub fn end(&mut self) {
        *self = Self::default();
    }

    fn is_complete(&self) -> bool {
        self.recipients.len() >= STREAK
    }
}

/// Returns a text that is equal for two replies that differ only in the recipient, in numbers and in the relay's own
/// ids.
pub(super) fn fingerprint(text: &str, recipient: &str) -> String {
    let (text, recipient) = (text.to_ascii_lowercase(), recipient.to_ascii_lowercase());
    let (local, domain) = recipient.rsplit_once('@').unwrap_or((&recipient, ""));
    let is_name = |word: &str| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        !bare.is_empty() && (bare == local || bare == domain || word.contains('@'))
    };
    let stays = |word: &str| {
        let is_code = word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit());
        is_code || enhanced(word).is_some() || !word.bytes().any(|byte| byte.is_ascii_digit())
    };
    let words = text.split_whitespace().map(|word| if is_name(word) || !stays(word) { "#" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_different_recipients_in_a_row_make_a_streak_and_each_job_is_returned_once() {
        let mut streak = RefusalStreak::default();
        for (nth, recipient) in ["a@x", "b@x", "A@X", "c@x", "d@x"].iter().enumerate() {
            assert!(!streak.refused("no", recipient), "{recipient}");
            streak.recorded("no", nth);
        }
        assert_eq!(streak.removed(), Vec::<usize>::new());
        assert!(streak.refused("no", "e@x"));
        assert_eq!(streak.removed(), [0, 1, 2, 3, 4]);
        // The refusal of an attempt that started before the fifth one.
        assert!(streak.refused("no", "f@x"));
        streak.recorded("no", 5);
        streak.recorded("another text", 6);
        assert_eq!(streak.removed(), [5]);
        streak.end();
        assert!(!streak.refused("no", "g@x"));
    }

    #[test]
    fn another_text_begins_a_new_streak() {
        let mut streak = RefusalStreak::<usize>::default();
        for recipient in ["a", "b", "c", "d"] {
            assert!(!streak.refused("no", recipient));
        }
        assert!(!streak.refused("never", "e"));
        assert!(!streak.refused("no", "f"));
    }

    #[test]
    fn replies_are_compared_without_names_and_ids() {
        let ada = fingerprint(
            "x:25 replied: 554 5.7.1 <the recipient>: queue 4Cx9 of [192.0.2.1] for customer.example",
            "ada@customer.example",
        );
        let bob = fingerprint(
            "x:25 replied: 554 5.7.1 <the recipient>: queue 7Ay1 of [192.0.2.9] for other.example",
            "bob@other.example",
        );
        assert_eq!(ada, bob);
        assert_ne!(
            ada,
            fingerprint("x:25 replied: 554 5.7.0 <the recipient>: queue 1 of 2 for other.example", "bob@other.example")
        );
        assert_ne!(fingerprint("550 no", "a@b"), fingerprint("554 no", "a@b"));
        assert_eq!(fingerprint("550 ada is bad", "ada@x"), fingerprint("550 bob is bad", "bob@x"));
    }
}
