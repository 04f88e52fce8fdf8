//! Output that commands share: sorted listings, and what was created or deleted.

use std::fmt::Display;

use futures_util::StreamExt as _;
use pravega_sdk::{
    controller_client::{Creation, Deletion, listing::Listing},
    types::ErrorKind,
};

use crate::{
    failure::{Failure, Result},
    output::{Output, Record},
};

/// Prints a listing in sorted order, one record per item.
pub(super) async fn list<T: Unpin + Ord>(
    listing: Listing<T>,
    output: &mut Output,
    record: impl Fn(&T) -> Record,
) -> Result<()> {
    let items: Vec<_> = listing.collect().await;
    let mut items = items.into_iter().collect::<std::result::Result<Vec<T>, _>>()?;
    items.sort();
    output.list(items.iter().map(record).collect())
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
