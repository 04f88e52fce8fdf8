//! What the handle of a group decides, without I/O.
//!
//! ```text
//! reset          the steps to another configuration, with the readers of both languages
//! checkpoint     how a checkpoint begins, and how far it is
//! configuration  which settings of two configurations differ
//! description    a state for programs and people
//! notices        what is reported of the states that follow each other
//! positions      offsets as cuts of streams
//! unread         bytes that were not read
//! ```

pub(super) mod checkpoint;
pub(super) mod configuration;
mod description;
mod notices;
pub(super) mod positions;
pub(super) mod reset;
mod unread;

pub use self::{
    description::{FutureSegment, GroupCheckpoint, GroupDescription, GroupMember, SegmentPlace},
    notices::{GroupNotice, GroupSizes},
    unread::{SegmentHolder, UnreadBytes, UnreadSegment},
};
pub(super) use self::{
    notices::Notices,
    unread::{Extent, Places},
};
