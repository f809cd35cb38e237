//! The file `data/judging`: the hash of the set that is being checked, so that a set which crashed the process does not
//! crash the next start.
//!
//! The file is durable before the check starts, and is removed when the check ends. A start that finds it refuses that
//! set until its files change. If there is no last good set to run, the set is checked once more, because a power cut
//! may have ended the process. The store does not depend on this file.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The file's name in the data directory.
const NAME: &str = "judging";

/// Maximum number of bytes read from the file. A hash and a number are shorter.
const MAX_BYTES: u64 = 256;

/// Number of checks of one set that may end the process if there is no other set to run.
const MAX_DEATHS: u32 = 2;

/// The marker file and what the start found in it. Clones share one state.
#[derive(Clone, Debug)]
pub struct JudgingMarker {
    path: PathBuf,
    state: Arc<Mutex<MarkerState>>,
}

#[derive(Debug, Default)]
struct MarkerState {
    found: Option<UnfinishedJudgement>,
    is_judging: bool,
    is_stopped: bool,
}

/// A check that started and did not end.
#[derive(Clone, Debug)]
struct UnfinishedJudgement {
    hash: String,
    /// Number of processes that ended during a check of this set.
    deaths: u32,
}

/// The decision whether to check a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JudgingDecision {
    Judge,
    /// The set is the active one. It was valid when it was loaded.
    InForce,
    /// A check of the set ended the process. Holds the text for the operator.
    Refused(String),
}

/// A running check. Dropping it removes the file, also after a panic.
#[must_use]
pub struct Judging<'m>(&'m JudgingMarker);

impl Drop for Judging<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_judging = false;
        self.0.remove();
    }
}

impl JudgingMarker {
    /// Reads the marker file in the data directory. A file that cannot be read names no set.
    pub fn find(data: &Path) -> Self {
        let path = data.join(NAME);
        let mut text = String::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
        let mut words = text.split_whitespace();
        let found = read.ok().and_then(|_| {
            let hash = words.next()?.to_owned();
            // The number counts started checks. Versions before 0.2 wrote no number.
            Some(UnfinishedJudgement { hash, deaths: words.next().and_then(|count| count.parse().ok()).unwrap_or(1) })
        });
        Self { path, state: Arc::new(Mutex::new(MarkerState { found, ..MarkerState::default() })) }
    }

    fn state(&self) -> MutexGuard<'_, MarkerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a check of this set started and did not end.
    pub fn names(&self, hash: &str) -> bool {
        self.state().found.as_ref().is_some_and(|found| found.hash == hash)
    }

    /// Decides whether to check this set. `in_force`: the hash of the active set, if there is one.
    pub fn decide_judging(&self, hash: &str, in_force: Option<&str>) -> JudgingDecision {
        let mut state = self.state();
        let Some(found) = state.found.as_ref().filter(|found| found.hash == hash) else {
            return JudgingDecision::Judge;
        };
        if in_force == Some(hash) {
            state.found = None;
            if !state.is_judging {
                self.remove();
            }
            return JudgingDecision::InForce;
        }
        if in_force.is_none() && found.deaths < MAX_DEATHS {
            return JudgingDecision::Judge;
        }
        let path = self.path.display();
        JudgingDecision::Refused(format!(
            "error[judging]: the process ended while it was checking these files (rule set {hash}), so they are not \
             checked again\nthe cause may be a very large or deeply nested file, or a power cut: change a file, or remove \
             {path} and restart\n"
        ))
    }

    /// Starts a check. The file is durable when this returns.
    pub fn begin(&self, hash: &str) -> io::Result<Judging<'_>> {
        let mut state = self.state();
        // After a stop, a new check writes no file: the process is shutting down.
        if !state.is_stopped {
            let deaths = state.found.as_ref().filter(|found| found.hash == hash).map_or(0, |found| found.deaths);
            self.write(&format!("{hash} {}\n", deaths + 1))?;
            state.is_judging = true;
        }
        drop(state);
        Ok(Judging(self))
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let aside = self.path.with_extension("new");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&aside, &self.path)?;
        sync_dir(&self.path)
    }

    /// Removes the file. If this fails, the next start refuses the set and reports why.
    fn remove(&self) {
        let removed = fs::remove_file(&self.path).and_then(|()| sync_dir(&self.path));
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %self.path.display(), "the marker of the rules check could not be removed");
        }
    }

    /// The service stops. Removes the file of a running check, because the files did not end the process. Keeps a set
    /// that the start found in the file.
    pub fn stop(&self) {
        let mut state = self.state();
        state.is_stopped = true;
        if state.is_judging {
            state.is_judging = false;
            self.remove();
        }
    }
}

fn sync_dir(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &str = "0123456789ab";
    const OTHER: &str = "ba9876543210";

    /// Simulates a process that ends during a check.
    fn die(marker: &JudgingMarker) {
        std::mem::forget(marker.begin(SET).expect("begun"));
    }

    fn files(dir: &tempfile::TempDir) -> usize {
        fs::read_dir(dir.path()).expect("readable").count()
    }

    #[test]
    fn the_next_start_refuses_only_the_set_that_was_being_checked() {
        let dir = tempfile::tempdir().expect("directory");
        let first = JudgingMarker::find(dir.path());
        assert_eq!(first.decide_judging("", None), JudgingDecision::Judge);
        die(&first);
        let next = JudgingMarker::find(dir.path());
        assert!(next.names(SET) && !next.names(OTHER));
        assert!(
            matches!(next.decide_judging(SET, Some(OTHER)), JudgingDecision::Refused(why) if why.contains("change a file"))
        );
        assert_eq!(next.decide_judging(OTHER, Some(SET)), JudgingDecision::Judge);
        next.stop();
        let next = JudgingMarker::find(dir.path());
        assert!(
            matches!(next.decide_judging(SET, Some(OTHER)), JudgingDecision::Refused(_)),
            "the set is refused until a file changes"
        );
        drop(next.begin(OTHER).expect("begun"));
        assert_eq!(files(&dir), 0);
    }

    #[test]
    fn a_stop_and_a_panic_remove_the_file() {
        let dir = tempfile::tempdir().expect("directory");
        let marker = JudgingMarker::find(dir.path());
        die(&marker);
        marker.stop();
        assert_eq!(files(&dir), 0, "a stop removes the file");
        die(&marker);
        assert_eq!(files(&dir), 0, "no file is written after the stop");
        let marker = JudgingMarker::find(dir.path());
        let judge = std::panic::AssertUnwindSafe(|| {
            let _judging = marker.begin(SET).expect("begun");
            panic!("intended");
        });
        assert!(std::panic::catch_unwind(judge).is_err());
        assert_eq!(files(&dir), 0);
    }

    #[test]
    fn the_active_set_is_not_refused() {
        let dir = tempfile::tempdir().expect("directory");
        die(&JudgingMarker::find(dir.path()));
        let next = JudgingMarker::find(dir.path());
        assert_eq!(next.decide_judging(SET, Some(SET)), JudgingDecision::InForce);
        assert_eq!(files(&dir), 0);
        assert_eq!(next.decide_judging(SET, Some(OTHER)), JudgingDecision::Judge, "it is checked when it comes back");
    }

    #[test]
    fn without_a_last_good_set_the_files_are_checked_twice_at_most() {
        let dir = tempfile::tempdir().expect("directory");
        for _ in 0..2 {
            let start = JudgingMarker::find(dir.path());
            assert_eq!(start.decide_judging(SET, None), JudgingDecision::Judge);
            die(&start);
        }
        assert!(matches!(JudgingMarker::find(dir.path()).decide_judging(SET, None), JudgingDecision::Refused(_)));
        assert_eq!(JudgingMarker::find(dir.path()).decide_judging(OTHER, None), JudgingDecision::Judge);
    }
}
