//! The type of a well-formed body, by its `callbackType`.

use std::borrow::Cow;

use serde::Deserialize;

use super::{Claim, Malformed, OtherClaim, OtherType, claim::ClaimBody, nesting};

/// The maximum size of a body, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

const KYC: &str = "kyc";

/// The body of a callback, well formed and within its limits. It is not verified.
#[derive(Clone, Debug)]
pub enum ReceivedCallback {
    Kyc(Claim),
    Other(OtherClaim),
}

/// The reason why a body is not a callback that can be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The body does not have the provider's documented shape: 400.
    Malformed(Malformed),
    /// The provider does not document this `callbackType`: 422.
    UnknownType,
}

impl From<Malformed> for Unreadable {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

#[derive(Deserialize)]
struct TypeAlone<'a> {
    #[serde(rename = "callbackType", borrow)]
    callback_type: Cow<'a, str>,
}

impl ReceivedCallback {
    pub fn read(body: &[u8]) -> Result<Self, Unreadable> {
        // The parser does not validate skipped values.
        let body = std::str::from_utf8(body)
            .map_err(|_| Malformed::new("body", "is not UTF-8", "the body is not UTF-8 text"))?;
        // serde_json would accept an array for a struct.
        if body.bytes().find(|byte| !byte.is_ascii_whitespace()) != Some(b'{') {
            return Err(Malformed::new("body", "is not a JSON object", "the body is not a JSON object").into());
        }
        if nesting::is_too_deep(body.as_bytes()) {
            let detail = format!("lists and objects are nested more than {} deep", nesting::MAX_DEPTH);
            return Err(Malformed::new("body", "is nested too deep", detail).into());
        }
        match serde_json::from_str::<ClaimBody<'_>>(body) {
            Ok(fields) if fields.callback_type == KYC => Ok(Self::Kyc(fields.bounded()?)),
            Ok(fields) => Self::read_other(&fields.callback_type, body),
            // Callbacks of other types have other fields.
            Err(_) => match serde_json::from_str::<TypeAlone<'_>>(body) {
                Ok(other) if other.callback_type != KYC => Self::read_other(&other.callback_type, body),
                _ => Err(wrong_with(body).into()),
            },
        }
    }

    fn read_other(callback_type: &str, body: &str) -> Result<Self, Unreadable> {
        let kind = OtherType::named(callback_type).ok_or(Unreadable::UnknownType)?;
        Ok(Self::Other(OtherClaim::read(kind, body)?))
    }
}

/// Parses a rejected body again, to find the wrong field.
fn wrong_with(body: &str) -> Malformed {
    let mut from = serde_json::Deserializer::from_str(body);
    let again = serde_path_to_error::deserialize::<_, ClaimBody<'_>>(&mut from).map(|_| ()).map_err(Malformed::parsed);
    // Otherwise the error is in text after the object.
    again.err().unwrap_or_else(|| Malformed::new("body", "is not JSON", "trailing characters follow the JSON object"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_not_utf_8_is_rejected_at_every_place() {
        for (before, after) in [
            (r#"{"callbackType":"kyc","customerId":"C","status":null,"later":""#, r#""}"#),
            (r#"{"callbackType":"kyc","customerId":"C","status":null,"la"#, r#"ter":1}"#),
            (r#"{"callbackType":"kyc","customerId":"C","status":null,"later":{"x":[""#, r#""]}}"#),
            (r#"{"callbackType":"transaction","later":""#, r#""}"#),
            (r#"{"callbackType":"kyc","customerId":"C","status":null}"#, ""),
        ] {
            for wrong in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80"] {
                let body = [before.as_bytes(), wrong, after.as_bytes()].concat();
                match ReceivedCallback::read(&body) {
                    Err(Unreadable::Malformed(problem)) => assert_eq!(problem.reason, "is not UTF-8", "{before}"),
                    other => panic!("{before}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn the_field_and_the_reason_are_fixed_texts() {
        let body = |more: &str| format!(r#"{{"callbackType":"kyc","customerId":"C"{more}}}"#);
        for (body, field, reason) in [
            (body(r#","status":7"#), "status", "has the wrong type"),
            (
                body(r#","status":null,"docsMissing":[{"docType":"S"},{"docType":7}]"#),
                "docsMissing",
                "has the wrong type",
            ),
            (body(r#","status":null,"docsMissing":[{"x":"S"}]"#), "docsMissing", "is missing"),
            (body(r#","status":null,"hash":"a","hash":"b""#), "hash", "occurs twice"),
            (body(r#","status":null,"a-secret-key":[1,}"#), "body", "is not JSON"),
            (body(r#","status":null,"a-secret-key":"#), "body", "is not JSON"),
            (body(""), "status", "is missing"),
            (r#"{"callbackType":"kyc"}"#.to_owned(), "customerId", "is missing"),
            (r#"{"customerId":"C"}"#.to_owned(), "callbackType", "is missing"),
            (r#"{"callbackType":"kyc","customer"#.to_owned(), "body", "ends too early"),
            (body(r#","status":null"#) + " {}", "body", "is not JSON"),
        ] {
            match ReceivedCallback::read(body.as_bytes()) {
                Err(Unreadable::Malformed(said)) => assert_eq!((said.field, said.reason), (field, reason), "{body}"),
                other => panic!("{body}: {other:?}"),
            }
        }
    }
}
