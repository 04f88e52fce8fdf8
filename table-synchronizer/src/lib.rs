//! Tables on Pravega: keys and values with versions, which many clients change on conditions.
//!
//! | what | with |
//! |---|---|
//! | keys and values in partitions, as in Java | [`KeyValueTable`] |
//! | entries that many clients agree on, each with all of them | [`TableSynchronizer`] |
//! | locks, leaders, members, counters, maps | [`recipes`] |
//! | keys and values in one segment | [`TableSegment`] |
//! | a log that is extended on conditions, as in Java | [`RevisionedStream`] |
//! | a state on which clients agree, as in Java | [`StateSynchronizer`] |
//!
//! ```text
//! KeyValueTable     which partition, which bytes a key has
//!       │   TableSynchronizer     a copy of the entries, changed by functions
//!       │       │
//! TableSegment ──▶ segment/driver ──▶ SegmentContext::ask_on      one request, with re-location
//!                       │
//!                 segment/machine    what a lost reply means, where an iteration continues
//! ```
//!
//! The machine decides, without a runtime, a clock or randomness; the driver executes.

mod config;
mod entry;
mod error;
mod key_value_table;
mod moments;
pub mod recipes;
mod revisioned;
mod segment;
mod state;
mod synchronizer;

pub use config::TableConfig;
pub use entry::{Condition, Entry, Put, Removal, Version, VersionedKey};
pub use error::TableError;
pub use key_value_table::{
    Key, KeyChange, KeyChanges, KeyCondition, KeyLayout, KeyPut, KeyRemoval, KeyValueEntry,
    KeyValueItems, KeyValueTable, KeyVersion, KeyVersionError, KeyWatch, Keys, TypedEntry,
    TypedTable, WatchPosition, WatchPositionError,
};
pub use revisioned::{
    Entries, MAX_ENTRY_LEN, Revision, RevisionError, RevisionedEntry, RevisionedStream,
    RevisionedStreamConfig, RevisionedStreamError,
};
pub use segment::{
    Following, KeyLength, Known, MAX_BATCH_BYTES, MAX_BATCH_ITEMS, MAX_KEY_LEN, MAX_VALUE_LEN,
    TableDelta, TableDeltas, TableInfo, TableItems, TableKind, TableSegment, Values, put_batches,
};
pub use state::{
    SharedState, StateCodecs, StateConfig, StateEntry, StateEntryError, StateError,
    StateSerializer, StateSynchronizer, StateUpdates,
};
pub use synchronizer::{
    OuterMapEntry, SynchronizerConfig, TableChanges, TableMoment, TableState, TableSynchronizer,
    Update,
};
