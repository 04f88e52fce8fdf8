//! A folder that belongs to one process.
//!
//! ```text
//! create     the folder, if it does not exist, and those above it
//! lock       the folder itself, and the file `lock` in it
//! files      its files, by their names and never through links
//! read       a folder in which nothing is changed
//! socket     a socket in it, for users who may write in it
//! ```
//!
//! Every call is made by the descriptor of the folder that was locked. A folder that is moved or
//! replaced afterwards changes nothing: no other folder is ever written to.

mod create;
mod files;
mod lock;
mod read;
mod socket;
#[cfg(test)]
mod tests;

pub(crate) use self::{
    files::{Kind, LOCK, Listed, read_at, seen_open},
    lock::{ClaimedFolder, FolderError, LockedFolder},
    read::ReadFolder,
};
