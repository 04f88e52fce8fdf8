//! Contexts: clusters by name, in a file of the user.
//!
//! ```text
//! place    where the file is           edit    a file with other contexts, comments kept
//! parse    contexts of a text          disk    reads and writes the file
//!    └──▶ model ◀──┘                     └──▶ all of them
//! ```
//!
//! All but `disk` are functions of texts and values.

mod disk;
mod edit;
mod model;
mod parse;
mod place;

pub(crate) use disk::ContextsFile;
pub(crate) use model::{Contexts, HostNames, Profile, check_name};
