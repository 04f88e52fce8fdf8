//! The log on a disk: the threads that carry out what the machines of the log decide.
//!
//! ```text
//! submit ──> inbox ──> commit thread ──write, sync──> Durable
//!                          │  a next file, once the present one is long
//!                          └──────────> keeper thread
//!
//! read ──> reader threads ──checked bytes, or damage with its place──>
//! ```
//!
//! No thread but the commit thread is on the way of an acknowledgement. What the keeper cannot do
//! it tries again later, and the log goes on meanwhile.

mod commit;
mod disk;
mod files;
mod inbox;
mod keeper;
mod open;
mod readers;
#[cfg(test)]
mod tests;
