//! Warns about files in the rules directory that look like rules, templates or labels but are not read.
//!
//! It checks only names, in the directory and one level below it.

use std::{fs, path::Path};

use crate::yaml::Diagnostic;

/// Returns a warning for each such file, sorted by path. Skips directories that cannot be listed; reading them reports
/// the error.
pub fn overlooked(dir: &Path) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (name, is_dir) in entries(dir) {
        let path = format!("{}/{name}", super::shown(dir));
        match &*name {
            "templates" | "labels" if is_dir => {
                let ending = if name == "labels" { "yaml" } else { "md" };
                let below = entries(&dir.join(&name)).into_iter();
                found.extend(below.filter_map(|(file, is_dir)| named(&format!("{path}/{file}"), is_dir, ending)));
            }
            _ if is_dir && ending(&name).is_none() => found.extend(directory(&dir.join(&name), path)),
            _ => found.extend(named(&path, is_dir, "yaml")),
        }
    }
    found
}

/// Warns about a file whose extension has capital letters, and about a directory whose name ends like a file's.
fn named(path: &str, is_dir: bool, expected: &str) -> Option<Diagnostic> {
    let ending = ending(path)?;
    let lower = ending.to_ascii_lowercase();
    if lower != expected && !(expected == "yaml" && lower == "yml") {
        return None;
    }
    if is_dir {
        let warning = Diagnostic::warning("ignored", path, "this is a directory; the files in it are not read");
        return Some(warning.help("put files that end in .yaml directly into the rules directory"));
    }
    let help = format!("rename it to end in .{expected}");
    (ending != lower).then(|| {
        Diagnostic::warning("ignored", path, format!("this file is not read, because it ends in .{ending}")).help(help)
    })
}

/// Warns about a subdirectory with rules files.
fn directory(dir: &Path, path: String) -> Option<Diagnostic> {
    let is_rules = |(name, is_dir): &(String, bool)| !is_dir && matches!(ending(name), Some("yaml" | "yml"));
    let (first, _) = entries(dir).into_iter().find(is_rules)?;
    let message = format!("this directory is not read, and it contains {first}");
    Some(Diagnostic::warning("ignored", path, message).help("move its files into the rules directory"))
}

fn ending(name: &str) -> Option<&str> {
    name.rsplit('/').next()?.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, ending)| ending)
}

/// Lists names and whether each is a directory, without hidden files and temporary files of editors.
fn entries(dir: &Path) -> Vec<(String, bool)> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut found: Vec<(String, bool)> = entries
        .flatten()
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path().is_dir()))
        .filter(|(name, _)| !super::is_ignored(name))
        .collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_look_like_rules_but_are_not_read_get_a_warning() {
        let dir = tempfile::tempdir().expect("directory");
        let write = |path: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("parent")).expect("made");
            fs::write(path, "format: 1\n").expect("written");
        };
        for path in ["a.yaml", "README.md", "notes/plan.txt", ".git/x.yaml", "templates/a.en.md", "labels/en.yaml"] {
            write(path);
        }
        assert_eq!(overlooked(dir.path()), []);
        for path in ["y.YAML", "x.yaml/a", "sub/b.yaml", "templates/b.en.MD", "labels/de.Yml"] {
            write(path);
        }
        let shown = format!("{}/", super::super::shown(dir.path()));
        let found = overlooked(dir.path());
        let files: Vec<&str> = found.iter().filter_map(|one| one.file.strip_prefix(&shown)).collect();
        assert_eq!(files, ["labels/de.Yml", "sub", "templates/b.en.MD", "x.yaml", "y.YAML"], "{found:?}");
    }
}
