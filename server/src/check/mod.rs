//! Checking a folder, whole, while no server uses it. Nothing is changed.
//!
//! ```text
//! start    the log is read back as a start does: what it would refuse
//! files    each file that is needed, byte by byte
//! names    which segments have bytes where damage is
//! ```
//!
//! If a start would refuse the folder, which files are needed is unknown: all are checked.

mod report;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, io, ops::Range, path::Path};

use bytes::Bytes;
use pravega_sdk_server_core::{
    log::{
        Contents, Damage, Extent, FOLDER_LEN, FOLDER_NAME, FileNumber, FolderId, HEAD_LEN,
        MARK_LEN, MARK_NAME, Mark, Place, Scrub, ScrubEnd, ScrubFile, ScrubStep, ScrubTarget, What,
        read_identity,
    },
    machine::Machine,
    record::Durability,
};

pub use self::report::{DamagedPart, FolderReport, SegmentPart};
use crate::{
    builder::ServerBuilder,
    copy::Source,
    folder::ReadFolder,
    journal::{OpenError, OpenProblem},
    log::{self, Disk, Places, Survey, joined, read_around},
    storage::{Restored, names},
};

/// The most damaged parts of one file that are reported.
const PARTS: usize = 1000;
/// The most parts that the disk cannot read which are reported.
const UNREADABLE_PARTS: usize = 10_000;

/// Checks every byte of a folder with a server's data, and changes nothing. No server can use the
/// folder meanwhile.
///
/// It reads the whole folder, so it takes as long as that, and blocks the thread.
///
/// # Errors
///
/// [`OpenError`] if a server uses the folder, or if it cannot be read at all. Damage is no error,
/// and neither is a file without which no server would start: they are in the report.
pub fn check(folder: impl AsRef<Path>) -> Result<FolderReport, OpenError> {
    let path = folder.as_ref();
    let failed = |problem| OpenError { folder: path.to_owned(), problem };
    let folder = ReadFolder::locked(path).map_err(OpenProblem::of_folder).map_err(failed)?;
    check_disk(&Source::of(folder)).map_err(failed)
}

fn check_disk(disk: &dyn Disk) -> Result<FolderReport, OpenProblem> {
    let mut report = FolderReport {
        files: 0,
        bytes: 0,
        streams: None,
        segments: None,
        damage: Vec::new(),
        harmless: Vec::new(),
        refusal: None,
        obsolete: Vec::new(),
        unknown: Vec::new(),
    };
    let listing = match log::list(disk) {
        Ok(listing) => listing,
        Err(problem @ OpenProblem::Io { .. }) => return Err(problem),
        // It names what is no regular file.
        Err(problem) => {
            report.refusal = Some(problem);
            return Ok(report);
        }
    };
    if log::is_of_journal(listing.keys().map(String::as_str)) {
        report.refusal = log::check_journal(disk).err();
        (report.files, report.bytes) = (listing.len() as u64, listing.values().sum());
        return Ok(report);
    }
    match Contents::of(&listing) {
        Ok(Contents::Nothing { leftovers }) => {
            report.obsolete = leftovers;
            return Ok(report);
        }
        Ok(Contents::Others { name }) => report.refusal = Some(log::foreign(name)),
        Ok(Contents::Log { others, .. }) => report.unknown = others,
        Err(problem) => report.refusal = Some(log::of_problem(problem)),
    }
    let checking = Checking { disk, listing: &listing, report };
    Ok(checking.run())
}

/// A check that is under way.
struct Checking<'a> {
    disk: &'a dyn Disk,
    listing: &'a BTreeMap<String, u64>,
    report: FolderReport,
}

impl Checking<'_> {
    fn run(mut self) -> FolderReport {
        let builder = ServerBuilder::default();
        let mut restored = Restored::new(builder.machine(Durability::Logged), None);
        let space = builder.log_configuration(None).space;
        let surveyed = match self.report.refusal.take() {
            None => log::survey(self.disk, space, &mut restored),
            Some(problem) => Err(problem),
        };
        let survey = match surveyed {
            Ok(survey) => survey,
            Err(problem) => {
                self.report.refusal = Some(problem);
                self.check_all();
                return self.report;
            }
        };
        let machine = match restored.finish(survey.recovered.sequence) {
            Ok(machine) => Some(machine),
            Err(problem) => {
                self.report.refusal = Some(problem);
                None
            }
        };
        if let Some(machine) = &machine {
            self.report.streams = Some(machine.catalog.stream_count() as u64);
            self.report.segments = Some(machine.store.segment_count() as u64);
        }
        self.check_needed(&survey, machine.as_ref());
        self.report.obsolete = survey.obsolete;
        self.report
    }

    /// Checks the files that a start needs.
    fn check_needed(&mut self, survey: &Survey, machine: Option<&Machine>) {
        let Survey { folder, recovered, keeper, chain, .. } = survey;
        let checkpoint = |file| {
            let len = self.listing.get(&ScrubFile::Checkpoint(file).name());
            ScrubTarget::checkpoint(file, len.copied().unwrap_or_default())
        };
        let mut targets = vec![ScrubTarget::FOLDER, ScrubTarget::MARK];
        targets.extend(chain.iter().map(|file| checkpoint(*file)));
        let files = keeper.scrub_files().into_iter();
        targets.extend(files.filter_map(|file| keeper.scrub_target(file)));
        for target in targets {
            let (found, _) = self.check_file(*folder, target);
            for damage in found {
                let segments = match (damage.file, machine) {
                    (ScrubFile::Log(number), Some(machine)) => {
                        let places = Places::of(keeper, number, &damage.range);
                        let ranges = places.ranges(self.disk).ok();
                        ranges.map(|ranges| segments(joined(names(machine, &ranges))))
                    }
                    _ => None,
                };
                self.put(damage, segments);
            }
        }
        for Place { file, at } in &recovered.cuts {
            let to = self.listing.get(&file.name()).copied().unwrap_or(*at);
            self.put_torn(*file, *at, to);
        }
    }

    /// Checks all files that look like those of a log.
    fn check_all(&mut self) {
        let identity = self.bytes(FOLDER_NAME, FOLDER_LEN as u64 + 1);
        let mark = self.bytes(MARK_NAME, MARK_LEN as u64 + 1);
        let mark = Mark::read(&mark).map(|(mark, _)| mark);
        let of_mark = mark.as_ref().map(|mark| mark.folder);
        // A start names the files of another folder, and so does each of their heads.
        let Some(folder) = read_identity(&identity).ok().or(of_mark) else {
            self.check_alone(ScrubTarget::FOLDER);
            return;
        };
        for (name, len) in self.listing {
            let Some(target) = target(name, *len) else { continue };
            let (found, end) = self.check_file(folder, target);
            found.into_iter().for_each(|damage| self.put(damage, None));
            let (ScrubFile::Log(number), ScrubEnd::Torn(at)) = (target.file, end) else { continue };
            let next = self.listing.get(&number.next().name());
            let is_followed = next.is_some_and(|len| *len > HEAD_LEN as u64);
            let is_synced = mark.as_ref().is_some_and(|mark| mark.end > Place { file: number, at });
            if is_followed || is_synced {
                let what = match is_synced {
                    true => What::DamagedBeforeMark,
                    false => What::DamagedBeforeNext,
                };
                self.put(Damage { file: target.file, range: at..*len, what }, None);
            } else {
                self.put_torn(number, at, *len);
            }
        }
    }

    fn check_alone(&mut self, target: ScrubTarget) {
        if self.listing.contains_key(&target.file.name()) {
            let (found, _) = self.check_file(FolderId(0), target);
            found.into_iter().for_each(|damage| self.put(damage, None));
        }
    }

    /// Bytes of a file; none, if it does not exist.
    fn bytes(&mut self, name: &str, len: u64) -> Bytes {
        self.read(name, 0, len).unwrap_or_default()
    }

    /// Bytes of a file, with zeros for those that the disk cannot read.
    fn read(&mut self, name: &str, at: u64, len: u64) -> io::Result<Bytes> {
        let damage = &mut self.report.damage;
        let file_len = self.listing.get(name).copied().unwrap_or_default();
        read_around(self.disk, (name, file_len), at, len, |part, error| {
            put_unreadable(damage, name, part, &error);
        })
    }

    fn check_file(&mut self, folder: FolderId, target: ScrubTarget) -> (Vec<Damage>, ScrubEnd) {
        let (name, mut found) = (target.file.name(), Vec::new());
        self.report.files += 1;
        let (Extent::Exactly(len) | Extent::UpTo(len)) = target.extent;
        self.report.bytes += len;
        let mut scrub = Scrub::new(folder, target);
        loop {
            match scrub.poll() {
                ScrubStep::Read { at, len } => match self.read(&name, at, len) {
                    Ok(bytes) => scrub.handle_read(bytes),
                    Err(_) => {
                        found.push(scrub.missing());
                        return (found, ScrubEnd::Reached);
                    }
                },
                ScrubStep::Damaged(damage) if found.len() < PARTS => found.push(damage),
                ScrubStep::Damaged(_) => {}
                ScrubStep::Done(end) => return (found, end),
            }
        }
    }

    fn put(&mut self, damage: Damage, segments: Option<Vec<SegmentPart>>) {
        let Damage { file, range, what } = damage;
        let (from, to) = (range.start, range.end);
        let part = DamagedPart { file: file.name(), from, to, what: what.to_string(), segments };
        match what {
            What::DamagedMark => self.report.harmless.push(part),
            _ => self.report.damage.push(part),
        }
    }

    fn put_torn(&mut self, file: FileNumber, from: u64, to: u64) {
        let what = "the torn end of the last write, which was never acknowledged".to_owned();
        let segments = Some(Vec::new());
        self.report.harmless.push(DamagedPart { file: file.name(), from, to, what, segments });
    }
}

/// A file that looks like one of a log, by its name.
fn target(name: &str, len: u64) -> Option<ScrubTarget> {
    let file = ScrubFile::of_name(name)?;
    Some(match file {
        ScrubFile::Folder => ScrubTarget::FOLDER,
        ScrubFile::Mark => ScrubTarget::MARK,
        // One without a whole head was being created.
        ScrubFile::Log(_) if len <= HEAD_LEN as u64 => return None,
        ScrubFile::Log(_) => ScrubTarget { file, salt: None, extent: Extent::UpTo(len) },
        ScrubFile::Checkpoint(_) | ScrubFile::Run(_) => {
            ScrubTarget { file, salt: None, extent: Extent::Exactly(len) }
        }
    })
}

/// Adds a part that the disk cannot read, unless it is there already. What the check makes of the
/// zeros in its place is a part of its own, with the segments.
fn put_unreadable(damage: &mut Vec<DamagedPart>, file: &str, part: Range<u64>, error: &io::Error) {
    let what = format!("the disk cannot read the bytes: {error}");
    let is_beside = |other: &&mut DamagedPart| {
        let touches = other.from <= part.end && part.start <= other.to;
        touches && other.file == file && other.what == what
    };
    if let Some(other) = damage.iter_mut().find(is_beside) {
        (other.from, other.to) = (other.from.min(part.start), other.to.max(part.end));
        return;
    }
    if damage.len() < UNREADABLE_PARTS {
        let (from, to, segments) = (part.start, part.end, None);
        damage.push(DamagedPart { file: file.to_owned(), from, to, what, segments });
    }
}

fn segments(named: Vec<(String, Range<u64>)>) -> Vec<SegmentPart> {
    let part = |(segment, range): (String, Range<u64>)| SegmentPart {
        segment,
        from: range.start,
        to: range.end,
    };
    named.into_iter().map(part).collect()
}
