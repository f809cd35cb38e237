//! The answer of the provider's status API about a customer: status, documents and message, without processing status
//! and labels.
//!
//! Shape: `{"success": true, "data": {"id": …, "status": …, "docsMissing": [{"docType": …}], "kycEndUserErrorMessage":
//! …}}`, from the provider's page on the status API. An absent field means no information; `null` is a value. `data.id`
//! is the nil UUID in all examples, so it is not read: the answer is about the customer that the request named. A
//! `null` status means that the provider has no such customer or no profile of them yet.
//!
//! Error texts of this file contain no value of the answer, because they are logged.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{claim::ClaimDoc, nesting};
use crate::domain::{Codes, Observation, Source, Status, clean_message};
use crate::untrusted;

/// The maximum lengths of an error's code and message, in characters.
const CODE_CHARS: usize = 64;
const ERROR_CHARS: usize = 200;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(default)]
    success: Option<bool>,
    #[serde(borrow, default, deserialize_with = "object")]
    data: Option<Data<'a>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    status: Option<Option<Cow<'a, str>>>,
    #[serde(borrow, default, rename = "docsMissing", deserialize_with = "present")]
    docs: Option<Option<Vec<ClaimDoc<'a>>>>,
    #[serde(borrow, default, rename = "kycEndUserErrorMessage", deserialize_with = "present")]
    message: Option<Option<Cow<'a, str>>>,
}

/// Deserializes a field that is present, including `null`.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Deserializes an object or `null`: serde_json would accept an array for a struct.
fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }

    from.deserialize_any(Object(PhantomData))
}

/// Parses an answer. `None`: the provider does not know the customer, or has no profile of them yet.
pub fn read_answer(body: &[u8]) -> Result<Option<Observation>, String> {
    if !is_object(body) {
        return Err("the answer is not a JSON object".to_owned());
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let body: Body<'_> = serde_path_to_error::deserialize(&mut json).map_err(|error| unreadable(&error))?;
    json.end().map_err(|_| "the answer is not JSON: text follows the object".to_owned())?;
    if body.success == Some(false) {
        return Err("the answer has `success: false`".to_owned());
    }
    let Some(data) = body.data else { return Err("the answer has no `data`".to_owned()) };
    let Some(status) = data.status else { return Err("the answer has no `data.status`".to_owned()) };
    let Some(status) = status else { return Ok(None) };
    let docs = data.docs.map(|docs| Codes::from_untrusted(docs.iter().flatten().map(|doc| &*doc.0)));
    Ok(Some(Observation {
        source: Source::Api,
        status: Status::from_wire(Some(&status)).map_err(|error| format!("the answer's `data.status` {error}"))?,
        processing: None,
        missing_docs: docs,
        reject_labels: None,
        message: data.message.map(|message| clean_message(message.as_deref().unwrap_or_default())),
    }))
}

fn is_object(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'{') && !nesting::is_too_deep(body)
}

/// Returns which field has the wrong type; serde's own text would repeat the value.
fn unreadable(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let (inner, path) = (error.inner(), error.path().to_string());
    match inner.classify() {
        serde_json::error::Category::Data if inner.to_string().starts_with("duplicate field") => {
            format!("the answer repeats a field of `{path}`")
        }
        serde_json::error::Category::Data => format!("the answer's `{path}` does not have the documented type"),
        _ => format!("the answer is not JSON (line {}, column {})", inner.line(), inner.column()),
    }
}

/// The provider's error in an answer without data: the first entry of `{"errors": [{"code": …, "message": …}]}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiError {
    /// An identifier of at most 64 characters.
    pub code: Option<Box<str>>,
    /// One line of at most 200 characters.
    pub message: Option<Box<str>>,
}

/// Parses an error body as far as possible; an HTML page or a truncated body has neither code nor message.
pub fn read_error(body: &[u8]) -> ApiError {
    if !is_object(body) {
        return ApiError::default();
    }
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let error = &body["errors"][0];
    let text = |key: &str| match &error[key] {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let message = text("message").map(|message| untrusted::one_line(&message, ERROR_CHARS));
    ApiError {
        code: text("code").and_then(|code| untrusted::code(&code, CODE_CHARS)).map(Into::into),
        message: message.filter(|message| !message.is_empty()).map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{domain::MESSAGE_CHARS, providers::xgateway::ReceivedCallback};

    fn read(body: &str) -> Result<Option<Observation>, String> {
        read_answer(body.as_bytes())
    }

    fn sample(name: &str) -> Vec<u8> {
        let path = format!("{}/tests/cases/provider/api/{name}.json", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(path).expect("a documented answer")
    }

    #[test]
    fn the_documented_answers_are_parsed_whatever_id_they_contain() {
        let saw = read_answer(&sample("soft-failed-200")).expect("readable").expect("known");
        assert_eq!(saw.status, Status::SoftKycFailed);
        assert_eq!(saw.missing_docs.expect("said").to_string(), "ID_CARD, SELFIE, UTILITY_BILL");
        assert_eq!(saw.message.as_deref(), Some("The proof of address is older than three months."));
        let saw = read_answer(&sample("created-200")).expect("readable").expect("known");
        assert_eq!((saw.status, saw.missing_docs, saw.message), (Status::Created, None, None));
        let saw = read_answer(&sample("full-user-200")).expect("readable").expect("known");
        assert_eq!((saw.status, saw.missing_docs, saw.message), (Status::FullUser, Some(Codes::EMPTY), None));
        assert_eq!(read_answer(&sample("not-known-200")), Ok(None));
        for id in ["\"C-2\"", "7", "null", "[]"] {
            let saw = read(&format!(r#"{{"data":{{"id":{id},"status":"KYC_FULL_USER"}}}}"#)).expect(id).expect("known");
            assert_eq!(saw.status, Status::FullUser, "{id}");
        }
    }

    #[test]
    fn an_answer_contains_status_documents_and_message_only() {
        let body = r#"{"success":true,"data":{"id":"C-1","status":"SOFT_KYC_FAILED","docsMissing":[{"docType":"SELFIE"},"PASSPORT"],"kycEndUserErrorMessage":"blurred","more":1}}"#;
        let saw = read(body).expect("right").expect("known");
        assert_eq!(saw.missing_docs.expect("said").to_string(), "PASSPORT, SELFIE");
        assert_eq!(saw.message.as_deref(), Some("blurred"));
        assert_eq!((saw.processing, saw.reject_labels), (None, None));
    }

    #[test]
    fn null_is_a_value_and_absent_is_not() {
        let saw = read(r#"{"success":true,"data":{"status":"CREATED","docsMissing":null}}"#).expect("right");
        let saw = saw.expect("known");
        assert_eq!((saw.missing_docs, saw.message), (Some(Codes::EMPTY), None));
        assert_eq!(read(r#"{"data":{"status":null}}"#), Ok(None));
    }

    #[test]
    fn a_malformed_answer_is_rejected_and_its_values_are_not_repeated() {
        for (body, said) in [
            ("", "not a JSON object"),
            ("[true]", "not a JSON object"),
            ("<html>", "not a JSON object"),
            (r#"{"success":false}"#, "success: false"),
            (r#"{"success":true}"#, "no `data`"),
            (r#"{"success":true,"data":null}"#, "no `data`"),
            (r#"{"success":true,"data":{}}"#, "no `data.status`"),
            (r#"{"success":true,"data":{"status":7}}"#, "`data.status` does not have the documented type"),
            (r#"{"success":true,"data":["FULL_USER", "secret"]}"#, "`data` does not"),
            (r#"{"data":{"status":"CREATED","docsMissing":"secret"}}"#, "`data.docsMissing`"),
            (r#"{"data":{"status":"CREATED","status":"secret"}}"#, "repeats a field"),
            (r#"{"success":true,"data":{"status":"A\nB"}}"#, "control characters"),
            (r#"{"success":true,"data":{"status":"  "}}"#, "`data.status` is only white space"),
            (r#"{"success":"secret","data":{"status":"CREATED"}}"#, "`success`"),
            (r#"{"data":{"status":"CREATED""#, "not JSON (line 1"),
            (r#"{"data":{"status":"CREATED"}} {}"#, "follows the object"),
        ] {
            let error = read(body).expect_err(body);
            assert!(error.contains(said) && !error.contains("secret"), "{body}: {error}");
        }
    }

    #[test]
    fn an_error_body_has_a_code_and_a_message_or_nothing() {
        let error = read_error(&sample("refused-400"));
        assert_eq!(error.code.as_deref(), Some("db_violation"));
        assert_eq!(error.message.as_deref(), Some("a constraint of the database was violated"));
        let hostile = serde_json::json!({"errors": [{"code": format!("a\u{1b}[2J {}", "x".repeat(100)), "message": format!("a\r\nb{}", "ä".repeat(300))}]});
        let error = read_error(hostile.to_string().as_bytes());
        let code = error.code.expect("a code");
        assert!(code.starts_with("a__2J_xx") && code.len() == 64, "{code}");
        assert!(error.message.is_some_and(|message| message.starts_with("a bä") && message.chars().count() == 201));
        assert_eq!(read_error(br#"{"errors":[{"code":1042}]}"#).code.as_deref(), Some("1042"));
        let deep = format!("{{\"errors\":{}", "[".repeat(30_000));
        for body in [
            "",
            "<html>no</html>",
            "[]",
            "{}",
            r#"{"errors":{}}"#,
            r#"{"errors":[{"code":null}]}"#,
            r#"{"errors":[7]}"#,
            "{\"errors\":[{\"code\":\"a",
            &deep,
        ] {
            assert_eq!(read_error(body.as_bytes()), ApiError::default(), "{body:.40}");
        }
    }

    /// Texts that a callback may contain as well: of every length, with every character.
    fn text() -> impl Strategy<Value = String> {
        let character = prop_oneof![any::<char>(), Just('\u{1}'), Just('"'), Just('\\'), Just('\u{10348}'), Just('\n')];
        prop::collection::vec(character, 0..2_000).prop_map(String::from_iter)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn a_customers_row_stays_small_and_equals_that_of_a_callback(
            codes in prop::collection::vec(text(), 0..60),
            message in text(),
        ) {
            let docs: Vec<_> = codes.iter().map(|code| serde_json::json!({"docType": code})).collect();
            let body = serde_json::json!({"data": {"status": "CREATED", "docsMissing": docs, "kycEndUserErrorMessage": message}});
            let saw = read_answer(body.to_string().as_bytes()).expect("readable").expect("known");
            let (docs, said) = (saw.missing_docs.expect("said"), saw.message.expect("said"));
            prop_assert!(said.chars().count() <= MESSAGE_CHARS);
            prop_assert!(!said.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')));
            prop_assert!(docs.iter().all(|code| !code.chars().any(char::is_control)));
            // The documents count twice: a row also has labels, which only a callback contains, within the same limit.
            let row = serde_json::to_string(&(&docs, &docs, &said)).expect("JSON");
            prop_assert!(row.len() < 3_400, "{} bytes", row.len());
            let callback = serde_json::json!({
                "callbackType": "kyc", "customerId": "C", "status": "CREATED", "docsMissing": codes, "kycEndUserErrorMessage": message,
            });
            if let Ok(ReceivedCallback::Kyc(claim)) = ReceivedCallback::read(callback.to_string().as_bytes()) {
                prop_assert_eq!((claim.missing_docs, claim.message), (docs, said));
            }
        }
    }
}
