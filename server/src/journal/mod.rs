//! The journal: records on disk, so that what was acknowledged survives the process.
//!
//! ```text
//! machine ──batches──> queue ──all that waits──> one frame, one write, one sync ──> Durable::To
//! ```
//!
//! While one sync runs, what comes meanwhile gathers for the next: many clients share each. A write
//! or a sync that fails is the end of writing: nobody knows what the disk has then, so nothing more
//! is acknowledged until the journal is opened anew.
//!
//! The catalog and the segments share one journal, because one request changes both: a scale or a
//! commit is in it as a whole or not at all.

mod disk;
mod durable;
mod files;
mod format;
mod problem;
mod recovery;
#[cfg(test)]
mod tests;
mod writer;

pub use self::problem::{OpenError, OpenProblem};
pub(crate) use self::{
    disk::{Folder, ReadOnlyFolder},
    durable::{Durable, NotDurable},
    recovery::{Recovered, read_back, recover},
    writer::{JournalQueue, Writer, start},
};
