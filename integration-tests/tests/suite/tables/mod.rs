//! Tables: segments with keys and values.

mod lost_replies;
mod segments;
