//! Table segments: keys and values with versions, in one segment.

mod driver;
mod iteration;
mod machine;
mod table_segment;

pub use self::{
    iteration::{Following, Known, TableDelta, TableDeltas, TableItems},
    machine::{
        KeyLength, MAX_BATCH_BYTES, MAX_BATCH_ITEMS, MAX_KEY_LEN, MAX_VALUE_LEN, TableKind, Values,
        put_batches,
    },
    table_segment::{TableInfo, TableSegment},
};
pub(crate) use self::{machine::next_key, table_segment::READ_AT_ONCE};
