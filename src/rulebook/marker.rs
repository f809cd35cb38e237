//! `data/judging`: the hash of the set that is being judged, so that a set which ended the process does not end the next start.
//!
//! The file is durable before the judge begins and removed when it has ended. A start that finds it refuses that set until its
//! files change. Where there is no last good set to run, the set is judged once more: a power cut is not the fault of the files. It is a
//! file of its own beside the store: nothing of the store depends on it.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Its name in the data directory.
const NAME: &str = "judging";

/// More than a hash and a number have.
const MAX_BYTES: u64 = 256;

/// How many judgements of one set may end the process where there is no other set to run.
const MAX_DEATHS: u32 = 2;

/// Where it is, and what the start has found there. Clones share what they know.
#[derive(Clone, Debug)]
pub struct Marker {
    path: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    found: Option<Found>,
    is_judging: bool,
    is_stopped: bool,
}

/// A judgement without an end.
#[derive(Clone, Debug)]
struct Found {
    hash: String,
    /// How many processes have ended in it.
    deaths: u32,
}

/// Whether a set is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    Judge,
    /// It is the set in force, which was found right when it was loaded.
    InForce,
    /// It ended the process. The text is what the merchant reads.
    Refused(String),
}

/// A judgement under way; its end removes the file, also where the judge panics.
#[must_use]
pub struct Judging<'m>(&'m Marker);

impl Drop for Judging<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_judging = false;
        self.0.remove();
    }
}

impl Marker {
    /// Looks into the data directory. What can't be read there counts as nothing: it names no set.
    pub fn find(data: &Path) -> Self {
        let path = data.join(NAME);
        let mut text = String::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
        let mut words = text.split_whitespace();
        let found = read.ok().and_then(|_| {
            let hash = words.next()?.to_owned();
            // The number counts begun judgements; versions before 0.2 wrote none.
            Some(Found { hash, deaths: words.next().and_then(|count| count.parse().ok()).unwrap_or(1) })
        });
        Self { path, state: Arc::new(Mutex::new(State { found, ..State::default() })) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a judgement of this set has begun and not ended.
    pub fn names(&self, hash: &str) -> bool {
        self.state().found.as_ref().is_some_and(|found| found.hash == hash)
    }

    /// Whether this set is judged. `in_force`: the hash of the set that runs, if any does.
    pub fn admit(&self, hash: &str, in_force: Option<&str>) -> Admission {
        let mut state = self.state();
        let Some(found) = state.found.as_ref().filter(|found| found.hash == hash) else { return Admission::Judge };
        if in_force == Some(hash) {
            state.found = None;
            if !state.is_judging {
                self.remove();
            }
            return Admission::InForce;
        }
        if in_force.is_none() && found.deaths < MAX_DEATHS {
            return Admission::Judge;
        }
        let path = self.path.display();
        Admission::Refused(format!(
            "error[judging]: the process ended while it judged these files (rule set {hash}), so they are not judged again\n\
             a very large or deep file may be the reason, or the machine was switched off at that moment: change a file, or \
             remove {path} and start again\n"
        ))
    }

    /// A judgement begins. The file is durable when this returns.
    pub fn begin(&self, hash: &str) -> io::Result<Judging<'_>> {
        let mut state = self.state();
        // The process ends in order, and a judgement that begins now has no consequence.
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

    /// A file that stays can't be removed: the next start then refuses the set and says why.
    fn remove(&self) {
        let removed = fs::remove_file(&self.path).and_then(|()| sync_dir(&self.path));
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %self.path.display(), "the marker of a judgement can't be removed");
        }
    }

    /// The service stops. A judgement that it cuts short is not the fault of the files; what the start has found stays.
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

    /// The process ends while it judges.
    fn die(marker: &Marker) {
        std::mem::forget(marker.begin(SET).expect("begun"));
    }

    fn files(dir: &tempfile::TempDir) -> usize {
        fs::read_dir(dir.path()).expect("readable").count()
    }

    #[test]
    fn what_was_being_judged_is_found_by_the_next_start_and_only_that() {
        let dir = tempfile::tempdir().expect("directory");
        let first = Marker::find(dir.path());
        assert_eq!(first.admit("", None), Admission::Judge);
        die(&first);
        let next = Marker::find(dir.path());
        assert!(next.names(SET) && !next.names(OTHER));
        assert!(matches!(next.admit(SET, Some(OTHER)), Admission::Refused(why) if why.contains("change a file")));
        assert_eq!(next.admit(OTHER, Some(SET)), Admission::Judge);
        next.stop();
        let next = Marker::find(dir.path());
        assert!(matches!(next.admit(SET, Some(OTHER)), Admission::Refused(_)), "it is refused until a file changes");
        drop(next.begin(OTHER).expect("begun"));
        assert_eq!(files(&dir), 0);
    }

    #[test]
    fn a_stop_and_a_panic_are_orderly_ends() {
        let dir = tempfile::tempdir().expect("directory");
        let marker = Marker::find(dir.path());
        die(&marker);
        marker.stop();
        assert_eq!(files(&dir), 0, "a stop is no fault of the files");
        die(&marker);
        assert_eq!(files(&dir), 0, "nothing begins after the stop");
        let marker = Marker::find(dir.path());
        let judge = std::panic::AssertUnwindSafe(|| {
            let _judging = marker.begin(SET).expect("begun");
            panic!("as said");
        });
        assert!(std::panic::catch_unwind(judge).is_err());
        assert_eq!(files(&dir), 0);
    }

    #[test]
    fn the_set_in_force_is_not_refused() {
        let dir = tempfile::tempdir().expect("directory");
        die(&Marker::find(dir.path()));
        let next = Marker::find(dir.path());
        assert_eq!(next.admit(SET, Some(SET)), Admission::InForce);
        assert_eq!(files(&dir), 0);
        assert_eq!(next.admit(SET, Some(OTHER)), Admission::Judge, "nor when it comes back");
    }

    #[test]
    fn without_a_last_good_set_the_files_get_a_second_judgement_and_no_third() {
        let dir = tempfile::tempdir().expect("directory");
        for _ in 0..2 {
            let start = Marker::find(dir.path());
            assert_eq!(start.admit(SET, None), Admission::Judge);
            die(&start);
        }
        assert!(matches!(Marker::find(dir.path()).admit(SET, None), Admission::Refused(_)));
        assert_eq!(Marker::find(dir.path()).admit(OTHER, None), Admission::Judge);
    }
}
