//! Ending the lease of a reader that is taken out by its name.

use tokio::time::{Instant, sleep_until};

use super::{
    super::{
        machine::{DiscardMachine, LeaseEffect, LeaseTimes},
        store::LeaseStore,
    },
    requests::{is_final, warn},
};

/// Takes a reader out of the group with `remove`, which returns true if it was in the group, and
/// ends its lease. Requests about the lease that fail are made again; the caller sets the limit.
pub(in crate::group) async fn discarding<E>(
    leases: &LeaseStore,
    reader: &str,
    remove: impl Future<Output = Result<bool, E>>,
) -> Result<bool, E> {
    let started = Instant::now();
    let mut discard = DiscardMachine::new(LeaseTimes::default(), started.elapsed());
    let (mut remove, mut was_in_group) = (Some(remove), false);
    while !discard.is_over() {
        if discard.may_remove()
            && let Some(remove) = remove.take()
        {
            was_in_group = remove.await?;
            discard.handle_removed(was_in_group, started.elapsed());
            continue;
        }
        let failed = match discard.poll_effect(started.elapsed()) {
            Some(LeaseEffect::Read) => match leases.read(reader).await {
                Ok(found) => {
                    discard.handle_read(found, started.elapsed());
                    None
                }
                Err(error) => Some(error),
            },
            Some(LeaseEffect::Swap { expected, new }) => {
                match leases.swap(reader, expected, new).await {
                    Ok(is_set) => {
                        discard.handle_swapped(is_set, started.elapsed());
                        None
                    }
                    Err(error) => Some(error),
                }
            }
            Some(_) | None => {
                sleep_until(started + discard.poll_timeout().unwrap_or_default()).await;
                None
            }
        };
        let Some(error) = failed else { continue };
        warn(reader, &error);
        if is_final(&error) {
            break;
        }
        discard.handle_failed(started.elapsed());
    }
    match remove {
        Some(remove) => remove.await,
        None => Ok(was_in_group),
    }
}
