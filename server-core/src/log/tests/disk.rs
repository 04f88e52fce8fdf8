//! A disk that fails, and that loses what was not synced.
//!
//! Every call of a file is kept until the file is synced, every change of a name until the folder
//! is. A crash loses of these: all, none, all from some call on, or any sectors of any call. Names
//! and contents are lost independently. After a sync that failed, what it did not write is read
//! until a crash, and no later sync writes it, as systems do.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::super::CheckpointEffect;

/// The length of what a disk writes as a whole, in bytes.
const SECTOR: usize = 512;

/// A folder on a disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    files: BTreeMap<usize, FileState>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<NameChange>,
    calls: usize,
    /// The first call that fails, and how.
    fault: Option<(usize, Fault)>,
    is_down: bool,
}

#[derive(Debug, Clone, Default)]
struct FileState {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Cut(usize),
}

#[derive(Debug, Clone)]
enum NameChange {
    Created(String, usize),
    /// The old name is gone if the new one is there.
    Renamed(String, String, usize),
    Removed(String),
}

/// The part of its effect that a failing call has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Nothing,
    Half,
    Everything,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The power fails, and all later calls fail.
    Crash(Part),
    /// The call fails, later ones work.
    Error(Part),
    /// This many calls that need space fail.
    NoSpace(usize, Part),
}

/// What a crash loses of the changes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    Everything,
    Nothing,
    /// All changes from some change on, of which a part is kept.
    Rest,
    /// Any sectors of any change.
    Sectors,
}

pub(super) const LOSSES: [Loss; 4] = [Loss::Everything, Loss::Nothing, Loss::Rest, Loss::Sectors];

/// The failure of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    NoSpace,
    Other,
}

type Result<T> = std::result::Result<T, Failed>;

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => {
                content.resize(content.len().max(at + bytes.len()), 0);
                content[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            Self::Cut(len) => content.truncate(*len),
        }
    }

    /// The first part of a write; a cut is whole or not made.
    fn first(&self, part: usize) -> Option<Self> {
        match self {
            Self::Write { at, bytes } => {
                Some(Self::Write { at: *at, bytes: bytes[..part.min(bytes.len())].to_vec() })
            }
            Self::Cut(_) => None,
        }
    }

    /// The sectors of the file that a write touches, as writes.
    fn sectors(&self) -> Vec<Self> {
        let Self::Write { at, bytes } = self else { return vec![self.clone()] };
        let (mut sectors, mut start) = (Vec::new(), 0);
        while start < bytes.len() {
            let end = bytes.len().min(start + SECTOR - (at + start) % SECTOR);
            sectors.push(Self::Write { at: at + start, bytes: bytes[start..end].to_vec() });
            start = end;
        }
        sectors
    }
}

impl FileState {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.pending.push(change);
    }

    fn after(&self, loss: Loss, random: &mut fastrand::Rng) -> Vec<u8> {
        let mut left = self.durable.clone();
        match loss {
            Loss::Everything => {}
            Loss::Nothing => left.clone_from(&self.now),
            Loss::Rest if self.pending.is_empty() => {}
            Loss::Rest => {
                let kept = random.usize(..self.pending.len());
                self.pending[..kept].iter().for_each(|change| change.apply(&mut left));
                let torn = self.pending[kept].sectors();
                torn[..random.usize(..=torn.len())].iter().for_each(|part| part.apply(&mut left));
            }
            Loss::Sectors => {
                for sector in self.pending.iter().flat_map(Change::sectors) {
                    if random.bool() {
                        sector.apply(&mut left);
                    }
                }
                // The length may be durable before the content is.
                if random.bool() {
                    left.resize(left.len().max(self.now.len()), 0);
                }
            }
        }
        left
    }
}

impl Disk {
    /// Fails one of the next calls in one of the ways.
    pub(super) fn failing(self, random: &mut fastrand::Rng) -> Self {
        let part = [Part::Nothing, Part::Half, Part::Everything][random.usize(..3)];
        let fault = match random.u8(..6) {
            0..=2 => Fault::Crash(part),
            3 => Fault::Error(part),
            _ => Fault::NoSpace(random.usize(1..30), part),
        };
        self.failing_at(random.usize(1..800), fault)
    }

    /// The disk after its process was killed, or the machine has lost its power.
    pub(super) fn after_end(&self, random: &mut fastrand::Rng) -> Self {
        match random.u8(..5) {
            0 => self.after_kill(),
            _ => self.after(LOSSES[random.usize(..LOSSES.len())], random),
        }
    }

    /// The disk with a fault at a call from now on.
    pub(super) fn failing_at(mut self, call: usize, fault: Fault) -> Self {
        (self.calls, self.fault) = (0, Some((call, fault)));
        self
    }

    /// The number of calls that change something.
    pub(super) fn calls(&self) -> usize {
        self.calls
    }

    pub(super) fn is_down(&self) -> bool {
        self.is_down
    }

    /// The disk after a crash and a new start.
    pub(super) fn after(&self, loss: Loss, random: &mut fastrand::Rng) -> Self {
        let mut names = self.durable_names.clone();
        let kept = match loss {
            Loss::Everything => 0,
            Loss::Nothing => self.pending_names.len(),
            Loss::Rest | Loss::Sectors => random.usize(..=self.pending_names.len()),
        };
        for change in &self.pending_names[..kept] {
            match change {
                NameChange::Created(name, file) => drop(names.insert(name.clone(), *file)),
                NameChange::Renamed(from, to, file) => {
                    names.remove(from);
                    names.insert(to.clone(), *file);
                }
                NameChange::Removed(name) => drop(names.remove(name)),
            }
        }
        let mut files = BTreeMap::new();
        for file in names.values() {
            let durable = self.files[file].after(loss, random);
            files.insert(*file, FileState { now: durable.clone(), durable, pending: vec![] });
        }
        Self { files, durable_names: names.clone(), names, ..Self::default() }
    }

    /// The disk after the process ended, not the system: nothing is lost.
    pub(super) fn after_kill(&self) -> Self {
        Self { fault: None, is_down: false, ..self.clone() }
    }

    /// Makes a change, or a part of it if the call fails.
    fn call(
        &mut self,
        needs_space: bool,
        change: impl FnOnce(&mut Self, Part) -> Result<()>,
    ) -> Result<()> {
        if self.is_down {
            return Err(Failed::Other);
        }
        self.calls += 1;
        match self.fault {
            Some((call, Fault::Crash(part))) if call == self.calls => {
                change(self, part)?;
                self.is_down = true;
                Err(Failed::Other)
            }
            Some((call, Fault::Error(part))) if call == self.calls => {
                change(self, part)?;
                Err(Failed::Other)
            }
            Some((call, Fault::NoSpace(left, part)))
                if needs_space && left > 0 && call <= self.calls =>
            {
                self.fault = Some((call, Fault::NoSpace(left - 1, part)));
                change(self, part)?;
                Err(Failed::NoSpace)
            }
            _ => change(self, Part::Everything),
        }
    }

    fn file(&mut self, name: &str) -> Result<&mut FileState> {
        let file = self.names.get(name).ok_or(Failed::Other)?;
        self.files.get_mut(file).ok_or(Failed::Other)
    }

    /// Creates an empty file, which must not exist.
    pub(super) fn create(&mut self, name: &str) -> Result<()> {
        assert!(!self.names.contains_key(name), "{name} exists already");
        self.call(true, |disk, part| {
            if part == Part::Everything {
                let file = disk.files.last_key_value().map_or(0, |(file, _)| file + 1);
                disk.files.insert(file, FileState::default());
                disk.names.insert(name.to_owned(), file);
                disk.pending_names.push(NameChange::Created(name.to_owned(), file));
            }
            Ok(())
        })
    }

    pub(super) fn write(&mut self, name: &str, at: u64, bytes: &[u8]) -> Result<()> {
        let change = Change::Write { at: at as usize, bytes: bytes.to_vec() };
        self.call(true, |disk, part| {
            let file = disk.file(name)?;
            match part {
                Part::Nothing => {}
                Part::Half => {
                    if let Some(change) = change.first(bytes.len() / 2) {
                        file.change(change);
                    }
                }
                Part::Everything => file.change(change),
            }
            Ok(())
        })
    }

    pub(super) fn cut(&mut self, name: &str, len: u64) -> Result<()> {
        self.call(false, |disk, part| {
            let file = disk.file(name)?;
            if part == Part::Everything {
                file.change(Change::Cut(len as usize));
            }
            Ok(())
        })
    }

    pub(super) fn sync(&mut self, name: &str) -> Result<()> {
        self.call(false, |disk, part| {
            let file = disk.file(name)?;
            // A half of it: some changes are durable, and which is unknown.
            let kept = match part {
                Part::Nothing => 0,
                Part::Half => file.pending.len() / 2,
                Part::Everything => file.pending.len(),
            };
            for change in file.pending.drain(..kept) {
                change.apply(&mut file.durable);
            }
            file.pending.retain(|change| matches!(change, Change::Cut(_)));
            Ok(())
        })
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        self.call(false, |disk, part| {
            let file = *disk.names.get(from).ok_or(Failed::Other)?;
            if part == Part::Everything {
                disk.names.remove(from);
                disk.names.insert(to.to_owned(), file);
                let (from, to) = (from.to_owned(), to.to_owned());
                disk.pending_names.push(NameChange::Renamed(from, to, file));
            }
            Ok(())
        })
    }

    pub(super) fn remove(&mut self, name: &str) -> Result<()> {
        self.call(false, |disk, part| {
            if part == Part::Everything {
                disk.names.remove(name).ok_or(Failed::Other)?;
                disk.pending_names.push(NameChange::Removed(name.to_owned()));
            }
            Ok(())
        })
    }

    pub(super) fn sync_folder(&mut self) -> Result<()> {
        self.call(false, |disk, part| {
            if part == Part::Everything {
                disk.durable_names = disk.names.clone();
                disk.pending_names.clear();
            }
            Ok(())
        })
    }

    pub(super) fn list(&self) -> BTreeMap<String, u64> {
        let len = |file: &usize| self.files[file].now.len() as u64;
        self.names.iter().map(|(name, file)| (name.clone(), len(file))).collect()
    }

    pub(super) fn read(&self, name: &str, at: u64, len: u64) -> Bytes {
        let content = self.names.get(name).map(|file| &self.files[file].now[..]);
        let content = content.unwrap_or_default();
        let (from, to) = ((at as usize).min(content.len()), ((at + len) as usize));
        Bytes::copy_from_slice(&content[from..to.min(content.len()).max(from)])
    }

    pub(super) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let content = |file: &usize| self.files[file].now.clone();
        self.names.iter().map(|(name, file)| (name.clone(), content(file))).collect()
    }

    pub(super) fn with_contents(contents: &BTreeMap<String, Vec<u8>>) -> Self {
        let mut disk = Self::default();
        for (file, (name, content)) in contents.iter().enumerate() {
            let (now, durable) = (content.clone(), content.clone());
            disk.files.insert(file, FileState { now, durable, pending: vec![] });
            disk.names.insert(name.clone(), file);
        }
        disk.durable_names = disk.names.clone();
        disk
    }
}

/// Does what a checkpoint or a compaction needs of a disk.
pub(super) fn carry_out(disk: &mut Disk, effect: CheckpointEffect) -> Result<()> {
    match effect {
        CheckpointEffect::Append { name, at, bytes } => {
            if at == 0 && !disk.list().contains_key(&name) {
                disk.create(&name)?;
            }
            disk.write(&name, at, &bytes)
        }
        CheckpointEffect::Sync { name } => disk.sync(&name),
        CheckpointEffect::Rename { from, to } => disk.rename(&from, &to),
        CheckpointEffect::SyncFolder => disk.sync_folder(),
        CheckpointEffect::Remove { name } => match disk.list().contains_key(&name) {
            true => disk.remove(&name),
            false => Ok(()),
        },
    }
}
