//! Opening when the disk has no room for what opening writes: wait, say so, and try again.
//!
//! After an unclean end the last segment of the journal is copied before anything is built on it. A disk that is too full for the
//! copy is no reason to end: the listeners answer 503 meanwhile, and the provider comes again.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{
    rulebook::StartError,
    store::{OpenError, Options, Progress, Store, free_bytes},
};

/// How often the free space is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How often opening is tried again where free space is reported and yet there was none, as with a quota, in looks.
const LOOKS_BETWEEN: u32 = 5;

/// Opens the store, as soon as there is room for that. Returns how many attempts are in doubt, too.
pub async fn open(data: &Path, options: &Options, progress: &Arc<Progress>) -> Result<(Store, usize), OpenError> {
    let mut has_waited = false;
    loop {
        match Store::open(data, options, Arc::clone(progress)).await {
            Err(error @ OpenError::NoRoom { needed_bytes, .. }) => {
                let text = error.to_string();
                if progress.waits().as_ref() != Some(&text) {
                    tracing::error!("{text}: callbacks are refused, and opening is tried again when there is");
                }
                progress.wait_for(Some(text));
                has_waited = true;
                wait(data, needed_bytes).await;
            }
            opened => {
                progress.wait_for(None);
                if has_waited && opened.is_ok() {
                    tracing::info!("there is enough free space on the disk again; the store is open");
                }
                return opened;
            }
        }
    }
}

/// Loads the rules, as soon as there is room to keep them.
pub async fn start<T, F: Future<Output = Result<T, StartError>>>(
    load: impl Fn() -> F,
    progress: &Progress,
) -> Result<T, StartError> {
    loop {
        match load().await {
            Err(error @ StartError::NoRoom) => {
                progress.wait_for(Some(error.to_string()));
                sleep(LOOK * LOOKS_BETWEEN).await;
            }
            started => {
                progress.wait_for(None);
                return started;
            }
        }
    }
}

/// Until so much is free.
async fn wait(data: &Path, needed_bytes: u64) {
    let mut looks = 0;
    loop {
        let had_room = has_room(data, needed_bytes);
        sleep(LOOK).await;
        looks += 1;
        if has_room(data, needed_bytes) && (!had_room || looks >= LOOKS_BETWEEN) {
            return;
        }
    }
}

fn has_room(data: &Path, needed_bytes: u64) -> bool {
    // Where it can't be asked for, opening finds out.
    free_bytes(data).map_or(true, |free| free >= needed_bytes.max(1))
}
