//! Opening the store on a full disk: waits, reports the reason, and tries again.
//!
//! After an unclean shutdown, the last segment of the journal is copied before the store opens. If the disk has no room
//! for the copy, the process does not exit: the listeners answer with 503 meanwhile, and the provider retries its
//! callbacks.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{
    rulebook::StartError,
    store::{OpenError, OpenProgress, Store, StoreOptions, free_bytes},
};

/// The interval between two checks of the free space.
const LOOK: Duration = Duration::from_secs(1);

/// The number of checks after which opening is retried although the free space did not change. Needed for quotas, where
/// the file system reports free space that cannot be used.
const LOOKS_BETWEEN: u32 = 5;

/// Opens the store as soon as there is room for it. Also returns the number of attempts in doubt.
pub async fn open(
    data: &Path,
    options: &StoreOptions,
    progress: &Arc<OpenProgress>,
) -> Result<(Store, usize), OpenError> {
    let mut has_waited = false;
    loop {
        match Store::open(data, options, Arc::clone(progress)).await {
            Err(error @ OpenError::NoRoom { needed_bytes, .. }) => {
                let text = error.to_string();
                if progress.waits().as_ref() != Some(&text) {
                    tracing::error!("{text}: callbacks are refused until space is freed, then opening is retried");
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

/// Loads the rules as soon as there is room to store them. Until the caller clears the progress text, callbacks are
/// refused with that text as the reason.
pub async fn start<T, F: Future<Output = Result<T, StartError>>>(
    load: impl Fn() -> F,
    progress: &OpenProgress,
) -> Result<T, StartError> {
    let loading = || progress.wait_for(Some("the rules are being loaded".to_owned()));
    loading();
    loop {
        match load().await {
            Err(error @ StartError::NoRoom) => {
                progress.wait_for(Some(error.to_string()));
                sleep(LOOK * LOOKS_BETWEEN).await;
            }
            started => {
                loading();
                return started;
            }
        }
    }
}

/// Waits until `needed_bytes` are free, or until it is time to retry anyway.
async fn wait(data: &Path, needed_bytes: u64) {
    let mut looks = 0;
    loop {
        let had_room = has_disk_space(data, needed_bytes);
        sleep(LOOK).await;
        looks += 1;
        if has_disk_space(data, needed_bytes) && (!had_room || looks >= LOOKS_BETWEEN) {
            return;
        }
    }
}

fn has_disk_space(data: &Path, needed_bytes: u64) -> bool {
    // If the free space cannot be determined, opening is tried and reports the error.
    free_bytes(data).map_or(true, |free| free >= needed_bytes.max(1))
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::atomic::{AtomicBool, Ordering},
    };

    use super::*;
    use crate::store::{Disk, DiskObserver, DiskOperation};

    struct Full(AtomicBool);

    impl DiskObserver for Full {
        fn before(&self, operation: DiskOperation<'_>) -> io::Result<()> {
            let writes = matches!(operation, DiskOperation::Write { .. });
            if writes && self.0.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
    }

    #[tokio::test]
    async fn opening_on_a_full_disk_waits_and_continues_when_there_is_room() {
        let dir = tempfile::tempdir().expect("directory");
        let full = Arc::new(Full(true.into()));
        let disk = Disk::observed(Arc::clone(&full) as Arc<dyn DiskObserver>);
        let options = StoreOptions { disk, min_free_bytes: 0, ..StoreOptions::default() };
        let progress = Arc::new(OpenProgress::default());
        let making_room = async {
            while progress.waits().is_none() {
                sleep(Duration::from_millis(5)).await;
            }
            assert!(progress.waits().expect("it waits").contains("free space"));
            full.0.store(false, Ordering::SeqCst);
        };
        let (opened, ()) = tokio::join!(open(dir.path(), &options, &progress), making_room);
        let (store, _) = opened.expect("there is room now");
        assert_eq!(progress.waits(), None);
        store.close().await;
    }

    #[tokio::test]
    async fn loading_rules_is_reported_as_the_reason() {
        let progress = OpenProgress::default();
        let load = || async { Ok(progress.waits()) };
        let waits = start(load, &progress).await.expect("loaded");
        assert_eq!(waits.as_deref(), Some("the rules are being loaded"));
        assert_eq!(progress.waits(), waits, "until callbacks are accepted");
    }
}
