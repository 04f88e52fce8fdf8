//! `pravega table`

mod entry;
mod format;
mod import;
mod line;
mod page;
mod scan;
mod watch;

use std::sync::Arc;

use clap::Subcommand;
use pravega_sdk::{
    controller_client::{KeyValueTableConfiguration, listing},
    table_synchronizer::KeyCondition,
    types::{Scope, ScopedKeyValueTable, ScopedSegment},
};

use super::report::{confirm, created, deleted, list};
use crate::{context::Context, failure::Result, output::Record, parse};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Table(Table),
    /// Print the values of keys
    Get(entry::Get),
    /// Put a value under a key, which may exist, and print the version of the key
    Put(entry::Put),
    /// Put a value under a key if it has a version, or does not exist
    PutIf(entry::PutIf),
    /// Put a value under a key that does not exist
    Insert(entry::Put),
    /// Remove a key and its value
    Remove(entry::Remove),
    /// Print entries in the order of their keys
    Scan(scan::Scan),
    /// Print the changes of a table as they are made
    #[command(after_help = watch::AFTER_HELP)]
    Watch(watch::Watch),
    /// Write entries as JSON, one per line in the order of their keys, for `import`
    Export(scan::Export),
    /// Put the entries of an export into a table
    #[command(after_help = import::AFTER_HELP)]
    Import(import::Import),
}

/// Commands about tables as a whole.
#[derive(Debug, Subcommand)]
pub(crate) enum Table {
    /// Create a key-value table
    Create {
        /// SCOPE/TABLE
        table: ScopedKeyValueTable,
        /// Number of partitions
        #[arg(long, default_value_t = 1)]
        partitions: u32,
        /// Length of every primary key in bytes
        #[arg(long, value_name = "BYTES")]
        primary_key_length: u32,
        /// Length of every secondary key in bytes; 0 means no secondary keys
        #[arg(long, value_name = "BYTES", default_value_t = 0)]
        secondary_key_length: u32,
        /// Chunk size in long-term storage, with K, M, G or T for powers of 1024; 0 is the server's
        /// default
        #[arg(long, value_name = "BYTES", value_parser = parse::bytes, default_value = "0")]
        rollover_size: u64,
    },
    /// List the key-value tables of a scope
    #[command(visible_alias = "ls")]
    List {
        /// The scope
        #[arg(value_parser = parse::any_scope)]
        scope: Scope,
    },
    /// Show the configuration of a key-value table
    #[command(visible_alias = "info")]
    Describe {
        /// SCOPE/TABLE
        table: ScopedKeyValueTable,
    },
    /// List the segments of a key-value table
    Segments {
        /// SCOPE/TABLE
        table: ScopedKeyValueTable,
    },
    /// Delete a key-value table and its entries; asks on a terminal
    #[command(visible_alias = "rm")]
    Delete {
        /// SCOPE/TABLE
        table: ScopedKeyValueTable,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

pub(crate) async fn run(command: Command, context: &mut Context) -> Result<()> {
    match command {
        Command::Get(arguments) => entry::get(arguments, context).await,
        Command::Put(put) => entry::put(put, KeyCondition::Any, context).await,
        Command::PutIf(arguments) => entry::put_if(arguments, context).await,
        Command::Insert(put) => entry::put(put, KeyCondition::Absent, context).await,
        Command::Remove(arguments) => entry::remove(arguments, context).await,
        Command::Scan(arguments) => scan::scan(arguments, context).await,
        Command::Watch(arguments) => watch::run(arguments, context).await,
        Command::Export(arguments) => scan::export(arguments, context).await,
        Command::Import(arguments) => import::run(arguments, context).await,
        Command::Table(command) => administer(command, context).await,
    }
}

async fn administer(command: Table, context: &mut Context) -> Result<()> {
    let client = context.client().await?;
    let (controller, output) = (client.controller(), &mut context.output);
    match command {
        Table::Create {
            table,
            partitions,
            primary_key_length,
            secondary_key_length,
            rollover_size,
        } => {
            let configuration = KeyValueTableConfiguration::new(partitions, primary_key_length)
                .with_secondary_key_length(secondary_key_length)
                .with_rollover_size_bytes(rollover_size);
            created(
                "table",
                &table,
                controller.create_key_value_table(&table, &configuration).await?,
                output,
            )
        }
        Table::List { scope } => {
            let record =
                |table: &ScopedKeyValueTable| Record::new().with("table", table.to_string());
            list(listing::key_value_tables(Arc::clone(controller), scope), output, record).await
        }
        Table::Describe { table } => {
            let configuration = controller.key_value_table_configuration(&table).await?;
            output.one(
                Record::new()
                    .with("table", table.to_string())
                    .with("partitions", configuration.partition_count)
                    .with("primary_key_length", configuration.primary_key_length)
                    .with("secondary_key_length", configuration.secondary_key_length)
                    .with("rollover_size_bytes", configuration.rollover_size_bytes),
            )
        }
        Table::Segments { table } => {
            let segments = controller.key_value_table_segments(&table).await?;
            let record = |segment: &pravega_sdk::controller_client::SegmentWithRange| {
                Record::new()
                    .with(
                        "segment",
                        ScopedSegment::new(&table.segment_stream(), segment.id).to_string(),
                    )
                    .with("low", segment.range.low())
                    .with("high", segment.range.high())
            };
            output.list(segments.iter().map(record).collect())
        }
        Table::Delete { table, yes } => {
            if !yes {
                confirm(&format!("Delete table {table} and all its entries?")).await?;
            }
            deleted("table", &table, controller.delete_key_value_table(&table).await?, output)
        }
    }
}
