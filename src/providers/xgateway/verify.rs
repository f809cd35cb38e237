//! Verifies that a callback comes from the provider: `base64(sha512("{fields}.{secretKey}"))`, where the callback type
//! determines the fields that the hash covers.
//!
//! The hash of a KYC callback covers only the customer's id. It never changes and must stay secret: it is not stored,
//! logged or displayed.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha512};
use subtle::{Choice, ConstantTimeEq};

const HASH_BYTES: usize = 64;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The key shared with the provider.
#[derive(Clone, Debug)]
pub struct Secret(SecretString);

impl Secret {
    pub fn new(key: impl Into<String>) -> Self {
        Self(SecretString::from(key.into()))
    }

    /// The length in bytes; a short key can be guessed offline from one captured pair of id and hash.
    pub fn len(&self) -> usize {
        self.0.expose_secret().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the hash of these fields: each field is followed by a dot, and the key comes last.
    fn digest(&self, fields: &[&str]) -> [u8; HASH_BYTES] {
        let mut hasher = Sha512::new();
        for field in fields {
            hasher.update(field.as_bytes());
            hasher.update(b".");
        }
        hasher.update(self.0.expose_secret().as_bytes());
        hasher.finalize().into()
    }
}

/// Returns the hash that the provider sends in KYC callbacks about this customer.
pub fn hash_of(customer: &str, secret: &Secret) -> String {
    hash_of_fields(&[customer], secret)
}

/// Returns the hash that the provider sends in a callback whose hash covers these fields.
pub fn hash_of_fields(fields: &[&str], secret: &Secret) -> String {
    STANDARD.encode(secret.digest(fields))
}

/// A value whose hash was right.
#[derive(Clone, Debug)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    pub fn into_inner(self) -> T {
        self.0
    }

    pub fn get(&self) -> &T {
        &self.0
    }
}

/// A callback with a hash.
pub trait Signed {
    /// Returns the fields that the hash covers, in the order in which they are hashed.
    fn covered(&self) -> impl AsRef<[&str]>;

    /// Returns the received hash.
    fn hash(&self) -> Option<&str>;
}

impl<T: Signed> Verified<T> {
    /// Returns the claim if its hash is right under one of these secrets (the newest first).
    pub fn check(claim: T, secrets: &[Secret]) -> Option<Self> {
        let right = is_right(claim.covered().as_ref(), claim.hash(), secrets);
        right.then_some(Self(claim))
    }
}

/// Whether this is the hash of these fields under one of the secrets. The running time does not depend on which secret
/// matches or on the received hash.
pub(super) fn is_right(fields: &[&str], hash: Option<&str>, secrets: &[Secret]) -> bool {
    let (given, well_formed) = decode(hash.unwrap_or_default());
    let mut right = Choice::from(0);
    for secret in secrets {
        right |= secret.digest(fields).ct_eq(&given);
    }
    bool::from(right & well_formed)
}

/// Decodes a hash in either alphabet, with or without padding; all zero if it is invalid.
fn decode(text: &str) -> ([u8; HASH_BYTES], Choice) {
    let mut bytes = [0; HASH_BYTES + 2];
    let engine = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    let length = engine.decode_slice(text, &mut bytes).unwrap_or_default();
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(&bytes[..HASH_BYTES]);
    (hash, Choice::from(u8::from(length == HASH_BYTES)))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

    use super::*;
    use crate::{domain::CustomerId, providers::xgateway::Claim};

    /// Computed with another implementation, according to the provider's documentation.
    const PAIRS: &[(&str, &str, &str)] = &[
        (
            "demo_customer_id",
            "sepa-secure-demo-key",
            "IdM8Ma13TdHprLD1IJhOdHiPtwDX4QoKhtOM2jdxBmNEomCMCksgpQ3LVJ0Dfr0pOihc6hob9b0U9V/jFkeq1g==",
        ),
        ("42", "k", "1YRMvaCUAJiE944tzZ9hecYpsQorNsHX6LFvgfX9wcWiN/uFGvCKGDqod1XIHOK9rY1RpUMngFJxRZU2GOtNNg=="),
        (
            "müller-漢字",
            "schlüssel",
            "NAW17xV3lJSLv+1MLSpL+bhDli7zJvjCEQ5ASKbjMZPjv0LyS+13uVohexU3Pf4Su7PEu9uPr16Tv919qaskSA==",
        ),
        ("a.b.c", "d.e", "p7yDssZEbFRb+FxT7R7cPloSS3BHAND3D1uzETFZ6wgOC4q7wP9xx6JlSN2hZsL9RA254tW9a6lMn5xdyxxTuA=="),
        (
            "00000000-0000-0000-0000-000000000000",
            "7f3c9a0e6f1b4f7c8d2e5a6b9c0d1e2f",
            "Sq5LXmGJHUO0m0U4al5q1Q3ejRYLs4yxwhq9a79uH0I1Hwrp1BfrHinMhH3aVc/35VIj4dUKonrXunz0BqHKWQ==",
        ),
    ];

    fn passes(customer: &str, hash: Option<&str>, secrets: &[Secret]) -> bool {
        let claim = Claim { hash: hash.map(Into::into), ..Claim::sample(CustomerId::new(customer).expect("id")) };
        Verified::check(claim, secrets).is_some()
    }

    #[test]
    fn the_providers_hashes_pass_in_every_encoding() {
        for (customer, key, hash) in PAIRS {
            let secret = Secret::new(*key);
            assert_eq!(hash_of(customer, &secret), *hash);
            let bytes = secret.digest(&[*customer]);
            for text in [
                (*hash).to_owned(),
                URL_SAFE.encode(bytes),
                STANDARD_NO_PAD.encode(bytes),
                URL_SAFE_NO_PAD.encode(bytes),
            ] {
                assert!(passes(customer, Some(&text), std::slice::from_ref(&secret)), "{customer} {text}");
            }
        }
    }

    #[test]
    fn a_wrong_hash_of_any_length_fails() {
        let secret = Secret::new("sepa-secure-demo-key");
        let right = hash_of("C-1", &secret);
        let wrong = [
            "".to_owned(),
            "=".to_owned(),
            "A".repeat(86),
            right[..85].to_owned(),
            format!("{right}A"),
            hash_of("C-2", &secret),
            "A".repeat(60_000),
        ];
        for text in &wrong {
            assert!(!passes("C-1", Some(text), std::slice::from_ref(&secret)), "{text:.90}");
        }
        assert!(!passes("C-1", None, std::slice::from_ref(&secret)));
        assert!(!passes("C-1", Some(&right), &[]), "without a secret nothing passes");
    }

    #[test]
    fn both_keys_are_accepted_during_a_rotation() {
        let (old, new) = (Secret::new("old"), Secret::new("new"));
        let both = [new.clone(), old.clone()];
        assert!(passes("C-1", Some(&hash_of("C-1", &old)), &both));
        assert!(passes("C-1", Some(&hash_of("C-1", &new)), &both));
    }
}
