//! The claims of a request to the callback endpoint. They are not used before they are verified.
//!
//! Shapes: the provider's page on the KYC callback, and its status API, which sends documents as objects.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{Malformed, Verified, malformed, verify::Signed};
use crate::domain::{Codes, CustomerId, Observation, Processing, Source, Status, clean_message};

/// The body of a callback, well formed and within its limits.
#[derive(Clone)]
pub struct Claim {
    pub customer: CustomerId,
    pub hash: Option<Box<str>>,
    pub status: Status,
    pub processing: Processing,
    pub missing_docs: Codes,
    pub reject_labels: Codes,
    /// As returned by [`clean_message`].
    pub message: Box<str>,
}

/// The hash must stay secret, and the other fields are not verified yet.
impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claim(..)")
    }
}

#[derive(Deserialize)]
pub(super) struct ClaimBody<'a> {
    #[serde(rename = "callbackType", borrow)]
    pub(super) callback_type: Cow<'a, str>,
    #[serde(rename = "customerId", borrow)]
    customer_id: Cow<'a, str>,
    #[serde(borrow, default)]
    hash: Option<Cow<'a, str>>,
    /// `None`: absent, which means no information. The provider's `null` is a value.
    #[serde(default, deserialize_with = "crate::domain::double_option::deserialize")]
    status: Option<Option<Cow<'a, str>>>,
    #[serde(rename = "kycProcessingStatus", borrow, default)]
    processing: Option<Cow<'a, str>>,
    #[serde(rename = "docsMissing", borrow, default)]
    docs: Option<Vec<ClaimDoc<'a>>>,
    #[serde(rename = "kycRejectLabel", borrow, default)]
    labels: Option<Cow<'a, str>>,
    #[serde(rename = "kycEndUserErrorMessage", borrow, default)]
    message: Option<Cow<'a, str>>,
}

/// Accepts `"SELFIE"` or `{"docType": "SELFIE", …}`.
pub(super) struct ClaimDoc<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for ClaimDoc<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct DocVisitor;

        impl<'de> Visitor<'de> for DocVisitor {
            type Value = ClaimDoc<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a document type, or an object with docType")
            }

            fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(ClaimDoc(Cow::Borrowed(text)))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(ClaimDoc(Cow::Owned(text.to_owned())))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut doc = None;
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    if key != "docType" {
                        map.next_value::<IgnoredAny>()?;
                    } else if doc.replace(map.next_value::<Cow<'de, str>>()?).is_some() {
                        return Err(serde::de::Error::duplicate_field("docType"));
                    }
                }
                doc.map(ClaimDoc).ok_or_else(|| serde::de::Error::missing_field("docType"))
            }

            // Without this, a sequence is reported as "invalid type: sequence" without the accepted shapes.
            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
                Err(serde::de::Error::invalid_type(serde::de::Unexpected::Seq, &self))
            }
        }

        from.deserialize_any(DocVisitor)
    }
}

impl Signed for Claim {
    fn covered(&self) -> impl AsRef<[&str]> {
        [self.customer.as_str()]
    }

    fn hash(&self) -> Option<&str> {
        self.hash.as_deref()
    }
}

impl ClaimBody<'_> {
    /// Returns the claim if every field is within its limits.
    pub(super) fn bounded(self) -> Result<Claim, Malformed> {
        let customer = malformed::customer_id(&self.customer_id)?;
        let Some(status) = self.status else {
            return Err(Malformed::new("status", "is missing", "status is missing; send null if there is none"));
        };
        let name = "is empty, too long, or has control characters";
        Ok(Claim {
            customer,
            hash: self.hash.map(|hash| hash.into()),
            status: Status::from_wire(status.as_deref())
                .map_err(|error| Malformed::new("status", name, format!("status {error}")))?,
            processing: Processing::from_wire(self.processing.as_deref())
                .map_err(|error| Malformed::new("kycProcessingStatus", name, format!("kycProcessingStatus {error}")))?,
            missing_docs: Codes::from_untrusted(self.docs.iter().flatten().map(|doc| &*doc.0)),
            reject_labels: Codes::from_untrusted(self.labels.as_deref().unwrap_or_default().split(',')),
            message: clean_message(self.message.as_deref().unwrap_or_default()),
        })
    }
}

#[cfg(test)]
impl Claim {
    pub(super) fn sample(customer: CustomerId) -> Self {
        Self {
            customer,
            hash: None,
            status: Status::FullUser,
            processing: Processing::None,
            missing_docs: Codes::EMPTY,
            reject_labels: Codes::EMPTY,
            message: "".into(),
        }
    }
}

impl From<Verified<Claim>> for Observation {
    fn from(claim: Verified<Claim>) -> Self {
        let claim = claim.into_inner();
        Self {
            source: Source::Callback,
            status: claim.status,
            processing: Some(claim.processing),
            missing_docs: Some(claim.missing_docs),
            reject_labels: Some(claim.reject_labels),
            message: Some(claim.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::MESSAGE_CHARS,
        providers::xgateway::{ReceivedCallback, Unreadable},
    };

    fn read(body: &str) -> Result<Claim, Unreadable> {
        match ReceivedCallback::read(body.as_bytes())? {
            ReceivedCallback::Kyc(claim) => Ok(claim),
            ReceivedCallback::Other(_) => panic!("another type: {body}"),
        }
    }

    fn claim(body: &str) -> Claim {
        read(body).unwrap_or_else(|error| panic!("{body}: {error:?}"))
    }

    #[test]
    fn both_shapes_of_documents_are_one_set() {
        for docs in [
            r#"["SELFIE","PASSPORT"]"#,
            r#"[{"docType":"PASSPORT"},{"docType":"SELFIE","docSubtype":"FRONT_SIDE"}]"#,
            r#"["SELFIE",{"docType":"PASSPORT"},"SELFIE"]"#,
        ] {
            let body = format!(r#"{{"callbackType":"kyc","customerId":"C","status":null,"docsMissing":{docs}}}"#);
            assert_eq!(claim(&body).missing_docs, Codes::new(["PASSPORT", "SELFIE"]).expect("codes"), "{docs}");
        }
        for rest in ["", r#","docsMissing":null"#, r#","docsMissing":[]"#] {
            assert!(
                claim(&format!(r#"{{"callbackType":"kyc","customerId":"C","status":null{rest}}}"#))
                    .missing_docs
                    .is_empty()
            );
        }
    }

    #[test]
    fn labels_come_in_one_string() {
        let body =
            r#"{"callbackType":"kyc","customerId":"C","status":null,"kycRejectLabel":"BAD_SELFIE, BAD_PASSPORT"}"#;
        assert_eq!(claim(body).reject_labels, Codes::new(["BAD_PASSPORT", "BAD_SELFIE"]).expect("codes"));
    }

    #[test]
    fn unknown_fields_are_ignored_and_long_messages_cut() {
        let long = "ä".repeat(10_000);
        let body = format!(
            r#"{{"callbackType":"kyc","customerId":"C","addedLater":{{"x":[1]}},"kycEndUserErrorMessage":"{long}","status":"SUSPENDED"}}"#
        );
        let claim = claim(&body);
        assert_eq!(claim.message.chars().count(), MESSAGE_CHARS);
        assert_eq!(claim.status, Status::Other("SUSPENDED".into()));
    }

    #[test]
    fn a_malformed_claim_is_rejected_with_its_field() {
        let long_id = format!(r#"{{"callbackType":"kyc","customerId":"{}"}}"#, "x".repeat(257));
        for (body, part) in [
            ("", "not a JSON object"),
            (r#"["kyc","C"]"#, "not a JSON object"),
            (r#"{"callbackType":"kyc""#, "EOF"),
            (r#"{"callbackType":"kyc"}"#, "customerId"),
            (r#"{"callbackType":"kyc","customerId":"C"}"#, "status is missing"),
            (r#"{"customerId":"C"}"#, "callbackType"),
            (r#"{"callbackType":"kyc","customerId":""}"#, "customerId"),
            (r#"{"callbackType":"kyc","customerId":"a\u0000b"}"#, "control"),
            (r#"{"callbackType":"kyc","customerId":7}"#, "invalid type"),
            (r#"{"callbackType":"kyc","customerId":"C","customerId":"D"}"#, "duplicate field"),
            (r#"{"callbackType":"kyc","customerId":"C","status":["X"]}"#, "invalid type"),
            (r#"{"callbackType":"kyc","customerId":"C","status":""}"#, "status is empty"),
            (r#"{"callbackType":"kyc","customerId":"C","status":"  "}"#, "status is only white space"),
            (
                r#"{"callbackType":"kyc","customerId":"C","status":null,"kycProcessingStatus":" "}"#,
                "kycProcessingStatus is only white space",
            ),
            (r#"{"callbackType":"kyc","customerId":"C","docsMissing":[["X"]]}"#, "docType"),
            (r#"{"callbackType":"kyc","customerId":"C","docsMissing":[{"x":1}]}"#, "docType"),
            (&long_id, "longer than 256 bytes"),
        ] {
            match read(body) {
                Err(Unreadable::Malformed(what)) => assert!(what.detail.contains(part), "{body:.80}: {what:?}"),
                other => panic!("{body:.80}: {other:?}"),
            }
        }
        for body in [
            r#"{"callbackType":"bank-account","customerId":"C"}"#,
            r#"{"callbackType":"Transaction","status":{"code":1}}"#,
        ] {
            assert_eq!(read(body).err(), Some(Unreadable::UnknownType), "{body}");
        }
    }

    #[test]
    fn deep_nesting_is_rejected() {
        let body = |inside: &str| format!(r#"{{"callbackType":"kyc","customerId":"C","status":null,"x":{inside}}}"#);
        let deep = |depth: usize| body(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        assert!(read(&deep(63)).is_ok());
        for deep in [deep(64), deep(30_000), body(&"{\"a\":".repeat(10_000))] {
            assert!(matches!(read(&deep), Err(Unreadable::Malformed(_))));
        }
    }

    #[test]
    fn a_customers_row_stays_small_for_every_callback() {
        for filling in ["\u{10348}", "\u{1}", "\"", "\\", "ä"] {
            let entries: Vec<String> = (0..100).map(|n| format!("{n}{}", filling.repeat(70))).collect();
            let body = serde_json::json!({
                "callbackType": "kyc", "customerId": "C", "status": "SOFT_KYC_FAILED", "docsMissing": entries,
                "kycRejectLabel": entries.join(","), "kycEndUserErrorMessage": filling.repeat(2_000),
            });
            let Claim { missing_docs, reject_labels, message, .. } = claim(&body.to_string());
            assert!(!missing_docs.is_empty() && !reject_labels.is_empty());
            let row = serde_json::to_string(&(missing_docs, reject_labels, message)).expect("JSON");
            assert!(row.len() < 3_400, "{} bytes of {filling:?}", row.len());
        }
    }
}
