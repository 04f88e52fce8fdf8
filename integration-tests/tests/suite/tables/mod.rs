//! Tables: segments with keys and values, and key-value tables on top of them.

mod key_value;
mod lost_replies;
mod model;
mod recipes;
mod segments;
mod synchronizer;
mod typed;
