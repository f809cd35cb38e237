//! Checks whether a malformed body comes from the provider: only its `callbackType`, `customerId` and `hash` are read,
//! whatever else is wrong with it.
//!
//! If the hash is right, the provider has changed the shape of its callbacks and an operator must be informed. The body
//! is rejected in any case; the result is a boolean and contains no part of the body.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{OtherType, Secret, verify};

/// Whether the hash in this body is that of its customer under one of the secrets. Callbacks of undocumented types are
/// checked with the formula of KYC callbacks. Callbacks of the other documented types return `false`: their formulas
/// need fields that are not read here.
pub fn is_signed(body: &[u8], secrets: &[Secret]) -> bool {
    let text = String::from_utf8_lossy(body);
    let mut fields = Fields::default();
    // The fields before the error count.
    let _ = FieldsSeed(&mut fields).deserialize(&mut serde_json::Deserializer::from_str(&text));
    let other = fields.callback_type.as_deref().and_then(OtherType::named).is_some();
    match &fields.customer_id {
        Some(customer) if !other => verify::is_right(&[&**customer], fields.hash.as_deref(), secrets),
        _ => false,
    }
}

#[derive(Default)]
struct Fields {
    callback_type: Option<String>,
    customer_id: Option<String>,
    hash: Option<String>,
}

struct FieldsSeed<'f>(&'f mut Fields);

impl<'de> DeserializeSeed<'de> for FieldsSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FieldsSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let field = match &*key {
                "callbackType" => &mut self.0.callback_type,
                "customerId" => &mut self.0.customer_id,
                "hash" => &mut self.0.hash,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let Text(text) = map.next_value()?;
            // If a field occurs twice, the first one counts.
            if field.is_none() {
                *field = text;
            }
        }
        Ok(())
    }
}

/// The text of a string or a whole number; `None`: any other JSON value.
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(Some(text.to_owned())))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Text, E> {
                Ok(Text(Some(number.to_string())))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Text, E> {
                Ok(Text(Some(number.to_string())))
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_unit<E: Error>(self) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }
        }

        from.deserialize_any(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::xgateway::hash_of;

    #[test]
    fn a_right_hash_is_found_in_a_malformed_body() {
        let secret = Secret::new("key");
        let signed = |body: &str| {
            let body = body.replace("RIGHT", &hash_of("42", &secret));
            is_signed(body.as_bytes(), &[Secret::new("newer"), secret.clone()])
        };
        for body in [
            r#"{"callbackType":"kyc","customerId":"42","hash":"RIGHT","status":{"name":"FULL_USER"}}"#,
            r#"{"customerId":42,"hash":"RIGHT"}"#,
            r#"{"callbackType":["kyc"],"customerId":"42","hash":"RIGHT","docsMissing":"SELFIE"}"#,
            r#"{"callbackType":"iban_changed","customerId":"42","hash":"RIGHT"}"#,
            r#"{"hash":"RIGHT","customerId":"42","status":"FULL"#,
            r#"{"hash":"RIGHT","customerId":"42","customerId":"43"}"#,
        ] {
            assert!(signed(body), "{body}");
        }
        let deep = format!(r#"{{"hash":"RIGHT","customerId":"42","x":{}"#, "[".repeat(60_000));
        assert!(signed(&deep), "fields before the error count");
        for body in [
            "",
            "[]",
            "null",
            r#"{"customerId":"42"}"#,
            r#"{"hash":"RIGHT"}"#,
            r#"{"customerId":"43","hash":"RIGHT"}"#,
            r#"{"customerId":{"a":"42"},"hash":"RIGHT"}"#,
            r#"{"callbackType":"bank_account","customerId":"42","hash":"RIGHT"}"#,
            r#"[{"customerId":"42","hash":"RIGHT"}]"#,
        ] {
            assert!(!signed(body), "{body}");
        }
    }
}
