//! Revisioned streams, and states that clients agree on.

mod groups;
mod lost_replies;
mod revisioned;
mod sets;
mod synchronizer;
