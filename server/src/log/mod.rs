//! The log on a disk: the threads that carry out what the machines of the log decide.
//!
//! ```text
//! submit ──> inbox ──> commit thread ──write, sync──> kept ──> Durable
//!                          │  a next file, zeros         │
//!                          └──────────> keeper thread    ├──> tidy thread: runs, checkpoints,
//!                                                        │    files in which nothing is read
//!                                                        ├──> compactor: what is still read is
//!                                                        │    moved
//!                                                        └──> scrubber: every byte is checked
//!
//! read ──> reader threads ──checked bytes, or damage with its place──>
//! ```
//!
//! No thread but the commit thread is on the way of an acknowledgement. What the others cannot do
//! they try again later, and the log goes on meanwhile.

mod advice;
mod affected;
mod commit;
mod compact;
mod convert;
mod deaths;
mod disk;
mod files;
mod inbox;
mod keeper;
mod keeping;
mod kept;
mod open;
mod owner;
mod pace;
mod read_queue;
mod readers;
mod running;
mod runs;
mod scrub;
#[cfg(test)]
mod tests;
mod tidy;

pub(crate) use self::{
    affected::{Places, joined},
    commit::Sink,
    convert::{check_journal, convert, finish as finish_conversion, is_of_journal},
    disk::{Disk, carry_out_step, read_around},
    files::Files,
    kept::{FolderFill, Pins},
    open::{
        Configure, OpenedLog, Replay, Survey, cannot_read, foreign, list, of_problem, open,
        read_back, survey,
    },
    owner::{Changes, Epoch, Keys, Owner, ReadFailure, SegmentRange},
    readers::{Job, Then},
    running::{LogHandle, RunningLog},
};
#[cfg(test)]
pub(crate) use self::{
    disk::carry_out_commit,
    tests::{Failing, Faulty, Slow},
};
