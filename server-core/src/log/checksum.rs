//! Checksums of what lies at one place of one file.

use super::ids::Salt;

/// The checksum of bytes at an offset of a file with a salt. The same bytes at another place, or in
/// another file, have another.
pub(super) fn checksum(bytes: &[u8], salt: Salt, at: u64) -> u32 {
    checksum_of(&[bytes], salt, at)
}

/// The checksum of several slices, one after the other.
pub(super) fn checksum_of(slices: &[&[u8]], salt: Salt, at: u64) -> u32 {
    let mut hashing = Hashing::default();
    slices.iter().for_each(|slice| hashing.update(slice));
    hashing.finish(salt, at)
}

/// A checksum under way.
#[derive(Debug, Default)]
pub(super) struct Hashing(crc32fast::Hasher);

impl Hashing {
    /// Adds the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of the bytes, which are at an offset of a file with a salt.
    pub(super) fn finish(mut self, salt: Salt, at: u64) -> u32 {
        self.0.update(&salt.0.to_be_bytes());
        self.0.update(&at.to_be_bytes());
        self.0.finalize()
    }
}
