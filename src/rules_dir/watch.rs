//! Says when the directory has changed and its files are at rest.
//!
//! A file in the middle of a save, half of a `git pull` or a file deleted to be written again is no version of the rules. Files are at
//! rest after half a second without an event, with no file open for writing and no `index.lock` of git; after a second where the end of
//! a change can't be seen. A program that holds a file for long is named in the log.

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
    activity::Activity,
    identity::{self, Identity},
    lock,
};

/// How often the directory is looked at, whatever events say.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked whether the files are at rest.
const STEP: Duration = Duration::from_millis(50);

/// How long the files may be busy before the log says why.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the system may take to tell of what was done before.
const DELIVERY: Duration = Duration::from_millis(50);

/// Says when the directory has changed.
pub struct Watch {
    rest: Rest,
    /// Dropped, it stops. `None` where the system can't watch: then looking has to do.
    watcher: Option<RecommendedWatcher>,
    /// The directories that are watched, without symbolic links.
    watched: Vec<PathBuf>,
    seen: Option<Identity>,
}

/// Whether the files are at rest; for those who want to read them without having been told of a change.
#[derive(Clone)]
pub struct Rest {
    dir: PathBuf,
    shared: Arc<Shared>,
}

struct Shared {
    activity: Mutex<Activity>,
    changed: Notify,
}

impl Shared {
    fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rest {
    fn new(dir: &Path) -> Self {
        let shared = Shared { activity: Mutex::new(Activity::new(Instant::now())), changed: Notify::new() };
        Self { dir: dir.to_owned(), shared: Arc::new(shared) }
    }

    /// Why the files are not at rest however long it has been quiet: a file that is open for writing, or git's lock.
    fn held(&self) -> Option<String> {
        let open = self.shared.activity().held().map(|path| format!("{} is open for writing", path.display()));
        open.or_else(|| {
            let lock = lock::held(&self.dir)?;
            Some(format!("git is at work: {} is there; remove it if no git runs", lock.display()))
        })
    }

    /// Waits until nothing holds the files, up to this time. Past it, says what holds them.
    ///
    /// It does not wait for quiet: who asks for a reload says that the files are whole.
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

impl Watch {
    pub fn new(dir: &Path) -> Self {
        let mut watch = Self { rest: Rest::new(dir), watcher: None, watched: Vec::new(), seen: identity::of(dir) };
        watch.begin();
        watch
    }

    pub fn rest(&self) -> Rest {
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
            .inspect_err(|error| tracing::warn!(%error, "the rules can't be watched; they are looked at every second"))
            .ok();
    }

    /// Resolves when something in there is different and has come to rest.
    pub async fn changed(&mut self) {
        loop {
            let told = timeout(LOOK_EVERY, self.rest.shared.changed.notified()).await.is_ok();
            let now = identity::of(self.dir());
            // What is watched is a directory, and the name may have come to mean another one.
            if folders(self.dir()) != self.watched || self.watcher.is_none() && now != self.seen {
                self.begin();
                self.rest.shared.activity().begin_anew(Instant::now());
            } else if !told && now != self.seen {
                self.rest.shared.activity().unseen(Instant::now());
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

    /// Waits until the files are at rest, and says how they are then.
    async fn at_rest(&self, mut now: Option<Identity>) -> Option<Identity> {
        let began = Instant::now();
        let mut told = 0;
        loop {
            let noise = self.rest.shared.activity().noise(Instant::now());
            let held = self.rest.held();
            if noise.is_zero() && held.is_none() {
                let later = identity::of(self.dir());
                if later == now {
                    self.rest.shared.activity().rests();
                    return later;
                }
                // There was no event, or it is on its way.
                now = later;
                self.rest.shared.activity().unseen(Instant::now());
                continue;
            }
            if began.elapsed() >= PATIENCE * (told + 1) {
                told += 1;
                let why = held.unwrap_or_else(|| "files change all the time".to_owned());
                let seconds = began.elapsed().as_secs();
                tracing::warn!(why, seconds, "the rules have changed, and are not read before their files are at rest");
            }
            sleep(noise.clamp(Duration::from_millis(10), STEP)).await;
        }
    }
}

/// The directories of our files as they are, without symbolic links.
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
        let mut watch = Watch::new(&link);
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

    async fn stays_silent(watch: &mut Watch, so_long: Duration) -> bool {
        timeout(so_long, watch.changed()).await.is_err()
    }

    #[tokio::test]
    async fn a_file_that_is_open_for_writing_is_waited_for() {
        let dir = directory();
        let mut watch = Watch::new(dir.path());
        let rest = watch.rest();
        let mut file = fs::File::create(dir.path().join("kyc.yaml")).expect("opened");
        file.write_all(b"ha").expect("written");
        file.sync_all().expect("synced");
        assert!(stays_silent(&mut watch, Duration::from_millis(2_500)).await, "half a file was taken");
        let why = rest.released(Duration::ZERO).await.expect_err("it is open");
        assert!(why.ends_with("kyc.yaml is open for writing"), "{why}");
        file.write_all(b"lf").expect("written");
        drop(file);
        watch.changed().await;
        assert_eq!(read(dir.path()).expect("readable").get("kyc.yaml"), Some("half"));
        assert_eq!(rest.released(Duration::from_secs(30)).await, Ok(()));
    }

    #[tokio::test]
    async fn git_is_waited_for() {
        let dir = directory();
        fs::create_dir(dir.path().join(".git")).expect("made");
        let lock = dir.path().join(".git/index.lock");
        let mut watch = Watch::new(dir.path());
        fs::write(&lock, "").expect("written");
        fs::remove_file(dir.path().join("kyc.yaml")).expect("removed");
        assert!(stays_silent(&mut watch, Duration::from_millis(2_500)).await, "half a checkout was taken");
        fs::write(dir.path().join("kyc.yaml"), "new").expect("written");
        fs::remove_file(&lock).expect("removed");
        watch.changed().await;
        assert_eq!(read(dir.path()).expect("readable").get("kyc.yaml"), Some("new"));
    }

    #[tokio::test]
    async fn what_is_as_before_when_it_rests_is_no_change() {
        let dir = directory();
        let mut watch = Watch::new(dir.path());
        for nth in 0..10 {
            fs::write(dir.path().join("more.yaml"), format!("{nth}")).expect("written");
            sleep(Duration::from_millis(100)).await;
            fs::remove_file(dir.path().join("more.yaml")).expect("removed");
        }
        assert!(stays_silent(&mut watch, Duration::from_millis(2_500)).await);
    }
}
