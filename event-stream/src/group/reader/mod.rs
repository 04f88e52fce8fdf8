//! Reading as a member of a group.
//!
//! ```text
//! GroupReader ──▶ GroupDriver ──▶ GroupReaderMachine   when the state is read and changed
//!                     ├────────▶ GroupStore            where the state is
//!                     ├────────▶ SegmentSet            the events of the segments that it has
//!                     └── polls ──▶ ReadDriver         no task of its own
//! ```
//!
//! *Invariant:* an event is returned only if the machine has nothing to do at that moment, so a
//! reader that was paused reads the state first.

mod config;
mod driver;
mod error;
mod event;
mod group_reader;
mod machine;
mod notices;
mod successors;

pub use self::{
    config::GroupReaderConfig,
    error::GroupReaderError,
    event::{GroupEvent, GroupItem},
    group_reader::GroupReader,
    notices::{GroupReaderNotice, GroupReaderNotices},
};
