//! The reason why a data directory cannot be opened, with advice to the operator.

use std::{fmt, io, path::PathBuf, time::Duration};

use super::{disk::is_no_room, marker, scan::Damage};

/// The reason why a data directory cannot be used.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has the data directory open.
    Locked(PathBuf),
    Io {
        doing: String,
        error: io::Error,
    },
    /// There is too little free space for what opening must write. Opening can be retried when there is more.
    NoRoom {
        doing: String,
        /// The free space that is needed, in bytes; 0: not known.
        needed_bytes: u64,
    },
    /// An acknowledged record cannot be read.
    Damage(Damage),
    /// The journal is of format 2, which has a witness, but the witness is missing.
    WitnessMissing(PathBuf),
    WitnessDamaged(PathBuf),
    /// The first segment is not the expected one.
    FirstSegment {
        found: Option<u64>,
        expected: u64,
        dir: PathBuf,
    },
    /// The newest segment is missing.
    NewestSegment {
        found: u64,
        expected: u64,
        file: PathBuf,
    },
    /// The journal ends before a record that was durable.
    End {
        found: u64,
        expected: u64,
        file: PathBuf,
    },
    /// The key for the ids of jobs is missing, or is not the one of this store.
    Key(String),
    /// A later version has written the data directory.
    Later {
        format: u64,
    },
    /// The view contains records that the journal does not have: acknowledged records are missing.
    Ahead {
        view: u64,
        journal: u64,
    },
    /// The view cannot be created, even after it was deleted.
    View(String),
    /// sled did not return in time.
    Late {
        path: PathBuf,
        after: Duration,
    },
}

impl OpenError {
    pub fn io(doing: impl fmt::Display, error: io::Error) -> Self {
        let doing = doing.to_string();
        if is_no_room(&error) { Self::NoRoom { doing, needed_bytes: 0 } } else { Self::Io { doing, error } }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked(path) => {
                write!(f, "{} is in use by another process; one data directory serves one process", path.display())
            }
            Self::Io { doing, error } => write!(f, "{doing}: {error}"),
            Self::NoRoom { doing, needed_bytes: 0 } => write!(f, "{doing}: there is no free space on the disk"),
            Self::NoRoom { doing, needed_bytes } => write!(
                f,
                "{doing}: there is too little free space on the disk; {} MB must be free",
                needed_bytes.div_ceil(1 << 20)
            ),
            Self::Damage(damage) => {
                write!(f, "{damage}. Restore the file from a backup, and check the disk for errors")
            }
            Self::WitnessMissing(path) => write!(
                f,
                "{} is missing: without it the program cannot tell whether the journal's first and last segments are \
                 missing. Restore it from the backup that the journal is from",
                path.display()
            ),
            Self::WitnessDamaged(path) => write!(
                f,
                "{} is damaged. Restore it from a backup: it may be older than the journal, and must be of the same \
                 data directory",
                path.display()
            ),
            Self::FirstSegment { found: None, expected, dir } => write!(
                f,
                "{} has no segment, and should begin with record {expected}: the journal is missing. Restore it from a \
                 backup",
                dir.display()
            ),
            Self::FirstSegment { found: Some(found), expected, dir } => write!(
                f,
                "the journal in {} begins with record {found}, and should begin with record {expected}: segments are \
                 missing. Restore them from a backup",
                dir.display()
            ),
            Self::NewestSegment { found, expected, file } => write!(
                f,
                "the journal's newest segment begins with record {found}, but there was one that begins with record \
                 {expected}: acknowledged records are missing. Restore {} from a backup",
                file.display()
            ),
            Self::End { found, expected, file } => write!(
                f,
                "the journal ends with record {found}, but record {expected} was durable: acknowledged records are \
                 missing in {}. Restore it from a backup",
                file.display()
            ),
            Self::Key(text) => f.write_str(text),
            Self::Later { format } => write!(
                f,
                "the data directory was written by a later version of kyc-rules (format {format}; this version reads \
                 formats 1 and {}): run that version",
                marker::FORMAT
            ),
            Self::Ahead { view, journal } => write!(
                f,
                "the journal ends with record {journal}, but the view has record {view}: acknowledged records are \
                 missing. Restore the missing part of the journal; to continue without it, remove the view directory, \
                 and note that records {} to {view} are lost",
                journal + 1
            ),
            Self::View(error) => write!(f, "the view cannot be created: {error}"),
            Self::Late { path, after } => write!(
                f,
                "opening the view in {} did not finish within {} seconds: the disk may be failing. Check the disk; if \
                 it is healthy, remove that directory, and the view is rebuilt from the journal",
                path.display(),
                after.as_secs()
            ),
        }
    }
}

impl std::error::Error for OpenError {}

/// Names the operation that an I/O error interrupted.
pub(super) fn io_error(doing: impl std::fmt::Display) -> impl FnOnce(io::Error) -> OpenError {
    move |error| OpenError::io(doing, error)
}
