//! The state of a group as the state of a synchronizer, in the group's own stream.

use std::error::Error;

use bytes::Bytes;
use pravega_sdk_table_synchronizer::{Revision, SharedState, StateSerializer};

use super::super::state::{GroupInitial, GroupUpdate, ReaderGroupState};

type Refused = Box<dyn Error + Send + Sync>;

impl SharedState for ReaderGroupState {
    type Initial = GroupInitial;
    type Update = GroupUpdate;

    fn create(initial: GroupInitial, _: &Revision) -> Self {
        Self::from(initial)
    }

    fn apply(&mut self, update: GroupUpdate, _: &Revision) -> Result<(), Refused> {
        Ok(ReaderGroupState::apply(self, update)?)
    }
}

/// The bytes of Java's client, for a state synchronizer.
#[derive(Debug, Clone, Copy, Default)]
pub struct GroupSerializer;

impl StateSerializer<ReaderGroupState> for GroupSerializer {
    fn encode_initial(&self, initial: &GroupInitial) -> Result<Bytes, Refused> {
        Ok(initial.to_bytes()?.into())
    }

    fn decode_initial(&self, bytes: Bytes) -> Result<GroupInitial, Refused> {
        Ok(GroupInitial::from_bytes(&bytes)?)
    }

    fn encode_update(&self, update: &GroupUpdate) -> Result<Bytes, Refused> {
        Ok(update.to_bytes()?.into())
    }

    fn decode_update(&self, bytes: Bytes) -> Result<GroupUpdate, Refused> {
        Ok(GroupUpdate::from_bytes(&bytes)?)
    }
}
