//! The id of a job.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;

use crate::{domain::CustomerId, rules::RuleId};

/// An HMAC of the customer, the cause and the rule of an order: equal when the decision is repeated, and without
/// information about the customer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId([u8; 16]);

impl JobId {
    /// `cause` distinguishes the orders of this rule's nth action for this customer: a visit, or the number of a
    /// record.
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
        // The text of the id must not begin with `-`, which a command line parses as an option.
        id[0] &= 0x7f;
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

    /// A pseudo-random number that is always the same for this job and `salt`.
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
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a job id"))
    }
}

/// The key for the ids of one store's jobs.
#[derive(Clone)]
pub struct JobKey(Hmac<Sha256>);

impl JobKey {
    pub fn new(bytes: &[u8; 32]) -> Self {
        // An HMAC accepts a key of any length, so there is never an error.
        Self(Hmac::new_from_slice(bytes).unwrap_or_else(|_| Hmac::new(&Default::default())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_orders_have_equal_ids_and_different_orders_different_ids() {
        let key = JobKey::new(&[7; 32]);
        let id = |customer: &str, cause: &str, nth| {
            let customer = CustomerId::new(customer).expect("id");
            JobId::of(&key, &customer, cause, &RuleId::new("r").expect("id"), nth)
        };
        assert_eq!(id("C-1", "7", 0), id("C-1", "7", 0));
        assert_ne!(id("C-1", "7", 0), id("C-1", "7", 1));
        assert_ne!(id("C-1", "7", 0), id("C-17", "", 0), "the parts are separated");
        let text = id("C-1", "7", 0).to_string();
        assert_eq!(JobId::parse(&text), Some(id("C-1", "7", 0)));
        assert_eq!(JobId::parse("nonsense"), None);
        assert!((0..500).all(|nth| !id("C-1", "7", nth).to_string().starts_with(['-', '_'])));
    }
}
