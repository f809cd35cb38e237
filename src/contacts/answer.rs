//! Parses the shop's answer about one customer: the JSON of a contact, with any additional fields.
//!
//! Errors name the field and never contain its value, because other people than the customer read problems.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::Contact;

#[derive(Deserialize)]
struct ContactAnswer {
    email: Option<String>,
    name: Option<String>,
    locale: Option<String>,
    timezone: Option<String>,
    country: Option<String>,
    attributes: Option<BTreeMap<String, Value>>,
    /// Attributes may also be top-level fields, among fields that are ignored.
    #[serde(flatten)]
    beside: BTreeMap<String, Value>,
}

/// Returns the contact with the declared attributes, or why the answer has none.
pub fn answer(body: &[u8], declared: &[String]) -> Result<Contact, String> {
    // serde_json would accept an array for a struct.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err("it is not a JSON object".to_owned());
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let said: ContactAnswer = serde_path_to_error::deserialize(&mut json).map_err(|error| wrong(&error))?;
    json.end().map_err(|_| "it contains more than one JSON object".to_owned())?;
    let ContactAnswer { email, name, locale, timezone, country, attributes, beside } = said;
    let email = email.ok_or_else(|| "email is missing".to_owned())?;
    let mut found = BTreeMap::new();
    for (name, value) in attributes.unwrap_or_default().into_iter().chain(beside) {
        if !declared.contains(&name) {
            continue;
        }
        let value = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Null => continue,
            Value::Array(_) | Value::Object(_) => {
                return Err(format!("attributes.{name} has the wrong type"));
            }
        };
        found.insert(name, value);
    }
    let contact = Contact { email, name, locale, timezone, country, attributes: found };
    contact.checked().map_err(|error| format!("{} cannot be used: it {}", error.field, error.problem))
}

fn wrong(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let (inner, path) = (error.inner(), error.path().to_string());
    if inner.classify() != serde_json::error::Category::Data {
        return "it is not JSON".to_owned();
    }
    // Only the fields of `ContactAnswer` are checked for duplicates, so the name is not text of the customer.
    let said = inner.to_string();
    if let Some((field, _)) = said.strip_prefix("duplicate field `").and_then(|rest| rest.split_once('`')) {
        return format!("{field} occurs more than once");
    }
    match &*path {
        "." => "it does not have the documented form".to_owned(),
        path => format!("{path} has the wrong type"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Contact, String> {
        answer(body.as_bytes(), &["plan".to_owned(), "since".to_owned()])
    }

    #[test]
    fn a_contact_is_parsed_among_additional_fields() {
        let contact = read(
            r#" {"email": "ada@customer.example", "name": null, "locale": "de_AT", "orders": [{"id": 7}], "since": 2020,
                 "attributes": {"plan": "pro", "score": {"a": 1}}, "address": {"street": "x"}} "#,
        )
        .expect("a contact");
        assert_eq!(
            (&*contact.email, contact.name, contact.locale.as_deref()),
            ("ada@customer.example", None, Some("de-AT"))
        );
        let attributes: Vec<_> = contact.attributes.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(attributes, [("plan", "pro"), ("since", "2020")]);
    }

    #[test]
    fn errors_name_the_field_and_never_the_value() {
        for (body, said) in [
            ("", "it is not a JSON object"),
            ("null", "it is not a JSON object"),
            (r#"["secret@x.example"]"#, "it is not a JSON object"),
            (r#"{"email": "secret@x.example""#, "it is not JSON"),
            (r#"{"email": "secret@x.example"} {}"#, "it contains more than one"),
            ("{}", "email is missing"),
            (r#"{"email": null}"#, "email is missing"),
            (r#"{"email": ["secret@x.example"]}"#, "email has the wrong type"),
            (r#"{"email": "secret"}"#, "email cannot be used: it is no mail address"),
            (r#"{"email": " "}"#, "email cannot be used: it is empty"),
            (r#"{"email": "secret a@x.example"}"#, "email cannot be used: it has a space before the @"),
            (r#"{"email": "a@x.example\r\nBcc: secret@x.example"}"#, "email cannot be used: it has control characters"),
            (r#"{"email": "a@x.example", "name": "A\nsecret"}"#, "name cannot be used: it has control characters"),
            (r#"{"email": "a@x.example", "name": 7}"#, "name has the wrong type"),
            (r#"{"email": "a@x.example", "timezone": "secret"}"#, "timezone cannot be used: it is no time zone"),
            (r#"{"email": "a@x.example", "attributes": {"plan": ["secret"]}}"#, "attributes.plan has the wrong type"),
            (r#"{"email": "a@x.example", "attributes": "secret"}"#, "attributes has the wrong type"),
            (r#"{"email": "a@x.example", "email": "secret@x.example"}"#, "email occurs more than once"),
        ] {
            let why = read(body).expect_err(body);
            assert!(why.contains(said) && !why.contains("secret"), "{body}: {why}");
        }
    }
}
