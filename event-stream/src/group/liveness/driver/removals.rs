//! Taking dead readers out of the group.

use std::sync::Arc;

use super::super::{
    super::{state::GroupUpdate, store::GroupStore},
    machine::{RemovalEffect, RemovalEnd, RemovalMachine},
    store::LeaseStore,
};

/// Takes a reader out of the group whose lease is marked as dead, as `removal` says.
pub(super) async fn take_offline(
    leases: &LeaseStore,
    state: &mut GroupStore,
    reader: &Arc<str>,
    mut removal: RemovalMachine,
) -> RemovalEnd {
    loop {
        match removal.poll_effect() {
            RemovalEffect::Fetch => match state.fetch().await {
                Ok(()) => {
                    removal.handle_state(state.state().is_some_and(|it| it.is_online(reader)));
                }
                Err(error) => failed(&mut removal, reader, &error),
            },
            RemovalEffect::Read => match leases.read(reader).await {
                Ok(found) => removal.handle_read(found),
                Err(error) => failed(&mut removal, reader, &error),
            },
            RemovalEffect::Write => match remove(state, reader).await {
                Ok(is_written) => removal.handle_written(is_written),
                Err(error) => failed(&mut removal, reader, &error),
            },
            RemovalEffect::End(end) => {
                tracing::info!(%reader, ?end, "a reader whose lease ran out is taken offline");
                return end;
            }
        }
    }
}

/// Takes the reader out of the state that was fetched. Returns false if there is a later one.
async fn remove(
    state: &mut GroupStore,
    reader: &Arc<str>,
) -> Result<bool, pravega_sdk_table_synchronizer::StateError> {
    let mut states = 0;
    let prepare = |_: &_, updates: &mut Vec<GroupUpdate>| {
        states += 1;
        let is_fetched = states == 1;
        if is_fetched {
            // Without a position that of its last checkpoint counts.
            let offsets = Vec::new();
            updates.push(GroupUpdate::RemoveReader { reader: reader.clone(), offsets });
        }
        is_fetched
    };
    state.change(prepare).await
}

fn failed(removal: &mut RemovalMachine, reader: &str, error: &dyn std::error::Error) {
    tracing::warn!(%reader, %error, "a dead reader could not be taken offline; it is tried again");
    removal.handle_failed();
}
