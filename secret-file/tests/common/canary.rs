//! A search of the memory of this process for a secret. Tests of other crates include this file.
//!
//! The test itself has the secret masked, and shows it byte by byte: what is found in one piece is
//! a copy of the code under test.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
    sync::{Mutex, PoisonError},
};

/// The length of a secret, and of the end of it that is looked for: the allocator writes into the
/// beginning of memory that is free.
const LEN: usize = 96;
const SOUGHT: usize = 32;
const MASK: u8 = 0x80;
/// How much is read, and searched, at once.
const PIECE: usize = 1 << 20;
const BLOCK: usize = 4096;
const EMPTY: [u8; BLOCK + SOUGHT] = [0; BLOCK + SOUGHT];
/// One search at a time: what another one has just read may have the secrets of this one.
static SEARCH: Mutex<()> = Mutex::new(());

/// A secret that is nowhere in memory until it is used.
pub(crate) struct Canary([u8; LEN]);

impl Canary {
    /// A secret of letters that no other has.
    pub(crate) fn new() -> Self {
        let time = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
        let mut state = u64::from(time) << 32 | u64::from(std::process::id());
        Self(std::array::from_fn(|_| {
            // A step of a generator that is good enough for letters: Knuth's MMIX.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (b'a' + u8::try_from((state >> 33) % 26).unwrap()) ^ MASK
        }))
    }

    fn bytes(&self) -> impl Iterator<Item = u8> {
        self.0.iter().map(|masked| masked ^ MASK)
    }

    /// The secret, in a text with exactly its length.
    pub(crate) fn text(&self) -> String {
        self.text_after("", LEN)
    }

    /// The secret after a prefix, in a text with this capacity.
    pub(crate) fn text_after(&self, prefix: &str, capacity: usize) -> String {
        let mut text = String::with_capacity(capacity.max(prefix.len() + LEN));
        text.push_str(prefix);
        text.extend(self.bytes().map(char::from));
        text
    }

    /// Writes a file that only its owner may read: the secret, then the end of its line.
    pub(crate) fn write(&self, path: &Path) {
        let mut options = File::options();
        let mut file = options.write(true).create_new(true).mode(0o600).open(path).unwrap();
        for byte in self.bytes().chain([b'\n']) {
            file.write_all(&[byte]).unwrap();
        }
    }

    /// Returns true if this is the secret.
    pub(crate) fn is(&self, text: &str) -> bool {
        text.bytes().eq(self.bytes())
    }

    /// The number of copies in the memory of this process.
    pub(crate) fn copies(&self) -> usize {
        let _alone = SEARCH.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = File::open("/proc/self/mem").unwrap();
        let mut piece = vec![0; PIECE];
        // What is read is not searched again, nor read into itself.
        let own = piece.as_ptr().addr() as u64..piece.as_ptr().addr() as u64 + PIECE as u64;
        let mut found = 0;
        for line in fs::read_to_string("/proc/self/maps").unwrap().lines() {
            let mut words = line.split(' ');
            let (range, mode) = (words.next().unwrap(), words.next().unwrap());
            if !mode.starts_with("rw") {
                continue;
            }
            let (from, to) = range.split_once('-').unwrap();
            let (mut at, end) = (address(from), address(to));
            while at < end {
                if own.contains(&at) {
                    at = own.end;
                    continue;
                }
                let end = if at < own.start { end.min(own.start) } else { end };
                let len = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
                // Memory that is gone meanwhile, or that no process may read, has no copy.
                let read = memory.read_at(&mut piece[..len], at).unwrap_or(0);
                found += self.copies_in(&piece[..read]);
                // A copy at the end of a piece is one of the next, too.
                at += match read {
                    0 => len as u64,
                    read if read == len && at + (len as u64) < end => (read - (SOUGHT - 1)) as u64,
                    read => read as u64,
                };
            }
        }
        piece.fill(0);
        found
    }

    fn copies_in(&self, memory: &[u8]) -> usize {
        let sought = &self.0[LEN - SOUGHT..];
        let first = sought[0] ^ MASK;
        let is_copy = |window: &[u8]| {
            window[0] == first
                && window.iter().zip(sought).all(|(byte, masked)| *byte == masked ^ MASK)
        };
        let begins = (0..memory.len().saturating_sub(SOUGHT - 1)).step_by(BLOCK);
        begins
            .map(|begin| {
                let end = memory.len().min(begin + BLOCK + SOUGHT - 1);
                let block = &memory[begin..end];
                // Most memory is empty, which is found out fast.
                if block == &EMPTY[..block.len()] {
                    return 0;
                }
                block.windows(SOUGHT).filter(|window| is_copy(window)).count()
            })
            .sum()
    }
}

fn address(text: &str) -> u64 {
    u64::from_str_radix(text, 16).unwrap()
}
