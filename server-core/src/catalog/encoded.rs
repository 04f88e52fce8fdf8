//! What a log needs of the catalog, besides what it is.

use crate::{
    log::LogRecord,
    record::Record,
    state::{StateChange, TouchedKeys, encode},
};

/// What a log needs of the catalog, besides what it is.
#[derive(Debug, Default)]
pub(super) struct CatalogLog {
    pub(super) pending: Vec<LogRecord>,
    pub(super) touched: TouchedKeys,
    /// The number of streams and scopes that have left. The entries of a stream get other keys as
    /// it leaves, and the number tells which values were taken before that.
    pub(super) leavings: u64,
}

impl CatalogLog {
    /// Encodes an entry; `leaving` is the number of a stream or scope that leaves.
    pub(super) fn push(&mut self, record: Record, leaving: Option<u64>) {
        if let Record::CatalogEntry { key, value } = record {
            let meta = encode(&StateChange::Entry { key, value, leaving });
            self.pending.push(LogRecord::Change { meta });
        }
    }
}
