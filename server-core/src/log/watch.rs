//! Files that another program removes or replaces while a server uses them.
//!
//! A file that is open can be written and read after its name is gone, so nothing else would tell
//! before the next start, which does not find it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{
    checkpoint::CheckpointFile, folder::FOLDER_NAME, ids::FileNumber, index::RunFile,
    mark::MARK_NAME,
};

/// The name of the file by which a folder is locked.
pub const LOCK_NAME: &str = "lock";

/// What the system says of the file with a name. Systems have numbers of several types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The number of the device.
    pub device: i128,
    /// The number of the file on it.
    pub inode: i128,
    /// The time of the last change of its bytes: seconds and nanoseconds.
    pub modified: (i128, i128),
}

impl Seen {
    fn is_same(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// Whether the server has a file open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Openness {
    /// It has: as long as that is so the number of the file stays.
    Open,
    /// It has not. Some file systems give a file another number then.
    Closed,
}

/// What has happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// No file has its name.
    Removed,
    /// Another file has its name.
    Replaced,
}

/// A file that another program has removed or replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostFile {
    /// The name of the file.
    pub name: String,
    /// What has happened to it.
    pub loss: Loss,
}

impl fmt::Display for LostFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.loss {
            Loss::Removed => "removed",
            Loss::Replaced => "replaced",
        };
        write!(f, "{} was {how} by another program", self.name)
    }
}

/// The files of a folder that a start needs, as they were seen last.
///
/// A driver takes a name before it creates, renames or removes its file, and gives it back after
/// that. So a file that is known and does not exist was removed by another program.
#[derive(Debug, Default)]
pub struct Watched {
    files: BTreeMap<String, Seen>,
    /// The names that the driver has taken.
    taken: BTreeSet<String>,
}

impl Watched {
    /// Notes a file, if a start needs one with its name, unless the name is taken.
    pub fn note(&mut self, name: &str, seen: Seen) {
        if self.taken.contains(name) {
            return;
        }
        let is_needed = [FOLDER_NAME, MARK_NAME, LOCK_NAME].contains(&name)
            || FileNumber::of_name(name).is_some()
            || CheckpointFile::of_name(name).is_some()
            || RunFile::of_name(name).is_some();
        if is_needed {
            self.files.insert(name.to_owned(), seen);
        }
    }

    /// Takes a name, whose file is created, renamed or removed next. Returns what was seen of it.
    pub fn take(&mut self, name: &str) -> Option<Seen> {
        self.taken.insert(name.to_owned());
        self.files.remove(name)
    }

    /// Gives a name back, with the file that has it now.
    pub fn give_back(&mut self, name: &str, seen: Option<Seen>) {
        self.taken.remove(name);
        if let Some(seen) = seen {
            self.note(name, seen);
        }
    }

    /// Returns true if a file is watched.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// All files.
    #[must_use]
    pub fn all(&self) -> Vec<(String, Seen)> {
        self.files.iter().map(|(name, seen)| (name.clone(), *seen)).collect()
    }

    /// Returns true if the file with a name is the one that was seen last, or is not known.
    #[must_use]
    pub fn is_expected(&self, name: &str, now: &Seen) -> bool {
        self.files
            .get(name)
            .is_none_or(|before| before.is_same(now) || before.modified == now.modified)
    }

    /// Takes what the system says of the file with a name now: `None` if there is none. Returns
    /// what has happened to it, if it was not the driver.
    pub fn see(&mut self, name: &str, openness: Openness, now: Option<Seen>) -> Option<LostFile> {
        let before = *self.files.get(name)?;
        let lost = |loss| Some(LostFile { name: name.to_owned(), loss });
        let Some(now) = now else { return lost(Loss::Removed) };
        let is_other = match openness {
            Openness::Open => !before.is_same(&now),
            Openness::Closed => !self.is_expected(name, &now),
        };
        if is_other {
            return lost(Loss::Replaced);
        }
        self.files.insert(name.to_owned(), now);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "log-00000001";

    fn seen(inode: i128, modified: i128) -> Seen {
        Seen { device: 1, inode, modified: (modified, 0) }
    }

    fn watched() -> Watched {
        let mut watched = Watched::default();
        watched.note(LOG, seen(7, 1));
        watched
    }

    #[test]
    fn a_file_without_its_name_was_removed_whether_it_is_open_or_not() {
        for openness in [Openness::Open, Openness::Closed] {
            let lost = watched().see(LOG, openness, None).unwrap();
            assert_eq!(lost.loss, Loss::Removed);
            assert_eq!(lost.to_string(), "log-00000001 was removed by another program");
        }
    }

    #[test]
    fn another_file_with_the_name_is_told_from_one_with_another_number() {
        use Openness::{Closed, Open};
        let cases = [
            // What is open keeps its number, however old the other one seems.
            (Open, seen(7, 1), None),
            (Open, seen(7, 2), None),
            (Open, seen(8, 1), Some(Loss::Replaced)),
            (Open, seen(8, 2), Some(Loss::Replaced)),
            (Open, Seen { device: 2, ..seen(7, 1) }, Some(Loss::Replaced)),
            (Closed, seen(7, 1), None),
            (Closed, seen(7, 2), None),
            (Closed, seen(8, 1), None),
            (Closed, seen(8, 2), Some(Loss::Replaced)),
        ];
        for (openness, now, loss) in cases {
            let mut watched = watched();
            let lost = watched.see(LOG, openness, Some(now));
            assert_eq!(lost.map(|lost| lost.loss), loss, "{openness:?} {now:?}");
            // It stays lost, and what was seen is what is expected next.
            let again = watched.see(LOG, openness, Some(now));
            assert_eq!(again.map(|lost| lost.loss), loss, "{openness:?} {now:?}");
        }
    }

    #[test]
    fn what_the_server_removes_or_renames_and_files_of_others_are_not_lost() {
        let mut watched = watched();
        assert_eq!(watched.take(LOG), Some(seen(7, 1)));
        // A thread has opened it just before.
        watched.note(LOG, seen(7, 1));
        assert_eq!(watched.see(LOG, Openness::Open, None), None);
        watched.give_back(LOG, None);
        assert_eq!(watched.see(LOG, Openness::Open, None), None);
        watched.give_back(LOG, Some(seen(8, 1)));
        assert!(watched.knows(LOG));
        watched.take(LOG);
        for name in ["thesis.tex", "keeping", "checkpoint-00000001-00000001.new", "folder.new"] {
            watched.note(name, seen(9, 1));
        }
        assert_eq!(watched.all(), []);
        for name in ["folder", "synced", "lock"] {
            watched.note(name, seen(9, 1));
        }
        assert_eq!(watched.all().len(), 3);
    }
}
