//! The handle of a reader group, which programs have besides their readers.
//!
//! ```text
//! handle         create, open, describe, delete, take a reader offline
//!  ├ checkpoints   create and wait, cuts, cancel       ├ unread   bytes that were not read
//!  ├ reset         begin again                         ├ watch    what happens, as a stream
//!  └ retention     release data                        └ offline  checks of a reader's position
//! begin          checks of a configuration, and the segments that a group begins with
//! access         the state and the controller, with deadlines
//! machine/       what is decided without I/O
//! ```

mod access;
mod begin;
mod checkpoints;
mod config;
mod error;
mod handle;
mod machine;
mod offline;
mod reset;
mod retention;
mod unread;
mod watch;

pub use self::{
    config::GroupHandleConfig,
    error::ReaderGroupError,
    handle::{ReaderGroup, Removal},
    machine::{
        FutureSegment, GroupCheckpoint, GroupDescription, GroupMember, GroupNotice, GroupSizes,
        SegmentHolder, SegmentPlace, UnreadBytes, UnreadSegment,
    },
    watch::GroupWatch,
};
