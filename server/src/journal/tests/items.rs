//! What earlier versions wrote to a journal: batches, and portions of a copy among them.

use std::io;

use pravega_sdk_server_core::record::{Record, Sequence};

use super::file::{Batch, JournalFile};

/// A part of a copy of the whole server, with which a new file begins.
#[derive(Debug)]
pub(super) struct Portion {
    pub(super) records: Vec<Record>,
    pub(super) is_last: bool,
}

/// One piece of work, in the order in which it was made.
#[derive(Debug)]
pub(super) enum Item {
    Batch(Batch),
    Portion(Portion),
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
        let batches = now.iter().filter_map(|item| match item {
            Item::Batch(batch) => Some(batch),
            Item::Portion(_) => None,
        });
        journal.write(batches)?;
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
