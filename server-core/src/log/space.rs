//! The space of a folder: what its files take, what of it is still read, and when it is full.
//!
//! ```text
//! file    length, bytes of segments, bytes that can still be read
//!                                         └── a hint: it may be wrong after a crash
//! ```
//!
//! The folder is measured by the names of its files. So the same bytes never count twice, whether a
//! file is measured before or after it is known here, and one that is removed next does not count.
//!
//! What takes space is refused near the limit, so that a reserve is left for what frees some: a
//! deletion, a checkpoint, the compaction of a file. Files that seem dead are candidates only;
//! before one is given up, [`live_in`] asks for each of its spans whether it can be read. So a
//! wrong hint costs space until it is counted again, and never data.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ids::{FileNumber, SegmentNumber},
    run::Entry,
};

/// The limit of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpaceSettings {
    /// The most bytes that all files together may have; `None` if only the disk limits them.
    pub limit: Option<u64>,
    /// The bytes of it that are left for what frees space.
    pub reserve: u64,
}

/// What a change does to the space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It takes space.
    Keeps,
    /// It is a deletion or a truncation, or it frees space in the background.
    Frees,
}

/// There is no space for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{used} bytes of {limit} are used, and the rest is for freeing space")]
pub struct Full {
    /// The bytes of all files.
    pub used: u64,
    /// The limit.
    pub limit: u64,
}

/// How full a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// There is space.
    Low,
    /// Four fifths are used: space is freed where it can be.
    High,
    /// Space is freed as fast as possible.
    Critical,
}

/// The space of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileUse {
    /// The length of the file, in bytes.
    pub len: u64,
    /// The bytes of segments that were written to it.
    pub bytes: u64,
    /// Those of them that can still be read, as far as is known.
    pub live: u64,
}

impl FileUse {
    /// The space that is freed if what can be read is written again and the file is removed.
    fn gain(&self) -> u64 {
        // A twentieth for heads: neighbours are joined when they are written again.
        self.len.saturating_sub(self.live.saturating_add(self.live / 20))
    }
}

/// The most files that become one.
const MOST_VICTIMS: usize = 8;

/// The space of a folder.
#[derive(Debug)]
pub struct Space {
    settings: SpaceSettings,
    files: BTreeMap<FileNumber, FileUse>,
    /// Files whose bytes were freed, it is not known how many.
    doubtful: BTreeSet<FileNumber>,
    /// Files that cannot be read.
    unreadable: BTreeSet<FileNumber>,
    /// The bytes of all files that are no log files.
    others: u64,
    /// How much longer log files were found than they were known to be: as many zeros stay ahead
    /// of what is written.
    beyond: BTreeMap<FileNumber, u64>,
    /// The lengths of log files that were found and not known: of the next one, and of one that a
    /// compaction writes.
    found: BTreeMap<FileNumber, u64>,
    /// Log files that are not needed any longer, and are about to be removed. They are free
    /// already.
    removals: BTreeSet<FileNumber>,
    /// The pressure that was returned last.
    told: Pressure,
}

impl Space {
    /// The space of a folder without log files.
    #[must_use]
    pub fn new(settings: SpaceSettings) -> Self {
        let (files, beyond, found) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (doubtful, unreadable, removals) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (others, told) = (0, Pressure::Low);
        Self { settings, files, doubtful, unreadable, others, beyond, found, removals, told }
    }

    /// Notes the space of a file.
    pub fn set_file(&mut self, file: FileNumber, used: FileUse) {
        self.files.insert(file, used);
    }

    /// The space of a file; `None` if it does not exist.
    #[must_use]
    pub fn file(&self, file: FileNumber) -> Option<FileUse> {
        self.files.get(&file).copied()
    }

    /// Notes the length of a file, to which bytes of segments were added.
    pub fn grow(&mut self, file: FileNumber, len: u64, bytes: u64) {
        let used = self.files.entry(file).or_default();
        used.len = used.len.max(len);
        used.bytes = used.bytes.saturating_add(bytes);
        used.live = used.live.saturating_add(bytes);
    }

    /// Notes that bytes of a file are not read any longer.
    pub fn free(&mut self, file: FileNumber, bytes: u64) {
        if let Some(used) = self.files.get_mut(&file) {
            used.live = used.live.saturating_sub(bytes);
        }
    }

    /// Notes that bytes of any file may not be read any longer: each is counted again.
    pub fn doubt(&mut self) {
        self.doubtful = self.files.keys().copied().collect();
    }

    /// Notes that bytes of a file may not be read any longer: it is counted again.
    pub(super) fn doubt_file(&mut self, file: FileNumber) {
        self.doubtful.insert(file);
    }

    /// How many bytes of a file can be read, as a checkpoint has it: none, if they are counted
    /// again. A start that reads it does so, too.
    pub(super) fn recorded(&self, file: FileNumber, used: FileUse) -> u64 {
        if self.doubtful.contains(&file) { 0 } else { used.live }
    }

    /// Notes how many bytes of a file can be read, counted again.
    pub fn recount(&mut self, file: FileNumber, live: u64) {
        self.doubtful.remove(&file);
        if let Some(used) = self.files.get_mut(&file) {
            used.live = live.min(used.bytes);
        }
    }

    /// Notes that a file was removed, or is before the folder is measured.
    pub fn remove(&mut self, file: FileNumber) {
        self.files.remove(&file);
        self.beyond.remove(&file);
        self.found.remove(&file);
        self.doubtful.remove(&file);
        self.unreadable.remove(&file);
    }

    /// Notes that a file cannot be read: it is no victim, and takes the place of none.
    pub fn note_unreadable(&mut self, file: FileNumber) {
        self.unreadable.insert(file);
    }

    /// Notes that a file is removed while the folder may be measured, until the removal ends.
    pub(super) fn begin_removal(&mut self, file: FileNumber) {
        self.removals.insert(file);
        self.remove(file);
    }

    /// Notes that a file was removed, or stays for now: from then on it counts if it is found. No
    /// removal ends between a look at the folder and what was [measured](Self::measure) by it.
    pub fn end_removal(&mut self, file: FileNumber) {
        self.removals.remove(&file);
    }

    /// Takes the names and lengths of all files in the folder.
    pub fn measure<'a>(&mut self, files: impl IntoIterator<Item = (&'a str, u64)>) {
        (self.others, self.beyond, self.found) = (0, BTreeMap::new(), BTreeMap::new());
        for (name, len) in files {
            let Some(file) = FileNumber::of_name(name) else {
                self.others = self.others.saturating_add(len);
                continue;
            };
            match self.files.get(&file) {
                _ if self.removals.contains(&file) => {}
                Some(used) if len <= used.len => {}
                Some(used) => {
                    self.beyond.insert(file, len - used.len);
                }
                None => {
                    self.found.insert(file, len);
                }
            }
        }
    }

    /// The bytes of all files.
    #[must_use]
    pub fn used(&self) -> u64 {
        let known = |file: &FileNumber| self.files.get(file).map_or(0, |used| used.len);
        let found = self.found.iter().map(|(file, len)| len.saturating_sub(known(file)));
        let files = self.files.values().map(|used| used.len);
        let files = files.chain(self.beyond.values().copied()).chain(found);
        files.fold(self.others, u64::saturating_add)
    }

    /// Checks whether a change may take space besides what is queued for the disk.
    ///
    /// # Errors
    ///
    /// [`Full`] if it may not.
    pub fn check(&self, more: u64, queued: u64, purpose: Purpose) -> Result<(), Full> {
        let SpaceSettings { limit: Some(limit), reserve } = self.settings else { return Ok(()) };
        let used = self.used();
        let reserve = match purpose {
            Purpose::Keeps => reserve,
            Purpose::Frees => 0,
        };
        let needed = [queued, more, reserve].into_iter().fold(used, u64::saturating_add);
        if needed > limit { Err(Full { used, limit }) } else { Ok(()) }
    }

    /// How full the folder is.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        let Some(limit) = self.settings.limit else { return Pressure::Low };
        match u128::from(self.used()) * 100 / u128::from(limit.max(1)) {
            95.. => Pressure::Critical,
            80.. => Pressure::High,
            _ => Pressure::Low,
        }
    }

    /// The pressure, if it has risen since the last call that returned it. It is returned again
    /// only after three quarters were used at most.
    pub fn rise(&mut self) -> Option<Pressure> {
        let pressure = self.pressure();
        if pressure > self.told {
            self.told = pressure;
            return Some(pressure);
        }
        let is_low = |limit: u64| self.used() < limit - limit / 4;
        if self.settings.limit.is_some_and(is_low) {
            self.told = Pressure::Low;
        }
        None
    }

    /// The log files before one, and all files that bytes were moved to.
    pub(super) fn settled(
        &self,
        before: FileNumber,
    ) -> impl Iterator<Item = (FileNumber, FileUse)> + '_ {
        let settled = self.files.iter().filter(move |(file, _)| **file < before || file.is_moved());
        settled.map(|(file, used)| (*file, *used))
    }

    /// The files that bytes were moved to.
    pub fn moved(&self) -> impl Iterator<Item = (FileNumber, FileUse)> + '_ {
        self.settled(FileNumber(0))
    }

    /// The files that seem to have nothing that is read, or may have: of the log files, those
    /// before one.
    pub fn candidates(&self, before: FileNumber) -> impl Iterator<Item = FileNumber> + '_ {
        let seems_dead =
            |(file, used): &(FileNumber, FileUse)| used.live == 0 || self.doubtful.contains(file);
        self.settled(before).filter(seems_dead).map(|(file, _)| file)
    }

    /// The files whose compaction frees most, of the log files those before one; none if none is
    /// worth it: normally half of its bytes are not read any longer, and an eighth of the file is
    /// freed if space is short. What is moved from all of them is about as long as a file at most.
    /// Short files that bytes were moved to become one, once there are many.
    #[must_use]
    pub fn victims(&self, before: FileNumber, file_len: u64) -> Vec<FileNumber> {
        let is_worth_it = |used: &FileUse| match self.pressure() {
            Pressure::Low => used.live <= used.bytes / 2,
            Pressure::High | Pressure::Critical => used.gain() >= used.len / 8,
        };
        let is_readable = |file: &FileNumber| !self.unreadable.contains(file);
        let files = self.settled(before);
        let files = files.filter(|(file, used)| used.live > 0 && is_readable(file));
        let (mut worth, others): (Vec<_>, Vec<_>) =
            files.partition(|(_, used)| used.gain() > 0 && is_worth_it(used));
        if worth.is_empty() {
            let is_short = |used: &FileUse| used.len < file_len / MOST_VICTIMS as u64;
            let short = others.into_iter().filter(|(file, used)| file.is_moved() && is_short(used));
            let short: Vec<FileNumber> = short.map(|(file, _)| file).take(MOST_VICTIMS).collect();
            return if short.len() == MOST_VICTIMS { short } else { Vec::new() };
        }
        worth.sort_by_key(|(_, used)| std::cmp::Reverse(used.gain()));
        let (mut victims, mut moved) = (Vec::new(), 0_u64);
        for (file, used) in worth.into_iter().take(MOST_VICTIMS) {
            moved = moved.saturating_add(used.live);
            if moved <= file_len || victims.is_empty() {
                victims.push(file);
            }
        }
        victims
    }
}

/// The number of bytes of a file's spans that can be read, by what the owner knows of segments: of
/// how many bytes of a segment within a range can be.
pub fn live_in(
    file: FileNumber,
    entries: impl IntoIterator<Item = Entry>,
    live: impl Fn(SegmentNumber, u64, u64) -> u64,
) -> u64 {
    let of_file = entries.into_iter().filter(|entry| entry.file == file);
    of_file.map(|entry| live(entry.segment, entry.from, entry.to)).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn file(number: u64) -> FileNumber {
        FileNumber(number)
    }

    fn space(limit: u64) -> Space {
        Space::new(SpaceSettings { limit: Some(limit), reserve: 10 * MIB })
    }

    fn used(len: u64, bytes: u64, live: u64) -> FileUse {
        FileUse { len, bytes, live }
    }

    impl Space {
        /// Measures a folder of log files and one other file.
        pub(crate) fn measure_files(&mut self, files: &[(FileNumber, u64)], other: u64) {
            let names: Vec<(String, u64)> =
                files.iter().map(|(file, len)| (file.name(), *len)).collect();
            let others = [("folder", other)];
            self.measure(names.iter().map(|(name, len)| (&**name, *len)).chain(others));
        }
    }

    /// Measures so many bytes beside the log files.
    fn set_others(space: &mut Space, bytes: u64) {
        space.measure_files(&[], bytes);
    }

    #[test]
    fn a_file_that_is_removed_next_does_not_count_until_it_stays() {
        let mut space = space(100 * MIB);
        let both = [(file(1), 10 * MIB), (file(2), 20 * MIB)];
        both.iter().for_each(|(file, len)| space.grow(*file, *len, len - MIB));
        space.measure_files(&both, 5 * MIB);
        assert_eq!(space.used(), 35 * MIB);
        space.begin_removal(file(2));
        assert_eq!(space.used(), 15 * MIB);
        // Before it is removed, and after that.
        for files in [&both[..], &both[..1]] {
            space.measure_files(files, 5 * MIB);
            assert_eq!(space.used(), 15 * MIB);
        }
        space.end_removal(file(2));
        space.measure_files(&both[..1], 5 * MIB);
        assert_eq!(space.used(), 15 * MIB);
        // One that a copy keeps, or that cannot be removed.
        space.measure_files(&both, 5 * MIB);
        assert_eq!(space.used(), 35 * MIB);
        // And one that is given up twice.
        space.begin_removal(file(2));
        space.begin_removal(file(2));
        space.end_removal(file(2));
        space.end_removal(file(2));
        space.measure_files(&both, 5 * MIB);
        assert_eq!(space.used(), 35 * MIB);
    }

    #[test]
    fn a_file_counts_once_whether_it_is_known_or_measured_first() {
        let (mut space, moved) = (space(100 * MIB), FileNumber::moved(1));
        space.grow(file(1), 10 * MIB, 9 * MIB);
        // The output of a compaction, of which a part is written.
        space.measure_files(&[(file(1), 10 * MIB), (moved, 6 * MIB)], MIB);
        assert_eq!(space.used(), 17 * MIB);
        space.set_file(moved, used(8 * MIB, 7 * MIB, 7 * MIB));
        assert_eq!(space.used(), 19 * MIB);
        space.measure_files(&[(file(1), 10 * MIB), (moved, 8 * MIB)], MIB);
        assert_eq!(space.used(), 19 * MIB);
        space.remove(moved);
        assert_eq!(space.used(), 11 * MIB);
    }

    #[test]
    fn as_many_zeros_stay_ahead_of_what_is_written_and_the_next_file_has_its_own() {
        let mut space = space(100 * MIB);
        space.grow(file(1), 10 * MIB, 9 * MIB);
        space.measure_files(&[(file(1), 12 * MIB), (file(2), 20 * MIB)], 0);
        for (len, all) in [(10, 32), (11, 33), (20, 42)] {
            space.grow(file(1), len * MIB, 0);
            assert_eq!(space.used(), all * MIB, "{len} MiB are written");
        }
        for (len, all) in [(1, 42), (20, 42), (21, 43)] {
            space.grow(file(2), len * MIB, 0);
            assert_eq!(space.used(), all * MIB, "{len} MiB of the next file are written");
        }
        // More was written after the folder was read.
        space.measure_files(&[(file(1), 20 * MIB), (file(2), 20 * MIB)], 0);
        assert_eq!(space.used(), 41 * MIB);
        space.measure_files(&[(file(1), 22 * MIB), (file(2), 20 * MIB)], 0);
        assert_eq!(space.used(), 43 * MIB);
        space.begin_removal(file(1));
        assert_eq!(space.used(), 21 * MIB, "with its zeros");
    }

    #[test]
    fn files_that_cannot_be_read_keep_no_others_from_being_victims() {
        let mut space = space(1000 * MIB);
        let used = |live| FileUse { len: MIB, bytes: MIB, live };
        (1..=40).for_each(|number| space.set_file(file(number), used(1000 * number)));
        let (best, others) = (space.victims(file(100), MIB), file(41));
        assert_eq!(best.first(), Some(&file(1)));
        (1..=39).for_each(|number| space.note_unreadable(file(number)));
        assert_eq!(space.victims(others, MIB), [file(40)]);
        space.remove(file(7));
        space.set_file(file(7), used(1));
        assert_eq!(space.victims(others, MIB), [file(7), file(40)]);
    }

    #[test]
    fn what_frees_space_is_allowed_when_what_takes_some_is_not() {
        let mut space = space(100 * MIB);
        set_others(&mut space, 5 * MIB);
        space.grow(file(1), 80 * MIB, 79 * MIB);
        assert_eq!(space.check(4 * MIB, MIB, Purpose::Keeps), Ok(()));
        let full = Full { used: 85 * MIB, limit: 100 * MIB };
        assert_eq!(space.check(4 * MIB + 1, MIB, Purpose::Keeps), Err(full));
        assert_eq!(space.check(4 * MIB, MIB + 1, Purpose::Keeps), Err(full), "queued counts");
        assert_eq!(space.check(14 * MIB, MIB, Purpose::Frees), Ok(()));
        assert_eq!(space.check(14 * MIB + 1, MIB, Purpose::Frees), Err(full));
        assert_eq!(space.check(u64::MAX, u64::MAX, Purpose::Frees), Err(full));
        space.remove(file(1));
        assert_eq!(space.check(80 * MIB, MIB, Purpose::Keeps), Ok(()), "to the byte's file");
    }

    #[test]
    fn without_a_limit_nothing_is_refused() {
        let mut space = Space::new(SpaceSettings { limit: None, reserve: MIB });
        space.grow(file(1), u64::MAX, u64::MAX);
        space.grow(file(2), u64::MAX, u64::MAX);
        assert_eq!(space.check(u64::MAX, u64::MAX, Purpose::Keeps), Ok(()));
        assert_eq!((space.pressure(), space.rise()), (Pressure::Low, None));
    }

    #[test]
    fn the_owner_is_told_once_until_there_was_space() {
        let mut space = space(100 * MIB);
        let mut told = Vec::new();
        for percent in [70, 79, 80, 90, 79, 85, 95, 94, 96, 76, 81, 74, 75, 80, 99, 0, 100] {
            set_others(&mut space, percent * MIB);
            if let Some(pressure) = space.rise() {
                told.push((percent, pressure));
            }
        }
        let expected = [
            (80, Pressure::High),
            (95, Pressure::Critical),
            (80, Pressure::High),
            (99, Pressure::Critical),
            (100, Pressure::Critical),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_file_whose_bytes_were_all_freed_is_a_candidate_unless_it_is_needed() {
        let mut space = space(100 * MIB);
        (1..=3).for_each(|number| space.grow(file(number), MIB, 1000));
        space.free(file(1), 600);
        assert_eq!(space.candidates(file(3)).count(), 0);
        (1..=3).for_each(|number| space.free(file(number), 1000));
        assert_eq!(space.candidates(file(3)).collect::<Vec<_>>(), [file(1), file(2)]);
        space.recount(file(1), 5);
        assert_eq!(space.candidates(file(3)).collect::<Vec<_>>(), [file(2)]);
    }

    #[test]
    fn each_file_is_a_candidate_once_if_it_is_not_known_what_was_freed() {
        let mut space = space(100 * MIB);
        (1..=3).for_each(|number| space.grow(file(number), MIB, 1000));
        space.doubt();
        space.grow(file(4), MIB, 1000);
        let candidates = |space: &Space| space.candidates(file(9)).collect::<Vec<_>>();
        assert_eq!(candidates(&space), [file(1), file(2), file(3)]);
        space.recount(file(2), 700);
        assert_eq!(candidates(&space), [file(1), file(3)]);
        assert_eq!(space.file(file(2)).unwrap().live, 700);
        space.remove(file(1));
        space.recount(file(3), 0);
        assert_eq!(candidates(&space), [file(3)], "nothing in it is read");
    }

    #[test]
    fn the_victim_is_the_file_that_frees_most() {
        let mut space = space(1000 * MIB);
        space.set_file(file(1), used(64 * MIB, 60 * MIB, 31 * MIB));
        let victims = |space: &Space, before| space.victims(file(before), 24 * MIB);
        assert_eq!(victims(&space, 9), [], "more than half of it lives");
        space.set_file(file(2), used(64 * MIB, 60 * MIB, 30 * MIB));
        space.set_file(file(3), used(64 * MIB, 60 * MIB, 20 * MIB));
        space.set_file(file(4), used(64 * MIB, 60 * MIB, 0));
        space.set_file(file(5), used(64 * MIB, 60 * MIB, 5 * MIB));
        assert_eq!(victims(&space, 5), [file(3)], "2 is too much, 4 dead, and 5 written");
        assert_eq!(victims(&space, 9), [file(5)], "3 is too much beside 5");
        space.set_file(file(3), used(64 * MIB, 60 * MIB, 10 * MIB));
        assert_eq!(victims(&space, 9), [file(5), file(3)]);
        // Small appends: much of the file is heads.
        let mut space = self::space(1000 * MIB);
        space.set_file(file(1), used(64 * MIB, 30 * MIB, 30 * MIB));
        assert_eq!(victims(&space, 9), []);
        set_others(&mut space, 800 * MIB);
        assert_eq!(victims(&space, 9), [file(1)], "space is short");
        space.set_file(file(1), used(64 * MIB, 60 * MIB, 60 * MIB));
        assert_eq!(victims(&space, 9), [], "nothing is freed");
        let moved = |n| (FileNumber::moved(n), used(2 * MIB, 2 * MIB, 2 * MIB));
        (1..=7).map(moved).for_each(|(file, used)| space.set_file(file, used));
        assert_eq!(victims(&space, 9), [], "few short files");
        (8..=9).map(moved).for_each(|(file, used)| space.set_file(file, used));
        assert_eq!(victims(&space, 9), (1..=8).map(FileNumber::moved).collect::<Vec<_>>());
    }

    #[test]
    fn only_what_the_owner_can_read_counts_in_a_file() {
        let entry = |segment, from, file| Entry {
            segment: SegmentNumber(segment),
            from,
            file: FileNumber(file),
            to: from + 100,
            at: 64,
            end: 200,
        };
        let entries = [entry(1, 0, 3), entry(1, 100, 3), entry(2, 0, 3), entry(1, 200, 4)];
        // Segment 1 is truncated to 150, segment 2 was deleted.
        let live = |segment: SegmentNumber, from: u64, to: u64| match segment.0 {
            1 => to.saturating_sub(from.max(150)),
            _ => 0,
        };
        assert_eq!(live_in(file(3), entries, live), 50);
        assert_eq!(live_in(file(4), entries, live), 100);
        assert_eq!(live_in(file(5), entries, live), 0);
    }

    proptest! {
        #[test]
        fn the_hints_are_exact_while_nothing_is_lost(
            changes in prop::collection::vec((1_u64..5, 0_u64..1000, any::<bool>()), 1..60),
        ) {
            let mut space = space(u64::MAX);
            let mut model: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
            for (number, bytes, frees) in changes {
                let (len, live) = model.entry(number).or_insert((64, 0));
                if frees {
                    let freed = bytes.min(*live);
                    space.free(file(number), freed);
                    *live -= freed;
                } else {
                    (*len, *live) = (*len + bytes + 32, *live + bytes);
                    space.grow(file(number), *len, bytes);
                }
            }
            for (number, (_, live)) in &model {
                let found = space.file(file(*number)).map_or(0, |used| used.live);
                prop_assert_eq!(found, *live);
            }
            let used: u64 = model.values().map(|(len, _)| if *len > 64 { *len } else { 0 }).sum();
            prop_assert_eq!(space.used(), used);
            let is_dead = |(len, live): &&(u64, u64)| *len > 64 && *live == 0;
            let dead = space.candidates(FileNumber(u64::MAX)).count();
            prop_assert_eq!(dead, model.values().filter(is_dead).count());
        }
    }
}
