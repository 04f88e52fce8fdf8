//! The new folder: it is known as unfinished until all is in it and durable.

use std::path::Path;

use pravega_sdk_server_core::{
    log::{Contents, FolderId, FolderStep, Place, copied, copying},
    record::Sequence,
};

use super::error::Side;
use crate::{
    folder::LockedFolder,
    journal::OpenProblem,
    log::{Disk, Files, carry_out_step, of_problem},
};

/// The bytes that are written between two syncs: the disk of a server that runs meanwhile must not
/// have much to write before the server's own syncs.
const SYNC_LEN: u64 = 8 << 20;

/// A folder that is filled.
#[derive(Debug)]
pub(super) struct Target<'a> {
    disk: &'a dyn Disk,
    /// The names of the files in it.
    files: Vec<String>,
    /// The bytes of the last file that were written since it was synced.
    unsynced: u64,
    id: FolderId,
}

/// Locks an empty folder, which is created if it does not exist.
pub(super) fn empty(path: &Path) -> Result<Files, Side> {
    let problem = |problem| Side::Target(problem);
    let locked = LockedFolder::open(path).map_err(OpenProblem::of_folder).map_err(problem)?;
    let listing = locked.list().map_err(Side::target("cannot list its files"))?;
    let lens = listing.into_iter().map(|(name, listed)| (name, listed.len)).collect();
    let used = match Contents::of(&lens).map_err(of_problem).map_err(problem)? {
        Contents::Nothing { leftovers } => leftovers.into_iter().next(),
        Contents::Others { name } => Some(name),
        Contents::Log { .. } => Some("folder".to_owned()),
    };
    if let Some(file) = used {
        let what = "the folder is not empty; name one that does not exist".to_owned();
        return Err(problem(OpenProblem::Foreign { file, what }));
    }
    let claimed = locked.claim().map_err(OpenProblem::of_folder).map_err(problem)?;
    Ok(Files::new(claimed))
}

impl<'a> Target<'a> {
    /// Begins to fill an empty folder, which has an id of its own from now on.
    pub(super) fn begin(disk: &'a dyn Disk) -> Result<Self, Side> {
        let id = FolderId(fastrand::u128(..));
        let mut target = Self { disk, files: Vec::new(), unsynced: 0, id };
        match target.carry_out(copying(id)) {
            Ok(()) => Ok(target),
            Err(side) => Err(target.give_up(side)),
        }
    }

    /// The id of the folder.
    pub(super) fn id(&self) -> FolderId {
        self.id
    }

    /// Writes bytes at the end of a file, which is created if they are its first.
    pub(super) fn write(&mut self, name: &str, at: u64, bytes: &[u8]) -> Result<(), Side> {
        if at == 0 {
            self.files.push(name.to_owned());
            self.unsynced = 0;
            let created = self.disk.create(name, bytes);
            return created.map_err(Side::target(format!("cannot create {name}")));
        }
        let failed = || Side::target(format!("cannot write {name}"));
        self.disk.write_at(name, at, bytes).map_err(failed())?;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_LEN { self.sync(name) } else { Ok(()) }
    }

    /// Makes the file that was written last durable.
    pub(super) fn sync(&mut self, name: &str) -> Result<(), Side> {
        self.unsynced = 0;
        self.disk.sync(name).map_err(Side::target(format!("cannot sync {name}")))
    }

    /// Makes the folder one of a server, whose log ends at a place.
    pub(super) fn finish(mut self, end: Place, sequence: Sequence) -> Result<(), Side> {
        match self.carry_out(copied(self.id, end, sequence)) {
            Ok(()) => Ok(()),
            Err(side) => Err(self.give_up(side)),
        }
    }

    /// Removes what was written, as far as the disk allows: the folder is empty again. What stays
    /// is refused as unfinished.
    pub(super) fn give_up(mut self, side: Side) -> Side {
        // The first file last: the others are known by it.
        while let Some(name) = self.files.pop() {
            if self.disk.remove(&name).is_err() || self.disk.sync_folder().is_err() {
                break;
            }
        }
        side
    }

    fn carry_out(&mut self, steps: Vec<FolderStep>) -> Result<(), Side> {
        for step in steps {
            let done = carry_out_step(self.disk, &step);
            match step {
                FolderStep::Create { name, .. } => self.files.push(name),
                // Under either name it is removed last.
                FolderStep::Rename { to, .. } => self.files.insert(0, to),
                FolderStep::Remove(_) | FolderStep::Sync => {}
            }
            done.map_err(Side::target("cannot write its files"))?;
        }
        Ok(())
    }
}
