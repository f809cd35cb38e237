//! Callbacks about other subjects than KYC, which the provider sends to the same URL: `bank_account` and `transaction`.
//!
//! They are verified, counted and not stored; with any response but 200, the provider would repeat each of them ten
//! times. Formulas: the provider's documentation of these callbacks.

use std::{borrow::Cow, fmt};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Malformed, malformed, verify::Signed};
use crate::domain::CustomerId;

/// The callback types that are verified and ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OtherType {
    BankAccount,
    Transaction,
}

impl OtherType {
    pub const ALL: [Self; 2] = [Self::BankAccount, Self::Transaction];

    /// Returns the value of `callbackType`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BankAccount => "bank_account",
            Self::Transaction => "transaction",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// The fields of the callback that its hash covers, and the hash.
#[derive(Clone)]
pub struct OtherClaim {
    pub kind: OtherType,
    customer: CustomerId,
    currency: Box<str>,
    /// The id and the amount of a transaction, each as written in the body.
    transaction: Option<(Box<str>, Box<str>)>,
    hash: Option<Box<str>>,
}

/// The hash must stay secret, and the other fields are not verified yet.
impl fmt::Debug for OtherClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OtherClaim({}, ..)", self.kind.name())
    }
}

#[derive(Deserialize)]
struct BankAccount<'a> {
    #[serde(rename = "customerId", borrow)]
    customer_id: Cow<'a, str>,
    #[serde(borrow)]
    currency: Cow<'a, str>,
    #[serde(borrow, default)]
    hash: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Transaction<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(rename = "customerId", borrow)]
    customer_id: Cow<'a, str>,
    #[serde(borrow)]
    amount: &'a RawValue,
    #[serde(borrow)]
    currency: Cow<'a, str>,
    #[serde(borrow, default)]
    hash: Option<Cow<'a, str>>,
}

impl OtherClaim {
    pub(super) fn read(kind: OtherType, body: &str) -> Result<Self, Malformed> {
        let mut from = serde_json::Deserializer::from_str(body);
        match kind {
            OtherType::BankAccount => {
                let BankAccount { customer_id, currency, hash } =
                    serde_path_to_error::deserialize(&mut from).map_err(Malformed::parsed)?;
                let (customer, hash) = (malformed::customer_id(&customer_id)?, hash.map(|hash| hash.into()));
                Ok(Self { kind, customer, currency: currency.into(), transaction: None, hash })
            }
            OtherType::Transaction => {
                let Transaction { id, customer_id, amount, currency, hash } =
                    serde_path_to_error::deserialize(&mut from).map_err(Malformed::parsed)?;
                let (customer, hash) = (malformed::customer_id(&customer_id)?, hash.map(|hash| hash.into()));
                let transaction = Some((text("id", id)?, text("amount", amount)?));
                Ok(Self { kind, customer, currency: currency.into(), transaction, hash })
            }
        }
    }
}

impl OtherClaim {
    pub fn has_hash(&self) -> bool {
        self.hash.is_some()
    }
}

impl Signed for OtherClaim {
    fn covered(&self) -> impl AsRef<[&str]> {
        let (customer, currency) = (self.customer.as_str(), &*self.currency);
        match &self.transaction {
            None => vec![customer, currency],
            Some((id, amount)) => vec![id, customer, amount, currency],
        }
    }

    fn hash(&self) -> Option<&str> {
        self.hash.as_deref()
    }
}

/// Returns the text of a field as written in the body, because the hash covers that form: for a JSON string the text
/// between the quotes with its escapes, for a number its digits (`25.50` stays `25.50`).
fn text(field: &'static str, raw: &RawValue) -> Result<Box<str>, Malformed> {
    let raw = raw.get();
    let in_quotes = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match (in_quotes, raw.as_bytes().first()) {
        (Some(text), _) => Ok(text.into()),
        (None, Some(b'-' | b'0'..=b'9')) => Ok(raw.into()),
        _ => Err(Malformed::new(field, "has the wrong type", format!("{field}: must be a string or a number"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::xgateway::{ReceivedCallback, Secret, Unreadable, Verified, hash_of_fields};

    fn read(body: &str) -> Result<OtherClaim, Malformed> {
        match ReceivedCallback::read(body.as_bytes()) {
            Ok(ReceivedCallback::Other(claim)) => Ok(claim),
            Err(Unreadable::Malformed(problem)) => Err(problem),
            other => panic!("{body}: {other:?}"),
        }
    }

    fn passes(body: &str, key: &str) -> bool {
        Verified::check(read(body).expect(body), &[Secret::new(key)]).is_some()
    }

    #[test]
    fn the_providers_samples_pass_only_under_their_own_formulas() {
        for body in [
            include_str!("../../../tests/cases/provider/other-bank-account.json"),
            include_str!("../../../tests/cases/provider/other-transaction.json"),
        ] {
            assert!(passes(body, "sepa-secure-demo-key"));
            assert!(!passes(body, "another-key"));
            assert!(!passes(&body.replace("EUR", "USD"), "sepa-secure-demo-key"));
            assert!(!passes(&body.replace("\"hash\"", "\"hsah\""), "sepa-secure-demo-key"), "no hash");
        }
    }

    #[test]
    fn an_amount_is_hashed_as_written_in_the_body() {
        let body = |amount: &str, hashed: &str| {
            let hash = hash_of_fields(&["T-1", "C-1", hashed, "EUR"], &Secret::new("key"));
            format!(
                r#"{{"callbackType":"transaction","id":"T-1","customerId":"C-1","amount":{amount},"currency":"EUR","hash":"{hash}"}}"#
            )
        };
        for (amount, hashed) in [
            ("\"25.50\"", "25.50"),
            ("25.50", "25.50"),
            ("1e3", "1e3"),
            ("-0.0", "-0.0"),
            ("\"\"", ""),
            (r#""25\u002e50""#, r"25\u002e50"),
        ] {
            assert!(passes(&body(amount, hashed), "key"), "{amount}");
        }
        for (amount, hashed) in [("\"25.50\"", "25.5"), ("25.50", "25.5"), ("1000", "1e3")] {
            assert!(!passes(&body(amount, hashed), "key"), "{amount}");
        }
        for amount in ["null", "[1]", "{}", "true"] {
            assert_eq!(read(&body(amount, "1")).expect_err(amount).field, "amount");
        }
    }

    #[test]
    fn every_field_that_the_hash_covers_is_required() {
        for (body, field) in [
            (r#"{"callbackType":"bank_account","customerId":"C-1"}"#, "currency"),
            (r#"{"callbackType":"bank_account","currency":"EUR"}"#, "customerId"),
            (r#"{"callbackType":"bank_account","customerId":"","currency":"EUR"}"#, "customerId"),
            (r#"{"callbackType":"bank_account","customerId":"C-1","currency":"EUR","currency":"EUR"}"#, "currency"),
            (r#"{"callbackType":"transaction","customerId":"C-1","amount":"1","currency":"EUR"}"#, "id"),
            (r#"{"callbackType":"transaction","id":"1","customerId":"C-1","currency":"EUR"}"#, "amount"),
            (r#"{"callbackType":"transaction","id":"1","customerId":"C-1","amount":"1","currency":7}"#, "currency"),
        ] {
            assert_eq!(read(body).expect_err(body).field, field, "{body}");
        }
    }
}
