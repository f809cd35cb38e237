//! What the shop's own API says of one customer: the JSON of a contact, in which more may stand than is asked for.
//!
//! What is wrong is told by the name of its field, never by its value: problems are read by others than the customer.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::kyc::Contact;

#[derive(Deserialize)]
struct Said {
    email: Option<String>,
    name: Option<String>,
    locale: Option<String>,
    timezone: Option<String>,
    country: Option<String>,
    attributes: Option<BTreeMap<String, Value>>,
    /// Attributes may also stand beside the other fields, among what nobody asks for.
    #[serde(flatten)]
    beside: BTreeMap<String, Value>,
}

/// The contact, with the declared attributes; or why there is none in it.
pub fn answer(body: &[u8], declared: &[String]) -> Result<Contact, String> {
    // serde_json would take a list for an object.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err("it is no JSON object".to_owned());
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let said: Said = serde_path_to_error::deserialize(&mut json).map_err(|error| wrong(&error))?;
    json.end().map_err(|_| "there is more in it than one JSON object".to_owned())?;
    let Said { email, name, locale, timezone, country, attributes, beside } = said;
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
                return Err(format!("attributes.{name} is not of the kind that it should be"));
            }
        };
        found.insert(name, value);
    }
    let contact = Contact { email, name, locale, timezone, country, attributes: found };
    contact.checked().map_err(|error| format!("{} can't be used: it {}", error.field, error.problem))
}

fn wrong(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let (inner, path) = (error.inner(), error.path().to_string());
    if inner.classify() != serde_json::error::Category::Data {
        return "it is no JSON".to_owned();
    }
    // Only our own fields are looked for twice, so that what is named is none of the customer's.
    let said = inner.to_string();
    if let Some((field, _)) = said.strip_prefix("duplicate field `").and_then(|rest| rest.split_once('`')) {
        return format!("{field} stands in it more than once");
    }
    match &*path {
        "." => "it is not of the form that it should have".to_owned(),
        path => format!("{path} is not of the kind that it should be"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Contact, String> {
        answer(body.as_bytes(), &["plan".to_owned(), "since".to_owned()])
    }

    #[test]
    fn a_contact_is_taken_out_of_whatever_else_the_shop_says() {
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
    fn what_can_not_be_used_is_named_by_its_field_and_never_by_its_value() {
        for (body, said) in [
            ("", "it is no JSON object"),
            ("null", "it is no JSON object"),
            (r#"["secret@x.example"]"#, "it is no JSON object"),
            (r#"{"email": "secret@x.example""#, "it is no JSON"),
            (r#"{"email": "secret@x.example"} {}"#, "there is more in it"),
            ("{}", "email is missing"),
            (r#"{"email": null}"#, "email is missing"),
            (r#"{"email": ["secret@x.example"]}"#, "email is not of the kind"),
            (r#"{"email": "secret"}"#, "email can't be used: it is no mail address"),
            (r#"{"email": " "}"#, "email can't be used: it is empty"),
            (r#"{"email": "secret a@x.example"}"#, "email can't be used: it has a space before the @"),
            (r#"{"email": "a@x.example\r\nBcc: secret@x.example"}"#, "email can't be used: it has control characters"),
            (r#"{"email": "a@x.example", "name": "A\nsecret"}"#, "name can't be used: it has control characters"),
            (r#"{"email": "a@x.example", "name": 7}"#, "name is not of the kind"),
            (r#"{"email": "a@x.example", "timezone": "secret"}"#, "timezone can't be used: it is no time zone"),
            (r#"{"email": "a@x.example", "attributes": {"plan": ["secret"]}}"#, "attributes.plan is not of the kind"),
            (r#"{"email": "a@x.example", "attributes": "secret"}"#, "attributes is not of the kind"),
            (r#"{"email": "a@x.example", "email": "secret@x.example"}"#, "email stands in it more than once"),
        ] {
            let why = read(body).expect_err(body);
            assert!(why.contains(said) && !why.contains("secret"), "{body}: {why}");
        }
    }
}
