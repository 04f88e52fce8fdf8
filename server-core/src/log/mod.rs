//! The log: files in which every change is written once, and from which segments are read.
//!
//! ```text
//! log-N       head │ frame │ frame │ …      a frame is one commit: one write, one sync
//! frame       head │ record │ record │ …    a record is one change, with a checksum of its own
//! moved-N     bytes that are still read, from files of which most is not
//! checkpoint  the state at some place of the log: a start reads it and the log after it
//! index       where the bytes of segments are in log files that ended
//! synced      how far the log was synced, written from time to time, after acknowledgements
//! ```
//!
//! The next frame is written after the sync of the one before it. So bytes that are no frame are
//! the torn end of a write that was never acknowledged only if nothing shows that a later write was
//! begun: no frame after them, no later file with one, and no note of their sync. Everything else
//! is damage, and is reported with its file and place.
//!
//! ```text
//! writer      batches in, writes and syncs out; what is durable; when the next file begins
//! ahead       zeros after the last frame, so that a commit finds its space there
//! recovery    names and bytes of files in, frames out; a torn end, or a named damage
//! checkpoints when the owner's state is written, in short slices; what may be removed after it
//! checkpoint  the bytes of one, and reading it
//! bounded_keys the keys of what changed, within a share of the memory
//! index       where the bytes of segments are: spans of the newest files, and runs
//! fetch       a range of a segment in, reads of files and checked bytes out
//! known       where the bytes of the next fetches are, by those before
//! prefetch    what the system should read from files before it is asked for
//! keeper      which files are needed, and what a checkpoint must name
//! compaction  what is still read of files of which most is not, to a new file
//! space       what files take, what of it is still read, and when the folder is full
//! scrub       whether a file has what was written to it
//! freed       which files had the bytes of a segment that are not read any longer
//! snapshot    the files as of a durable batch, for a copy; what of them a start needs
//! copy        a file in another folder, checked while it is copied
//! salvage     what can be read of a damaged file; fill: a new one with bytes that were read
//! spans  run  the spans of one file in memory; those of many in a file of their own
//! effect      the calls of the disk that commits need
//! folder      how a folder is created; which of its files are what
//! frame  head  mark  checksum           the bytes; own_head: whether a head is the folder's own
//! ids                                   numbers of folders, files and segments
//! ```
//!
//! Deliberately absent: system calls, clocks, threads. Drivers carry out effects and report how
//! each one ended.

mod ahead;
mod bounded_keys;
mod checkpoint;
mod checkpoints;
mod checksum;
mod compaction;
mod copy;
mod effect;
mod fetch;
mod fill;
mod folder;
mod frame;
mod freed;
mod head;
mod ids;
mod index;
mod keeper;
mod known;
mod mark;
mod own_head;
mod prefetch;
mod problem;
mod reading;
mod recovery;
mod run;
mod salvage;
mod scrub;
pub(crate) mod seeded_bugs;
mod snapshot;
mod space;
mod spans;
mod watch;
mod writer;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use self::bounded_keys::KEY_HELD;
pub use self::{
    ahead::{Extend, Extended},
    bounded_keys::Coverage,
    checkpoint::{
        CheckpointBuilder, CheckpointEnd, CheckpointFile, CheckpointNeeds, CheckpointReader,
        CheckpointStep, KnownFile, KnownRun, Position, StateEntry,
    },
    checkpoints::{
        Chain, CheckpointEffect, CheckpointSettings, Checkpoints, Next as NextOfCheckpoint, Slice,
    },
    compaction::{Compaction, CompactionStep, GivenUp, Moved},
    copy::{CopiedFile, CopyStep, FileCopy},
    effect::{Effect, MarkSync, Outcome},
    fetch::{Fetch, FetchStep, ReadFile},
    fill::FileFill,
    folder::{
        Contents, FOLDER_LEN, FOLDER_NAME, FolderStep, KEEPING_NAME, copied, copying, creation,
        read_identity,
    },
    frame::{
        Closed, FileChange, FrameBuilder, FrameHead, LogRecord, MovedFile, PlacedRecord, TooLong,
        read_frame, read_record,
    },
    freed::{DamagedRun, Freed, FreedStep},
    head::{BadHead, FileHead, FileKind, HEAD_LEN},
    ids::{FileNumber, FolderId, Place, Salt, SegmentNumber, SpanPlace},
    index::{Index, IndexWork, Run, RunFile},
    keeper::Keeper,
    known::KnownSpans,
    mark::{MARK_LEN, MARK_NAME, Mark, MarkSlot},
    prefetch::Prefetch,
    problem::{Problem, What},
    recovery::{MarkState, Recovered, Recovery, Start, Step as RecoveryStep},
    run::{Directory, Entry, FOOTER_LEN, Footer, Merge, RunBuilder, read_block},
    salvage::{FileSalvage, SalvageStep},
    scrub::{Damage, Extent, Scrub, ScrubEnd, ScrubFile, ScrubStep, ScrubTarget},
    snapshot::{LogMoment, Snapshot, needed},
    space::{FileUse, Full, Pressure, Purpose, Space, SpaceSettings, live_in},
    spans::{FileSpans, OutOfOrder, Span},
    watch::{BegunWrite, Known, LOCK_NAME, Loss, LostFile, Openness, Seen, Watched},
    writer::{Committed, CurrentFile, Event, LogWriter, NotTaken, Settings, batch_len},
};
pub(crate) use self::{
    bounded_keys::{BoundedKeys, CountedKey},
    checkpoints::most_touched,
};
