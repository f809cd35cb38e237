//! `data/judging`: the hash of the set that is being judged, so that a set which ended the process does not end the next start.
//!
//! The file is durable before the judge begins and removed when it has ended. A start that finds it refuses that set until its
//! files change. It is a file of its own beside the store: nothing of the store depends on it.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Its name in the data directory.
const NAME: &str = "judging";

/// More than a hash has.
const MAX_BYTES: u64 = 256;

/// Where it is, and what the start has found there.
#[derive(Clone, Debug)]
pub struct Marker {
    path: PathBuf,
    found: Option<String>,
}

impl Marker {
    /// Looks into the data directory. What can't be read there counts as nothing: it names no set.
    pub fn find(data: &Path) -> Self {
        let path = data.join(NAME);
        let mut text = String::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
        let found = read.ok().map(|_| text.trim().to_owned()).filter(|hash| !hash.is_empty());
        Self { path, found }
    }

    /// Why this set is refused without a judgement.
    pub fn refusal(&self, hash: &str) -> Option<String> {
        (self.found.as_deref() == Some(hash)).then(|| {
            let path = self.path.display();
            format!(
                "error[judging]: the process ended while it judged these files (rule set {hash}), so they are not judged again\n\
                 a very large or deep file may be the reason, or the machine was switched off at that moment: change a file, or \
                 remove {path} and start again\n"
            )
        })
    }

    /// Durable when it returns.
    pub fn set(&self, hash: &str) -> io::Result<()> {
        let aside = self.path.with_extension("new");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all(format!("{hash}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&aside, &self.path)?;
        sync_dir(&self.path)
    }

    /// The set has been judged. A marker that stays can't be removed: the next start then refuses the set and says why.
    pub fn clear(&self) {
        let removed = fs::remove_file(&self.path).and_then(|()| sync_dir(&self.path));
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %self.path.display(), "the marker of a judgement can't be removed");
        }
    }

    /// The service stops. A judgement that it cuts short is not the fault of the files.
    pub fn stop(&self) {
        // What the start has found stays until other files are judged.
        if Self::find(self.path.parent().unwrap_or(&self.path)).found != self.found {
            self.clear();
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

    #[test]
    fn what_was_being_judged_is_found_by_the_next_start_and_only_that() {
        let dir = tempfile::tempdir().expect("directory");
        let first = Marker::find(dir.path());
        assert_eq!(first.refusal(""), None);
        first.set("0123456789ab").expect("set");
        let next = Marker::find(dir.path());
        assert!(next.refusal("0123456789ab").expect("refused").contains("change a file"));
        assert_eq!(next.refusal("ba9876543210"), None);
        next.stop();
        assert!(Marker::find(dir.path()).refusal("0123456789ab").is_some(), "it is refused until a file changes");
        next.set("ba9876543210").expect("set");
        next.clear();
        next.clear();
        assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 0);
        first.set("0123456789ab").expect("set");
        first.stop();
        assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 0, "a stop is no fault of the files");
    }
}
