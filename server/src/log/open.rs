//! Opening a log: it is created, or read back piece by piece.
//!
//! Nothing is changed before all of it was read. Then what a torn write left is cut off, what is
//! not needed is removed, and what was read is made durable: it may have been in the memory of the
//! system only.

use std::{collections::BTreeMap, io};

use pravega_sdk_server_core::{
    log::{
        Chain, CheckpointEnd, CheckpointFile, CheckpointReader, CheckpointSettings, CheckpointStep,
        Contents, CopiedFile, FOLDER_LEN, FOLDER_NAME, FOOTER_LEN, FileHead, FileNumber, FolderId,
        Footer, HEAD_LEN, KEEPING_NAME, Keeper, KnownRun, LogWriter, MARK_LEN, MARK_NAME, MarkSlot,
        MarkState, Place, PlacedRecord, Position, Problem, Recovered, Recovery, RecoveryStep,
        RunFile, Salt, Settings, SpaceSettings, Start, StateEntry, What, creation, needed,
        read_identity,
    },
    record::Sequence,
};

use super::disk::{Disk, carry_out_step};
use crate::{folder::Kind, journal::OpenProblem};

/// What is read back, in order: the entries of checkpoints, then frames after them.
pub(crate) trait Replay {
    /// Entries of the state.
    fn entries(&mut self, entries: Vec<StateEntry>);
    /// The records of a frame.
    fn frame(&mut self, place: Place, sequence: Sequence, records: Vec<PlacedRecord>);
}

/// A log that goes on after what was read back.
#[derive(Debug)]
pub(crate) struct OpenedLog {
    pub(crate) writer: LogWriter,
    /// The last batch that was read back.
    pub(crate) sequence: Sequence,
    /// The configuration of the writer.
    pub(crate) settings: Settings,
    /// When checkpoints are written.
    pub(crate) checkpoints: CheckpointSettings,
    /// The checkpoints that were read.
    pub(crate) chain: Option<Chain>,
}

/// The configuration of a folder's log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Configure {
    /// That of its writer, of whatever folder.
    pub(crate) writer: Settings,
    /// When checkpoints are written, in whatever folder.
    pub(crate) checkpoints: CheckpointSettings,
    /// The limit of its space.
    pub(crate) space: SpaceSettings,
    /// The memory limit of the server, in bytes.
    pub(crate) memory: u64,
}

/// Opens the log of a folder, or creates one in an empty folder. The files of the log and the index
/// of its segments are beside it.
pub(crate) fn open(
    disk: &dyn Disk,
    configure: Configure,
    replay: &mut dyn Replay,
) -> Result<(OpenedLog, Keeper), OpenProblem> {
    let listing = list(disk)?;
    match Contents::of(&listing).map_err(of_problem)? {
        Contents::Others { name } => Err(foreign(name)),
        Contents::Nothing { leftovers } => create(disk, configure, leftovers),
        Contents::Log { files, checkpoints, runs, leftovers, others } => {
            for file in others {
                tracing::warn!(
                    file,
                    "unknown file in the folder of data; ignored, also if an earlier version wrote \
                     it there after the folder was converted"
                );
            }
            let mut reading = Reading::new(disk, &listing, leftovers, configure.space);
            let (folder, recovered) = reading.read(files, checkpoints, &runs, replay)?;
            reading.settle(&recovered)?;
            let Recovered { current, next, sequence, slot, zeros, .. } = recovered;
            let settings = Settings { folder, ..configure.writer };
            let checkpoints = CheckpointSettings { folder, ..configure.checkpoints };
            let mut writer = LogWriter::new(settings, current, next, sequence, slot);
            writer.set_zeros(zeros);
            let Reading { mut keeper, chain, .. } = reading;
            // Before anything is taken: the limit is one on all files, not only those of the log.
            let settled = list(disk)?;
            keeper.space_mut().measure(settled.iter().map(|(name, len)| (name.as_str(), *len)));
            Ok((OpenedLog { writer, sequence, settings, checkpoints, chain }, keeper))
        }
    }
}

/// The problem of a folder with a file that is none of a server's.
pub(crate) fn foreign(file: String) -> OpenProblem {
    let what = "the folder has other files, and none of a server: choose another one, which need \
                not exist";
    OpenProblem::Foreign { file, what: what.to_owned() }
}

/// Reads the log of a folder back again, while it is not written to, and changes nothing.
pub(crate) fn read_back(
    disk: &dyn Disk,
    space: SpaceSettings,
    replay: &mut dyn Replay,
) -> Result<(), OpenProblem> {
    survey(disk, space, replay).map(drop)
}

/// A log that was read back, of which nothing was changed.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) folder: FolderId,
    pub(crate) recovered: Recovered,
    /// The files that a start needs.
    pub(crate) needed: Vec<CopiedFile>,
    /// Those of them with bytes of segments, and the runs.
    pub(crate) keeper: Keeper,
    /// The checkpoints.
    pub(crate) chain: Vec<CheckpointFile>,
    /// The names of files that a start removes.
    pub(crate) obsolete: Vec<String>,
}

/// Reads the log of a folder back, and finds out which of its files a start needs.
pub(crate) fn survey(
    disk: &dyn Disk,
    space: SpaceSettings,
    replay: &mut dyn Replay,
) -> Result<Survey, OpenProblem> {
    let listing = list(disk)?;
    let (files, checkpoints, runs, leftovers) = match Contents::of(&listing).map_err(of_problem)? {
        Contents::Log { files, checkpoints, runs, leftovers, .. } => {
            (files, checkpoints, runs, leftovers)
        }
        Contents::Others { name } => return Err(foreign(name)),
        Contents::Nothing { .. } => {
            let (file, what) = (FOLDER_NAME.to_owned(), What::Missing);
            return Err(of_problem(Problem { file, at: 0, what }));
        }
    };
    let mut reading = Reading::new(disk, &listing, leftovers, space);
    let (chain, _) = CheckpointFile::chain(checkpoints.clone()).map_err(of_problem)?;
    let (folder, recovered) = reading.read(files, checkpoints, &runs, replay)?;
    let needed = needed(&recovered, &reading.keeper, &chain, &reading.named, &listing);
    let Reading { keeper, leftovers: mut obsolete, .. } = reading;
    obsolete.extend(recovered.unfinished.map(FileNumber::name));
    obsolete.extend(recovered.obsolete.iter().map(|file| file.name()));
    Ok(Survey { folder, recovered, needed, keeper, chain, obsolete })
}

/// The names and lengths of all files. Those of the log are regular files.
pub(crate) fn list(disk: &dyn Disk) -> Result<BTreeMap<String, u64>, OpenProblem> {
    let mut listing = BTreeMap::new();
    for (name, kind, len) in disk.list().map_err(OpenProblem::io("cannot list its files"))? {
        if kind == Kind::Regular {
            listing.insert(name, len);
            continue;
        }
        // What only has a name of its own is passed over as a file with that name would be.
        let alone = [(FOLDER_NAME.to_owned(), 0), (MARK_NAME.to_owned(), 0), (name.clone(), 0)];
        let is_other = matches!(
            Contents::of(&alone.into()),
            Ok(Contents::Log { others, .. }) if others == [&*name]
        );
        if !is_other && ![LOST_AND_FOUND, KEEPING_NAME].contains(&&*name) {
            let what = match kind {
                Kind::Link => "it is a symbolic link",
                Kind::Regular | Kind::Other => "it is no regular file",
            };
            return Err(OpenProblem::Foreign { file: name, what: what.to_owned() });
        }
        listing.insert(name, 0);
    }
    Ok(listing)
}

/// What file systems make in their topmost folder.
const LOST_AND_FOUND: &str = "lost+found";

fn create(
    disk: &dyn Disk,
    configure: Configure,
    leftovers: Vec<String>,
) -> Result<(OpenedLog, Keeper), OpenProblem> {
    let folder = FolderId(fastrand::u128(..));
    let (steps, head) = creation(folder, Salt(fastrand::u64(..)), leftovers);
    for step in steps {
        let done = carry_out_step(disk, &step);
        done.map_err(OpenProblem::io("cannot create its log"))?;
    }
    let (sequence, slot) = (Sequence::default(), MarkSlot::Second);
    let settings = Settings { folder, ..configure.writer };
    let checkpoints = CheckpointSettings { folder, ..configure.checkpoints };
    let writer = LogWriter::new(settings, None, Some(head), sequence, slot);
    let opened = OpenedLog { writer, sequence, settings, checkpoints, chain: None };
    Ok((opened, Keeper::new(configure.space)))
}

struct Reading<'a> {
    disk: &'a dyn Disk,
    listing: &'a BTreeMap<String, u64>,
    /// Files that are not needed.
    leftovers: Vec<String>,
    keeper: Keeper,
    chain: Option<Chain>,
    /// The runs that the newest checkpoint names.
    named: Vec<KnownRun>,
    /// The file whose frames are read, and its salt.
    file: Option<(FileNumber, Salt)>,
}

impl<'a> Reading<'a> {
    fn new(
        disk: &'a dyn Disk,
        listing: &'a BTreeMap<String, u64>,
        leftovers: Vec<String>,
        space: SpaceSettings,
    ) -> Self {
        let keeper = Keeper::new(space);
        Self { disk, listing, leftovers, keeper, chain: None, named: Vec::new(), file: None }
    }

    fn read(
        &mut self,
        files: BTreeMap<FileNumber, u64>,
        checkpoints: Vec<CheckpointFile>,
        runs: &BTreeMap<RunFile, u64>,
        replay: &mut dyn Replay,
    ) -> Result<(FolderId, Recovered), OpenProblem> {
        // One byte more than it should have: a longer file is another one.
        let identity = self.bytes(FOLDER_NAME, 0, FOLDER_LEN as u64 + 1)?;
        let folder = read_identity(&identity).map_err(of_problem)?;
        let (checkpoints, others) = CheckpointFile::chain(checkpoints).map_err(of_problem)?;
        self.leftovers.extend(others.into_iter().map(CheckpointFile::name));
        let mut start = Start::First;
        for file in &checkpoints {
            start = self.read_checkpoint(folder, *file, replay)?;
            let len = self.len(&file.name());
            let (base_len, deltas_len) = match self.chain {
                Some(Chain { base_len, deltas_len, .. }) => (base_len, deltas_len + len),
                None => (len, 0),
            };
            self.chain = Some(Chain { newest: *file, base_len, deltas_len });
        }
        let mut others = match &start {
            // All of the log is read, which has everything that a run has.
            Start::First => runs.keys().copied().collect(),
            Start::Checkpoint(position, end) => {
                self.take_checkpoint(position, end)?;
                end.other_runs(runs).map_err(of_problem)?
            }
        };
        let mark = self.bytes(MARK_NAME, 0, MARK_LEN as u64 + 1)?;
        let recovered = self.read_log(folder, &mark, files, start, replay)?;
        self.take_moved(&recovered)?;
        others.retain(|run| !recovered.moved.iter().any(|moved| RunFile::of(moved.file) == *run));
        self.leftovers.extend(others.into_iter().map(RunFile::name));
        if recovered.mark == MarkState::Damaged {
            tracing::warn!(
                file = MARK_NAME,
                "the note of how far the log was synced is damaged; what the end of the log has \
                 lost, if anything, was not noticed"
            );
        }
        Ok((folder, recovered))
    }

    fn read_checkpoint(
        &self,
        folder: FolderId,
        file: CheckpointFile,
        replay: &mut dyn Replay,
    ) -> Result<Start, OpenProblem> {
        let name = file.name();
        let mut reader = CheckpointReader::new(folder, file, self.len(&name));
        loop {
            match reader.poll().map_err(of_problem)? {
                CheckpointStep::Read { at, len } => {
                    let bytes = self.bytes(&name, at, len)?;
                    if (bytes.len() as u64) < len {
                        return Err(shortened(name, at));
                    }
                    reader.handle_read(bytes);
                }
                CheckpointStep::Entries(entries) => replay.entries(entries),
                CheckpointStep::Done(position, end) => {
                    return Ok(Start::Checkpoint(position, end));
                }
            }
        }
    }

    /// Takes the files and runs of the newest checkpoint.
    fn take_checkpoint(
        &mut self,
        position: &Position,
        end: &CheckpointEnd,
    ) -> Result<(), OpenProblem> {
        let listing = self.listing;
        let exists = |file: FileNumber| listing.contains_key(&file.name());
        self.keeper.take_checkpoint(position, end, exists);
        self.named.clone_from(&end.runs);
        for known in &end.runs {
            let footer = self.footer(known.run, known.salt, known.len)?;
            self.keeper.take_run(known, footer);
        }
        Ok(())
    }

    /// Takes the files that bytes were moved to after the checkpoint, and forgets those that were
    /// given up.
    fn take_moved(&mut self, recovered: &Recovered) -> Result<(), OpenProblem> {
        for moved in &recovered.moved {
            let footer = self.footer(RunFile::of(moved.file), moved.run_salt, moved.run_len)?;
            self.keeper.take_moved(moved, footer);
        }
        self.keeper.take_end(recovered);
        Ok(())
    }

    /// The end of a run.
    fn footer(&self, run: RunFile, salt: Salt, len: u64) -> Result<Footer, OpenProblem> {
        let (name, at) = (run.name(), len.saturating_sub(FOOTER_LEN as u64));
        if !self.listing.contains_key(&name) {
            return Err(of_problem(Problem { file: name, at: 0, what: What::Missing }));
        }
        let bytes = self.bytes(&name, at, FOOTER_LEN as u64)?;
        let damaged = || OpenProblem::Corrupt {
            file: run.name(),
            offset: at,
            what: "its end is not what was written".to_owned(),
        };
        Footer::decode(&bytes, salt, at).ok_or_else(damaged)
    }

    /// Takes the spans of a frame.
    fn take_frame(&mut self, place: Place, records: &[PlacedRecord]) -> Result<(), OpenProblem> {
        let salt = match self.file {
            Some((file, salt)) if file == place.file => salt,
            _ => {
                let head = self.bytes(&place.file.name(), 0, HEAD_LEN as u64)?;
                let head = FileHead::decode(&head).map_err(|_| {
                    let file = place.file.name();
                    of_problem(Problem { file, at: 0, what: What::Head })
                })?;
                self.file = Some((place.file, head.salt));
                head.salt
            }
        };
        let taken = self.keeper.take_frame(place, salt, records);
        taken.map_err(|error| OpenProblem::Corrupt {
            file: place.file.name(),
            offset: place.at,
            what: error.to_string(),
        })
    }

    fn len(&self, name: &str) -> u64 {
        self.listing.get(name).copied().unwrap_or_default()
    }

    fn read_log(
        &mut self,
        folder: FolderId,
        mark: &[u8],
        files: BTreeMap<FileNumber, u64>,
        start: Start,
        replay: &mut dyn Replay,
    ) -> Result<Recovered, OpenProblem> {
        let mut recovery = Recovery::new(folder, mark, files, start).map_err(of_problem)?;
        loop {
            match recovery.poll().map_err(of_problem)? {
                RecoveryStep::Read { place, len } => {
                    let name = place.file.name();
                    let bytes = self.bytes(&name, place.at, len)?;
                    if (bytes.len() as u64) < len {
                        return Err(shortened(name, place.at));
                    }
                    recovery.handle_read(bytes);
                }
                RecoveryStep::Frame { place, sequence, records } => {
                    self.take_frame(place, &records)?;
                    replay.frame(place, sequence, records);
                }
                RecoveryStep::Done(recovered) => return Ok(recovered),
            }
        }
    }

    fn bytes(&self, name: &str, at: u64, len: u64) -> Result<bytes::Bytes, OpenProblem> {
        self.disk.read_at(name, at, len).map_err(|error| cannot_read(name, error))
    }

    /// Brings the folder to where the log goes on.
    fn settle(&self, recovered: &Recovered) -> Result<(), OpenProblem> {
        for end in &recovered.cuts {
            let (file, at) = (end.file.name(), end.at);
            tracing::warn!(
                file,
                at,
                "the last write was torn and is cut off; it was never acknowledged"
            );
            let failed = || OpenProblem::io(format!("cannot cut off the torn end of {file}"));
            self.disk.cut(&file, at).map_err(failed())?;
            self.disk.sync(&file).map_err(failed())?;
        }
        for (place, len) in &recovered.rewrites {
            self.write_again(*place, *len)?;
        }
        let unfinished = recovered.unfinished.map(FileNumber::name);
        let obsolete = recovered.obsolete.iter().map(|file| file.name());
        for name in self.leftovers.iter().cloned().chain(unfinished).chain(obsolete) {
            self.disk
                .remove(&name)
                .map_err(OpenProblem::io(format!("cannot remove {name}, which is obsolete")))?;
        }
        let current = recovered.current.map(|file| file.number);
        for file in current.into_iter().chain(recovered.next.map(|head| head.number)) {
            let name = file.name();
            self.disk.sync(&name).map_err(OpenProblem::io(format!("cannot sync {name}")))?;
        }
        self.disk.sync_folder().map_err(OpenProblem::io("cannot sync the folder"))
    }

    /// Writes bytes as they were read.
    fn write_again(&self, Place { file, mut at }: Place, len: u64) -> Result<(), OpenProblem> {
        let (name, end) = (file.name(), at.saturating_add(len));
        while at < end {
            let bytes = self.bytes(&name, at, (end - at).min(REWRITE_LEN))?;
            if bytes.is_empty() {
                return Err(shortened(name, at));
            }
            let written = self.disk.write_at(&name, at, &bytes);
            written.map_err(OpenProblem::io(format!("cannot write the end of {name} again")))?;
            at += bytes.len() as u64;
        }
        Ok(())
    }
}

/// The most bytes that are written again at once.
const REWRITE_LEN: u64 = 1 << 20;

fn shortened(file: String, at: u64) -> OpenProblem {
    of_problem(Problem { file, at, what: What::Shortened })
}

/// The problem of a file that cannot be read.
pub(crate) fn cannot_read(name: &str, error: io::Error) -> OpenProblem {
    match error.kind() {
        io::ErrorKind::NotFound => {
            of_problem(Problem { file: name.to_owned(), at: 0, what: What::Missing })
        }
        _ => OpenProblem::io(format!("cannot read {name}"))(error),
    }
}

/// The problem of a folder, as callers know it.
pub(crate) fn of_problem(problem: Problem) -> OpenProblem {
    let Problem { file, at: offset, what } = problem;
    match what {
        What::Version(found) => OpenProblem::Version { file, found, max: 1 },
        What::Missing if RunFile::of_name(&file).is_some() => {
            let what = "it is an index, without which a start does not find the events in the \
                        log files. No event is lost with it: a salvage of the folder makes it \
                        again";
            OpenProblem::Missing { file, what: what.to_owned() }
        }
        What::Missing => {
            let what = "the other files cannot be used without it, or only in part";
            OpenProblem::Missing { file, what: what.to_owned() }
        }
        What::NotNext | What::OtherFolder(_) | What::OtherKind | What::OtherNumber(_) => {
            OpenProblem::Foreign { file, what: what.to_string() }
        }
        _ => OpenProblem::Corrupt { file, offset, what: what.to_string() },
    }
}
