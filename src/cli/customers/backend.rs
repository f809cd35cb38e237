//! Writes contacts to the store: through the running server, or directly into the data directory if no server uses it.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;

use crate::{
    api::customers::ImportResponse,
    app,
    cli::{
        CommandError, Exit,
        client::{AdminClient, Original},
        serve, settings,
    },
    config::Config,
    contacts::ContactEntry,
    decide::{Policy, Receipt},
    store::{OpenError, OpenProgress, Store, StoreOptions},
};

/// The number of contacts per request. The contacts of a request share the syncs of the store.
pub const CHUNK: usize = 500;

pub enum CustomersBackend {
    Server(AdminClient),
    Store(Store),
}

impl CustomersBackend {
    /// Opens the store, or returns a client for the server if the server holds the store.
    pub async fn find(config: &Config) -> Result<Self, CommandError> {
        let data = app::data_dir(config).map_err(|error| CommandError::new(Exit::Config, error))?.to_owned();
        serve::private_files();
        let options = StoreOptions {
            policy: Policy::of(config),
            min_free_bytes: config.store.min_free_bytes,
            view_cache_bytes: config.store.view_cache_bytes,
            ..StoreOptions::default()
        };
        match Store::open(&data, &options, Arc::new(OpenProgress::default())).await {
            Ok((store, _)) => Ok(Self::Store(store)),
            Err(OpenError::Locked(_)) => Ok(Self::Server(settings::client_of(config)?)),
            Err(error) => Err(CommandError::new(Exit::Io, error)),
        }
    }

    /// Imports these contacts. Returns the number of new or changed contacts.
    pub async fn put(&self, entries: &[ContactEntry]) -> Result<usize, CommandError> {
        match self {
            Self::Server(client) => {
                let answer: Original<ImportResponse> =
                    client.post_json("customers/import", &json!({"contacts": entries})).await?;
                Ok(answer.changed)
            }
            Self::Store(store) => {
                let mut changed = 0;
                for answer in join_all(entries.iter().map(|entry| store.submit(entry.command()))).await {
                    let receipt = answer.map_err(|refused| CommandError::new(Exit::Unavailable, refused))?;
                    changed += usize::from(receipt != Receipt::Unchanged);
                }
                Ok(changed)
            }
        }
    }

    pub async fn close(self) {
        if let Self::Store(store) = self {
            store.close().await;
        }
    }
}
