//! The segment store: segments, and the requests to them.
//!
//! Every request of [`Step`] checks first and then applies one [`Record`](crate::record::Record);
//! reading back a journal applies the same records. Reads that wait at the end of a segment are
//! answered by the change that ends their waiting: those replies are left in
//! [`Store::take_woken`] for the driver.
//!
//! ```text
//! session  pressing                 one connection: commands in, replies out
//!    │
//! commands  table_commands          one impl for each request, and the table of all
//!    │
//! requests  table_requests          check, then commit one record, if memory suffices (growth)
//! planned  many  unmade             records of calls that commit several, or none; many in slices
//!    │
//! apply  wake                       what a record does, and which waiting reads it answers
//! evict  fetches                    what leaves memory, and reads that wait until it is back
//! gathered                          bytes on their way back into memory
//! spares                            buffers of what left memory, for what comes next
//! snapshot                          the records that restore all segments
//!    │
//! state  segment  bytes  table      all segments, one segment
//! attributes                        those of one segment
//! logged  values  encoded           changes for a log, and values for its checkpoints
//! discarded                         what was deleted, and has yet to be freed
//!
//! weight                            the memory that replies keep alive
//! ```

mod apply;
mod attributes;
mod bytes;
mod commands;
mod discarded;
mod encoded;
mod evict;
mod fetches;
mod gathered;
mod growth;
mod logged;
mod many;
mod planned;
mod pressing;
mod refusal;
mod requests;
mod residents;
mod segment;
mod session;
mod snapshot;
mod spares;
mod state;
mod stored;
mod table;
mod table_commands;
mod table_requests;
mod unmade;
mod values;
mod waiting;
mod wake;
mod weight;

#[cfg(test)]
pub(crate) use self::segment::attribute;
pub use self::{
    commands::segment_of,
    discarded::Discarded,
    evict::{Look, Unreadable},
    fetches::Fetch,
    gathered::Gathered,
    planned::{MergeTarget, Merging, SegmentKind},
    refusal::{Closed, Refusal},
    requests::{AppendRequest, MemoryLimit, Progress, SegmentPolicy, Step},
    segment::Traffic,
    session::{Context, Reply, Session},
    state::{Info, Store, transaction_segment},
    stored::Stored,
    table::{Delta, Page, Table, TableRefusal, own_memory},
    waiting::{WaitingRead, Woken},
    wake::Read,
    weight::{demand, weight},
};
