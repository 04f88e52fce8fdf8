//! Where the state of a group is kept: in the group's own stream, as Java's client keeps it.

mod group_store;
mod serializer;

pub use self::group_store::GroupStore;
#[cfg(feature = "testing")]
pub use self::serializer::GroupSerializer;
