//! The file operations that durability depends on: create, write, sync, rename, remove, create a directory, sync a
//! directory.
//!
//! The journal performs all its writes through a [`Disk`]. In production a call costs one check of an empty option. A
//! test passes an observer, which is called before each operation and can make it fail like a disk would. From the
//! recorded operations the test builds the files that a power cut may leave. This module makes no decision about the
//! journal.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// One operation on the disk. A file that is open for writing has a number, which a rename does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskOperation<'a> {
    MakeDir {
        path: &'a Path,
    },
    SyncDir {
        path: &'a Path,
    },
    Read {
        path: &'a Path,
    },
    /// Creates a file, or truncates an existing one.
    Create {
        path: &'a Path,
        file: u64,
    },
    /// Opens an existing file for writing.
    Open {
        path: &'a Path,
        file: u64,
    },
    Write {
        file: u64,
        offset: u64,
        bytes: &'a [u8],
    },
    Sync {
        file: u64,
    },
    Rename {
        from: &'a Path,
        to: &'a Path,
    },
    Remove {
        path: &'a Path,
    },
    /// Opens the view. sled's own operations are not observed.
    OpenView,
    /// Writes durable changes to the view, and flushes it.
    ApplyView,
}

/// Called before each operation, on the thread that performs it.
pub trait DiskObserver: Send + Sync {
    /// `Err`: the operation is not performed and returns this error.
    fn before(&self, operation: DiskOperation<'_>) -> io::Result<()>;
}

/// The disk that the journal is written to.
#[derive(Clone, Default)]
pub struct Disk {
    observer: Option<Arc<dyn DiskObserver>>,
    files: Arc<AtomicU64>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("observed", &self.is_observed()).finish()
    }
}

impl Disk {
    pub fn observed(observer: Arc<dyn DiskObserver>) -> Self {
        Self { observer: Some(observer), files: Arc::default() }
    }

    /// Whether a test observes the operations.
    pub const fn is_observed(&self) -> bool {
        self.observer.is_some()
    }

    /// For operations outside this module: [`DiskOperation::OpenView`] and [`DiskOperation::ApplyView`].
    pub fn before(&self, operation: DiskOperation<'_>) -> io::Result<()> {
        match &self.observer {
            Some(observer) => observer.before(operation),
            None => Ok(()),
        }
    }

    /// Creates a private directory. Its name is durable only after its parent has been synced.
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.before(DiskOperation::MakeDir { path })?;
        fs::DirBuilder::new().mode(0o700).create(path)
    }

    /// Creates a private directory and its missing parents, durably. A level is created only after the level above is
    /// durable. So after an interruption only the name of the lowest existing level can be lost; it is synced again.
    pub fn make_dirs(&self, path: &Path) -> io::Result<()> {
        if !path.is_dir() {
            let above = parent(path);
            if above != path {
                self.make_dirs(above)?;
            }
            match self.make_dir(path) {
                // Another process may have created it. If it is not a directory, the next operation in it fails.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
                made => made?,
            }
        }
        self.sync_parent(path)
    }

    /// Makes the name of a directory durable. A parent that this user may not read, or a file system that cannot sync
    /// directories, does not count as a failure of the disk.
    fn sync_parent(&self, path: &Path) -> io::Result<()> {
        let path = fs::canonicalize(path)?;
        let Some(parent) = path.parent() else { return Ok(()) };
        match self.sync_dir(parent) {
            Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput) => {
                tracing::debug!(%error, parent = %parent.display(), "the parent directory cannot be synced");
                Ok(())
            }
            synced => synced,
        }
    }

    /// Makes renames and new files in a directory durable.
    pub fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.before(DiskOperation::SyncDir { path })?;
        File::open(path)?.sync_all()
    }

    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.before(DiskOperation::Read { path })?;
        fs::read(path)
    }

    /// Creates a private file, or truncates it.
    pub fn create(&self, path: &Path) -> io::Result<DiskFile> {
        let id = self.next_file();
        self.before(DiskOperation::Create { path, file: id })?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
        Ok(DiskFile { file, id, disk: self.clone() })
    }

    /// Opens an existing file for writing.
    pub fn open(&self, path: &Path) -> io::Result<DiskFile> {
        let id = self.next_file();
        self.before(DiskOperation::Open { path, file: id })?;
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(DiskFile { file, id, disk: self.clone() })
    }

    fn next_file(&self) -> u64 {
        self.files.fetch_add(1, Ordering::Relaxed)
    }

    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(DiskOperation::Rename { from, to })?;
        fs::rename(from, to)
    }

    pub fn remove(&self, path: &Path) -> io::Result<()> {
        self.before(DiskOperation::Remove { path })?;
        fs::remove_file(path)
    }

    /// Replaces a whole file, durably: writes a temporary file, syncs it, renames it, and syncs the directory.
    pub fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let aside = path.with_extension("tmp");
        let written = self.create(&aside).and_then(|file| {
            file.write_all_at(bytes, 0)?;
            file.sync()
        });
        if let Err(error) = written {
            // The partial file takes space, which may be what is missing.
            let _ = self.remove(&aside);
            return Err(error);
        }
        self.rename(&aside, path)?;
        self.sync_dir(parent(path))
    }
}

/// The directory that contains a path; `.` if the path is a single name.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// A file that is open for writing.
#[derive(Debug)]
pub struct DiskFile {
    file: File,
    id: u64,
    disk: Disk,
}

impl DiskFile {
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.before(DiskOperation::Write { file: self.id, offset, bytes })?;
        self.file.write_all_at(bytes, offset)
    }

    /// Makes content and length durable. The name is durable only after the directory has been synced.
    pub fn sync(&self) -> io::Result<()> {
        self.disk.before(DiskOperation::Sync { file: self.id })?;
        self.file.sync_data()
    }

    pub fn length(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }

    pub fn reader(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

/// Whether an error means that there is no space, rather than that the disk has failed.
pub fn is_no_room(error: &io::Error) -> bool {
    // A limit on the size of a file counts as a lack of space too.
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// Creates a private directory and its missing parents, durably.
pub fn make_private_dir(path: &Path) -> io::Result<()> {
    Disk::default().make_dirs(path)
}

/// Removes the temporary files of a process that ended before it renamed them.
pub fn remove_unfinished(disk: &Disk, dir: &Path) -> io::Result<()> {
    let mut unfinished: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "tmp") {
            unfinished.push(path);
        }
    }
    unfinished.iter().try_for_each(|path| disk.remove(path))
}
