//! `pravega table`

use std::sync::Arc;

use clap::Subcommand;
use pravega_sdk::{
    controller_client::{KeyValueTableConfiguration, listing},
    types::{Scope, ScopedKeyValueTable, ScopedSegment},
};

use super::report::{created, deleted, list};
use crate::{context::Context, failure::Result, output::Record, parse};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
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
    List {
        /// The scope
        #[arg(value_parser = parse::any_scope)]
        scope: Scope,
    },
    /// Show the configuration of a key-value table
    Describe {
        /// SCOPE/TABLE
        table: ScopedKeyValueTable,
    },
    /// List the segments of a key-value table
    Segments {
        /// SCOPE/TABLE
        table: ScopedKeyValueTable,
    },
    /// Delete a key-value table and its entries
    Delete {
        /// SCOPE/TABLE
        table: ScopedKeyValueTable,
    },
}

pub(crate) async fn run(command: Command, context: &mut Context) -> Result<()> {
    let client = context.client().await?;
    let (controller, output) = (client.controller(), &mut context.output);
    match command {
        Command::Create {
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
        Command::List { scope } => {
            let record =
                |table: &ScopedKeyValueTable| Record::new().with("table", table.to_string());
            list(listing::key_value_tables(Arc::clone(controller), scope), output, record).await
        }
        Command::Describe { table } => {
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
        Command::Segments { table } => {
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
        Command::Delete { table } => {
            deleted("table", &table, controller.delete_key_value_table(&table).await?, output)
        }
    }
}
