//! The calls of the disk that reading a journal needs.

use std::io;

/// A folder that can be read.
pub(crate) trait ReadDisk {
    /// The names of all files.
    fn list(&mut self) -> io::Result<Vec<String>>;
    /// The length of a file.
    fn len(&mut self, name: &str) -> io::Result<u64>;
    /// The bytes of a file at an offset, as many as there are up to a number.
    fn read_at(&mut self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>>;
}
