//! The thread that writes the journal.

use std::{io, thread::JoinHandle};

use pravega_sdk_server_core::{
    record::{Record, Sequence},
    store::Progress,
};
use tokio::sync::watch;

use super::{
    disk::Disk,
    durable::Durable,
    file::JournalFile,
    queue::{Item, JournalQueue, Portion, Work},
    recovery::Recovered,
};

/// The writer's thread; it ends after [`JournalQueue::close`].
pub(crate) type Writer = JoinHandle<()>;

/// Makes the portions of a copy of the server.
pub(crate) type Copy<'a> = &'a mut dyn FnMut() -> (Vec<Record>, Progress);

/// Starts the thread that writes a journal, after the part that was read back.
///
/// With a `copy`, which a new or a mostly obsolete journal needs, a new file is begun.
pub(crate) fn start(
    disk: Box<dyn Disk>,
    recovered: Option<Recovered>,
    salt: u64,
    copy: Option<Copy<'_>>,
    queue: JournalQueue,
) -> io::Result<(watch::Receiver<Durable>, Writer)> {
    let mut journal = JournalFile::open(disk, recovered, salt);
    if let Some(copy) = copy {
        loop {
            let (records, progress) = copy();
            journal.add_to_copy(&records)?;
            if progress == Progress::Finished {
                break;
            }
        }
        journal.finish_copy()?;
    }
    let (durable, receiver) = watch::channel(Durable::To(journal.sequence));
    let writer = std::thread::Builder::new()
        .name("pravega-journal".to_owned())
        .spawn(move || write_all(journal, &queue, &durable))?;
    Ok((receiver, writer))
}

fn write_all(mut journal: JournalFile, queue: &JournalQueue, durable: &watch::Sender<Durable>) {
    loop {
        let Work { items, closed } = queue.next();
        let was_idle = items.is_empty();
        let is_durable = |sequence: Sequence| drop(durable.send_replace(Durable::To(sequence)));
        let done = write_items(&mut journal, &items, is_durable);
        if let Err(error) = done {
            tracing::error!(%error, "cannot write the journal; it takes no more changes");
            let why = format!("cannot write the journal: {error}");
            durable.send_replace(Durable::Failed { to: journal.sequence, why });
            queue.end(items);
            return;
        }
        queue.done_with(items);
        // Those that wait for less in the queue look again.
        is_durable(journal.sequence);
        queue.want_copy(journal.is_overgrown());
        if closed && was_idle {
            // The next start knows that no write was torn.
            if let Err(error) = journal.end() {
                tracing::warn!(%error, "cannot mark the end of the journal");
            }
            queue.end(Vec::new());
            return;
        }
    }
}

/// Writes batches to the file, and what follows from them to the new one, in their order.
pub(super) fn write_items(
    journal: &mut JournalFile,
    mut items: &[Item],
    mut is_durable: impl FnMut(Sequence),
) -> io::Result<()> {
    while !items.is_empty() {
        // What comes after the last portion is for the new file alone.
        let is_last = |item: &Item| matches!(item, Item::Portion(Portion { is_last: true, .. }));
        let len = items.iter().position(is_last).map_or(items.len(), |at| at + 1);
        let (now, later) = items.split_at(len);
        journal.write(now.iter().filter_map(|item| match item {
            Item::Batch(batch) => Some(batch),
            Item::Portion(_) => None,
        }))?;
        is_durable(journal.sequence);
        for item in now {
            match item {
                Item::Batch(batch) if batch.followed.is_empty() => {}
                Item::Batch(batch) => journal.add_to_copy(&batch.followed)?,
                Item::Portion(portion) => {
                    journal.add_to_copy(&portion.records)?;
                    if portion.is_last {
                        journal.finish_copy()?;
                    }
                }
            }
        }
        items = later;
    }
    Ok(())
}
