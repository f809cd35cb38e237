//! Reads the recorded history through the running server, or from the data directory if no process uses it. Neither way
//! writes a record.

use super::{
    CommandError, Exit,
    client::{AdminClient, Original, part},
    settings,
};
use crate::{
    api::{
        customers::{ContactInfo, CustomerList},
        history::{RecordList, RecordResponse, RuleSetResponse},
        status::StatusResponse,
    },
    app,
    backtest::HistoryRecord,
    config::Config,
    contacts::ContactEntry,
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
                let status: Original<StatusResponse> = client.get("status").await?;
                let hash = &status.rules.hash;
                let set: Original<RuleSetResponse> = client.get(&format!("rule-sets/{hash}")).await?;
                Ok(Some(set.files.clone()))
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
                let status: Original<StatusResponse> = client.get("status").await?;
                Ok(status.paused.rules.keys().cloned().collect())
            }
            Self::Snapshot(snapshot) => {
                Ok(snapshot.global_state().paused_rules().map(|(rule, _)| rule.to_string()).collect())
            }
        }
    }

    /// Returns the number of records.
    pub async fn count(&self) -> Result<u64, CommandError> {
        match self {
            Self::Server(client) => Ok(client.get::<StatusResponse>("status").await?.store.records),
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
    let page: Original<RecordList> = client.get(&format!("records?from={from}&limit={PAGE}")).await?;
    let record = |RecordResponse { n, at, effects }| HistoryRecord { number: n, at, effects };
    Ok(page.records.iter().cloned().map(record).collect())
}

async fn contacts_of_server(client: &AdminClient) -> Result<Vec<ContactEntry>, CommandError> {
    let mut entries = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let after = cursor.as_deref().map(|cursor| format!("&cursor={}", part(cursor)));
        let page: Original<CustomerList> =
            client.get(&format!("customers?limit={PAGE}{}", after.unwrap_or_default())).await?;
        for row in &page.customers {
            let Some(contact) = row.contact.clone() else { continue };
            let ContactInfo { email, name, locale, timezone, country, attributes } = contact;
            let contact = Contact { email, name, locale, timezone, country, attributes };
            let id = CustomerId::new(&row.id).map_err(|error| CommandError::new(Exit::Failed, error))?;
            entries.push(ContactEntry::new(id, contact));
        }
        cursor.clone_from(&page.next);
        if cursor.is_none() {
            return Ok(entries);
        }
    }
}
