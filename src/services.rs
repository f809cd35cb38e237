//! The state that the listeners share with the rest of the process: the store and the rules, once both are open.
//!
//! The listeners are bound before the store is open, because opening can take minutes. Until the store is open,
//! callbacks are answered with 503, and `/readyz` reports the progress.

use std::sync::{Arc, OnceLock, atomic::Ordering};

use crate::{
    directory::ContactFetcher,
    provider::ConfirmationWorker,
    rulebook::Rulebook,
    store::{OpenProgress, Store},
};

#[derive(Default)]
pub struct Services {
    open: OnceLock<OpenServices>,
    pub progress: Arc<OpenProgress>,
}

struct OpenServices {
    store: Store,
    rulebook: Arc<Rulebook>,
    asker: Option<Arc<ConfirmationWorker>>,
    lookups: Option<Arc<ContactFetcher>>,
}

impl Services {
    /// Makes the store and the rules available. From then on, the listener accepts callbacks.
    pub fn open(
        &self,
        store: Store,
        rulebook: Arc<Rulebook>,
        asker: Option<Arc<ConfirmationWorker>>,
        lookups: Option<Arc<ContactFetcher>>,
    ) {
        // A second call has no effect: a process has one store.
        let _ = self.open.set(OpenServices { store, rulebook, asker, lookups });
    }

    /// The lookups in the merchant's directory; `None` if no directory is configured.
    pub fn lookups(&self) -> Option<&Arc<ContactFetcher>> {
        self.open.get().and_then(|open| open.lookups.as_ref())
    }

    /// The client of the provider's API; `None` if no API key is configured.
    pub fn asker(&self) -> Option<&Arc<ConfirmationWorker>> {
        self.open.get().and_then(|open| open.asker.as_ref())
    }

    pub fn store(&self) -> Option<&Store> {
        self.open.get().map(|open| &open.store)
    }

    pub fn rulebook(&self) -> Option<&Arc<Rulebook>> {
        self.open.get().map(|open| &open.rulebook)
    }

    /// The error text if the provider's API rejects the configured key. Callbacks are then stored, but not decided.
    pub fn wrong_key(&self) -> Option<String> {
        let trouble = self.asker()?.trouble().filter(|trouble| trouble.lasting)?;
        Some(format!("provider_key: {}", trouble.text))
    }

    /// The reason why no callback can be made durable now; `None` if callbacks are accepted. A wrong key for the
    /// provider's API does not count, because a load balancer would then remove every node.
    pub fn not_ready(&self) -> Option<String> {
        match self.store() {
            None => {
                if let Some(why) = self.progress.waits() {
                    return Some(why);
                }
                let (done, of) = (&self.progress.done, &self.progress.of);
                let (done, of) = (done.load(Ordering::Relaxed), of.load(Ordering::Relaxed));
                Some(format!("the store is opening: {done} of {of} records are in the view"))
            }
            Some(store) => store.trouble().map(|refused| refused.to_string()),
        }
    }

    /// The reason why callbacks cannot be accepted, or why accepted callbacks cannot be decided.
    pub fn not_ready_deep(&self) -> Option<String> {
        self.not_ready().or_else(|| self.wrong_key())
    }
}
