//! The way to the store: through the running server, or into the data directory itself while no server has it.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    app,
    cli::{Exit, Failure, client::Client, serve, settings},
    config::Config,
    contacts::Entry,
    decide::Receipt,
    kyc::{Contact, CustomerId},
    store::{OpenError, Options, Progress, Store},
};

/// How many contacts go at once: they share the store's syncs.
pub const CHUNK: usize = 500;

pub enum Way {
    Server(Client),
    Store(Store),
}

impl Way {
    /// To the server if it runs; else into the data directory.
    pub async fn find(config: &Config) -> Result<Self, Failure> {
        let data = app::data_dir(config).map_err(|error| Failure::new(Exit::Config, error))?.to_owned();
        serve::private_files();
        let options = Options {
            policy: app::policy(config),
            min_free_bytes: config.store.min_free_bytes,
            view_cache_bytes: config.store.view_cache_bytes,
            ..Options::default()
        };
        match Store::open(&data, &options, Arc::new(Progress::default())).await {
            Ok((store, _)) => Ok(Self::Store(store)),
            Err(OpenError::Locked(_)) => Ok(Self::Server(settings::client_of(config)?)),
            Err(error) => Err(Failure::new(Exit::Io, error)),
        }
    }

    /// Takes these contacts. Returns how many are new or different from what was known.
    pub async fn put(&self, entries: &[Entry]) -> Result<usize, Failure> {
        match self {
            Self::Server(client) => {
                let answer = client.post_json("customers/import", &json!({"contacts": entries})).await?;
                Ok(answer["changed"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_default())
            }
            Self::Store(store) => {
                let mut changed = 0;
                for answer in join_all(entries.iter().map(|entry| store.submit(entry.command()))).await {
                    let receipt = answer.map_err(|refused| Failure::new(Exit::Unavailable, refused))?;
                    changed += usize::from(receipt != Receipt::Unchanged);
                }
                Ok(changed)
            }
        }
    }

    /// All customers who have a contact, in the order of their ids.
    pub async fn contacts(&self) -> Result<Vec<Entry>, Failure> {
        match self {
            Self::Server(client) => contacts_of_server(client).await,
            Self::Store(store) => contacts_of_store(store).await,
        }
    }

    pub async fn close(self) {
        if let Self::Store(store) = self {
            store.close().await;
        }
    }
}

async fn contacts_of_server(client: &Client) -> Result<Vec<Entry>, Failure> {
    let unreadable = |error: serde_json::Error| Failure::new(Exit::Failed, format!("the server's answer: {error}"));
    let mut entries = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let after = cursor.as_deref().map(|cursor| format!("&cursor={}", crate::cli::client::part(cursor)));
        let page = client.get(&format!("customers?limit=1000{}", after.unwrap_or_default())).await?;
        for row in page["customers"].as_array().into_iter().flatten().filter(|row| row["contact"] != Value::Null) {
            let id: CustomerId = serde_json::from_value(row["id"].clone()).map_err(unreadable)?;
            let contact: Contact = serde_json::from_value(row["contact"].clone()).map_err(unreadable)?;
            entries.push(Entry::new(id, contact));
        }
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Ok(entries);
        }
    }
}

async fn contacts_of_store(store: &Store) -> Result<Vec<Entry>, Failure> {
    let unreadable = |error: crate::store::StoreError| Failure::new(Exit::Io, error);
    let mut entries = Vec::new();
    let mut after = None;
    loop {
        let page = store.customers(after.as_ref(), 1000).await.map_err(unreadable)?;
        for id in page.rows {
            if let Some(contact) = store.customer(&id).map_err(unreadable)?.and_then(|case| case.contact.clone()) {
                entries.push(Entry::new(id, contact));
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(entries);
        }
    }
}
