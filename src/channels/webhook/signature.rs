//! Signatures of Standard Webhooks: `v1,BASE64(HMAC-SHA256(key, "ID.TIMESTAMP.BODY"))`.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const PREFIX: &str = "whsec_";

/// Accepts base64 with and without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key that signs. It cannot be read back.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// Parses a key: base64 after `whsec_`, as in Standard Webhooks; any other text is the key itself.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let bytes = match text.strip_prefix(PREFIX) {
            None => text.as_bytes().to_vec(),
            Some(encoded) => LENIENT.decode(encoded).map_err(|_| "the text after `whsec_` must be base64")?,
        };
        if bytes.is_empty() {
            return Err("a secret must not be empty");
        }
        Hmac::new_from_slice(&bytes).map(Self).map_err(|_| "this is not a valid key")
    }
}

/// All keys of a target, the newest first. During a key change each webhook has a signature of every key.
#[derive(Clone)]
pub struct SigningKeys(pub Vec<SigningKey>);

impl SigningKeys {
    /// Returns the header's value: one signature for each key, separated by spaces.
    pub fn sign(&self, id: &str, seconds: &str, body: &[u8]) -> String {
        let one = |SigningKey(key): &SigningKey| {
            let mut mac = key.clone();
            for part in [id.as_bytes(), b".", seconds.as_bytes(), b".", body] {
                mac.update(part);
            }
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        };
        self.0.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_gets_its_signature() {
        let keys = SigningKeys(vec![SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a key")]);
        let signature = keys.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_key_is_base64_after_its_prefix_and_literal_without() {
        let sign = |text: &str| SigningKeys(vec![SigningKey::parse(text).expect(text)]).sign("id", "1", b"body");
        assert_eq!(sign("whsec_c2VjcmV0cw=="), sign("secrets"));
        assert_eq!(sign("whsec_c2VjcmV0cw"), sign("secrets"));
        for wrong in ["", "whsec_", "whsec_no base64!"] {
            assert!(SigningKey::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn during_a_key_change_both_keys_sign() {
        let (new, old) = (SigningKey::parse("new").expect("a key"), SigningKey::parse("old").expect("a key"));
        let [both, new, old] =
            [vec![new.clone(), old.clone()], vec![new], vec![old]].map(|keys| SigningKeys(keys).sign("id", "1", b""));
        assert_eq!(both, format!("{new} {old}"));
    }
}
