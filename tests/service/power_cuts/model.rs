//! A model of a disk: what it contains for certain, and what it may contain after a power failure.
//!
//! Each file is a list of its writes; each directory is a list of the changes to its names. A successful sync makes the
//! list up to then certain. A failed sync makes it uncertain permanently, because the kernel may mark the pages as
//! clean, and a later sync writes nothing. After a power failure any part of the uncertain changes may be present:
//! none, all, a prefix that may end within a write, or any sectors. Renames and new files in a directory that was not
//! synced may be present or not.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use proptest::{
    prelude::{Rng, RngExt},
    test_runner::TestRng,
};

const SECTOR: usize = 512;

/// One operation of a process on the disk, as the recorder stores it. Paths are relative to the disk's root.
#[derive(Clone, Debug)]
pub enum Done {
    MakeDir(PathBuf),
    SyncDir { path: PathBuf, failed: bool },
    Create { path: PathBuf, file: u64 },
    Open { path: PathBuf, file: u64 },
    Write { file: u64, offset: u64, bytes: Arc<[u8]> },
    Sync { file: u64, failed: bool },
    Rename { from: PathBuf, to: PathBuf },
    Remove(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Not synced yet.
    Pending,
    Certain,
    /// A sync of the change has failed.
    Uncertain,
}

#[derive(Clone, Debug)]
enum Change {
    Empty,
    Write { offset: usize, bytes: Arc<[u8]> },
}

#[derive(Clone, Copy, Debug)]
enum Node {
    File(usize),
    Dir,
}

/// Removes one name, adds one, or both; a rename does both atomically.
#[derive(Clone, Debug)]
struct Naming {
    drops: Option<String>,
    puts: Option<(String, Node)>,
}

type History<T> = Vec<(T, Fate)>;

#[derive(Clone, Debug, Default)]
pub struct Model {
    files: Vec<History<Change>>,
    dirs: BTreeMap<PathBuf, History<Naming>>,
    open: HashMap<u64, usize>,
    /// Simulates a broken disk that reports syncs as done but ignores them, to show that the test detects it.
    forgets_syncs: bool,
}

fn split(path: &Path) -> (PathBuf, String) {
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
    (path.parent().expect("below the root").to_owned(), name)
}

fn sync<T>(history: &mut History<T>, failed: bool) {
    let becomes = if failed { Fate::Uncertain } else { Fate::Certain };
    history.iter_mut().filter(|(_, fate)| *fate == Fate::Pending).for_each(|(_, fate)| *fate = becomes);
}

impl Model {
    /// Creates an empty disk.
    pub fn new() -> Self {
        Self { dirs: [(PathBuf::new(), Vec::new())].into(), ..Self::default() }
    }

    /// Creates an empty disk that reports syncs as done but ignores them.
    pub fn forgetful() -> Self {
        Self { forgets_syncs: true, ..Self::new() }
    }

    /// Puts a file on the disk as certain, with its parent directories.
    pub fn put(&mut self, path: &Path, bytes: &[u8]) {
        let (dir, name) = split(path);
        self.put_dir(&dir);
        let file = self.new_file(vec![(Change::Write { offset: 0, bytes: bytes.into() }, Fate::Certain)]);
        self.name(&dir, Naming { drops: None, puts: Some((name, Node::File(file))) }, Fate::Certain);
    }

    fn put_dir(&mut self, path: &Path) {
        if !self.dirs.contains_key(path) {
            let (above, name) = split(path);
            self.put_dir(&above);
            self.name(&above, Naming { drops: None, puts: Some((name, Node::Dir)) }, Fate::Certain);
            self.dirs.insert(path.to_owned(), Vec::new());
        }
    }

    fn new_file(&mut self, history: History<Change>) -> usize {
        self.files.push(history);
        self.files.len() - 1
    }

    fn name(&mut self, dir: &Path, naming: Naming, fate: Fate) {
        self.dirs.get_mut(dir).expect("a directory").push((naming, fate));
    }

    /// The names that the running system sees in a directory.
    fn names(&self, dir: &Path) -> BTreeMap<String, Node> {
        named(self.dirs[dir].iter().map(|(naming, _)| naming))
    }

    fn file_at(&self, path: &Path) -> Option<usize> {
        let (dir, name) = split(path);
        match self.names(&dir).get(&name) {
            Some(Node::File(file)) => Some(*file),
            _ => None,
        }
    }

    /// Closes all open files, because the process has ended.
    pub fn close_all(&mut self) {
        self.open.clear();
    }

    pub fn apply(&mut self, done: &Done) {
        match done {
            Done::MakeDir(path) => {
                let (dir, name) = split(path);
                self.name(&dir, Naming { drops: None, puts: Some((name, Node::Dir)) }, Fate::Pending);
                self.dirs.insert(path.clone(), Vec::new());
            }
            Done::SyncDir { path, failed } => sync(self.dirs.get_mut(path).expect("a directory"), *failed),
            Done::Create { path, file } => {
                let (dir, name) = split(path);
                let id = match self.file_at(path) {
                    Some(id) => {
                        self.files[id].push((Change::Empty, Fate::Pending));
                        id
                    }
                    None => {
                        let id = self.new_file(Vec::new());
                        self.name(&dir, Naming { drops: None, puts: Some((name, Node::File(id))) }, Fate::Pending);
                        id
                    }
                };
                self.open.insert(*file, id);
            }
            Done::Open { path, file } => {
                let id = self.file_at(path).expect("a file");
                self.open.insert(*file, id);
            }
            Done::Write { file, offset, bytes } => {
                let change =
                    Change::Write { offset: usize::try_from(*offset).expect("small"), bytes: Arc::clone(bytes) };
                self.files[self.open[file]].push((change, Fate::Pending));
            }
            Done::Sync { file, failed } => {
                if !self.forgets_syncs {
                    sync(&mut self.files[self.open[file]], *failed);
                }
            }
            Done::Rename { from, to } => {
                let file = self.file_at(from).expect("a file");
                let ((dir, from), (same, to)) = (split(from), split(to));
                assert_eq!(dir, same, "within one directory");
                self.name(&dir, Naming { drops: Some(from), puts: Some((to, Node::File(file))) }, Fate::Pending);
            }
            Done::Remove(path) => {
                let (dir, name) = split(path);
                if self.names(&dir).contains_key(&name) {
                    self.name(&dir, Naming { drops: Some(name), puts: None }, Fate::Pending);
                }
            }
        }
    }

    /// Writes the files that the running system sees into this directory.
    pub fn show(&self, root: &Path) {
        self.show_dir(Path::new(""), root);
    }

    fn show_dir(&self, dir: &Path, root: &Path) {
        for (name, node) in self.names(dir) {
            let path = dir.join(name);
            match node {
                Node::Dir => {
                    fs::create_dir(root.join(&path)).expect("made");
                    self.show_dir(&path, root);
                }
                Node::File(file) => {
                    let content = content(self.files[file].iter().map(|(change, _)| change.clone()));
                    fs::write(root.join(path), content).expect("written");
                }
            }
        }
    }

    /// Returns a disk that may result from a power failure now.
    pub fn cut(&self, random: &mut TestRng) -> Self {
        let mut after = Self { forgets_syncs: self.forgets_syncs, ..Self::new() };
        self.cut_dir(Path::new(""), &mut after, random);
        after
    }

    fn cut_dir(&self, dir: &Path, after: &mut Self, random: &mut TestRng) {
        let left = survivors(&self.dirs[dir], random);
        for (name, node) in named(left.iter()) {
            let path = dir.join(name);
            match node {
                Node::Dir => {
                    after.put_dir(&path);
                    self.cut_dir(&path, after, random);
                }
                Node::File(file) => after.put(&path, &self.cut_file(file, random)),
            }
        }
    }

    fn cut_file(&self, file: usize, random: &mut TestRng) -> Vec<u8> {
        let history = &self.files[file];
        if random.random_bool(0.5) {
            return content(survivors(history, random).into_iter());
        }
        // Keeps random sectors of the uncertain writes, each independently.
        let keep = f64::from(random.next_u32() % 101) / 100.0;
        let mut left = Vec::new();
        for (change, fate) in history {
            match change {
                Change::Write { offset, bytes } if *fate != Fate::Certain => {
                    let mut at = 0;
                    while at < bytes.len() {
                        let end = (at + SECTOR - (offset + at) % SECTOR).min(bytes.len());
                        if random.random_bool(keep) {
                            left.push(Change::Write { offset: offset + at, bytes: bytes[at..end].into() });
                        }
                        at = end;
                    }
                }
                Change::Empty if *fate != Fate::Certain && !random.random_bool(keep) => {}
                certain => left.push(certain.clone()),
            }
        }
        content(left.into_iter())
    }
}

/// Returns the certain changes, and of the rest none, all, or a prefix, whose last write may be partial.
fn survivors<T: Clone + Tear>(history: &History<T>, random: &mut TestRng) -> Vec<T> {
    let uncertain = history.iter().filter(|(_, fate)| *fate != Fate::Certain).count();
    let mut kept = match random.next_u32() % 4 {
        0 => 0,
        1 => uncertain,
        _ => random.next_u64() as usize % (uncertain + 1),
    };
    let mut left = Vec::new();
    for (change, fate) in history {
        if *fate == Fate::Certain {
            left.push(change.clone());
        } else if kept > 0 {
            kept -= 1;
            let torn = kept == 0 && random.random_bool(0.3);
            left.push(if torn { change.torn(random) } else { change.clone() });
        }
    }
    left
}

trait Tear {
    fn torn(&self, random: &mut TestRng) -> Self;
}

impl Tear for Change {
    fn torn(&self, random: &mut TestRng) -> Self {
        match self {
            Self::Write { offset, bytes } => {
                let length = random.next_u64() as usize % (bytes.len() + 1);
                Self::Write { offset: *offset, bytes: bytes[..length].into() }
            }
            Self::Empty => Self::Empty,
        }
    }
}

impl Tear for Naming {
    /// Changes to names are atomic.
    fn torn(&self, _: &mut TestRng) -> Self {
        self.clone()
    }
}

fn named<'a>(history: impl Iterator<Item = &'a Naming>) -> BTreeMap<String, Node> {
    let mut names = BTreeMap::new();
    for naming in history {
        if let Some(name) = &naming.drops {
            names.remove(name);
        }
        if let Some((name, node)) = &naming.puts {
            names.insert(name.clone(), *node);
        }
    }
    names
}

fn content(changes: impl Iterator<Item = Change>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for change in changes {
        match change {
            Change::Empty => bytes.clear(),
            Change::Write { offset, bytes: written } => {
                let end = offset + written.len();
                if !written.is_empty() && bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[offset.min(end)..][..written.len()].copy_from_slice(&written);
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::test_runner::RngAlgorithm;

    use super::*;

    fn random() -> TestRng {
        TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32])
    }

    /// Returns the possible contents of `a` after 200 cuts.
    fn left(model: &Model) -> Vec<Option<Vec<u8>>> {
        let mut random = random();
        let mut all = Vec::new();
        for _ in 0..200 {
            let after = model.cut(&mut random);
            let found = after.file_at(Path::new("a"));
            all.push(found.map(|file| content(after.files[file].iter().map(|(change, _)| change.clone()))));
        }
        all.sort();
        all.dedup();
        all
    }

    fn written(model: &mut Model, name: &str, file: u64) {
        model.apply(&Done::Create { path: name.into(), file });
        model.apply(&Done::Write { file, offset: 0, bytes: b"xy"[..].into() });
    }

    #[test]
    fn synced_data_survives_and_other_data_may() {
        let mut model = Model::new();
        written(&mut model, "a", 1);
        let some = |text: &[u8]| Some(text.to_vec());
        assert_eq!(left(&model), [None, some(b""), some(b"x"), some(b"xy")]);
        model.apply(&Done::Sync { file: 1, failed: false });
        assert_eq!(left(&model), [None, some(b"xy")], "the name is not synced");
        model.apply(&Done::SyncDir { path: "".into(), failed: false });
        assert_eq!(left(&model), [some(b"xy")]);
        model.apply(&Done::Write { file: 1, offset: 1, bytes: b"z"[..].into() });
        model.apply(&Done::Sync { file: 1, failed: true });
        model.apply(&Done::Sync { file: 1, failed: false });
        assert_eq!(left(&model), [some(b"xy"), some(b"xz")], "a later sync does not repair a failed one");
    }

    #[test]
    fn a_rename_is_atomic() {
        let mut model = Model::new();
        model.put(Path::new("a"), b"old");
        written(&mut model, "b", 1);
        model.apply(&Done::Sync { file: 1, failed: false });
        model.apply(&Done::Rename { from: "b".into(), to: "a".into() });
        let some = |text: &[u8]| Some(text.to_vec());
        assert_eq!(left(&model), [some(b"old"), some(b"xy")]);
    }
}
