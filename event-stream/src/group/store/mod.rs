//! Where the state of a group is kept: in the group's own stream, as Java's client keeps it, or in
//! a table.
//!
//! ```text
//! group_store    the state, wherever it is
//!  ├ kept          the stream of the group: the state, or a mark that says in which table it is
//!  └ table_store   the table
//! ```

#[cfg(feature = "testing")]
mod attempts;
mod group_store;
mod kept;
mod mark;
mod serializer;
mod table_store;

pub use self::group_store::GroupStore;
pub(in crate::group) use self::table_store::delete_table;
#[cfg(feature = "testing")]
pub use self::{
    attempts::{TableAttempt, keep_table_attempts, state_of_entries, take_table_attempts},
    serializer::GroupSerializer,
};
