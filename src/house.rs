//! What the listeners find when they ask: the store and the rules, once they are there.
//!
//! The listeners stand before the store is open, since opening may take long; until then callbacks are answered 503, and
//! `/readyz` says how far it is.

use std::sync::{Arc, OnceLock, atomic::Ordering};

use crate::{
    directory::Lookups,
    provider::Asker,
    rulebook::Rulebook,
    store::{Progress, Store},
};

#[derive(Default)]
pub struct House {
    open: OnceLock<Open>,
    pub progress: Arc<Progress>,
}

struct Open {
    store: Store,
    rulebook: Arc<Rulebook>,
    asker: Option<Arc<Asker>>,
    lookups: Option<Arc<Lookups>>,
}

impl House {
    /// From here on callbacks are taken.
    pub fn open(
        &self,
        store: Store,
        rulebook: Arc<Rulebook>,
        asker: Option<Arc<Asker>>,
        lookups: Option<Arc<Lookups>>,
    ) {
        // Opened twice, the first stays: there is one store in a process.
        let _ = self.open.set(Open { store, rulebook, asker, lookups });
    }

    /// Who asks the merchant's directory; `None` where nobody does.
    pub fn lookups(&self) -> Option<&Arc<Lookups>> {
        self.open.get().and_then(|open| open.lookups.as_ref())
    }

    /// Who asks the provider's API; `None` where nobody does.
    pub fn asker(&self) -> Option<&Arc<Asker>> {
        self.open.get().and_then(|open| open.asker.as_ref())
    }

    pub fn store(&self) -> Option<&Store> {
        self.open.get().map(|open| &open.store)
    }

    pub fn rulebook(&self) -> Option<&Arc<Rulebook>> {
        self.open.get().map(|open| &open.rulebook)
    }

    /// The provider's API does not accept our key: callbacks are kept, and nothing of them is decided.
    pub fn wrong_key(&self) -> Option<String> {
        let trouble = self.asker()?.trouble().filter(|trouble| trouble.lasting)?;
        Some(format!("provider_key: {}", trouble.text))
    }

    /// Why no callback can be made durable just now; `None` when they are taken. A wrong key for the provider's API is no reason: behind a
    /// load balancer it would take every node out.
    pub fn not_ready(&self) -> Option<String> {
        match self.store() {
            None => {
                if let Some(why) = self.progress.waits() {
                    return Some(why);
                }
                let (done, of) = (&self.progress.done, &self.progress.of);
                let (done, of) = (done.load(Ordering::Relaxed), of.load(Ordering::Relaxed));
                Some(format!("the store is being opened: {done} of {of} records are in the view"))
            }
            Some(store) => store.trouble().map(|refused| refused.to_string()),
        }
    }

    /// Why no callback can be taken, or why callbacks that are taken can't be decided.
    pub fn not_ready_deep(&self) -> Option<String> {
        self.not_ready().or_else(|| self.wrong_key())
    }
}
