//! Bounds the age of connections.
//!
//! reqwest closes idle connections, but keeps a busy connection for as long as it works, even after its DNS entry has
//! changed. It has no maximum age, so this file replaces the whole client periodically: the next request resolves the
//! name and connects again. Running requests finish over the old client's connections, which are closed then.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

type BuildClient = dyn Fn() -> reqwest::Result<reqwest::Client> + Send + Sync;

pub(super) struct RotatingClient {
    max_age: Duration,
    build: Box<BuildClient>,
    current: Mutex<(reqwest::Client, Instant)>,
}

impl RotatingClient {
    pub fn new(
        max_age: Duration,
        build: impl Fn() -> reqwest::Result<reqwest::Client> + Send + Sync + 'static,
    ) -> reqwest::Result<Self> {
        let current = Mutex::new((build()?, Instant::now()));
        Ok(Self { max_age, build: Box::new(build), current })
    }

    pub fn current(&self) -> reqwest::Client {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // If a new client cannot be built, the old one is used further.
        if current.1.elapsed() >= self.max_age
            && let Ok(client) = (self.build)()
        {
            *current = (client, Instant::now());
        }
        current.0.clone()
    }
}
