//! Files that another program removes, replaces or cuts short while a server uses them.
//!
//! A file that is open can be written and read after its name is gone, so nothing else would tell
//! before the next start, which does not find it. One that is cut short can be written as well: the
//! next write makes it longer again, with zeros for what was lost.

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
    /// The length of the file, in bytes.
    pub len: u64,
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
    /// It does not have all bytes that were written to it.
    Shortened {
        /// Its length, in bytes.
        len: u64,
        /// The length that it should have at least.
        least: u64,
    },
}

/// A file that another program has removed, replaced or cut short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostFile {
    /// The name of the file.
    pub name: String,
    /// What has happened to it.
    pub loss: Loss,
}

impl fmt::Display for LostFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.loss {
            Loss::Removed => write!(f, "{name} was removed by another program"),
            Loss::Replaced => write!(f, "{name} was replaced by another program"),
            Loss::Shortened { len, least } => write!(
                f,
                "{name} was cut short by another program: it has {len} bytes, and had at least \
                 {least}"
            ),
        }
    }
}

/// A file that a start needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The file, as it was seen last.
    seen: Seen,
    /// The length that it has at least, by what the driver has written and cut.
    least: u64,
}

impl From<Seen> for Known {
    fn from(seen: Seen) -> Self {
        Self { seen, least: seen.len }
    }
}

impl Known {
    /// Returns true if nothing of the file has changed since it was seen last, and it is as long as
    /// it should be.
    #[must_use]
    pub fn is_unchanged(&self, now: &Seen) -> bool {
        self.seen == *now && self.least <= now.len
    }
}

/// A write that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BegunWrite {
    /// The begins and ends of calls before it that may make files shorter.
    shortenings: u64,
}

/// The files of a folder that a start needs, as they were seen last.
///
/// A driver takes a name before it creates, renames or removes its file, and gives it back after
/// that. So a file that is known and does not exist was removed by another program.
///
/// It announces a cut before it makes it, and notes the end of a write after that. A write during
/// which any file may have become shorter does not count: so a file that is shorter than it should
/// be was cut by another program, in whatever order calls of several threads end.
#[derive(Debug, Default)]
pub struct Watched {
    files: BTreeMap<String, Known>,
    /// The names that the driver has taken.
    taken: BTreeSet<String>,
    /// The begins and ends of calls that may make a file shorter, or replace it by a shorter one.
    shortenings: u64,
    /// The cuts that are under way.
    cuts: usize,
}

impl Watched {
    /// Notes a file, if a start needs one with its name, unless the name is taken.
    pub fn note(&mut self, name: &str, seen: Seen) {
        if self.taken.contains(name) || !is_needed(name) {
            return;
        }
        // What is in the lock is for people only.
        let least = if name == LOCK_NAME { 0 } else { seen.len };
        let known = self.files.entry(name.to_owned()).or_insert(Known { seen, least });
        // One that is known is as long as it was before, or should be.
        known.seen = seen;
    }

    /// Begins a write.
    #[must_use]
    pub fn begin_write(&self) -> BegunWrite {
        BegunWrite { shortenings: self.shortenings }
    }

    /// Notes that a file has bytes up to an offset, after a write that did not fail.
    pub fn end_write(&mut self, name: &str, begun: BegunWrite, end: u64) {
        if self.cuts > 0 || self.shortenings != begun.shortenings {
            return;
        }
        if let Some(known) = self.files.get_mut(name) {
            known.least = known.least.max(end);
        }
    }

    /// Begins to cut a file to a length.
    pub fn begin_cut(&mut self, name: &str, len: u64) {
        self.shortenings += 1;
        self.cuts += 1;
        if let Some(known) = self.files.get_mut(name) {
            known.least = known.least.min(len);
        }
    }

    /// Ends a cut, also one that failed.
    pub fn end_cut(&mut self) {
        self.shortenings += 1;
        self.cuts = self.cuts.saturating_sub(1);
    }

    /// Returns the loss of a file, if it does not have all bytes that were written to it.
    #[must_use]
    pub fn shortened(&self, name: &str, len: u64) -> Option<LostFile> {
        let least = self.files.get(name)?.least;
        let loss = Loss::Shortened { len, least };
        (len < least).then(|| LostFile { name: name.to_owned(), loss })
    }

    /// Takes a name, whose file is created, renamed or removed next. Returns what is known of it.
    pub fn take(&mut self, name: &str) -> Option<Known> {
        self.shortenings += 1;
        self.taken.insert(name.to_owned());
        self.files.remove(name)
    }

    /// Gives a name back, with the file that has it now: another one, or the one that was taken if
    /// the call has failed.
    pub fn give_back(&mut self, name: &str, known: Option<Known>) {
        self.shortenings += 1;
        self.taken.remove(name);
        if let Some(known) = known.filter(|_| is_needed(name)) {
            self.files.insert(name.to_owned(), known);
        }
    }

    /// Returns true if a file is watched.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// All files.
    #[must_use]
    pub fn all(&self) -> Vec<(String, Known)> {
        self.files.iter().map(|(name, known)| (name.clone(), *known)).collect()
    }

    /// Returns true if the file with a name is the one that was seen last, or is not known.
    #[must_use]
    pub fn is_expected(&self, name: &str, now: &Seen) -> bool {
        let is_file = |before: &Seen| before.is_same(now) || before.modified == now.modified;
        self.files.get(name).is_none_or(|known| is_file(&known.seen))
    }

    /// Takes what the system says of the file with a name now: `None` if there is none. Returns
    /// what has happened to it, if it was not the driver.
    pub fn see(&mut self, name: &str, openness: Openness, now: Option<Seen>) -> Option<LostFile> {
        let before = self.files.get(name)?.seen;
        let lost = |loss| Some(LostFile { name: name.to_owned(), loss });
        let Some(now) = now else { return lost(Loss::Removed) };
        let is_other = match openness {
            Openness::Open => !before.is_same(&now),
            Openness::Closed => !self.is_expected(name, &now),
        };
        if is_other {
            return lost(Loss::Replaced);
        }
        let shortened = self.shortened(name, now.len);
        if let (None, Some(known)) = (&shortened, self.files.get_mut(name)) {
            known.seen = now;
        }
        shortened
    }
}

/// Returns true if a start needs a file with a name.
fn is_needed(name: &str) -> bool {
    [FOLDER_NAME, MARK_NAME, LOCK_NAME].contains(&name)
        || FileNumber::of_name(name).is_some()
        || CheckpointFile::of_name(name).is_some()
        || RunFile::of_name(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "log-00000001";

    fn seen(inode: i128, modified: i128) -> Seen {
        Seen { device: 1, inode, modified: (modified, 0), len: 100 }
    }

    fn long(len: u64) -> Option<Seen> {
        Some(Seen { len, ..seen(7, 1) })
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
        assert_eq!(watched.take(LOG), Some(seen(7, 1).into()));
        // A thread has opened it just before.
        watched.note(LOG, seen(7, 1));
        assert_eq!(watched.see(LOG, Openness::Open, None), None);
        watched.give_back(LOG, None);
        assert_eq!(watched.see(LOG, Openness::Open, None), None);
        watched.give_back(LOG, Some(seen(8, 1).into()));
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

    #[test]
    fn a_file_that_is_shorter_than_what_was_written_was_cut_by_another_program() {
        for openness in [Openness::Open, Openness::Closed] {
            let mut watched = watched();
            let see = |len, watched: &mut Watched| watched.see(LOG, openness, long(len));
            assert_eq!(see(100, &mut watched), None);
            let lost = see(99, &mut watched).unwrap();
            assert_eq!(lost.loss, Loss::Shortened { len: 99, least: 100 });
            let told = "log-00000001 was cut short by another program: it has 99 bytes, and had at \
                        least 100";
            assert_eq!(lost.to_string(), told);
            assert_eq!(see(99, &mut watched), Some(lost), "it stays lost");
            let begun = watched.begin_write();
            watched.end_write(LOG, begun, 150);
            watched.note(LOG, long(120).unwrap());
            assert!(see(149, &mut watched).is_some(), "to open it again does not help");
            assert_eq!(see(150, &mut watched), None);
        }
        let mut watched = Watched::default();
        watched.note(LOCK_NAME, seen(7, 1));
        let empty = Seen { len: 0, ..seen(7, 2) };
        assert_eq!(watched.see(LOCK_NAME, Openness::Open, Some(empty)), None, "it needs no bytes");
    }

    #[test]
    fn a_file_that_was_cut_and_stays_after_a_failed_call_has_the_length_that_it_was_cut_to() {
        let mut watched = watched();
        watched.begin_cut(LOG, 10);
        watched.end_cut();
        let known = watched.take(LOG);
        watched.give_back(LOG, known);
        assert_eq!(watched.see(LOG, Openness::Closed, long(10)), None);
        assert!(watched.see(LOG, Openness::Closed, long(9)).is_some());
    }

    #[test]
    fn a_write_that_was_under_way_while_a_file_became_shorter_does_not_count() {
        type Step = fn(&mut Watched);
        let cut: [Step; 2] = [|it| it.begin_cut(LOG, 10), Watched::end_cut];
        let replace: [Step; 2] =
            [|it| _ = it.take(LOG), |it| it.give_back(LOG, long(10).map(Known::from))];
        for [begin, end] in [cut, replace] {
            // The write begins before a step, and ends after another one.
            for (begins, ends) in [(0, 1), (0, 2), (1, 1), (1, 2), (2, 2)] {
                let (mut watched, mut begun) = (watched(), None);
                for at in 0..3 {
                    if at == begins {
                        begun = Some(watched.begin_write());
                    }
                    if at == ends {
                        watched.end_write(LOG, begun.unwrap(), 50);
                    }
                    [Some(begin), Some(end), None][at].into_iter().for_each(|it| it(&mut watched));
                }
                let counts = watched.see(LOG, Openness::Open, long(49)).is_some();
                assert_eq!(counts, begins == 2, "from {begins} to {ends}");
                assert!(watched.see(LOG, Openness::Open, long(9)).is_some());
            }
        }
    }
}
