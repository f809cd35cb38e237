//! Finds the lock file that git holds while it changes a working tree.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

/// Maximum number of bytes read from a `.git` file.
const MAX_POINTER_BYTES: u64 = 8 * 1024;

/// Returns the path of `index.lock` in the repository of the directory or one of its parents; `None` if git does not
/// run.
pub(super) fn held(dir: &Path) -> Option<PathBuf> {
    // If the directory is a symbolic link, the repository may hold the link or its target.
    let as_named = std::path::absolute(dir).ok();
    let resolved = fs::canonicalize(dir).ok();
    let paths = as_named.iter().chain(resolved.iter().filter(|path| Some(*path) != as_named.as_ref()));
    paths.flat_map(|path| path.ancestors()).find_map(|folder| {
        let lock = git_directory(&folder.join(".git"))?.join("index.lock");
        lock.exists().then_some(lock)
    })
}

/// Resolves `.git`: a directory, or in a worktree or submodule a file that names the directory.
fn git_directory(dot_git: &Path) -> Option<PathBuf> {
    let metadata = fs::metadata(dot_git).ok()?;
    if metadata.is_dir() {
        return Some(dot_git.to_owned());
    }
    let mut text = String::new();
    let file = fs::File::open(dot_git).ok().filter(|_| metadata.is_file())?;
    file.take(MAX_POINTER_BYTES).read_to_string(&mut text).ok()?;
    let named = text.lines().find_map(|line| line.strip_prefix("gitdir:"))?.trim();
    Some(dot_git.parent()?.join(named))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_of_a_repository_and_of_a_worktree_is_found() {
        let temporary = tempfile::tempdir().expect("directory");
        let at = |name: &str| temporary.path().join(name);
        for folder in ["repo/.git/worktrees/wt", "repo/shop/rules", "wt/rules"] {
            fs::create_dir_all(at(folder)).expect("made");
        }
        fs::write(at("wt/.git"), "gitdir: ../repo/.git/worktrees/wt\n").expect("written");
        std::os::unix::fs::symlink(at("repo/shop/rules"), at("rules")).expect("linked");
        for (dir, lock) in [
            ("repo/shop/rules", "repo/.git/index.lock"),
            ("repo", "repo/.git/index.lock"),
            ("rules", "repo/.git/index.lock"),
            ("wt/rules", "repo/.git/worktrees/wt/index.lock"),
        ] {
            assert_eq!(held(&at(dir)), None, "{dir}");
            fs::write(at(lock), "").expect("written");
            assert!(held(&at(dir)).is_some_and(|found| found.ends_with("index.lock")), "{dir}");
            fs::remove_file(at(lock)).expect("removed");
        }
    }
}
