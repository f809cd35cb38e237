//! The state of the directory according to inotify events: the time of the last change, and the files open for writing.
//!
//! An open event does not tell whether the file is opened for writing. A file counts as open for writing if it is open
//! and has changed since a writer last closed it. If no open event was seen for a changed file, the end of the change
//! cannot be seen; then the files must be unchanged for a full second.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use notify::{
    Event, EventKind,
    event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind, RenameMode},
};

/// Time without an event after which the files are at rest.
pub(super) const QUIET: Duration = Duration::from_millis(500);

/// The same time if the end of a change cannot be seen, or if events were lost.
pub(super) const LONG_QUIET: Duration = Duration::from_secs(1);

/// Maximum number of tracked files. Beyond it, [`LONG_QUIET`] applies.
const MAX_OPEN: usize = 10_000;

#[derive(Clone, Copy, Debug, Default)]
struct HandleCount {
    open: u32,
    is_changed: bool,
}

#[derive(Debug)]
pub(super) struct OpenHandles {
    files: HashMap<PathBuf, HandleCount>,
    last: Instant,
    /// Whether the end of a change since the last rest cannot be seen.
    is_unsure: bool,
    /// The event number and the state of the file that was last renamed away.
    moved: Option<(usize, HandleCount)>,
}

impl OpenHandles {
    pub fn new(now: Instant) -> Self {
        Self { files: HashMap::new(), last: now.checked_sub(LONG_QUIET).unwrap_or(now), is_unsure: false, moved: None }
    }

    /// Records a change without an event, or that events were lost.
    pub fn without_handles(&mut self, now: Instant) {
        self.last = now;
        self.is_unsure = true;
    }

    /// Forgets all open files, because the directory was replaced.
    pub fn reset(&mut self, now: Instant) {
        self.files.clear();
        self.without_handles(now);
    }

    /// Records an event. Returns whether it may mean a change.
    pub fn take(&mut self, event: &notify::Result<Event>, now: Instant) -> bool {
        let Ok(event) = event else {
            self.without_handles(now);
            return true;
        };
        if event.need_rescan() {
            self.reset(now);
            return true;
        }
        let is_git = |path: &PathBuf| path.components().any(|part| part.as_os_str() == ".git");
        if event.paths.iter().all(is_git) && !event.paths.is_empty() {
            return false;
        }
        let is_change =
            !event.kind.is_access() || event.kind == EventKind::Access(AccessKind::Close(AccessMode::Write));
        if is_change {
            self.last = now;
        }
        for path in &event.paths {
            self.note(path, event);
        }
        is_change
    }

    fn note(&mut self, path: &Path, event: &Event) {
        let is_new = !self.files.contains_key(path);
        if is_new && self.files.len() >= MAX_OPEN {
            self.is_unsure = true;
            return;
        }
        let file = self.files.entry(path.to_owned()).or_default();
        match event.kind {
            EventKind::Access(AccessKind::Open(_)) => file.open = file.open.saturating_add(1),
            EventKind::Access(AccessKind::Close(mode)) => {
                file.open = file.open.saturating_sub(1);
                if mode == AccessMode::Write {
                    file.is_changed = false;
                }
            }
            EventKind::Create(CreateKind::File) => file.is_changed = true,
            EventKind::Modify(ModifyKind::Data(_)) => file.is_changed = true,
            EventKind::Remove(RemoveKind::File) => *file = HandleCount::default(),
            EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                let handles = self.files.remove(path).unwrap_or_default();
                self.moved = event.tracker().map(|number| (number, handles));
                return;
            }
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
                let moved = self.moved.take().filter(|(number, _)| Some(*number) == event.tracker());
                *file = moved.map(|(_, handles)| handles).unwrap_or_default();
                // The file came from another directory. Whether a program has it open cannot be seen.
                self.is_unsure |= moved.is_none();
            }
            _ => {}
        }
        if file.open == 0 && !file.is_changed {
            self.files.remove(path);
        }
    }

    /// Returns a file that is open for writing, if any.
    pub fn held(&self) -> Option<&Path> {
        let counts = |path: &Path| path.file_name().is_some_and(|name| !super::is_ignored(&name.to_string_lossy()));
        let open = self.files.iter().filter(|(path, file)| file.open > 0 && file.is_changed && counts(path));
        open.map(|(path, _)| path.as_path()).min()
    }

    /// Remaining time without events until the files are at rest.
    pub fn unrelated(&self, now: Instant) -> Duration {
        // A changed file that is not open: its open event was not seen, so its close event will not be seen either.
        let is_unsure = self.is_unsure || self.files.values().any(|file| file.is_changed && file.open == 0);
        let quiet = if is_unsure { LONG_QUIET } else { QUIET };
        (self.last + quiet).saturating_duration_since(now)
    }

    /// Records that the files are at rest, so that the next change is judged independently.
    pub fn is_quiet(&mut self) {
        self.is_unsure = false;
        // Files that changed without an open event have no close event to wait for.
        self.files.retain(|_, file| file.open > 0);
    }
}

#[cfg(test)]
mod tests {
    use notify::event::DataChange;

    use super::*;

    const OPEN: EventKind = EventKind::Access(AccessKind::Open(AccessMode::Any));
    const READ: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Read));
    const WRITTEN: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
    const DATA: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));

    fn told(activity: &mut OpenHandles, kinds: &[EventKind], path: &str, now: Instant) {
        for kind in kinds {
            activity.take(&Ok(Event::new(*kind).add_path(path.into())), now);
        }
    }

    #[test]
    fn a_file_is_held_from_its_first_change_to_its_closing() {
        let now = Instant::now();
        let mut activity = OpenHandles::new(now);
        told(&mut activity, &[OPEN, DATA], "rules/kyc.yaml", now);
        assert_eq!(activity.held(), Some(Path::new("rules/kyc.yaml")));
        // A reader opens and closes the file.
        told(&mut activity, &[OPEN, READ], "rules/kyc.yaml", now);
        assert!(activity.held().is_some());
        told(&mut activity, &[DATA, WRITTEN], "rules/kyc.yaml", now);
        assert_eq!(activity.held(), None);
        assert_eq!(activity.unrelated(now), QUIET);
        assert_eq!(activity.unrelated(now + QUIET), Duration::ZERO);
        // An editor keeps its swap file open.
        told(&mut activity, &[OPEN, DATA], "rules/.kyc.yaml.swp", now);
        assert_eq!(activity.held(), None);
        told(&mut activity, &[OPEN, DATA], "rules/kyc.yaml.tmp", now);
        assert!(activity.held().is_some());
        told(&mut activity, &[EventKind::Remove(RemoveKind::File)], "rules/kyc.yaml.tmp", now);
        assert_eq!(activity.held(), None);
    }

    #[test]
    fn the_quiet_time_is_longer_if_the_end_of_a_change_is_not_seen() {
        let now = Instant::now();
        let mut activity = OpenHandles::new(now);
        assert_eq!(activity.unrelated(now), Duration::ZERO);
        told(&mut activity, &[DATA], "rules/kyc.yaml", now);
        assert_eq!((activity.held(), activity.unrelated(now)), (None, LONG_QUIET));
        activity.is_quiet();
        told(&mut activity, &[EventKind::Create(CreateKind::File), OPEN, DATA, WRITTEN], "rules/kyc.yaml", now);
        assert_eq!(activity.unrelated(now), QUIET);
        let moved = |mode, number| {
            Ok(Event::new(EventKind::Modify(ModifyKind::Name(mode)))
                .set_tracker(number)
                .add_path("rules/a.yaml".into()))
        };
        told(&mut activity, &[OPEN, DATA], "rules/a.yaml", now);
        activity.take(&moved(RenameMode::From, 1), now);
        activity.take(&moved(RenameMode::To, 1), now);
        assert!(activity.held().is_some(), "it is open under its new name");
        told(&mut activity, &[WRITTEN], "rules/a.yaml", now);
        assert_eq!((activity.held(), activity.unrelated(now)), (None, QUIET));
        activity.take(&moved(RenameMode::To, 2), now);
        assert_eq!(activity.unrelated(now), LONG_QUIET);
        let lost = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        assert!(activity.take(&Ok(lost), now));
        assert_eq!(activity.unrelated(now), LONG_QUIET);
        assert!(!activity.take(&Ok(Event::new(DATA).add_path("rules/.git/index".into())), now));
    }
}
