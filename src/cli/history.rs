//! Reads the recorded history through the running server, or from the data directory if no process uses it. Neither way
//! writes a record.

use serde::Deserialize;
use serde_json::Value;

use super::{
    CommandError, Exit,
    client::{AdminClient, part},
    settings,
};
use crate::{
    app,
    backtest::HistoryRecord,
    clock::Timestamp,
    config::Config,
    contacts::ContactEntry,
    decide::Changes,
    domain::{Contact, CustomerId},
    store::{Snapshot, is_in_use},
    yaml::Files,
};

/// The number of records, or customers, in one response of the server.
const PAGE: usize = 1_000;

pub enum HistoryCommand {
    Server(AdminClient),
    Snapshot(Snapshot),
}

#[derive(Deserialize)]
struct WireRecord {
    n: u64,
    at: Timestamp,
    effects: Changes,
}

impl HistoryCommand {
    /// Uses the server if the data directory is in use, else a snapshot of the directory. Must run within the tokio
    /// runtime, whose start also installs the TLS provider that the client needs.
    pub async fn find(config: &Config) -> Result<Self, CommandError> {
        let data = app::data_dir(config).map_err(|error| CommandError::new(Exit::Config, error))?;
        if is_in_use(data) {
            return settings::client_of(config).map(Self::Server);
        }
        Snapshot::open(data).map(Self::Snapshot).map_err(|error| CommandError::new(Exit::Io, error))
    }

    /// Returns a note for the operator if there is no store yet.
    pub fn nothing_there(&self) -> Option<String> {
        match self {
            Self::Server(_) => None,
            Self::Snapshot(snapshot) => {
                (snapshot.last() == 0).then(|| format!("there is no store in {} yet", snapshot.path().display()))
            }
        }
    }

    /// Returns all customers who have a contact, in the order of their ids.
    pub async fn contacts(&self) -> Result<Vec<ContactEntry>, CommandError> {
        match self {
            Self::Server(client) => contacts_of_server(client).await,
            Self::Snapshot(snapshot) => {
                let contacts = snapshot.contacts().map_err(|error| CommandError::new(Exit::Io, error))?;
                Ok(contacts.into_iter().map(|(id, contact)| ContactEntry::new(id, contact)).collect())
            }
        }
    }

    /// Returns the files of the active rule set.
    pub async fn rules_in_force(&self) -> Result<Option<Files>, CommandError> {
        match self {
            Self::Server(client) => {
                let status = client.get("status").await?;
                let hash = status["rules"]["hash"].as_str().unwrap_or_default();
                let set = client.get(&format!("rule-sets/{hash}")).await?;
                Ok(serde_json::from_value(set["files"].clone()).ok())
            }
            Self::Snapshot(snapshot) => {
                let Some(hash) = snapshot.active_set() else { return Ok(None) };
                snapshot.rule_set(hash).map_err(|error| CommandError::new(Exit::Io, error))
            }
        }
    }

    /// Returns the ids of the rules that operators have paused.
    pub async fn paused_rules(&self) -> Result<Vec<String>, CommandError> {
        match self {
            Self::Server(client) => {
                let status = client.get("status").await?;
                Ok(status["paused"]["rules"].as_object().into_iter().flatten().map(|(rule, _)| rule.clone()).collect())
            }
            Self::Snapshot(snapshot) => {
                Ok(snapshot.global_state().paused_rules().map(|(rule, _)| rule.to_string()).collect())
            }
        }
    }

    /// Returns the number of records.
    pub async fn count(&self) -> Result<u64, CommandError> {
        match self {
            Self::Server(client) => Ok(client.get("status").await?["store"]["records"].as_u64().unwrap_or_default()),
            Self::Snapshot(snapshot) => Ok(snapshot.last()),
        }
    }

    /// Calls `each` for every record in order, up to number `last`.
    pub async fn each(&self, last: u64, each: &mut dyn FnMut(&HistoryRecord)) -> Result<(), CommandError> {
        match self {
            Self::Server(client) => {
                let mut from = 1;
                while from <= last {
                    let records = page(client, from).await?;
                    let Some(latest) = records.last() else { break };
                    from = latest.number + 1;
                    records.iter().for_each(&mut *each);
                }
                Ok(())
            }
            Self::Snapshot(snapshot) => {
                let records = snapshot.each(&mut |record| {
                    each(&HistoryRecord { number: record.header.n, at: record.header.at, effects: record.effects });
                });
                records.map_err(|error| CommandError::new(Exit::Io, error))
            }
        }
    }
}

async fn page(client: &AdminClient, from: u64) -> Result<Vec<HistoryRecord>, CommandError> {
    let page: Value = client.get(&format!("records?from={from}&limit={PAGE}")).await?;
    let unreadable = |error| CommandError::new(Exit::Failed, format!("the server's records cannot be parsed: {error}"));
    let records: Vec<WireRecord> = serde_json::from_value(page["records"].clone()).map_err(unreadable)?;
    let record = |wire: WireRecord| HistoryRecord { number: wire.n, at: wire.at, effects: wire.effects };
    Ok(records.into_iter().map(record).collect())
}

async fn contacts_of_server(client: &AdminClient) -> Result<Vec<ContactEntry>, CommandError> {
    let unreadable = |error: serde_json::Error| {
        CommandError::new(Exit::Failed, format!("the server's response cannot be parsed: {error}"))
    };
    let mut entries = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let after = cursor.as_deref().map(|cursor| format!("&cursor={}", part(cursor)));
        let page = client.get(&format!("customers?limit={PAGE}{}", after.unwrap_or_default())).await?;
        for row in page["customers"].as_array().into_iter().flatten().filter(|row| row["contact"] != Value::Null) {
            let id: CustomerId = serde_json::from_value(row["id"].clone()).map_err(unreadable)?;
            let contact: Contact = serde_json::from_value(row["contact"].clone()).map_err(unreadable)?;
            entries.push(ContactEntry::new(id, contact));
        }
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Ok(entries);
        }
    }
}
