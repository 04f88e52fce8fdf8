//! The journal of earlier versions, which is read when a folder is converted to a log.
//!
//! ```text
//! journal-N ──frames──> records, in order ──> the log
//! mark        how much of it was synced
//! ```
//!
//! Its frames are whole, but for the end of the last one after a crash. Any other damage is refused
//! with its place, and so are files of other folders.

mod disk;
mod files;
mod format;
mod problem;
mod reading;
mod recovery;
#[cfg(test)]
mod tests;

pub use self::problem::{OpenError, OpenProblem};
pub(crate) use self::{
    disk::ReadDisk,
    files::{file_name, file_number, is_of_journal},
    problem::user,
    recovery::{Recovered, read_back, salt_of_file},
};
