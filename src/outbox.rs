//! The outbox: what rules have ordered, and what became of it.
//!
//! A [`Job`] is all that actions ever see. Its [`Order`] never changes after the decision that made it; its [`Fate`] is replaced
//! as a whole with every attempt, so that a record of the journal can carry it as an absolute result.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;

use crate::{
    clock::Timestamp,
    kyc::{Codes, CustomerId, Details, Processing, Status, said},
    rules::{Action, RuleId},
    template::{self, Phrase},
};

/// More than anybody means to order in one event, and small enough for one record.
pub const MAX_ORDERS: usize = 64;

/// An HMAC of what was ordered for whom and why: the same when the decision is repeated, and silent about the customer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId([u8; 16]);

impl JobId {
    /// `cause` tells one order of this rule's nth action for this customer from the next: a visit, or a record's number.
    pub fn of(key: &JobKey, customer: &CustomerId, cause: &str, rule: &RuleId, nth_action: usize) -> Self {
        let mut mac = key.0.clone();
        for part in [customer.as_str(), cause, rule.as_str()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac.update(&(nth_action as u64).to_be_bytes());
        let digest = mac.finalize().into_bytes();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }

    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// A number that is as good as random and the same for every look at this job.
    pub fn spread(&self, salt: u32) -> u32 {
        let mut first = [0; 4];
        first.copy_from_slice(&self.0[..4]);
        (u32::from_be_bytes(first) ^ salt.wrapping_mul(0x9E37_79B9)).wrapping_mul(0x85EB_CA6B).rotate_left(13)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no job id"))
    }
}

/// The key of the ids of one store's jobs.
#[derive(Clone)]
pub struct JobKey(Hmac<Sha256>);

impl JobKey {
    pub fn new(bytes: &[u8; 32]) -> Self {
        // An HMAC takes a key of any length; the error can't come.
        Self(Hmac::new_from_slice(bytes).unwrap_or_else(|_| Hmac::new(&Default::default())))
    }
}

/// The stay in a processing status that an order belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessingStay {
    pub processing: Processing,
    /// When it began; what tells it from another stay in the same one.
    pub since: Timestamp,
}

/// What a rule has ordered for a customer, as it was ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub id: JobId,
    pub rule: RuleId,
    pub action: Action,
    /// The number of the record that ordered it, and its place in there: the outbox's order. The record itself does not say it
    /// again, and neither its time.
    #[serde(default, rename = "n", skip_serializing_if = "is_zero_u64")]
    pub number: u64,
    #[serde(default, rename = "i", skip_serializing_if = "is_zero")]
    pub index: u32,
    #[serde(default, skip_serializing_if = "is_unset")]
    pub at: Timestamp,
    /// What must last for a mail to be sent still; `None`: the visit to the status `to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processing_stay: Option<ProcessingStay>,
    /// `None`: there was no observation before.
    #[serde(default, with = "crate::kyc::said", skip_serializing_if = "Option::is_none")]
    pub from: Option<Status>,
    pub to: Status,
    pub visit: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub step: u32,
    #[serde(default, skip_serializing_if = "nothing_changed")]
    pub changed: Details,
    /// What a webhook or a chat says. A mail says what is known at its first attempt, and has a [`Letter`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<Box<Said>>,
}

/// What is said, fixed by the decision: neither time nor new rules change a word of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    /// A webhook's, beside what the order says itself.
    Facts(Told),
    /// A chat's.
    Text(Phrase),
}

/// What was known of the customer when a webhook was ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    #[serde(default, rename = "docs", skip_serializing_if = "Codes::is_empty")]
    pub missing_docs: Codes,
    #[serde(default, rename = "labels", skip_serializing_if = "Codes::is_empty")]
    pub reject_labels: Codes,
    /// Empty: there is none.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub message: Box<str>,
    #[serde(default, with = "said", skip_serializing_if = "Option::is_none")]
    pub processing: Option<Processing>,
    #[serde(default, skip_serializing_if = "Codes::is_empty")]
    pub tags: Codes,
    /// When the stay in the status began.
    #[serde(rename = "entered")]
    pub entered_at: Timestamp,
    /// The rule set that decided.
    pub set: Box<str>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn is_zero_u64(number: &u64) -> bool {
    *number == 0
}

fn is_unset(at: &Timestamp) -> bool {
    at.millis() == 0
}

fn is_queued(state: &State) -> bool {
    *state == State::Queued
}

fn nothing_changed(details: &Details) -> bool {
    details.is_empty()
}

impl Order {
    /// Whether it goes to the customer, and so passes the gates that only mails to customers have.
    pub fn is_mail_to_customer(&self) -> bool {
        self.action.mails_customer()
    }

    /// The mail of the same template to the same recipient, which a newer one replaces as long as it is untried.
    pub fn is_same_mail(&self, other: &Action) -> bool {
        match (&self.action, other) {
            (Action::Email { template, to, .. }, Action::Email { template: newer, to: newer_to, .. }) => {
                template == newer && to == newer_to
            }
            _ => false,
        }
    }

    pub fn channel(&self) -> Channel {
        Channel::of(&self.action)
    }
}

/// The way out of the house that a job takes. Each has workers, a brake and a pause of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    Email,
    Webhook(Box<str>),
    Chat(Box<str>),
}

impl Channel {
    pub fn of(action: &Action) -> Self {
        match action {
            Action::Webhook { to, .. } => Self::Webhook((**to).into()),
            Action::Chat { to, .. } => Self::Chat((**to).into()),
            _ => Self::Email,
        }
    }
}

impl Channel {
    /// `email`, `webhook:NAME` or `chat:NAME`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None => (text == "email").then_some(Self::Email),
            Some(("webhook", name)) if !name.is_empty() => Some(Self::Webhook(name.into())),
            Some(("chat", name)) if !name.is_empty() => Some(Self::Chat(name.into())),
            Some(_) => None,
        }
    }
}

impl Serialize for Channel {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Channel {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no channel"))
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email => f.write_str("email"),
            Self::Webhook(name) => write!(f, "webhook:{name}"),
            Self::Chat(name) => write!(f, "chat:{name}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waits for its time.
    #[default]
    Queued,
    /// Waits for its rule to be live again.
    Held,
    /// An attempt has begun and not ended.
    Running,
    Done,
    Cancelled,
    /// A person must look at it.
    Problem,
}

impl State {
    pub const ALL: &[State] = &[Self::Queued, Self::Held, Self::Running, Self::Done, Self::Cancelled, Self::Problem];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Held => "held",
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Problem => "problem",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.name() == name)
    }

    /// Nothing more will become of it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled)
    }
}

/// What kind of problem it is; what each needs is different.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Nobody knows the customer's address; goes by itself when it comes.
    NoContact,
    /// The other side has refused for good.
    Refused,
    /// The attempts have run out.
    Exhausted,
    /// What it should say can't be made.
    Unrenderable,
}

impl Trouble {
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoContact => "no_contact",
            Self::Refused => "refused",
            Self::Exhausted => "exhausted",
            Self::Unrenderable => "unrenderable",
        }
    }
}

/// What has become of an order so far. Replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fate {
    #[serde(default, skip_serializing_if = "is_queued")]
    pub state: State,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u32,
    /// When it is due; meaningless in a final state.
    #[serde(rename = "next")]
    pub next_at: Timestamp,
    /// When the first attempt began: the 24 hours of trying count from here.
    #[serde(default, rename = "first", skip_serializing_if = "Option::is_none")]
    pub first_attempt_at: Option<Timestamp>,
    #[serde(default, rename = "held", skip_serializing_if = "Option::is_none")]
    pub held_since: Option<Timestamp>,
    #[serde(default, rename = "error", skip_serializing_if = "Option::is_none")]
    pub last_error: Option<Box<str>>,
    /// Why it is held, cancelled or a problem, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// When it ended, in a final state.
    #[serde(default, rename = "ended", skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl Fate {
    pub fn due_at(next_at: Timestamp) -> Self {
        Self { next_at, ..Self::default() }
    }

    pub fn cancelled(&self, now: Timestamp, reason: impl Into<Box<str>>) -> Self {
        Self {
            state: State::Cancelled,
            reason: Some(reason.into()),
            trouble: None,
            ended_at: Some(now),
            ..self.clone()
        }
    }

    pub fn problem(&self, trouble: Trouble, reason: impl Into<Box<str>>) -> Self {
        Self { state: State::Problem, trouble: Some(trouble), reason: Some(reason.into()), ..self.clone() }
    }

    /// While something held it back the hours of trying stood still: what passed since it was due does not count.
    #[must_use]
    pub fn standing_still(&self, now: Timestamp) -> Self {
        let waited_ms = now.since_ms(self.next_at);
        Self { first_attempt_at: self.first_attempt_at.map(|first| first.plus_ms(waited_ms)), ..self.clone() }
    }

    pub fn queued(&self, next_at: Timestamp) -> Self {
        Self { state: State::Queued, next_at, reason: None, trouble: None, held_since: None, ..self.clone() }
    }
}

/// What a mail says, fixed at its first attempt: repeated attempts send the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Letter {
    /// The rule set whose template it is.
    pub set: Box<str>,
    pub address: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<Box<str>>,
    pub facts: template::Facts,
}

/// One action that a rule has ordered for one customer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    #[serde(flatten)]
    pub order: Order,
    #[serde(flatten)]
    pub fate: Fate,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub letter: Option<Box<Letter>>,
}

impl Job {
    pub const fn id(&self) -> JobId {
        self.order.id
    }

    /// Its place in the outbox: the record that ordered it, and which order of that it is.
    pub const fn place(&self) -> (u64, u32) {
        (self.order.number, self.order.index)
    }

    /// It is a problem because nobody knows the customer's address.
    pub fn lacks_contact(&self) -> bool {
        self.fate.state == State::Problem && self.fate.trouble == Some(Trouble::NoContact)
    }

    /// May be replaced, cancelled or changed without anybody outside having seen it.
    pub fn is_untried(&self) -> bool {
        self.fate.attempts == 0 && !self.fate.state.is_final()
    }
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Worth another try; the other side may have said when.
    Retry {
        error: String,
        after_ms: Option<i64>,
    },
    /// Trying again can't help.
    Failed {
        trouble: Trouble,
        error: String,
    },
}

const FIRST_PAUSE_MS: i64 = 5_000;
const LONGEST_PAUSE_MS: i64 = 3_600_000;
/// How long a job is tried, from its first attempt.
pub const TRYING_MS: i64 = 24 * 3_600_000;

/// How long to wait after the nth attempt has failed: 5 s, 10 s, 20 s … up to an hour, each up to a quarter longer, so that
/// jobs which failed together don't come back together.
pub fn pause_after(id: JobId, attempts: u32) -> i64 {
    let pause = FIRST_PAUSE_MS.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(LONGEST_PAUSE_MS);
    pause + i64::from(id.spread(attempts) % 1024) * pause / 4096
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_same_for_the_same_order_and_no_other() {
        let key = JobKey::new(&[7; 32]);
        let id = |customer: &str, cause: &str, nth| {
            let customer = CustomerId::new(customer).expect("id");
            JobId::of(&key, &customer, cause, &RuleId::new("r").expect("id"), nth)
        };
        assert_eq!(id("C-1", "7", 0), id("C-1", "7", 0));
        assert_ne!(id("C-1", "7", 0), id("C-1", "7", 1));
        assert_ne!(id("C-1", "7", 0), id("C-17", "", 0), "parts don't run together");
        let text = id("C-1", "7", 0).to_string();
        assert_eq!(JobId::parse(&text), Some(id("C-1", "7", 0)));
        assert_eq!(JobId::parse("nonsense"), None);
    }

    #[test]
    fn pauses_double_up_to_an_hour_and_never_overflow() {
        let id = JobId::from_bytes([9; 16]);
        let mut last = 0;
        for attempts in 1..12 {
            let pause = pause_after(id, attempts);
            assert!(pause >= last && pause <= LONGEST_PAUSE_MS * 5 / 4, "{attempts}: {pause}");
            last = pause.min(LONGEST_PAUSE_MS);
        }
        assert!(pause_after(id, u32::MAX) <= LONGEST_PAUSE_MS * 5 / 4);
    }
}
