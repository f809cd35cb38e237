//! The contact of a customer, as the merchant's directory knows it.
//!
//! Every field is validated on input (import, API, lookup), because names and addresses become part of mail headers.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::zone;

const MAX_TEXT_BYTES: usize = 200;
const MAX_ATTRIBUTES: usize = 16;
const MAX_TOTAL_BYTES: usize = 2048;

/// A contact. Contacts from outside are validated by [`Contact::checked`] before any other use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    pub email: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A BCP 47 language tag, as `de` or `de-AT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// A name from the IANA time zone database, as `Europe/Berlin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// An ISO 3166-1 alpha-2 code, in upper case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The attributes that the configuration declares.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// The error of a contact: which field is wrong, and why. Its display includes the value, for the author of the
/// contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactError {
    pub field: String,
    /// The wrong value, where it helps to find it.
    value: Option<String>,
    /// A predicate about the value, without the value itself: other people than the customer may read it.
    pub problem: String,
}

impl fmt::Display for ContactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.field)?;
        if let Some(value) = &self.value {
            write!(f, "{value:?} ")?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for ContactError {}

fn wrong<T>(field: &str, problem: impl Into<String>) -> Result<T, ContactError> {
    Err(ContactError { field: field.to_owned(), value: None, problem: problem.into() })
}

fn wrong_value(field: &str, value: &str, problem: &str) -> ContactError {
    ContactError { field: field.to_owned(), value: Some(value.to_owned()), problem: problem.to_owned() }
}

/// Trims the value; returns `None` if it is empty, and an error if it cannot be part of a header.
fn text(field: &str, value: Option<String>) -> Result<Option<String>, ContactError> {
    let Some(value) = value else { return Ok(None) };
    if value.chars().any(char::is_control) {
        return wrong(field, "has control characters (a line break, perhaps)");
    }
    let value = value.trim();
    if value.len() > MAX_TEXT_BYTES {
        return wrong(field, format!("is longer than {MAX_TEXT_BYTES} bytes"));
    }
    Ok((!value.is_empty()).then(|| value.to_owned()))
}

fn locale(value: Option<String>) -> Result<Option<String>, ContactError> {
    let Some(value) = text("locale", value)? else { return Ok(None) };
    let mut parts = value.split(['-', '_']);
    let language = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    let alphanumeric = |part: &&str| (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    if !(2..=3).contains(&language.len())
        || !language.bytes().all(|b| b.is_ascii_alphabetic())
        || !rest.iter().all(alphanumeric)
    {
        return Err(wrong_value("locale", &value, "is no language tag; write `de` or `de-AT`"));
    }
    let region = |part: &str| if part.len() == 2 { part.to_ascii_uppercase() } else { part.to_owned() };
    let tag: Vec<String> = std::iter::once(language.to_ascii_lowercase()).chain(rest.into_iter().map(region)).collect();
    Ok(Some(tag.join("-")))
}

/// Validates a mail address and converts its domain to ASCII (punycode) if necessary. Rejects addresses that no mail
/// can be sent to.
pub fn mail_address(value: &str) -> Result<String, ContactError> {
    let Some(email) = text("email", Some(value.to_owned()))? else { return wrong("email", "is empty") };
    let wrong = |problem| Err(wrong_value("email", &email, problem));
    let Some((local, domain)) = email.rsplit_once('@') else { return wrong("is no mail address") };
    if domain.starts_with('[') {
        return wrong("has an IP address after the @; write a domain name");
    }
    if local.chars().any(char::is_whitespace) {
        return wrong("has a space before the @, which is not supported");
    }
    if !local.is_ascii() {
        return wrong("has letters before the @ that not every mail server accepts; write it in ASCII");
    }
    let ascii = match domain.is_ascii() {
        true => domain.to_owned(),
        false => match idna::domain_to_ascii_strict(domain) {
            Ok(ascii) => ascii,
            Err(_) => return wrong("has an invalid domain"),
        },
    };
    let mailed = format!("{local}@{ascii}");
    match lettre::Address::from_str(&mailed) {
        Ok(_) => Ok(mailed),
        Err(_) => wrong("is no mail address"),
    }
}

impl Contact {
    /// Returns the contact with trimmed texts and with codes in their usual case, or the first error.
    pub fn checked(self) -> Result<Self, ContactError> {
        let email = mail_address(&self.email)?;
        let timezone = text("timezone", self.timezone)?;
        if let Some(name) = &timezone
            && zone::named(name).is_none()
        {
            return Err(wrong_value("timezone", name, "is no time zone; write a name as Europe/Berlin"));
        }
        let country = text("country", self.country)?.map(|code| code.to_ascii_uppercase());
        if let Some(code) = &country
            && !(code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase()))
        {
            return Err(wrong_value("country", code, "is no country; write two letters as DE"));
        }
        let mut attributes = BTreeMap::new();
        for (key, value) in self.attributes {
            if let Some(value) = text(&key, Some(value))? {
                attributes.insert(key, value);
            }
        }
        let total: usize = attributes.iter().map(|(key, value)| key.len() + value.len()).sum();
        if attributes.len() > MAX_ATTRIBUTES || total > MAX_TOTAL_BYTES {
            return wrong("attributes", format!("has more than {MAX_ATTRIBUTES} entries or {MAX_TOTAL_BYTES} bytes"));
        }
        Ok(Self { email, name: text("name", self.name)?, locale: locale(self.locale)?, timezone, country, attributes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(json: serde_json::Value) -> Result<Contact, ContactError> {
        serde_json::from_value::<Contact>(json).expect("shape").checked()
    }

    #[test]
    fn a_contact_is_normalized() {
        let tidy = contact(serde_json::json!({
            "email": " ada@example.com ", "name": "Ada", "locale": "DE_at", "country": "at", "timezone": "Europe/Vienna",
            "attributes": {"plan": "pro", "note": ""},
        }))
        .expect("valid");
        assert_eq!(tidy.email, "ada@example.com");
        assert_eq!(tidy.locale.as_deref(), Some("de-AT"));
        assert_eq!(tidy.country.as_deref(), Some("AT"));
        assert_eq!(tidy.attributes.len(), 1);
    }

    #[test]
    fn an_international_domain_is_converted_to_ascii() {
        let of = |email: &str| contact(serde_json::json!({"email": email})).map(|contact| contact.email);
        assert_eq!(of("mueller@exämple.de"), Ok("mueller@xn--exmple-cua.de".to_owned()));
        assert_eq!(of("Ada@Customer.EXAMPLE"), Ok("Ada@Customer.EXAMPLE".to_owned()));
        assert_eq!(of("\"a.b\"@example.com"), Ok("\"a.b\"@example.com".to_owned()));
        for (email, part) in [
            ("müller@example.de", "before the @"),
            ("müller@exämple.de", "before the @"),
            ("\"a b\"@example.com", "a space before the @"),
            ("a@[127.0.0.1]", "an IP address"),
            ("a@[IPv6:::1]", "an IP address"),
            ("a@ex ämple.de", "an invalid domain"),
            ("a@exa_ä.de", "an invalid domain"),
            ("a@", "no mail address"),
        ] {
            let problem = of(email).expect_err(email).problem;
            assert!(problem.contains(part), "{email}: {problem}");
        }
    }

    #[test]
    fn a_wrong_field_is_named_in_the_error() {
        for (json, field) in [
            (serde_json::json!({"email": ""}), "email"),
            (serde_json::json!({"email": "ada"}), "email"),
            (serde_json::json!({"email": "ada@example.com\r\nBcc: eve@example.com"}), "email"),
            (serde_json::json!({"email": "ada@example.com", "name": "Ada\r\nBcc: eve@example.com"}), "name"),
            (serde_json::json!({"email": "ada@example.com", "locale": "German"}), "locale"),
            (serde_json::json!({"email": "ada@example.com", "timezone": "Berlin"}), "timezone"),
            (serde_json::json!({"email": "ada@example.com", "country": "Germany"}), "country"),
        ] {
            assert_eq!(contact(json.clone()).expect_err("refused").field, field, "{json}");
        }
        let error = contact(serde_json::json!({"email": "ada@"})).expect_err("refused");
        assert_eq!(error.to_string(), "email: \"ada@\" is no mail address");
        assert_eq!(error.problem, "is no mail address", "the problem does not repeat the address");
    }
}
