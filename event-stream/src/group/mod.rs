//! Reader groups: readers that share the segments of streams.
//!
//! ```text
//! ReaderGroupState ◀──▶ entries of a table: what an update changes
//!    ▲ apply            every update, refused whole if it does not fit
//! GroupUpdate ◀──▶ bytes of Java's client, in the entries of a state synchronizer
//! ```
//!
//! [`ReaderGroup`] is the handle of a group, which creates, describes, resets and deletes it and
//! takes checkpoints.
//!
//! All readers of a group read the same state and decide by it; they never talk to each other.
//! Where it is kept, [`GroupStorage`] says; in the group's stream, a Java reader and one of this
//! client can be in the same group.
//!
//! *Architecture Invariant:* nothing but `beginning`, `deadline`, `liveness`, `reader`,
//! `reader_group` and `store` reads a clock, draws random numbers or does I/O, and nothing in a
//! `machine` of theirs.

mod beginning;
mod deadline;
mod failure;
pub mod liveness;
#[cfg(not(feature = "testing"))]
#[expect(unreachable_pub, reason = "public for the tests of the workspace")]
mod machine;
#[cfg(feature = "testing")]
pub mod machine;
mod reader;
mod reader_group;
mod state;
mod storage;
#[cfg_attr(
    not(feature = "testing"),
    expect(unreachable_pub, reason = "public for the tests of the workspace")
)]
mod store;

#[cfg(feature = "testing")]
pub use self::store::{
    GroupSerializer, GroupStore, TableAttempt, keep_table_attempts, state_of_entries,
    take_table_attempts,
};
pub use self::{
    machine::{HandOver, SegmentAssignment, StaticShare, StaticShareError},
    reader::{
        GroupEvent, GroupItem, GroupReader, GroupReaderConfig, GroupReaderError, GroupReaderNotice,
        GroupReaderNotices,
    },
    reader_group::{
        FutureSegment, GroupCheckpoint, GroupDescription, GroupHandleConfig, GroupMember,
        GroupNotice, GroupSizes, GroupWatch, ReaderGroup, ReaderGroupError, Removal, SegmentHolder,
        SegmentPlace, UnreadBytes, UnreadSegment,
    },
    state::{
        CheckpointState, FairShare, GroupInit, GroupInitial, GroupSegment, GroupUpdate,
        GroupUpdateError, ReaderGroupState, SegmentCompletion, SegmentOffsets, SegmentRelease,
        StoredConfiguration,
    },
    storage::GroupStorage,
};
