//! Up to which time a stream is read.
//!
//! ```text
//! readers ── places ──▶ WindowMachine ──▶ TimeWindow
//!                            ▲
//! _MARKstream ── marks ── MarkFollower
//! ```

mod follower;
mod machine;
mod window;

pub use self::window::TimeWindow;
pub(crate) use self::{
    follower::{MarkFollower, not_a_watermark},
    machine::ReadPlace,
};
