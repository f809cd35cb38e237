//! Reads the customer of a test: the id, and the contact in the merchant's directory.
//!
//! Fields that a test leaves out are unknown, except the address: a customer has one unless the test has
//! `email: none`.

use crate::rule_tests::known::KnownNames;
use crate::{
    domain::{Contact, CustomerId},
    yaml::{MapFields, Node, Report, did_you_mean},
};

const ID: &str = "C-1";
const EMAIL: &str = "customer@example.com";
const NO_EMAIL: &str = "none";
const KEYS: &[&str] = &["id", "email", "name", "locale", "timezone", "country", "attributes"];
const CONTACT_KEYS: &[&str] = &["email", "name", "locale", "timezone", "country", "attributes"];

/// The customer of a test.
pub(in crate::rule_tests) struct TestCustomer {
    pub id: CustomerId,
    /// The contact, with the default address if no other is given.
    details: Contact,
    /// The customer has no contact until a step `contact`.
    unknown: bool,
}

impl TestCustomer {
    /// A customer of whom only an address is known.
    pub fn unnamed() -> Option<Self> {
        let details = Contact {
            email: EMAIL.to_owned(),
            name: None,
            locale: None,
            timezone: None,
            country: None,
            attributes: Default::default(),
        };
        Some(Self { id: CustomerId::new(ID).ok()?, details, unknown: false })
    }

    pub fn contact(&self) -> Option<Contact> {
        (!self.unknown).then(|| self.details.clone())
    }

    /// Reads the key `customer` of a test.
    pub fn read(node: Option<&Node<'_>>, known: &KnownNames<'_>, report: &mut Report<'_>) -> Option<Self> {
        let mut person = Self::unnamed()?;
        let Some(node) = node else { return Some(person) };
        let fields = MapFields::of(node, "`customer`", KEYS, report)?;
        let mut right = true;
        if let Some(node) = fields.get("id") {
            match node.text("`id`", report).map(CustomerId::new) {
                Some(Ok(id)) => person.id = id,
                Some(Err(error)) => {
                    report.error("contact", node.span.clone(), error.to_string());
                    right = false;
                }
                None => right = false,
            }
        }
        person.unknown = fields.get("email").and_then(Node::scalar) == Some(NO_EMAIL);
        right &= person.apply_field(&fields, known, report);
        right.then_some(person)
    }

    /// Reads the step `contact`: fields that it leaves out stay unchanged.
    pub fn read_field(&mut self, node: &Node<'_>, known: &KnownNames<'_>, report: &mut Report<'_>) -> Option<Contact> {
        let fields = MapFields::of(node, "`contact`", CONTACT_KEYS, report)?;
        if node.entries("`contact`", report)?.is_empty() {
            report.error("contact", node.span.clone(), "`contact` is empty").label("write the fields that change");
            return None;
        }
        if let Some(node) = fields.get("email")
            && node.scalar() == Some(NO_EMAIL)
        {
            report
                .error("contact", node.span.clone(), "a contact needs an address")
                .label("remove this key, or write an address");
            return None;
        }
        self.unknown = false;
        self.apply_field(&fields, known, report).then(|| self.details.clone())
    }

    /// Checks every field by itself, so that each error is reported. Returns whether there was no error.
    fn apply_field(&mut self, fields: &MapFields<'_, '_>, known: &KnownNames<'_>, report: &mut Report<'_>) -> bool {
        let mut right = true;
        for key in ["email", "name", "locale", "timezone", "country"] {
            let Some(node) = fields.get(key) else { continue };
            if key == "email" && node.scalar() == Some(NO_EMAIL) {
                continue;
            }
            let Some(text) = node.text(&format!("`{key}`"), report).map(str::to_owned) else {
                right = false;
                continue;
            };
            let mut details = self.details.clone();
            match key {
                "email" => details.email = text,
                "name" => details.name = Some(text),
                "locale" => details.locale = Some(text),
                "timezone" => details.timezone = Some(text),
                _ => details.country = Some(text),
            }
            right &= self.keep(details, node, report);
        }
        if let Some(node) = fields.get("attributes") {
            right &= self.attributes(node, known, report);
        }
        right
    }

    fn attributes(&mut self, node: &Node<'_>, known: &KnownNames<'_>, report: &mut Report<'_>) -> bool {
        let Some(entries) = node.entries("`attributes`", report) else { return false };
        let declared = &known.context.attributes;
        let mut right = true;
        for entry in entries {
            if !declared.iter().any(|name| *name == entry.key) {
                let message = format!("unknown attribute {}", entry.key);
                let note = report.error("attribute", entry.key_span.clone(), message);
                match did_you_mean(&entry.key, declared.iter().map(String::as_str)) {
                    Some(meant) => note.label(format!("did you mean {meant}?")),
                    None => note.help("attributes are declared in the configuration, under `directory.attributes`"),
                };
                right = false;
                continue;
            }
            let Some(text) = entry.value.scalar() else {
                entry.value.wrong("an attribute", "a text", report);
                right = false;
                continue;
            };
            let mut details = self.details.clone();
            details.attributes.insert(entry.key.clone().into_owned(), text.to_owned());
            right &= self.keep(details, &entry.value, report);
        }
        right
    }

    fn keep(&mut self, details: Contact, node: &Node<'_>, report: &mut Report<'_>) -> bool {
        match details.checked() {
            Ok(details) => {
                self.details = details;
                true
            }
            Err(error) => {
                report.error("contact", node.span.clone(), error.to_string());
                false
            }
        }
    }
}
