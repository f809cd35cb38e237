//! The steps of a commit, between which a test can stop the writer.

/// The steps of a commit, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommitStep {
    /// Decided and encoded; nothing is written.
    Decided,
    /// Written, but not durable.
    Written,
    /// Durable, but not visible.
    Synced,
    /// Visible, but not answered.
    Published,
    Answered,
    /// The segment is sealed, durably; the next one has not joined the journal.
    Sealed,
    /// The next segment has joined the journal, durably; it is empty.
    Joined,
    /// The witness names the next segment, durably.
    Witnessed,
}

impl CommitStep {
    pub const ALL: &[CommitStep] = &[
        Self::Decided,
        Self::Written,
        Self::Synced,
        Self::Published,
        Self::Answered,
        Self::Sealed,
        Self::Joined,
        Self::Witnessed,
    ];
}
