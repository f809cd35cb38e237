//! Refusals in a row that have the same text: five of different recipients, and nothing taken between them, are the relay's answer to
//! every mail.
//!
//! A refused mail is a problem at once, also the first four of a streak: most refusals are about one mail, and the operator should
//! see them. When the fifth comes, those four are named, so that they are queued again.

use std::collections::HashSet;

use super::scope::enhanced;

/// So many refusals in a row are about the relay.
const STREAK: usize = 5;

/// Of `J`, the jobs that were refused.
#[derive(Debug)]
pub struct Streak<J> {
    fingerprint: String,
    recipients: HashSet<String>,
    /// Those whose refusal is on record.
    problems: Vec<J>,
}

impl<J> Default for Streak<J> {
    fn default() -> Self {
        Self { fingerprint: String::new(), recipients: HashSet::new(), problems: Vec::new() }
    }
}

impl<J> Streak<J> {
    /// Counts a refusal. Returns whether it makes the streak complete.
    pub fn refused(&mut self, fingerprint: &str, recipient: &str) -> bool {
        if self.fingerprint != fingerprint {
            *self = Self { fingerprint: fingerprint.to_owned(), ..Self::default() };
        }
        if self.recipients.len() < STREAK {
            self.recipients.insert(recipient.to_ascii_lowercase());
        }
        self.is_complete()
    }

    /// A job of such a refusal is a problem now. Attempts run at the same time, so that this may come after the fifth refusal.
    pub fn recorded(&mut self, fingerprint: &str, job: J) {
        if self.fingerprint == fingerprint {
            self.problems.push(job);
        }
    }

    /// The jobs that a complete streak has made problems. Each is returned once.
    pub fn recalled(&mut self) -> Vec<J> {
        if self.is_complete() { std::mem::take(&mut self.problems) } else { Vec::new() }
    }

    /// A mail was taken.
    pub fn end(&mut self) {
        *self = Self::default();
    }

    fn is_complete(&self) -> bool {
        self.recipients.len() >= STREAK
    }
}

/// What two answers have in common where only the recipient, numbers and the relay's own ids differ.
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
    fn five_different_recipients_in_a_row_make_a_streak_and_what_came_before_is_named_once() {
        let mut streak = Streak::default();
        for (nth, recipient) in ["a@x", "b@x", "A@X", "c@x", "d@x"].iter().enumerate() {
            assert!(!streak.refused("no", recipient), "{recipient}");
            streak.recorded("no", nth);
        }
        assert_eq!(streak.recalled(), Vec::<usize>::new());
        assert!(streak.refused("no", "e@x"));
        assert_eq!(streak.recalled(), [0, 1, 2, 3, 4]);
        // An attempt that had begun before.
        assert!(streak.refused("no", "f@x"));
        streak.recorded("no", 5);
        streak.recorded("another text", 6);
        assert_eq!(streak.recalled(), [5]);
        streak.end();
        assert!(!streak.refused("no", "g@x"));
    }

    #[test]
    fn another_text_begins_a_new_streak() {
        let mut streak = Streak::<usize>::default();
        for recipient in ["a", "b", "c", "d"] {
            assert!(!streak.refused("no", recipient));
        }
        assert!(!streak.refused("never", "e"));
        assert!(!streak.refused("no", "f"));
    }

    #[test]
    fn answers_are_compared_without_names_and_ids() {
        let ada = fingerprint(
            "x:25 said: 554 5.7.1 <the recipient>: queue 4Cx9 of [192.0.2.1] for customer.example",
            "ada@customer.example",
        );
        let bob = fingerprint(
            "x:25 said: 554 5.7.1 <the recipient>: queue 7Ay1 of [192.0.2.9] for other.example",
            "bob@other.example",
        );
        assert_eq!(ada, bob);
        assert_ne!(
            ada,
            fingerprint("x:25 said: 554 5.7.0 <the recipient>: queue 1 of 2 for other.example", "bob@other.example")
        );
        assert_ne!(fingerprint("550 no", "a@b"), fingerprint("554 no", "a@b"));
        assert_eq!(fingerprint("550 ada is bad", "ada@x"), fingerprint("550 bob is bad", "bob@x"));
    }
}
