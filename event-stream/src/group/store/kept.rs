//! What the stream of a group says about its state: the state itself, or that it is in a table.

use std::error::Error;

use bytes::Bytes;
use pravega_sdk_table_synchronizer::{Revision, SharedState, StateSerializer};
use pravega_sdk_types::SegmentId;

use super::{
    super::state::{GroupInitial, GroupUpdate, ReaderGroupState},
    mark::TableMark,
    serializer::GroupSerializer,
};

type Refused = Box<dyn Error + Send + Sync>;

/// The state of a group, or where it is.
#[derive(Debug)]
pub(super) enum Kept {
    Here(Box<ReaderGroupState>),
    /// In a table with this segment.
    InTable(SegmentId),
}

/// The first entry of the stream.
#[derive(Debug)]
pub(super) enum KeptInitial {
    State(GroupInitial),
    Table(Box<TableMark>),
}

impl SharedState for Kept {
    type Initial = KeptInitial;
    type Update = GroupUpdate;

    fn create(initial: KeptInitial, _: &Revision) -> Self {
        match initial {
            KeptInitial::State(state) => Self::Here(Box::new(state.into())),
            KeptInitial::Table(mark) => Self::InTable(mark.segment),
        }
    }

    fn apply(&mut self, update: GroupUpdate, _: &Revision) -> Result<(), Refused> {
        match self {
            Self::Here(state) => Ok(state.apply(update)?),
            // What another client writes after the mark means nothing.
            Self::InTable(_) => Ok(()),
        }
    }
}

/// The bytes of Java's client, and those of the mark.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeptSerializer;

impl StateSerializer<Kept> for KeptSerializer {
    fn encode_initial(&self, initial: &KeptInitial) -> Result<Bytes, Refused> {
        match initial {
            KeptInitial::State(state) => GroupSerializer.encode_initial(state),
            KeptInitial::Table(mark) => Ok(mark.to_bytes()?),
        }
    }

    fn decode_initial(&self, bytes: Bytes) -> Result<KeptInitial, Refused> {
        match TableMark::from_bytes(&bytes)? {
            Some(mark) => Ok(KeptInitial::Table(Box::new(mark))),
            None => Ok(KeptInitial::State(GroupSerializer.decode_initial(bytes)?)),
        }
    }

    fn encode_update(&self, update: &GroupUpdate) -> Result<Bytes, Refused> {
        GroupSerializer.encode_update(update)
    }

    fn decode_update(&self, bytes: Bytes) -> Result<GroupUpdate, Refused> {
        GroupSerializer.decode_update(bytes)
    }
}
