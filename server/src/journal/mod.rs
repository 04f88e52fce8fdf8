//! The journal: records on disk, so that acknowledged changes survive the process.
//!
//! ```text
//! machine ──batches──> queue ──all batches──> one frame, one write, one sync ──> Durable::To
//! ```
//!
//! While one sync runs, batches gather for the next, so many clients share each sync. After a
//! failed write or sync the content of the disk is unknown, so no more changes are acknowledged
//! until the journal is opened again.
//!
//! A file that has grown long is replaced by one that begins with a copy of the server. The copy is
//! made and written in portions, between which changes go on: they are in the old file, and in the
//! new one if what they change was copied already.
//!
//! The catalog and the segments share one journal, because one request changes both: a scale or a
//! commit is in it as a whole or not at all.

mod disk;
mod durable;
mod file;
mod files;
mod format;
mod frames;
mod problem;
mod queue;
mod reading;
mod recovery;
#[cfg(test)]
mod tests;
mod writer;

pub use self::problem::{OpenError, OpenProblem};
pub(crate) use self::{
    disk::{Folder, ReadOnlyFolder},
    durable::{Durable, NotDurable},
    queue::JournalQueue,
    recovery::{Recovered, read_back, recover},
    writer::{Copy, Writer, start},
};
