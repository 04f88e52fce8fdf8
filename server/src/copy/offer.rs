//! What a running server tells of its files, as one line of JSON.
//!
//! ```text
//! server ──> offer: the end of the log, the names and lengths of its files │ or why there is none
//! client ──> a name: the file is not needed any longer │ an empty line: the copy goes on
//!          │ `? AT LEN NAME`: bytes of a file, which the client cannot read by itself
//! server ──> their number, and the bytes │ or why it cannot read them: after each `?`
//! ```

use std::collections::{BTreeMap, BTreeSet};

use pravega_sdk_server_core::{
    log::{FileNumber, FolderId, Mark, Place, Snapshot},
    record::Sequence,
};
use serde::{Deserialize, Serialize};

/// The most bytes of an offer: about a million files.
pub(super) const MOST_OFFERED: usize = 64 << 20;
/// The most bytes of a line of the client.
pub(super) const MOST_NAMED: u64 = 256;
/// The most bytes of a file that are asked for at once.
pub(super) const MOST_READ: u64 = 1 << 20;
/// The version of this protocol.
const VERSION: u32 = 1;

/// An answer to a client that connects.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Answer {
    /// The files are kept.
    Offer(Offer),
    /// They cannot be told.
    Failure(String),
}

/// An answer to a client that asks for bytes of a file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ReadAnswer {
    /// As many bytes follow the line.
    Bytes(u64),
    /// The file is not open, and none has its name.
    Missing,
    /// They cannot be read.
    Failure(String),
}

/// A line of a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A file is not needed any longer. An empty name is that of no file: the copy goes on.
    Release(&'a str),
    /// Bytes of a file are asked for.
    Read { name: &'a str, at: u64, len: u64 },
}

impl<'a> Line<'a> {
    /// Reads a line without its end.
    pub(super) fn parse(line: &'a str) -> Self {
        let read = || {
            let (at, rest) = line.strip_prefix("? ")?.split_once(' ')?;
            let (len, name) = rest.split_once(' ')?;
            Some(Self::Read { name, at: at.parse().ok()?, len: len.parse().ok()? })
        };
        read().unwrap_or(Self::Release(line))
    }

    /// The line, with its end.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Release(name) => format!("{name}\n"),
            Self::Read { name, at, len } => format!("? {at} {len} {name}\n"),
        }
    }
}

/// The files of a log, which are kept.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Offer {
    version: u32,
    /// The folder, in hexadecimal digits.
    folder: String,
    /// The end of the log: a file and an offset in it.
    file: u64,
    at: u64,
    /// The last batch.
    batch: u64,
    files: BTreeMap<String, u64>,
    /// The names of those that another program has removed or replaced; `None` from a server of an
    /// earlier version, which reads nothing for a client.
    #[serde(default)]
    lost: Option<BTreeSet<String>>,
}

impl Offer {
    pub(super) fn new(snapshot: &Snapshot, lost: BTreeSet<String>) -> Self {
        let Snapshot { mark: Mark { folder, end, sequence }, files } = snapshot;
        Self {
            version: VERSION,
            folder: folder.to_string(),
            file: end.file.0,
            at: end.at,
            batch: sequence.0,
            files: files.clone(),
            lost: Some(lost),
        }
    }

    /// Takes the names of the files that only the server can read; `None` if it reads none.
    pub(super) fn take_lost(&mut self) -> Option<BTreeSet<String>> {
        self.lost.take()
    }

    /// The snapshot; `None` if a later version offers it.
    pub(super) fn into_snapshot(self) -> Option<Snapshot> {
        let folder = u128::from_str_radix(&self.folder, 16).ok()?;
        let end = Place { file: FileNumber(self.file), at: self.at };
        let mark = Mark { folder: FolderId(folder), end, sequence: Sequence(self.batch) };
        (self.version == VERSION).then_some(Snapshot { mark, files: self.files })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_one_line_that_is_read_back() {
        let end = Place { file: FileNumber(3), at: 700 };
        let mark = Mark { folder: FolderId(u128::MAX - 1), end, sequence: Sequence(9) };
        let files = [("log-00000003".to_owned(), 700)].into();
        let snapshot = Snapshot { mark, files };
        let lost = BTreeSet::from(["log-00000003".to_owned()]);
        let offer = || Offer::new(&snapshot, lost.clone());
        let line = serde_json::to_string(&Answer::Offer(offer())).unwrap();
        assert!(!line.contains('\n'));
        let Ok(Answer::Offer(mut read)) = serde_json::from_str(&line) else { panic!("{line}") };
        assert_eq!(read.take_lost(), Some(lost.clone()));
        assert_eq!(read.into_snapshot(), Some(snapshot.clone()));
        let earlier = line.replace(r#","lost":["log-00000003"]"#, "");
        let Ok(Answer::Offer(mut read)) = serde_json::from_str(&earlier) else {
            panic!("{earlier}")
        };
        assert_eq!(read.take_lost(), None);
        let later = Offer { version: VERSION + 1, ..offer() };
        assert_eq!(later.into_snapshot(), None);
    }

    #[test]
    fn a_line_of_a_client_is_read_back_and_any_other_is_a_name() {
        let read = Line::Read { name: "log-00000003", at: 7, len: u64::MAX };
        for line in [Line::Release(""), Line::Release("log-00000003"), read] {
            let text = line.text();
            assert_eq!(Line::parse(text.strip_suffix('\n').unwrap()), line);
        }
        for line in ["?", "? 1", "? 1 2", "? -1 2 a", "? 1 18446744073709551616 a", "? a 2 a"] {
            assert_eq!(Line::parse(line), Line::Release(line));
        }
    }
}
