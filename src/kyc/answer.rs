//! What the provider's status API answers about a customer: status, documents and message, and nothing of processing and labels.
//!
//! Shape: `{"success": true, "data": {"id": …, "status": …, "docsMissing": [{"docType": …}], "kycEndUserErrorMessage": …}}`, from the
//! provider's page on the status API. What is absent is unsaid; `null` is said.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

use super::{
    Codes, CustomerId, Observation, Source, Status,
    claim::{Doc, cut},
};

#[derive(Deserialize)]
struct Body<'a> {
    success: bool,
    #[serde(borrow)]
    data: Option<Data<'a>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "said")]
    status: Option<Option<Cow<'a, str>>>,
    #[serde(borrow, default, rename = "docsMissing", deserialize_with = "said")]
    docs: Option<Option<Vec<Doc<'a>>>>,
    #[serde(borrow, default, rename = "kycEndUserErrorMessage", deserialize_with = "said")]
    message: Option<Option<Cow<'a, str>>>,
}

/// Something that is there, be it `null`.
fn said<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Reads an answer about this customer.
pub fn read_answer(body: &[u8], asked: &CustomerId) -> Result<Observation, String> {
    // serde_json would take an array for a struct.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err("the answer is not a JSON object".to_owned());
    }
    let body: Body<'_> = serde_json::from_slice(body).map_err(|error| format!("the answer can't be read: {error}"))?;
    if !body.success {
        return Err("the answer says `success: false`".to_owned());
    }
    let Some(data) = body.data else { return Err("the answer has no `data`".to_owned()) };
    if data.id.as_deref().is_some_and(|id| id != asked.as_str()) {
        return Err("the answer is about another customer".to_owned());
    }
    let Some(status) = data.status else { return Err("the answer has no `status`".to_owned()) };
    let docs = data.docs.map(|docs| Codes::heard(docs.iter().flatten().map(|doc| &*doc.0)));
    Ok(Observation {
        source: Source::Api,
        status: Status::from_wire(status.as_deref()).map_err(|error| format!("the answer's status {error}"))?,
        processing: None,
        missing_docs: docs,
        reject_labels: None,
        message: data.message.map(|message| cut(message.as_deref().unwrap_or_default()).into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Observation, String> {
        read_answer(body.as_bytes(), &CustomerId::new("C-1").expect("id"))
    }

    #[test]
    fn an_answer_says_status_documents_and_message_and_nothing_else() {
        let body = r#"{"success":true,"data":{"id":"C-1","status":"SOFT_KYC_FAILED","docsMissing":[{"docType":"SELFIE"},"PASSPORT"],"kycEndUserErrorMessage":"blurred","more":1}}"#;
        let saw = read(body).expect("right");
        assert_eq!(saw.status, Status::SoftKycFailed);
        assert_eq!(saw.missing_docs.expect("said").to_string(), "PASSPORT, SELFIE");
        assert_eq!(saw.message.as_deref(), Some("blurred"));
        assert_eq!((saw.processing, saw.reject_labels), (None, None));
    }

    #[test]
    fn null_is_said_and_absent_is_not() {
        let saw = read(r#"{"success":true,"data":{"status":null,"docsMissing":null}}"#).expect("right");
        assert_eq!((saw.status, saw.missing_docs, saw.message), (Status::None, Some(Codes::EMPTY), None));
    }

    #[test]
    fn an_answer_that_lies_in_shape_is_none() {
        for (body, said) in [
            ("", "not a JSON object"),
            ("[true]", "not a JSON object"),
            (r#"{"success":false}"#, "success: false"),
            (r#"{"success":true}"#, "no `data`"),
            (r#"{"success":true,"data":{}}"#, "no `status`"),
            (r#"{"success":true,"data":{"status":7}}"#, "can't be read"),
            (r#"{"success":true,"data":{"id":"C-2","status":"CREATED"}}"#, "another customer"),
            (r#"{"success":true,"data":{"status":"A\nB"}}"#, "control characters"),
            (r#"{"success":true,"data":{"status":"  "}}"#, "status is nothing but white space"),
            (r#"{"success":"yes","data":{"status":"CREATED"}}"#, "can't be read"),
        ] {
            let error = read(body).expect_err(body);
            assert!(error.contains(said), "{body}: {error}");
        }
    }
}
