//! Connections that don't live for ever.
//!
//! reqwest closes a connection that is idle, and keeps a busy one for as long as it works, also after its name has moved to another
//! machine. It knows no maximum age, so the whole client is replaced from time to time: the next request looks the name up and
//! connects; requests under way end over the old client's connections, and then these close.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

type Build = dyn Fn() -> reqwest::Result<reqwest::Client> + Send + Sync;

pub(super) struct Rotating {
    max_age: Duration,
    build: Box<Build>,
    current: Mutex<(reqwest::Client, Instant)>,
}

impl Rotating {
    pub fn new(
        max_age: Duration,
        build: impl Fn() -> reqwest::Result<reqwest::Client> + Send + Sync + 'static,
    ) -> reqwest::Result<Self> {
        let current = Mutex::new((build()?, Instant::now()));
        Ok(Self { max_age, build: Box::new(build), current })
    }

    pub fn current(&self) -> reqwest::Client {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // A client that was built once can be built again; if not, the old one goes on.
        if current.1.elapsed() >= self.max_age
            && let Ok(client) = (self.build)()
        {
            *current = (client, Instant::now());
        }
        current.0.clone()
    }
}
