//! The state as entries: keys and values, of which an update of the state changes few.
//!
//! ```text
//! key            value
//! 'h'            the incarnation of the state, the number of its changes, small parts
//! I 'c' P        configuration, in chunks
//! I 'e' P        where reading of segments ends
//! I 'f' P        future segments, each with the predecessors that are left
//! I 'k'          names of checkpoints in order, and the numbers of their sets
//! I 'l' reader   the lag of a reader
//! I 'o' P        how far segments were read that are neither assigned nor without a reader
//! I 'p' S P      positions of a checkpoint
//! I 'r' reader P segments of a reader, and how far each was read
//! I 'u' P        segments without a reader, and how far each was read
//! I 'w' S P      readers for which a checkpoint waits
//!
//! I  incarnation, 8 bytes     S  number of a set, 8 bytes     P  number of a page, 4 bytes
//! ```
//!
//! Lists are stored in pages, and what is in a list stays in its page. So an update changes the
//! pages of what it is about, and an entry stays small. When a group begins again, its state has
//! another incarnation; entries of an earlier one, and of a set that no checkpoint has, mean
//! nothing and are removed later. So no change has more entries than a store takes together.
//!
//! How far a segment was read is beside its assignment, so that the report of a reader changes
//! entries that are its own.

//!
//! ```text
//! stored      the state, which follows changes of its entries
//! changes     the entries that updates of it change
//!  ├ touched  the parts that are stored again
//!  └ index    in which entry each part is, and the new values of entries
//!     ├ places, draft    the pages of a list, and changes of them
//!     └ page, items, names, head, key    bytes
//! ```
//!
//! Only the pages that a change is about are decoded and encoded, so its cost does not grow with
//! the state.

mod changes;
mod draft;
mod head;
mod index;
mod items;
mod key;
mod names;
mod page;
mod places;
mod stored;
mod touched;

pub(crate) use self::{
    changes::{Basis, EntryChanges, StageError},
    stored::{Refreshed, StoredState},
};
