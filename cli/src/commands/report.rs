//! Output that commands share: listings, and what was created or deleted.

use std::fmt::Display;

use futures_util::StreamExt as _;
use pravega_sdk::{
    controller_client::{Creation, Deletion, listing::Listing},
    types::ErrorKind,
};

use crate::{
    failure::{Failure, Result},
    output::{Output, Record},
    terminal,
};

/// Items that are sorted and printed together. Pages of servers have up to 1000.
const PAGE: usize = 1000;

/// Prints a listing, one record per item, as its pages arrive. Each page is sorted.
pub(super) async fn list<T: Unpin + Ord>(
    listing: Listing<T>,
    output: &mut Output,
    record: impl Fn(&T) -> Record,
) -> Result<()> {
    let mut pages = listing.ready_chunks(PAGE);
    while let Some(page) = pages.next().await {
        let mut items = Vec::with_capacity(page.len());
        let mut error = None;
        for item in page {
            match item {
                Ok(item) => items.push(item),
                // The last item of a listing.
                Err(failed) => error = Some(failed),
            }
        }
        items.sort();
        output.list(items.iter().map(&record).collect())?;
        if let Some(error) = error {
            return Err(error.into());
        }
    }
    Ok(())
}

/// Asks a person at the terminal about something that cannot be undone, and fails without a yes.
/// Without a terminal the command line is enough.
///
/// # Cancel safety
///
/// As [`terminal::ask`].
pub(super) async fn confirm(question: &str) -> Result<()> {
    if !terminal::is_present() || terminal::agrees(question).await? {
        return Ok(());
    }
    Err(Failure::other("nothing was deleted"))
}

pub(super) fn created(
    what: &str,
    name: &dyn Display,
    creation: Creation,
    output: &Output,
) -> Result<()> {
    match creation {
        Creation::Created => output.status(format_args!("created {what} {name}")),
        Creation::AlreadyExisted => output.status(format_args!("{what} {name} already exists")),
    }
    Ok(())
}

pub(super) fn deleted(
    what: &str,
    name: &dyn Display,
    deletion: Deletion,
    output: &Output,
) -> Result<()> {
    match deletion {
        Deletion::Deleted => {
            output.status(format_args!("deleted {what} {name}"));
            Ok(())
        }
        Deletion::NotFound => {
            let kind = ErrorKind::NotFound;
            Err(Failure::of_kind(kind, format_args!("{what} {name} does not exist")))
        }
    }
}
