//! What a running server tells of its files, as one line of JSON.
//!
//! ```text
//! server ──> offer: the end of the log, the names and lengths of its files │ or why there is none
//! client ──> a name: the file is not needed any longer │ an empty line: the copy goes on
//! ```

use std::collections::BTreeMap;

use pravega_sdk_server_core::{
    log::{FileNumber, FolderId, Mark, Place, Snapshot},
    record::Sequence,
};
use serde::{Deserialize, Serialize};

/// The most bytes of an offer: about a million files.
pub(super) const MOST_OFFERED: usize = 64 << 20;
/// The most bytes of a line of the client.
pub(super) const MOST_NAMED: u64 = 256;
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
}

impl Offer {
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let Snapshot { mark: Mark { folder, end, sequence }, files } = snapshot;
        Self {
            version: VERSION,
            folder: folder.to_string(),
            file: end.file.0,
            at: end.at,
            batch: sequence.0,
            files: files.clone(),
        }
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
        let line = serde_json::to_string(&Answer::Offer(Offer::new(&snapshot))).unwrap();
        assert!(!line.contains('\n'));
        let Ok(Answer::Offer(offer)) = serde_json::from_str(&line) else { panic!("{line}") };
        assert_eq!(offer.into_snapshot(), Some(snapshot.clone()));
        let later = Offer { version: VERSION + 1, ..Offer::new(&snapshot) };
        assert_eq!(later.into_snapshot(), None);
    }
}
