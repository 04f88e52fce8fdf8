//! One file a command.

pub(crate) mod bytes;
pub(crate) mod cut;
pub(crate) mod demo;
pub(crate) mod dev;
pub(crate) mod doctor;
pub(crate) mod group;
mod input;
pub(crate) mod read;
pub(crate) mod scope;
pub(crate) mod segment;
pub(crate) mod stream;
pub(crate) mod table;
pub(crate) mod txn;
pub(crate) mod wire;
pub(crate) mod write;

use futures_util::StreamExt as _;
use pravega_sdk::controller_client::{Creation, Deletion, listing::Listing};

use crate::{
    failure::{Failure, Result},
    output::{Output, Record},
};

/// An error with its causes.
fn error_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Shows a listing sorted, with each item made a record.
async fn show<T: Unpin + Ord>(
    listing: Listing<T>,
    output: &mut Output,
    record: impl Fn(&T) -> Record,
) -> Result<()> {
    let items: Vec<_> = listing.collect().await;
    let mut items = items.into_iter().collect::<std::result::Result<Vec<T>, _>>()?;
    items.sort();
    output.list(items.iter().map(record).collect())
}

fn created(
    what: &str,
    name: &dyn std::fmt::Display,
    creation: Creation,
    output: &Output,
) -> Result<()> {
    match creation {
        Creation::Created => output.status(format_args!("created {what} {name}")),
        Creation::AlreadyExisted => output.status(format_args!("{what} {name} was there before")),
    }
    Ok(())
}

fn deleted(
    what: &str,
    name: &dyn std::fmt::Display,
    deletion: Deletion,
    output: &Output,
) -> Result<()> {
    match deletion {
        Deletion::Deleted => {
            output.status(format_args!("deleted {what} {name}"));
            Ok(())
        }
        Deletion::NotFound => {
            let kind = pravega_sdk::types::ErrorKind::NotFound;
            Err(Failure::of_kind(kind, format_args!("there is no {what} {name}")))
        }
    }
}
