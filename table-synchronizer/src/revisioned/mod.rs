//! Revisioned streams: a log of entries that writers extend on the condition that they know all of
//! it, as Java's client has them.
//!
//! ```text
//! segment     type i32 = 0 | length i32 | value     one event for each entry
//! revision    scope/stream/segment : offset : index
//!             the offset after the entry; the index counts what is inside of one
//! mark        the segment attribute `RevisionStreamClientMark`, an offset
//! ```

mod config;
mod driver;
mod entries;
mod error;
mod machine;
mod revision;
mod revisioned_stream;

pub use self::{
    config::RevisionedStreamConfig,
    entries::{Entries, RevisionedEntry},
    error::RevisionedStreamError,
    machine::MAX_ENTRY_LEN,
    revision::{Revision, RevisionError},
    revisioned_stream::RevisionedStream,
};
