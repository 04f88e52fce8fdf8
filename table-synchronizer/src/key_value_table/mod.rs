//! Key-value tables: keys with one or two parts, spread over partitions, compatible with Java's.

mod entries;
mod key;
mod layout;
mod table;
mod typed;
mod version;
mod watch;

pub use self::{
    entries::KeyValueItems,
    key::{Key, Keys},
    layout::KeyLayout,
    table::{KeyPut, KeyRemoval, KeyValueEntry, KeyValueTable},
    typed::{TypedEntry, TypedTable},
    version::{KeyCondition, KeyVersion, KeyVersionError},
    watch::{KeyChange, KeyChanges, KeyWatch, WatchPosition, WatchPositionError},
};
