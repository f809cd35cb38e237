//! Files of contacts: parses CSV and NDJSON into validated contacts, and writes them.
//!
//! A file is parsed as a whole before any contact is used, and every error is reported with its line. This module does
//! no I/O.

mod answer;
mod memory;
mod table;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use serde::{Deserialize, Serialize};

pub use self::answer::answer;
use self::{
    memory::RawImportedState,
    table::{csv_rows, escape_formula},
};
use crate::{
    clock::Timestamp,
    decide::{Command, ImportedState},
    domain::{Contact, CustomerId},
    yaml::did_you_mean,
};

const COLUMNS: [&str; 6] = ["id", "email", "name", "locale", "timezone", "country"];

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactsFormat {
    Csv,
    /// One JSON object per line.
    Ndjson,
}

/// The conditions that customers of a file must meet.
#[derive(Clone, Copy, Debug)]
pub struct ImportChecks<'a> {
    /// The attributes that the configuration declares.
    pub attributes: &'a [String],
    /// The statuses that the configuration declares in addition to the documented ones.
    pub statuses: &'a [String],
    pub now: Timestamp,
}

/// One customer of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContactEntry {
    pub id: CustomerId,
    #[serde(flatten)]
    pub contact: Contact,
    /// The merchant's records about an earlier history, as written.
    #[serde(flatten)]
    told: RawImportedState,
    /// The memory to store for that history.
    #[serde(skip)]
    memory: Option<ImportedState>,
}

impl ContactEntry {
    pub fn new(id: CustomerId, contact: Contact) -> Self {
        Self { id, contact, told: RawImportedState::default(), memory: None }
    }

    /// Returns the command that stores this customer.
    pub fn command(&self) -> Command {
        import(self.id.clone(), self.contact.clone(), self.memory.clone())
    }
}

/// Rejects an id with white space at its ends: ids are not trimmed, and such white space usually comes from a
/// spreadsheet.
fn imported(id: CustomerId) -> Result<CustomerId, String> {
    match id.as_str().trim() == id.as_str() {
        true => Ok(id),
        false => Err(format!("id: {id:?} has white space at its ends, which makes it another id; remove it")),
    }
}

/// Returns the command that stores a contact, and a memory if there is one.
fn import(customer: CustomerId, contact: Contact, memory: Option<ImportedState>) -> Command {
    match memory {
        None => Command::Contact { customer, contact },
        Some(memory) => Command::Import { customer, contact: Some(Box::new(contact)), memory: Some(Box::new(memory)) },
    }
}

/// A line that is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// The line number, from 1; 0: the file as a whole.
    pub line: u64,
    pub problem: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.problem),
            line => write!(f, "line {line}: {}", self.problem),
        }
    }
}

/// A contact as written in a file or a request, not validated. Attributes may be texts, numbers or booleans.
#[derive(Clone, Debug, Deserialize)]
pub struct RawContact {
    #[serde(default)]
    id: String,
    #[serde(default)]
    email: String,
    name: Option<String>,
    locale: Option<String>,
    timezone: Option<String>,
    country: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, Attribute>,
    #[serde(flatten)]
    memory: RawImportedState,
    /// Attributes may also be top-level fields.
    #[serde(flatten)]
    beside: BTreeMap<String, Attribute>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Attribute {
    Text(String),
    Number(serde_json::Number),
    Truth(bool),
    Nothing(()),
}

impl RawContact {
    /// Returns the contact if every field is valid and every attribute is declared.
    pub fn checked(self, declared: &[String]) -> Result<Contact, String> {
        let mut attributes = BTreeMap::new();
        for (name, value) in self.attributes.into_iter().chain(self.beside) {
            if !declared.contains(&name) {
                return Err(undeclared(&name, declared));
            }
            let value = match value {
                Attribute::Text(text) => text,
                Attribute::Number(number) => number.to_string(),
                Attribute::Truth(truth) => truth.to_string(),
                Attribute::Nothing(()) => continue,
            };
            attributes.insert(name, value);
        }
        let Self { email, name, locale, timezone, country, .. } = self;
        Contact { email, name, locale, timezone, country, attributes }.checked().map_err(|error| error.to_string())
    }

    /// Whether the merchant's records contain a history of the customer.
    pub fn has_memory(&self) -> bool {
        !self.memory.is_empty()
    }

    /// Returns the command that stores the contact and the history.
    pub fn command(self, customer: CustomerId, terms: ImportChecks<'_>) -> Result<Command, String> {
        let (customer, memory) = (imported(customer)?, self.memory.checked(terms)?);
        Ok(import(customer, self.checked(terms.attributes)?, memory))
    }

    fn entry(self, terms: ImportChecks<'_>) -> Result<ContactEntry, String> {
        let id = imported(CustomerId::new(&self.id).map_err(|error| format!("id: {error}"))?)?;
        let (memory, told) = (self.memory.checked(terms)?, self.memory.clone());
        Ok(ContactEntry { id, contact: self.checked(terms.attributes)?, told, memory })
    }
}

fn undeclared(name: &str, declared: &[String]) -> String {
    let known: Vec<&str> =
        COLUMNS.iter().chain(&memory::COLUMNS).copied().chain(declared.iter().map(String::as_str)).collect();
    let hint =
        did_you_mean(name, known.iter().copied()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    format!(
        "there is no {name:?}{hint} (there are {}; others are declared in `directory.attributes` of the configuration)",
        known.join(", ")
    )
}

/// Returns every customer of a file, in file order, or all errors of the file.
pub fn read(text: &str, format: ContactsFormat, terms: ImportChecks<'_>) -> Result<Vec<ContactEntry>, Vec<BadLine>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let rows = match format {
        ContactsFormat::Csv => csv_rows(text, terms.attributes)?,
        ContactsFormat::Ndjson => ndjson_rows(text),
    };
    let mut entries = Vec::with_capacity(rows.len());
    let mut bad = Vec::new();
    let mut lines: HashMap<CustomerId, u64> = HashMap::new();
    for (line, row) in rows {
        match row.and_then(|raw| raw.entry(terms)) {
            Err(problem) => bad.push(BadLine { line, problem }),
            Ok(entry) => match lines.insert(entry.id.clone(), line) {
                Some(first) => {
                    let problem = format!("id {:?} is already in line {first}", entry.id);
                    bad.push(BadLine { line, problem });
                }
                None => entries.push(entry),
            },
        }
    }
    if bad.is_empty() { Ok(entries) } else { Err(bad) }
}

type Row = (u64, Result<RawContact, String>);

fn ndjson_rows(text: &str) -> Vec<Row> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let raw = match line.trim_start().starts_with('{') {
                true => serde_json::from_str(line).map_err(|error| error.to_string()),
                false => Err("is not a JSON object".to_owned()),
            };
            (number, raw)
        })
        .collect()
}

/// Returns the text of a file with these customers.
pub fn write(entries: &[ContactEntry], format: ContactsFormat, declared: &[String]) -> Result<String, String> {
    match format {
        ContactsFormat::Ndjson => {
            let mut text = String::new();
            for entry in entries {
                text.push_str(&serde_json::to_string(entry).map_err(|error| error.to_string())?);
                text.push('\n');
            }
            Ok(text)
        }
        ContactsFormat::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            let headings = COLUMNS.iter().copied().chain(declared.iter().map(String::as_str));
            writer.write_record(headings).map_err(|error| error.to_string())?;
            for ContactEntry { id, contact, .. } in entries {
                let text = |value: &Option<String>| value.clone().unwrap_or_default();
                let fixed = [
                    id.to_string(),
                    contact.email.clone(),
                    text(&contact.name),
                    text(&contact.locale),
                    text(&contact.timezone),
                    text(&contact.country),
                ];
                let own = declared.iter().map(|name| contact.attributes.get(name).cloned().unwrap_or_default());
                let cells = fixed.into_iter().chain(own).map(|cell| escape_formula(&cell));
                writer.write_record(cells).map_err(|error| error.to_string())?;
            }
            let bytes = writer.into_inner().map_err(|error| error.to_string())?;
            String::from_utf8(bytes).map_err(|error| error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Vec<String> {
        vec!["plan".to_owned()]
    }

    fn read(text: &str, format: ContactsFormat, attributes: &[String]) -> Result<Vec<ContactEntry>, Vec<BadLine>> {
        let now = Timestamp(1_767_225_600_000);
        super::read(text, format, ImportChecks { attributes, statuses: &["SUSPENDED".to_owned()], now })
    }

    #[test]
    fn both_formats_give_the_same_contacts() {
        let csv = "\u{feff}email;plan;id;name\nada@customer.example;pro;C-1;Ada\n";
        let json = r#"{"id":"C-1","email":"ada@customer.example","name":"Ada","plan":"pro"}
{"id":"C-2","email":"b@customer.example","attributes":{"plan":7}}
"#;
        let from_csv = read(csv, ContactsFormat::Csv, &declared()).expect("good");
        let from_json = read(json, ContactsFormat::Ndjson, &declared()).expect("good");
        assert_eq!(from_csv[0], from_json[0]);
        assert_eq!(from_json[1].contact.attributes["plan"], "7");
    }

    #[test]
    fn every_bad_line_is_named_and_nothing_is_imported() {
        let csv = "id,email,name\nC-1,ada@customer.example,Ada\n,x@customer.example,\nC-2,nobody,\nC-1,b@customer.example,\nC-3,c@customer.example,\"a\r\nBcc: x\"\nC-4,d@customer.example\n";
        let bad = read(csv, ContactsFormat::Csv, &[]).expect_err("bad");
        let lines: Vec<u64> = bad.iter().map(|bad| bad.line).collect();
        assert_eq!(lines, [3, 4, 5, 6, 8], "{bad:?}");
        let bad = read("id,mail,plan\n", ContactsFormat::Csv, &declared()).expect_err("bad");
        assert!(bad[0].problem.contains("did you mean email?"), "{bad:?}");
        let bad = read("[1]\n{\"id\":\"C-1\"}\n{\n", ContactsFormat::Ndjson, &[]).expect_err("bad");
        assert_eq!(bad.len(), 3);
    }

    #[test]
    fn an_invalid_history_is_named_with_its_line() {
        let csv = "id,email,status,since,tags\nC-1,a@x.example,SUSPENDED,2025-12-31,\"vip, old\"\nC-2 ,a@x.example,,,\n\
                   C-3,a@x.example,VERIFIED,,\nC-4,a@x.example,none,2099-01-01,\nC-5,a@x.example,none,,a;b\n";
        let json = "{\"id\":\"\u{a0}C-1\",\"email\":\"a@x.example\"}\n\n\
                    {\"id\":\"C-2\",\"email\":\"a@x.example\",\"status\":\"none\",\"tags\":[\"a;b\",\"c,d\"]}\n";
        for (text, format, expected) in [
            (
                csv,
                ContactsFormat::Csv,
                &[(3, "id: \"C-2 \" has white"), (4, "status:"), (5, "future"), (6, "commas between")][..],
            ),
            (json, ContactsFormat::Ndjson, &[(1, "white space"), (3, "tags: \"c,d\" is not a valid tag")]),
        ] {
            let bad = read(text, format, &[]).expect_err("bad");
            assert_eq!(bad.len(), expected.len(), "{bad:?}");
            for (bad, (line, said)) in bad.iter().zip(expected) {
                assert!(bad.line == *line && bad.problem.contains(said), "{bad:?}");
            }
        }
    }

    #[test]
    fn a_written_file_is_parsed_to_the_same_contacts() {
        for name in ["Ada", "=1+1", "'=1", "''@x", "'quoted'", "a, \"b\"; c", "-"] {
            let contact = Contact {
                email: "ada@customer.example".into(),
                name: Some(name.into()),
                locale: Some("de-AT".into()),
                timezone: None,
                country: None,
                attributes: BTreeMap::from([("plan".to_owned(), "+pro".to_owned())]),
            };
            let entries = vec![ContactEntry::new(CustomerId::new("=C-1").expect("id"), contact)];
            for format in [ContactsFormat::Csv, ContactsFormat::Ndjson] {
                let text = write(&entries, format, &declared()).expect("written");
                assert_eq!(read(&text, format, &declared()).expect("good"), entries, "{name} {format:?}");
            }
            let csv = write(&entries, ContactsFormat::Csv, &declared()).expect("written");
            assert!(csv.lines().nth(1).expect("a row").starts_with("'=C-1,"), "no spreadsheet evaluates it");
        }
    }
}
