//! Waits until the directory has changed and its files are at rest.
//!
//! During a save or a `git pull`, the directory does not hold a consistent set of files. The files are at rest after
//! half a second without an event, with no file open for writing and no `index.lock` of git; after one second if the
//! end of a change cannot be seen. After a long wait, the log names the file that is open.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::{
    activity::OpenHandles,
    identity::{self, FileIdentity},
    lock,
};

/// Interval of the check for changes without an event.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Interval of the check whether the files are at rest.
const STEP: Duration = Duration::from_millis(50);

/// Time after which the log reports why the files are not at rest; also the interval of further reports.
const PATIENCE: Duration = Duration::from_secs(30);

/// Maximum delay of the system's events.
const DELIVERY: Duration = Duration::from_millis(50);

/// Watches the directory for changes.
pub struct DirectoryWatch {
    rest: QuietPeriod,
    /// Stops when dropped. `None`: the system cannot watch the directory, so only the regular check finds changes.
    watcher: Option<RecommendedWatcher>,
    /// The watched directories, with symbolic links resolved.
    watched: Vec<PathBuf>,
    seen: Option<FileIdentity>,
}

/// Tells whether the files are at rest, for callers that read them without waiting for a change.
#[derive(Clone)]
pub struct QuietPeriod {
    dir: PathBuf,
    shared: Arc<WatchShared>,
}

struct WatchShared {
    activity: Mutex<OpenHandles>,
    changed: Notify,
}

impl WatchShared {
    fn activity(&self) -> MutexGuard<'_, OpenHandles> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QuietPeriod {
    fn new(dir: &Path) -> Self {
        let shared = WatchShared { activity: Mutex::new(OpenHandles::new(Instant::now())), changed: Notify::new() };
        Self { dir: dir.to_owned(), shared: Arc::new(shared) }
    }

    /// Returns the reason why the files are not at rest in spite of no events: a file that is open for writing, or
    /// git's lock.
    fn held(&self) -> Option<String> {
        let open = self.shared.activity().held().map(|path| format!("{} is open for writing", path.display()));
        open.or_else(|| {
            let lock = lock::held(&self.dir)?;
            Some(format!("git is changing files: {} exists; remove it if git is not running", lock.display()))
        })
    }

    /// Waits until no file is open for writing and git holds no lock. Returns the reason after `patience`.
    ///
    /// It does not wait for a time without events, because a caller that requests a reload has finished writing.
    pub async fn released(&self, patience: Duration) -> Result<(), String> {
        let began = Instant::now();
        sleep(DELIVERY).await;
        while let Some(why) = self.held() {
            if began.elapsed() >= patience {
                return Err(why);
            }
            sleep(STEP).await;
        }
        Ok(())
    }
}

impl DirectoryWatch {
    pub fn new(dir: &Path) -> Self {
        let mut watch =
            Self { rest: QuietPeriod::new(dir), watcher: None, watched: Vec::new(), seen: identity::of(dir) };
        watch.begin();
        watch
    }

    pub fn rest(&self) -> QuietPeriod {
        self.rest.clone()
    }

    fn dir(&self) -> &Path {
        &self.rest.dir
    }

    fn begin(&mut self) {
        let shared = Arc::clone(&self.rest.shared);
        let watcher = notify::recommended_watcher(move |event| {
            if shared.activity().take(&event, Instant::now()) {
                shared.changed.notify_one();
            }
        });
        let watcher = watcher.and_then(|mut watcher| {
            watcher.watch(self.dir(), RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        self.watched = folders(self.dir());
        self.watcher = watcher
            .inspect_err(
                |error| tracing::warn!(%error, "the rules directory cannot be watched; it is checked every second"),
            )
            .ok();
    }

    /// Resolves when the files have changed and are at rest.
    pub async fn changed(&mut self) {
        loop {
            let told = timeout(LOOK_EVERY, self.rest.shared.changed.notified()).await.is_ok();
            let now = identity::of(self.dir());
            // The watch is on a directory, and its path may now lead to another one.
            if folders(self.dir()) != self.watched || self.watcher.is_none() && now != self.seen {
                self.begin();
                self.rest.shared.activity().reset(Instant::now());
            } else if !told && now != self.seen {
                self.rest.shared.activity().without_handles(Instant::now());
            }
            if now == self.seen {
                continue;
            }
            let rests = self.at_rest(now).await;
            if rests != self.seen {
                self.seen = rests;
                return;
            }
        }
    }

    /// Waits until the files are at rest. Returns their fingerprint.
    async fn at_rest(&self, mut now: Option<FileIdentity>) -> Option<FileIdentity> {
        let began = Instant::now();
        let mut told = 0;
        loop {
            let noise = self.rest.shared.activity().unrelated(Instant::now());
            let held = self.rest.held();
            if noise.is_zero() && held.is_none() {
                let later = identity::of(self.dir());
                if later == now {
                    self.rest.shared.activity().is_quiet();
                    return later;
                }
                // The event is late, or there was none.
                now = later;
                self.rest.shared.activity().without_handles(Instant::now());
                continue;
            }
            if began.elapsed() >= PATIENCE * (told + 1) {
                told += 1;
                let why = held.unwrap_or_else(|| "the files keep changing".to_owned());
                let seconds = began.elapsed().as_secs();
                tracing::warn!(why, seconds, "the rules have changed; they will be read when their files are at rest");
            }
            sleep(noise.clamp(Duration::from_millis(10), STEP)).await;
        }
    }
}

/// The directories that the program reads, with symbolic links resolved.
fn folders(dir: &Path) -> Vec<PathBuf> {
    let folders = [dir.to_owned(), dir.join("templates"), dir.join("labels")];
    folders.iter().filter_map(|folder| fs::canonicalize(folder).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::read;
    use super::*;

    #[tokio::test]
    async fn renames_and_swapped_links_are_seen() {
        let dir = tempfile::tempdir().expect("directory");
        for version in ["one", "two"] {
            fs::create_dir(dir.path().join(version)).expect("made");
            fs::write(dir.path().join(version).join("kyc.yaml"), version).expect("written");
        }
        let link = dir.path().join("rules");
        std::os::unix::fs::symlink(dir.path().join("one"), &link).expect("linked");
        let mut watch = DirectoryWatch::new(&link);
        fs::write(link.join("kyc.yaml.new"), "three").expect("written");
        fs::rename(link.join("kyc.yaml.new"), link.join("kyc.yaml")).expect("renamed");
        watch.changed().await;
        assert_eq!(read(&link).expect("readable").get("kyc.yaml"), Some("three"));
        std::os::unix::fs::symlink(dir.path().join("two"), dir.path().join("next")).expect("linked");
        fs::rename(dir.path().join("next"), &link).expect("swapped");
        watch.changed().await;
        assert_eq!(read(&link).expect("readable").get("kyc.yaml"), Some("two"));
    }

    fn directory() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("directory");
        fs::write(dir.path().join("kyc.yaml"), "old").expect("written");
        dir
    }

    async fn stays_silent(watch: &mut DirectoryWatch, so_long: Duration) -> bool {
        timeout(so_long, watch.changed()).await.is_err()
    }

    #[tokio::test]
    async fn a_change_waits_for_a_file_that_is_open_for_writing() {
        let dir = directory();
        let mut watch = DirectoryWatch::new(dir.path());
        let rest = watch.rest();
        let mut file = fs::File::create(dir.path().join("kyc.yaml")).expect("opened");
        file.write_all(b"ha").expect("written");
        file.sync_all().expect("synced");
        assert!(stays_silent(&mut watch, Duration::from_millis(2_500)).await, "half a file was read");
        let why = rest.released(Duration::ZERO).await.expect_err("it is open");
        assert!(why.ends_with("kyc.yaml is open for writing"), "{why}");
        file.write_all(b"lf").expect("written");
        drop(file);
        watch.changed().await;
        assert_eq!(read(dir.path()).expect("readable").get("kyc.yaml"), Some("half"));
        assert_eq!(rest.released(Duration::from_secs(30)).await, Ok(()));
    }

    #[tokio::test]
    async fn a_change_waits_for_the_lock_of_git() {
        let dir = directory();
        fs::create_dir(dir.path().join(".git")).expect("made");
        let lock = dir.path().join(".git/index.lock");
        let mut watch = DirectoryWatch::new(dir.path());
        fs::write(&lock, "").expect("written");
        fs::remove_file(dir.path().join("kyc.yaml")).expect("removed");
        assert!(stays_silent(&mut watch, Duration::from_millis(2_500)).await, "half a checkout was read");
        fs::write(dir.path().join("kyc.yaml"), "new").expect("written");
        fs::remove_file(&lock).expect("removed");
        watch.changed().await;
        assert_eq!(read(dir.path()).expect("readable").get("kyc.yaml"), Some("new"));
    }

    #[tokio::test]
    async fn files_that_are_unchanged_when_at_rest_are_no_change() {
        let dir = directory();
        let mut watch = DirectoryWatch::new(dir.path());
        for nth in 0..10 {
            fs::write(dir.path().join("more.yaml"), format!("{nth}")).expect("written");
            sleep(Duration::from_millis(100)).await;
            fs::remove_file(dir.path().join("more.yaml")).expect("removed");
        }
        assert!(stays_silent(&mut watch, Duration::from_millis(2_500)).await);
    }
}
