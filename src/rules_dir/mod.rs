//! The rules directory: reads it as a whole while no process writes to it, and watches it for changes.
//!
//! The program watches the directory, not files: editors write a new file and rename it, `git checkout` replaces files,
//! and deployments swap a symbolic link. A comparison of names, sizes and times once a second finds changes without an
//! event.

mod activity;
mod identity;
mod lock;
mod overlooked;
mod read;
mod strays;
mod watch;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

pub use overlooked::overlooked;
pub use watch::{DirectoryWatch, QuietPeriod};

use crate::yaml::{Diagnostic, Files};

/// Maximum total size of the files.
const MAX_TOTAL_BYTES: u64 = 256 << 20;

/// Whether a file is hidden or a temporary file of an editor.
fn is_ignored(name: &str) -> bool {
    name.starts_with('.') || name.starts_with('#') || name.ends_with('~')
}

/// The directory's path as diagnostics show it.
fn shown(dir: &Path) -> String {
    let shown = dir.display().to_string();
    shown.strip_prefix("./").unwrap_or(&shown).trim_end_matches('/').to_owned()
}

/// Whether the program reads a file of this path. The directory may hold other files.
fn is_rules_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    if is_ignored(name) {
        return false;
    }
    match path.split_once('/') {
        None => path.ends_with(".yaml") || path.ends_with(".yml"),
        Some(("templates", name)) => !name.contains('/') && (name.ends_with(".md") || name == "layout.html"),
        Some(("labels", name)) => !name.contains('/') && (name.ends_with(".yaml") || name.ends_with(".yml")),
        Some(_) => false,
    }
}

/// Lists the files that the program reads, with names relative to the directory.
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
            if is_rules_file(&name) && !path.is_dir() {
                found.push((name, path));
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Maximum number of reads of a directory that changes while it is read.
const MAX_READINGS: usize = 10;

/// Reads the directory. Returns an error for each file that cannot be read. [`overlooked`] reports files that are not
/// read.
///
/// The result is a consistent snapshot: if a file changes during the read, all files are read again.
pub fn read(dir: &Path) -> Result<Files, Vec<Diagnostic>> {
    for _ in 0..MAX_READINGS {
        let before = identity::of(dir);
        let files = read_once(dir);
        if identity::of(dir) == before {
            return files;
        }
    }
    let moving = Diagnostic::error("file", shown(dir), "the files change while the program reads them");
    Err(vec![moving.help("wait until the program that writes these files has finished")])
}

fn read_once(dir: &Path) -> Result<Files, Vec<Diagnostic>> {
    let shown = shown(dir);
    let paths = list(dir).map_err(|error| {
        let unreadable = Diagnostic::error("file", shown.clone(), format!("cannot be read: {error}"));
        vec![unreadable.help("set the rules directory with `rules:` in the configuration, or with --rules")]
    })?;
    if !paths.iter().any(|(name, _)| !name.contains('/')) {
        let empty = Diagnostic::error("file", shown, "there are no rules here: no file name ends in .yaml")
            .help("`kyc-rules init` creates a set of rules");
        return Err(vec![empty]);
    }
    let mut files = Files::default();
    let mut wrong: Vec<Diagnostic> = strays::in_conflict(dir, &shown).into_iter().map(|(_, _, error)| error).collect();
    let mut total = 0;
    for (name, path) in paths {
        match read::text(&path, &format!("{shown}/{name}")) {
            Err(problem) => wrong.push(*problem),
            Ok(text) => {
                total += text.len() as u64;
                files.insert(name, text);
            }
        }
        if total > MAX_TOTAL_BYTES {
            wrong.push(Diagnostic::error(
                "file",
                shown,
                format!("all files together are larger than {MAX_TOTAL_BYTES} bytes"),
            ));
            break;
        }
    }
    if wrong.is_empty() { Ok(files) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_in_the_directory_are_not_read() {
        for path in
            ["kyc.yaml", "kyc.test.yaml", "old.yml", "templates/a.en.md", "templates/layout.html", "labels/de.yaml"]
        {
            assert!(is_rules_file(path), "{path}");
        }
        for path in
            [".kyc.yaml.swp", "#kyc.yaml#", "kyc.yaml~", "README.md", "templates/a/b.md", ".git/x.yaml", "x/y.yaml"]
        {
            assert!(!is_rules_file(path), "{path}");
        }
    }

    #[test]
    fn unreadable_files_are_reported_by_name() {
        let dir = tempfile::tempdir().expect("directory");
        assert!(read(dir.path()).expect_err("empty")[0].message.contains("no rules"));
        fs::write(dir.path().join("kyc.yaml"), [b'a', b'\n', b'b', 0xFF]).expect("written");
        let wrong = read(dir.path()).expect_err("no text");
        assert_eq!(wrong[0].file, format!("{}/kyc.yaml", dir.path().display()));
        assert_eq!(wrong[0].message, "line 2 is not UTF-8, at byte 3 of the file");
        assert!(read(&dir.path().join("gone")).expect_err("gone")[0].message.contains("cannot be read"));
    }

    #[test]
    fn devices_pipes_and_huge_files_are_reported_without_reading_them() {
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
        // A sparse file of 1 TiB.
        fs::File::create(at("huge.yaml")).and_then(|file| file.set_len(1 << 40)).expect("made");
        fs::write(at("full.yaml"), "#".repeat(crate::yaml::MAX_FILE_BYTES)).expect("written");
        let wrong = read(dir.path()).expect_err("refused");
        let found: Vec<(&str, &str)> =
            wrong.iter().map(|one| (one.file.rsplit('/').next().unwrap_or_default(), one.code)).collect();
        let expected = [("huge.yaml", "size"), ("en.yaml", "file"), ("pipe.en.md", "file"), ("zero.yaml", "file")];
        assert_eq!(found, expected, "{wrong:?}");
    }
}
