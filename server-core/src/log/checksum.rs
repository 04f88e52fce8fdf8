//! Checksums of what lies at one place of one file.

use super::ids::Salt;

/// The checksum of bytes at an offset of a file with a salt. The same bytes at another place, or in
/// another file, have another.
pub(super) fn checksum(bytes: &[u8], salt: Salt, at: u64) -> u32 {
    checksum_of(&[bytes], salt, at)
}

/// The checksum of several slices, one after the other.
pub(super) fn checksum_of(slices: &[&[u8]], salt: Salt, at: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    slices.iter().for_each(|slice| hasher.update(slice));
    hasher.update(&salt.0.to_be_bytes());
    hasher.update(&at.to_be_bytes());
    hasher.finalize()
}
