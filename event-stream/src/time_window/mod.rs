//! Up to which time a stream is read.
//!
//! ```text
//! readers ── places ──▶ WindowMachine ──▶ TimeWindow
//!                            ▲
//! _MARKstream ── marks ── MarkFollower
//! ```

mod follower;
mod machine;
mod mark;
mod place;
mod window;

pub use self::window::TimeWindow;
pub(crate) use self::{
    follower::{MarkFollower, newest_mark},
    place::ReadPlace,
};
