//! The bytes of checkpoints: the state of the owner of the log, so that a start reads it and the
//! end of the log only.
//!
//! ```text
//! checkpoint-B-N   head │ block │ block │ … │ last block       the N-th, on top of those from B on
//! block, 12 + n    length u32 │ kind u8 │ 0 × 3 │ crc u32 of kind and body │ body
//! entry            1 if it has a value, or 0 u8 │ key u32 │ value u32 │ key │ value
//! ```
//!
//! The first block has the position in the log from which on changes are applied to the state; the
//! last one the files that the state needs, so that a checkpoint without it is none. Values are
//! taken while the log goes on, each at another moment: a change that is applied again sets the
//! same value. The last block names the batch up to which they are, which the log must have.

use std::{collections::BTreeMap, fmt};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    checksum::checksum_of,
    head::{FileHead, FileKind, HEAD_LEN},
    ids::{FileNumber, FolderId, Place, Salt},
    index::RunFile,
    problem::{Problem, What},
};

/// The usual length of a block, in bytes.
const BLOCK_LEN: usize = 64 << 10;
const BLOCK_HEAD_LEN: usize = 12;
const ENTRY_HEAD_LEN: usize = 9;
/// The usual length of a read, in bytes.
const READ_LEN: u64 = 1 << 20;

const FIRST: u8 = 0;
const ENTRIES: u8 = 1;
const LAST: u8 = 2;

/// The file of a checkpoint, by the number of its base and its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckpointFile {
    /// The checkpoint with the whole state.
    pub base: u64,
    /// The number of this one: it has what changed since the one before, unless it is the base.
    pub number: u64,
}

impl CheckpointFile {
    /// The file's name.
    #[must_use]
    pub fn name(self) -> String {
        format!("checkpoint-{:08}-{:08}", self.base, self.number)
    }

    /// The file's name until it is complete.
    #[must_use]
    pub fn unfinished_name(self) -> String {
        format!("{}.new", self.name())
    }

    /// The numbers in the name of a checkpoint; `None` if it is not the name of one.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let (base, number) = name.strip_prefix("checkpoint-")?.split_once('-')?;
        let file = Self { base: base.parse().ok()?, number: number.parse().ok()? };
        (0 < file.base && file.base <= file.number && file.name() == name).then_some(file)
    }

    /// The files of the newest checkpoint, from its base on, and the others.
    ///
    /// # Errors
    ///
    /// [`Problem`] if one is missing.
    pub fn chain(mut files: Vec<Self>) -> Result<(Vec<Self>, Vec<Self>), Problem> {
        files.sort_by_key(|file| (file.number, file.base));
        let Some(newest) = files.last().copied() else { return Ok((Vec::new(), Vec::new())) };
        let (chain, others): (Vec<Self>, Vec<Self>) =
            files.into_iter().partition(|file| file.base == newest.base);
        for number in newest.base..=newest.number {
            let needed = Self { base: newest.base, number };
            if !chain.contains(&needed) {
                return Err(Problem { file: needed.name(), at: 0, what: What::Missing });
            }
        }
        Ok((chain, others))
    }
}

/// The position in the log from which on changes are applied to a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The end of a frame.
    pub place: Place,
    /// The last batch in it.
    pub sequence: u64,
}

/// What a checkpoint that begins now needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointNeeds {
    /// Where the log is read from at a start: the oldest file whose spans are in no run.
    pub position: Position,
    /// The files up to there.
    pub files: Vec<KnownFile>,
    /// The runs.
    pub runs: Vec<KnownRun>,
}

/// A file that a checkpoint needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownFile {
    /// The number of the file.
    pub number: FileNumber,
    /// Its salt.
    pub salt: Salt,
    /// The length that it has at least.
    pub len: u64,
    /// The bytes of segments that were written to it.
    pub bytes: u64,
    /// Those of them that can still be read, as far as was known.
    pub live: u64,
}

/// A run that a checkpoint needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownRun {
    /// The run.
    pub run: RunFile,
    /// Its salt.
    pub salt: Salt,
    /// Its length.
    pub len: u64,
}

/// The end of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointEnd {
    /// The last batch whose changes may be in a value.
    pub up_to: u64,
    /// The files up to the position, in order.
    pub files: Vec<KnownFile>,
    /// The runs of the files before the position.
    pub runs: Vec<KnownRun>,
}

impl CheckpointEnd {
    /// The runs of a folder that the checkpoint does not need: they can be removed.
    ///
    /// # Errors
    ///
    /// [`Problem`] if one that it needs is missing, or has another length.
    pub fn other_runs(&self, runs: &BTreeMap<RunFile, u64>) -> Result<Vec<RunFile>, Problem> {
        for known in &self.runs {
            let problem = |what| Err(Problem { file: known.run.name(), at: 0, what });
            match runs.get(&known.run) {
                None => return problem(What::Missing),
                Some(len) if *len != known.len => return problem(What::NotOfCheckpoint),
                Some(_) => {}
            }
        }
        let is_known = |run: &RunFile| self.runs.iter().any(|known| known.run == *run);
        Ok(runs.keys().filter(|run| !is_known(run)).copied().collect())
    }
}

/// A checkpoint that is being written.
pub struct CheckpointBuilder {
    salt: Salt,
    out: BytesMut,
    /// The place of the first byte in `out`.
    at: u64,
    body: Vec<u8>,
}

impl fmt::Debug for CheckpointBuilder {
    /// Shows the length, not the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointBuilder")
            .field("at", &self.at)
            .field("len", &(self.out.len() + self.body.len()))
            .finish_non_exhaustive()
    }
}

impl CheckpointBuilder {
    /// A checkpoint with the state from a position on.
    #[must_use]
    pub fn new(head: &FileHead, position: Position) -> Self {
        let mut out = BytesMut::new();
        out.put_slice(&head.encode());
        let mut checkpoint = Self { salt: head.salt, out, at: 0, body: Vec::new() };
        checkpoint.put(FIRST, &position);
        checkpoint
    }

    /// Adds an entry of the state; without a value, it was removed.
    pub fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.body.put_u8(u8::from(value.is_some()));
        self.body.put_u32(len(key));
        self.body.put_u32(len(value.unwrap_or_default()));
        self.body.put_slice(key);
        self.body.put_slice(value.unwrap_or_default());
        if self.body.len() >= BLOCK_LEN {
            self.end_block();
        }
    }

    /// The bytes that can be written, after those of the last call.
    pub fn take(&mut self) -> Bytes {
        self.at += self.out.len() as u64;
        self.out.split().freeze()
    }

    /// The last bytes.
    #[must_use]
    pub fn finish(mut self, end: &CheckpointEnd) -> Bytes {
        self.end_block();
        self.put(LAST, end);
        self.out.freeze()
    }

    fn end_block(&mut self) {
        if !self.body.is_empty() {
            let body = std::mem::take(&mut self.body);
            self.put_block(ENTRIES, &body);
        }
    }

    fn put(&mut self, kind: u8, value: &impl Serialize) {
        // Of numbers and lists only, so that encoding cannot fail.
        let body = postcard::to_allocvec(value).unwrap_or_default();
        self.put_block(kind, &body);
    }

    fn put_block(&mut self, kind: u8, body: &[u8]) {
        let at = self.at + self.out.len() as u64;
        // A longer block is not read back; the state has no value of such a length.
        self.out.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
        self.out.put_slice(&[kind, 0, 0, 0]);
        self.out.put_u32(block_crc(kind, body, self.salt, at));
        self.out.put_slice(body);
    }
}

fn block_crc(kind: u8, body: &[u8], salt: Salt, at: u64) -> u32 {
    checksum_of(&[&[kind, 0, 0, 0], body], salt, at)
}

/// An entry of a checkpoint: a key, and its value unless it was removed.
pub type StateEntry = (Bytes, Option<Bytes>);

/// The next step of reading a checkpoint.
#[derive(Clone, PartialEq, Eq)]
pub enum CheckpointStep {
    /// Bytes of the file are needed.
    Read {
        /// The offset of the first.
        at: u64,
        /// Their number.
        len: u64,
    },
    /// Entries of the state.
    Entries(Vec<StateEntry>),
    /// Everything was read.
    Done(Position, CheckpointEnd),
}

impl fmt::Debug for CheckpointStep {
    /// Shows the number of entries, not what they hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { at, len } => {
                f.debug_struct("Read").field("at", at).field("len", len).finish()
            }
            Self::Entries(entries) => f.debug_tuple("Entries").field(&entries.len()).finish(),
            Self::Done(position, end) => f.debug_tuple("Done").field(position).field(end).finish(),
        }
    }
}

/// The reading of one checkpoint.
pub struct CheckpointReader {
    folder: FolderId,
    file: CheckpointFile,
    len: u64,
    salt: Option<Salt>,
    at: u64,
    buffer: Bytes,
    position: Option<Position>,
    end: Option<CheckpointEnd>,
}

impl fmt::Debug for CheckpointReader {
    /// Shows the place, not the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointReader")
            .field("file", &self.file)
            .field("len", &self.len)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl CheckpointReader {
    /// The reading of a file of a length.
    #[must_use]
    pub fn new(folder: FolderId, file: CheckpointFile, len: u64) -> Self {
        let (salt, position, end) = (None, None, None);
        Self { folder, file, len, salt, at: 0, buffer: Bytes::new(), position, end }
    }

    /// Continues with the bytes of the last [`CheckpointStep::Read`].
    pub fn handle_read(&mut self, bytes: Bytes) {
        self.buffer = bytes;
    }

    /// The next step.
    ///
    /// # Errors
    ///
    /// [`Problem`] if the file is damaged, incomplete, or another one.
    pub fn poll(&mut self) -> Result<CheckpointStep, Problem> {
        loop {
            if self.at == self.len
                && let (Some(position), Some(end)) = (self.position, &self.end)
            {
                return Ok(CheckpointStep::Done(position, end.clone()));
            }
            let Some(salt) = self.salt else {
                if let Some(step) = self.need(HEAD_LEN as u64)? {
                    return Ok(step);
                }
                self.read_head()?;
                continue;
            };
            if let Some(step) = self.need(BLOCK_HEAD_LEN as u64)? {
                return Ok(step);
            }
            let mut head = &self.buffer[..];
            let (Ok(len), Ok(kind)) = (head.try_get_u32(), head.try_get_u32()) else {
                return self.damaged();
            };
            let whole = u64::from(len) + BLOCK_HEAD_LEN as u64;
            if let Some(step) = self.need(whole)? {
                return Ok(step);
            }
            if let Some(entries) = self.read_block(len, kind, salt)? {
                return Ok(CheckpointStep::Entries(entries));
            }
        }
    }

    fn problem<T>(&self, what: What) -> Result<T, Problem> {
        Err(Problem { file: self.file.name(), at: self.at, what })
    }

    fn damaged<T>(&self) -> Result<T, Problem> {
        self.problem(What::DamagedCheckpoint)
    }

    /// The read after which this many bytes are in the buffer; `None` if they are.
    fn need(&mut self, len: u64) -> Result<Option<CheckpointStep>, Problem> {
        if self.buffer.len() as u64 >= len {
            return Ok(None);
        }
        let left = self.len - self.at;
        if left < len {
            return self.damaged();
        }
        Ok(Some(CheckpointStep::Read { at: self.at, len: len.max(READ_LEN).min(left) }))
    }

    fn advance(&mut self, len: usize) {
        self.buffer.advance(len.min(self.buffer.len()));
        self.at += len as u64;
    }

    fn read_head(&mut self) -> Result<(), Problem> {
        let head = match FileHead::decode(&self.buffer) {
            Ok(head) => head,
            Err(bad) => return self.problem(bad.into()),
        };
        let number = FileNumber(self.file.number);
        if let Err(what) = head.check(self.folder, FileKind::Checkpoint, number) {
            return self.problem(what);
        }
        self.salt = Some(head.salt);
        self.advance(HEAD_LEN);
        Ok(())
    }

    fn read_block(
        &mut self,
        len: u32,
        kind: u32,
        salt: Salt,
    ) -> Result<Option<Vec<StateEntry>>, Problem> {
        let len = len as usize;
        let mut rest = self.buffer.clone();
        rest.advance(BLOCK_HEAD_LEN.min(rest.len()));
        let body = rest.slice(..len.min(rest.len()));
        let stored = self.buffer.get(8..BLOCK_HEAD_LEN).unwrap_or_default();
        let kind = kind.to_be_bytes()[0];
        if stored != block_crc(kind, &body, salt, self.at).to_be_bytes()
            || self.buffer.get(5..8) != Some(&[0, 0, 0])
        {
            return self.damaged();
        }
        let entries = match kind {
            // In this order, each once, but for those with entries.
            FIRST if self.position.is_none() => {
                self.position = Some(self.decode(&body)?);
                None
            }
            ENTRIES if self.position.is_some() && self.end.is_none() => match entries(body) {
                Some(entries) => Some(entries),
                None => return self.damaged(),
            },
            LAST if self.position.is_some() && self.end.is_none() => {
                self.end = Some(self.decode(&body)?);
                None
            }
            _ => return self.damaged(),
        };
        self.advance(BLOCK_HEAD_LEN + len);
        Ok(entries)
    }

    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, Problem> {
        postcard::from_bytes(body).or_else(|_| self.damaged())
    }
}

fn entries(mut body: Bytes) -> Option<Vec<StateEntry>> {
    let mut entries = Vec::new();
    while !body.is_empty() {
        let mut head = body.get(..ENTRY_HEAD_LEN)?;
        let has_value = head.try_get_u8().ok()? == 1;
        let key = usize::try_from(head.try_get_u32().ok()?).ok()?;
        let value = usize::try_from(head.try_get_u32().ok()?).ok()?;
        body.advance(ENTRY_HEAD_LEN);
        if body.len() < key.checked_add(value)? {
            return None;
        }
        let (key, value) = (body.split_to(key), body.split_to(value));
        entries.push((key, has_value.then_some(value)));
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: CheckpointFile = CheckpointFile { base: 2, number: 3 };
    const FOLDER: FolderId = FolderId(5);

    fn position() -> Position {
        Position { place: Place { file: FileNumber(4), at: 700 }, sequence: 50 }
    }

    fn end() -> CheckpointEnd {
        let file = |number| KnownFile {
            number: FileNumber(number),
            salt: Salt(number),
            len: 900,
            bytes: 800,
            live: 700,
        };
        let run = RunFile::of(FileNumber(3));
        let runs = vec![KnownRun { run, salt: Salt(6), len: 300 }];
        CheckpointEnd { up_to: 55, files: vec![file(3), file(4)], runs }
    }

    fn written(entries: &[StateEntry]) -> Bytes {
        let number = FileNumber(FILE.number);
        let head = FileHead { kind: FileKind::Checkpoint, folder: FOLDER, number, salt: Salt(9) };
        let mut checkpoint = CheckpointBuilder::new(&head, position());
        let mut bytes = BytesMut::new();
        for (key, value) in entries {
            checkpoint.push(key, value.as_deref());
            bytes.put_slice(&checkpoint.take());
        }
        bytes.put_slice(&checkpoint.finish(&end()));
        bytes.freeze()
    }

    fn read(bytes: &Bytes, folder: FolderId) -> Result<Vec<StateEntry>, Problem> {
        let mut reader = CheckpointReader::new(folder, FILE, bytes.len() as u64);
        let mut all = Vec::new();
        loop {
            match reader.poll()? {
                CheckpointStep::Read { at, len } => {
                    reader.handle_read(bytes.slice(at as usize..(at + len) as usize));
                }
                CheckpointStep::Entries(entries) => all.extend(entries),
                CheckpointStep::Done(found, last) => {
                    assert_eq!((found, last), (position(), end()));
                    return Ok(all);
                }
            }
        }
    }

    fn some_entries() -> Vec<StateEntry> {
        let entry = |number: u8| {
            let key = Bytes::from(vec![number; usize::from(number) % 20]);
            (
                key,
                (!number.is_multiple_of(5)).then(|| Bytes::from(vec![number; usize::from(number)])),
            )
        };
        (0..12).map(entry).collect()
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_checkpoint_is_named() {
        let bytes = written(&some_entries());
        assert_eq!(read(&bytes, FOLDER), Ok(some_entries()));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let problem = read(&flipped.into(), FOLDER).unwrap_err();
            assert!(problem.at <= bit as u64 / 8, "bit {bit}: {problem}");
        }
        for len in 0..bytes.len() {
            assert!(read(&bytes.slice(..len), FOLDER).is_err(), "{len} bytes");
        }
        let longer = Bytes::from([&bytes[..], &[0]].concat());
        assert!(read(&longer, FOLDER).is_err(), "more follows");
    }

    #[test]
    fn a_checkpoint_of_another_folder_or_number_is_refused() {
        let bytes = written(&[]);
        let problem = read(&bytes, FolderId(6)).unwrap_err();
        assert_eq!(problem.what, What::OtherFolder(FOLDER));
        let other = CheckpointFile { base: 2, number: 4 };
        let mut reader = CheckpointReader::new(FOLDER, other, bytes.len() as u64);
        reader.handle_read(bytes);
        assert_eq!(reader.poll().unwrap_err().what, What::OtherNumber(FileNumber(3)));
    }

    #[test]
    fn the_newest_chain_is_used_and_must_be_whole() {
        let file = |base, number| CheckpointFile { base, number };
        let chain = |files: &[CheckpointFile]| CheckpointFile::chain(files.to_vec());
        assert_eq!(chain(&[]), Ok((vec![], vec![])));
        let newest = vec![file(3, 3), file(3, 4)];
        let all = [file(3, 4), file(1, 1), file(3, 3), file(1, 2)];
        assert_eq!(chain(&all), Ok((newest, vec![file(1, 1), file(1, 2)])));
        let missing = |base, number| {
            let file = file(base, number).name();
            Err(Problem { file, at: 0, what: What::Missing })
        };
        assert_eq!(chain(&[file(1, 1), file(3, 4)]), missing(3, 3));
        assert_eq!(chain(&[file(3, 3), file(3, 5)]), missing(3, 4));
    }

    #[test]
    fn a_checkpoint_needs_its_runs_and_no_others() {
        let [one, other] = [3, 4].map(|file| RunFile::of(FileNumber(file)));
        let runs = |runs: &[(RunFile, u64)]| end().other_runs(&runs.iter().copied().collect());
        assert_eq!(runs(&[(one, 300), (other, 5)]), Ok(vec![other]));
        let problem = |what| Err(Problem { file: one.name(), at: 0, what });
        assert_eq!(runs(&[(other, 300)]), problem(What::Missing));
        assert_eq!(runs(&[(one, 299)]), problem(What::NotOfCheckpoint));
    }

    #[test]
    fn names_of_checkpoints_are_exact() {
        assert_eq!(FILE.name(), "checkpoint-00000002-00000003");
        assert_eq!(CheckpointFile::of_name(&FILE.name()), Some(FILE));
        let others = ["checkpoint-2-3", "checkpoint-00000003-00000002", "checkpoint-"];
        for name in others.into_iter().chain([&*FILE.unfinished_name()]) {
            assert_eq!(CheckpointFile::of_name(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_state_is_read_back(
            entries in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 0..40), prop::option::of(0_usize..40_000)),
                0..30,
            ),
        ) {
            let entry = |(key, value): (Vec<u8>, Option<usize>)| {
                (Bytes::from(key), value.map(|len| Bytes::from(vec![7; len])))
            };
            let entries: Vec<StateEntry> = entries.into_iter().map(entry).collect();
            prop_assert_eq!(read(&written(&entries), FOLDER), Ok(entries));
        }
    }
}
