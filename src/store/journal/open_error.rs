//! Why a data directory can't be opened, in words that say what to do.

use std::{fmt, io, path::PathBuf, time::Duration};

use super::{disk::is_no_room, scan::Damage, witness};

/// Why a data directory can't be used.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it.
    Locked(PathBuf),
    Io {
        doing: String,
        error: io::Error,
    },
    /// There is too little free space for what opening has to write. It can be tried again when there is more.
    NoRoom {
        doing: String,
        /// So much has to be free, in bytes.
        needed_bytes: u64,
    },
    /// Something acknowledged can't be read any more.
    Damage(Damage),
    /// The journal is of format 2, which has a witness, and the witness is gone.
    WitnessMissing(PathBuf),
    WitnessDamaged(PathBuf),
    /// The journal does not begin where it should.
    FirstSegment {
        found: Option<u64>,
        expected: u64,
        dir: PathBuf,
    },
    /// The newest segment is gone.
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
    /// The key that names jobs is not the one of this store.
    Key(String),
    /// A later version has written here.
    Later {
        format: u64,
    },
    /// The view knows records that the journal does not have: acknowledged records are gone.
    Ahead {
        view: u64,
        journal: u64,
    },
    /// The view can't be made, not even again.
    View(String),
    /// sled has not come back.
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
                write!(f, "{damage}. Restore the file from a backup, or ask the disk for its health")
            }
            Self::WitnessMissing(path) => write!(
                f,
                "{} is missing: without it the program can't tell whether the journal's first and last segments are all there. \
                 Restore it from the backup that the journal is from",
                path.display()
            ),
            Self::WitnessDamaged(path) => write!(
                f,
                "{} is damaged. Restore it from a backup: it may be older than the journal, and must be of the same data directory",
                path.display()
            ),
            Self::FirstSegment { found: None, expected, dir } => write!(
                f,
                "{} has no segment, and should begin with record {expected}: the journal is gone. Restore it from a backup",
                dir.display()
            ),
            Self::FirstSegment { found: Some(found), expected, dir } => write!(
                f,
                "the journal in {} begins with record {found}, and should begin with record {expected}: segments are missing. \
                 Restore them from a backup",
                dir.display()
            ),
            Self::NewestSegment { found, expected, file } => write!(
                f,
                "the journal's newest segment begins with record {found}, but there was one that begins with record {expected}: \
                 acknowledged records are gone. Restore {} from a backup",
                file.display()
            ),
            Self::End { found, expected, file } => write!(
                f,
                "the journal ends with record {found}, but record {expected} was durable: acknowledged records are gone from {}. \
                 Restore it from a backup",
                file.display()
            ),
            Self::Key(text) => f.write_str(text),
            Self::Later { format } => write!(
                f,
                "the data directory was written by a later version of kyc-rules (format {format}; this version reads formats 1 \
                 and {}): run that version",
                witness::FORMAT
            ),
            Self::Ahead { view, journal } => write!(
                f,
                "the journal ends with record {journal}, but the view knows record {view}: acknowledged records are gone. \
                 Restore the missing part of the journal; to go on without it, remove the view directory, and know that \
                 records {} to {view} are lost",
                journal + 1
            ),
            Self::View(error) => write!(f, "the view can't be made: {error}"),
            Self::Late { path, after } => write!(
                f,
                "opening the view in {} has not ended within {} seconds: the disk may be failing. Ask the disk for its health; \
                 if it is well, remove that directory, and the view is made again from the journal",
                path.display(),
                after.as_secs()
            ),
        }
    }
}

impl std::error::Error for OpenError {}
