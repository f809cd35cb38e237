//! Searches the other files of the rules directory, such as `README.md`, for git conflict markers.
//!
//! A conflict in any file means that the whole directory is an unfinished merge.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{is_ignored, is_rules_file, read};
use crate::yaml::{Diagnostic, LineIndex, MAX_FILE_BYTES, conflicts};

/// Maximum number of files that are searched.
const MAX_FILES: usize = 200;

/// Lists the other files in the directories that the program reads, without hidden files.
fn list(dir: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for prefix in ["", "templates/", "labels/"] {
        let Ok(entries) = fs::read_dir(dir.join(prefix)) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            let is_small = entry.metadata().is_ok_and(|file| file.is_file() && file.len() <= MAX_FILE_BYTES as u64);
            if is_small && !is_ignored(&name) && !is_rules_file(&path) && found.len() < MAX_FILES {
                found.push((path, entry.path()));
            }
        }
    }
    found.sort_unstable();
    found
}

/// Returns each file with a conflict and an error for it. Skips files that are too large or not text. `shown` is the
/// directory's path for diagnostics.
pub(super) fn in_conflict(dir: &Path, shown: &str) -> Vec<(String, PathBuf, Diagnostic)> {
    let conflict = |(name, path): (String, PathBuf)| {
        let shown = format!("{shown}/{name}");
        let text = read::text(&path, &shown).ok()?;
        let first = conflicts(&shown, &text).into_iter().next()?;
        let line = first.span.as_ref().map_or(1, |span| LineIndex::of(&text).line(span.start));
        // The set does not hold this file's text, so the message gives the line.
        let error = Diagnostic::error(first.code, shown, format!("line {line}: {}", first.message));
        let help =
            "keep one version, or remove the file: a conflict means that git has not finished changing this directory";
        Some((name, path, error.help(help)))
    };
    list(dir).into_iter().filter_map(conflict).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_in_any_file_of_the_directory_is_an_error() {
        let dir = tempfile::tempdir().expect("directory");
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("parent")).expect("made");
            fs::write(path, text).expect("written");
        };
        write("kyc.yaml", "format: 1\n");
        write("README.md", "Heading\n=======\n");
        assert!(super::super::read(dir.path()).is_ok());
        let paths = ["README.md", "notes.txt", "templates/README.txt", "layout.txt", "x.orig"];
        for path in paths {
            let before = super::super::identity::of(dir.path());
            write(path, "a\n  <<<<<<< HEAD\nb\n=======\nc\n>>>>>>> topic\n");
            assert!(super::super::identity::of(dir.path()) != before, "{path}: the change is seen");
            let wrong = super::super::read(dir.path()).expect_err("a conflict");
            assert!(wrong[0].file.ends_with(path) && wrong[0].code == "conflict", "{wrong:?}");
            assert!(wrong[0].message.starts_with("line 2: git has left a conflict"), "{wrong:?}");
            fs::remove_file(dir.path().join(path)).expect("removed");
        }
        let before = super::super::identity::of(dir.path());
        write("service.log", "a line\n");
        assert!(
            super::super::identity::of(dir.path()) == before,
            "a change of a file that is not read is no change of the rules"
        );
        write("image.png", "\u{0}");
        fs::write(dir.path().join("blob"), [b'<', 0xFF]).expect("written");
        write(".git/x", "<<<<<<< HEAD\n");
        write("elsewhere/x", "<<<<<<< HEAD\n");
        write("kyc.yaml~", "<<<<<<< HEAD\n");
        assert!(super::super::read(dir.path()).is_ok());
    }
}
