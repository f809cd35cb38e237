//! The directory in which merchants keep their rules: read as a whole, and watched for changes.
//!
//! It is the directory that is watched, not files: editors write beside and rename, `git checkout` replaces, and deployments
//! swap a symbolic link. A look at names, sizes and times once a second catches what no event tells.

mod overlooked;
mod reading;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

pub use overlooked::overlooked;

use crate::source::{Diagnostic, Files};

/// More than anybody writes by hand.
const MAX_TOTAL_BYTES: u64 = 256 << 20;

/// How often it is looked whether something has changed, whatever events say.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long it must be quiet after an event, so that a save of many files is read once.
const QUIET: Duration = Duration::from_millis(100);

/// Quiet or not, so long after the first event it is read.
const PATIENCE: Duration = Duration::from_millis(1_000);

/// Hidden, or an editor's.
fn is_left_alone(name: &str) -> bool {
    name.starts_with('.') || name.starts_with('#') || name.ends_with('~')
}

/// The directory as diagnostics name it.
fn shown(dir: &Path) -> String {
    let shown = dir.display().to_string();
    shown.strip_prefix("./").unwrap_or(&shown).trim_end_matches('/').to_owned()
}

/// The files in there that mean something; everything else may lie beside them.
fn is_ours(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    if is_left_alone(name) {
        return false;
    }
    match path.split_once('/') {
        None => path.ends_with(".yaml") || path.ends_with(".yml"),
        Some(("templates", name)) => !name.contains('/') && (name.ends_with(".md") || name == "layout.html"),
        Some(("labels", name)) => !name.contains('/') && (name.ends_with(".yaml") || name.ends_with(".yml")),
        Some(_) => false,
    }
}

/// The paths of our files below the directory.
fn list(dir: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for (prefix, folder) in
        [("", dir.to_owned()), ("templates/", dir.join("templates")), ("labels/", dir.join("labels"))]
    {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !prefix.is_empty() => continue,
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().map(|name| format!("{prefix}{}", name.to_string_lossy())).unwrap_or_default();
            if is_ours(&name) && !path.is_dir() {
                found.push((name, path));
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Reads the directory; or says everything that can't be read. What else lies there is [`overlooked`].
pub fn read(dir: &Path) -> Result<Files, Vec<Diagnostic>> {
    let shown = shown(dir);
    let paths = list(dir).map_err(|error| {
        let unreadable = Diagnostic::error("file", shown.clone(), format!("can't be read: {error}"));
        vec![unreadable.help("the directory of the rules is `rules:` in the configuration, or --rules")]
    })?;
    if !paths.iter().any(|(name, _)| !name.contains('/')) {
        let empty = Diagnostic::error("file", shown, "there are no rules here: no file ends in .yaml")
            .help("`kyc-rules init` writes a set to begin with");
        return Err(vec![empty]);
    }
    let mut files = Files::default();
    let mut wrong = Vec::new();
    let mut total = 0;
    for (name, path) in paths {
        match reading::text(&path, &format!("{shown}/{name}")) {
            Err(problem) => wrong.push(*problem),
            Ok(text) => {
                total += text.len() as u64;
                files.insert(name, text);
            }
        }
        if total > MAX_TOTAL_BYTES {
            wrong.push(Diagnostic::error("file", shown, format!("the rules are larger than {MAX_TOTAL_BYTES} bytes")));
            break;
        }
    }
    if wrong.is_empty() { Ok(files) } else { Err(wrong) }
}

/// What tells one state of the directory from the next without reading it.
#[derive(PartialEq, Eq)]
struct Look(Vec<(String, u64, i128, u64)>);

fn look(dir: &Path) -> Option<Look> {
    use std::os::unix::fs::MetadataExt;
    let mut seen = Vec::new();
    for (name, path) in list(dir).ok()? {
        let metadata = fs::metadata(path).ok()?;
        let changed = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        seen.push((name, metadata.len(), changed, metadata.ino()));
    }
    Some(Look(seen))
}

/// Says when the directory has changed.
pub struct Watch {
    dir: PathBuf,
    /// Dropped, it stops. `None` where the system can't watch: then looking has to do.
    _watcher: Option<RecommendedWatcher>,
    events: mpsc::Receiver<()>,
    seen: Option<Look>,
}

impl Watch {
    pub fn new(dir: &Path) -> Self {
        let (tell, events) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Looking at the directory is an event, too, and must not lead to the next look. One waiting event says all.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                let _ = tell.try_send(());
            }
        });
        let watcher = watcher.and_then(|mut watcher| {
            watcher.watch(dir, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, "the rules can't be watched; they are looked at every second"))
            .ok();
        Self { dir: dir.to_owned(), _watcher: watcher, events, seen: look(dir) }
    }

    /// Resolves when something in there is different and has come to rest.
    pub async fn changed(&mut self) {
        loop {
            // An error here is the second that has passed, or a watcher that is gone.
            if let Ok(None) = timeout(LOOK_EVERY, self.events.recv()).await {
                sleep(LOOK_EVERY).await;
            }
            let first = Instant::now();
            let mut now = look(&self.dir);
            if now == self.seen {
                continue;
            }
            while first.elapsed() < PATIENCE {
                sleep(QUIET).await;
                let later = look(&self.dir);
                let rests = later == now;
                now = later;
                if rests {
                    break;
                }
            }
            self.seen = now;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beside_the_rules_is_left_alone() {
        for path in
            ["kyc.yaml", "kyc.test.yaml", "old.yml", "templates/a.en.md", "templates/layout.html", "labels/de.yaml"]
        {
            assert!(is_ours(path), "{path}");
        }
        for path in
            [".kyc.yaml.swp", "#kyc.yaml#", "kyc.yaml~", "README.md", "templates/a/b.md", ".git/x.yaml", "x/y.yaml"]
        {
            assert!(!is_ours(path), "{path}");
        }
    }

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

    #[test]
    fn what_can_not_be_read_is_named() {
        let dir = tempfile::tempdir().expect("directory");
        assert!(read(dir.path()).expect_err("empty")[0].message.contains("no rules"));
        fs::write(dir.path().join("kyc.yaml"), [b'a', b'\n', b'b', 0xFF]).expect("written");
        let wrong = read(dir.path()).expect_err("no text");
        assert_eq!(wrong[0].file, format!("{}/kyc.yaml", dir.path().display()));
        assert_eq!(wrong[0].message, "line 2 is not UTF-8, at byte 3 of the file");
        assert!(read(&dir.path().join("gone")).expect_err("gone")[0].message.contains("can't be read"));
    }

    #[test]
    fn what_never_ends_or_never_comes_is_named_and_not_waited_for() {
        let dir = tempfile::tempdir().expect("directory");
        let at = |name: &str| dir.path().join(name);
        for folder in ["templates", "labels"] {
            fs::create_dir(at(folder)).expect("made");
        }
        fs::write(at("kyc.yaml"), "format: 1\n").expect("written");
        std::os::unix::fs::symlink("/dev/zero", at("zero.yaml")).expect("linked");
        std::os::unix::fs::symlink("/dev/zero", at("labels/en.yaml")).expect("linked");
        let made = std::process::Command::new("mkfifo").arg(at("templates/pipe.en.md")).status().expect("mkfifo");
        assert!(made.success());
        // As large as anybody likes; there is nothing in it.
        fs::File::create(at("huge.yaml")).and_then(|file| file.set_len(1 << 40)).expect("made");
        fs::write(at("full.yaml"), "#".repeat(crate::source::MAX_FILE_BYTES)).expect("written");
        let wrong = read(dir.path()).expect_err("refused");
        let found: Vec<(&str, &str)> =
            wrong.iter().map(|one| (one.file.rsplit('/').next().unwrap_or_default(), one.code)).collect();
        let expected = [("huge.yaml", "size"), ("en.yaml", "file"), ("pipe.en.md", "file"), ("zero.yaml", "file")];
        assert_eq!(found, expected, "{wrong:?}");
    }
}
