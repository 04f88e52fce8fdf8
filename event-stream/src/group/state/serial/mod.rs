//! The bytes of updates and states: those of Java's client 0.13.
//!
//! ```text
//! 00 | type u8 | 00 | revision count | revisions        an update, or an initial state
//! ```
//!
//! All revisions that 0.13 writes are written. Of those after the first, each may be missing in
//! what is read; later ones, of newer clients, are skipped. A count reserves no memory by itself.

mod checkpoints;
mod compact;
mod configuration;
mod init;
mod initial;
pub(super) mod parts;
mod update;
