//! The leases of all readers of a group, for a client that is no reader.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{
    FutureExt as _, StreamExt as _, TryStreamExt as _,
    future::{Either, select},
    stream,
    stream::FuturesUnordered,
};
use pravega_sdk_segment_client::attributes::AttributeError;
use pravega_sdk_types::ErrorKind;
use tokio::time::{Instant, sleep_until};

use super::{
    super::{
        machine::{LeaseTimes, LeaseValue, ObserverMachine, RemovalEnd},
        store::LeaseStore,
    },
    requests::{Answer, LeasedGroup, Victim, is_final, warn},
};

/// Number of leases that are read at once.
const AT_ONCE: usize = 16;

/// Reads the leases of some readers. One in a form that this client does not know is left out.
pub(in crate::group) async fn lease_values(
    leases: &LeaseStore,
    readers: Vec<Arc<str>>,
) -> Result<BTreeMap<Arc<str>, LeaseValue>, AttributeError> {
    let reads = readers.into_iter().map(|reader| Box::pin(value(leases, reader)));
    let reads = stream::iter(reads.collect::<Vec<_>>());
    let found: Vec<_> = reads.buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

async fn value(
    leases: &LeaseStore,
    reader: Arc<str>,
) -> Result<Option<(Arc<str>, LeaseValue)>, AttributeError> {
    match leases.read(&reader).await {
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(None),
        found => Ok(found?.map(|value| (reader, value))),
    }
}

/// Watches the leases of readers until each reader was found alive, taken out, or without a lease.
/// Adds those that it has taken out to `removed`.
pub(in crate::group) async fn sweep(
    leased: LeasedGroup,
    readers: Vec<Arc<str>>,
    removed: &mut Vec<Arc<str>>,
) -> Result<(), AttributeError> {
    let started = Instant::now();
    let mut observer = ObserverMachine::new(None, LeaseTimes::default());
    observer.handle_readers(readers, started.elapsed());
    let mut work = FuturesUnordered::new();
    while !observer.is_settled() {
        while let Some((reader, effect)) = observer.poll_effect(started.elapsed()) {
            let leases = leased.leases.within(observer.patience(&reader));
            let leased = LeasedGroup { leases, ..leased.clone() };
            let answer = leased.carry_out(reader.clone(), effect, Victim::Other);
            work.push(answer.map(move |answer| (reader, answer)).boxed());
        }
        let next = observer.poll_timeout().map(|next| sleep_until(started + next));
        let done = match next {
            Some(next) if work.is_empty() => {
                next.await;
                None
            }
            Some(next) => {
                let next = std::pin::pin!(next);
                match select(work.next(), next).await {
                    Either::Left((done, _)) => done,
                    Either::Right(_) => None,
                }
            }
            None => work.next().await,
        };
        let (now, Some((reader, answer))) = (started.elapsed(), done) else { continue };
        match answer {
            Answer::Read(Ok(found)) => observer.handle_read(&reader, found, now),
            Answer::Swapped(Ok(is_set)) => observer.handle_swapped(&reader, is_set, now),
            Answer::Removed(end) => {
                if end == RemovalEnd::Removed {
                    removed.push(reader.clone());
                }
                observer.handle_removal(&reader, end, now);
            }
            Answer::Read(Err(error)) | Answer::Swapped(Err(error)) => {
                warn(&reader, &error);
                if is_final(&error) {
                    return Err(error);
                }
                observer.handle_failed(&reader, now);
            }
        }
    }
    Ok(())
}
