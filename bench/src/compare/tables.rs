//! The cases that are about tables. Each compares clients on tables of one kind: the Java client
//! has key-value tables, `pravega-client` hash tables, and this SDK both.

use anyhow::{Context as _, Result};
use pravega_sdk::{
    ClientFactory,
    codec::Raw,
    controller_client::KeyValueTableConfiguration,
    table_synchronizer::{Put, TableConfig, TableKind, TableSegment, put_batches},
    types::ScopedKeyValueTable,
};

use super::{
    case::{self, Case, Table},
    place::new_name,
};
use crate::{
    entries::{KEY_LEN, cbor_text, key},
    table_worker,
};

const SIZE: usize = 100;
const MANY_CALLERS: u64 = 64;
/// Number of entries that are put and read.
const ENTRIES: usize = 10_000;
/// Number of entries of an iteration.
const ALL_ENTRIES: usize = 100_000;
/// Number of entries that one update of a synchronizer puts.
const PUT_TOGETHER: usize = 250;

const ALONE: &[&str] = &["p50_us", "p99_us", "cpu_us_per_event"];
const TOGETHER: &[&str] = &["events_per_s", "p99_us", "cpu_us_per_event", "peak_rss_mb"];

/// Creates a table with the entries of a case.
pub(super) async fn create(
    table: Table,
    controller: &str,
    case: &Case,
) -> Result<ScopedKeyValueTable> {
    let factory = ClientFactory::connect(controller).await?;
    let (scope, name) = new_name(&factory).await?;
    let name = ScopedKeyValueTable::new(scope, name.parse()?);
    let value = "v".repeat(case.size);
    match table {
        Table::Keyed => {
            let configuration = KeyValueTableConfiguration::new(1, KEY_LEN as u32);
            factory.controller().create_key_value_table(&name, &configuration).await?;
            let table = table_worker::Table::Keyed(factory.key_value_table(&name).await?);
            fill_one_by_one(&table, case.keys as u64, &value).await?;
        }
        Table::Hash => {
            let (context, config) = (factory.segment_context(), TableConfig::default());
            let created = TableSegment::create(context, &name, 0.into(), TableKind::Hash, config);
            let (table, _) = created.await?;
            let put = |number: u64| Put::new(cbor_text(&key(number)), cbor_text(&value));
            for batch in put_batches((0..case.keys as u64).map(put)) {
                table.put(batch).await?;
            }
        }
        Table::Agreed => {
            let mut table = factory.table_synchronizer(&name, Raw, Raw).await?;
            let numbers: Vec<u64> = (0..case.keys as u64).collect();
            for numbers in numbers.chunks(PUT_TOGETHER) {
                let putting = table.update(|changes| {
                    let mut numbers = numbers.iter();
                    numbers.try_for_each(|number| changes.put(key(*number), value.clone()))
                });
                putting.await?;
            }
            table.close().await?;
        }
    }
    Ok(name)
}

/// Removes a table.
pub(super) async fn remove(
    table: Table,
    controller: &str,
    name: &ScopedKeyValueTable,
) -> Result<()> {
    let factory = ClientFactory::connect(controller).await?;
    match table {
        Table::Keyed => drop(factory.controller().delete_key_value_table(name).await?),
        Table::Hash | Table::Agreed => {
            factory.table_segment(name, 0.into()).await?.delete().await?;
        }
    }
    Ok(())
}

/// Puts entries of different primary keys, which have to be put one by one.
async fn fill_one_by_one(table: &table_worker::Table, count: u64, value: &str) -> Result<()> {
    let putting: Vec<_> = (0..MANY_CALLERS)
        .map(|first| {
            let (table, value) = (table.clone(), value.to_owned());
            tokio::spawn(async move {
                for number in (first..count).step_by(MANY_CALLERS as usize) {
                    table.put(number, &value).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for caller in putting {
        caller.await.context("a caller ended early")??;
    }
    Ok(())
}

fn of_table(
    table: Table,
    mode: &'static str,
    suffix: &str,
    keys: usize,
    callers: u64,
    metrics: &'static [&'static str],
) -> Case {
    let name = format!("table-{mode}-{suffix}");
    Case { keys, callers, table: Some(table), ..case::case(&name, mode, SIZE, 1, metrics) }
}

/// The cases in which clients are compared.
pub(super) fn cases() -> Vec<Case> {
    const ITERATION: &[&str] = &["events_per_s", "cpu_us_per_event", "peak_rss_mb"];
    const UPDATE: &[&str] = &["p50_us", "cpu_us_per_event", "peak_rss_mb"];
    let calls = [
        (Table::Keyed, "keyed-put", "keyed-get", "keyed-iterate"),
        (Table::Hash, "hash-put", "hash-get", "hash-iterate"),
    ];
    let mut cases = Vec::new();
    for (table, put, get, iterate) in calls {
        for mode in [put, get] {
            cases.push(of_table(table, mode, "1-caller", ENTRIES, 1, ALONE));
            cases.push(of_table(table, mode, "64-callers", ENTRIES, MANY_CALLERS, TOGETHER));
        }
        cases.push(of_table(table, iterate, "100k", ALL_ENTRIES, 1, ITERATION));
    }
    for (suffix, keys) in [("1k", 1_000), ("10k", 10_000), ("100k", ALL_ENTRIES)] {
        cases.push(of_table(Table::Agreed, "agreed-update", suffix, keys, 1, UPDATE));
    }
    cases
}

/// The cases in which servers are compared.
pub(super) fn cases_of_servers() -> Vec<Case> {
    const RATE: &[&str] = &["events_per_s"];
    const DELAY: &[&str] = &["p50_us", "p99_us"];
    let mut cases = Vec::new();
    for (table, modes) in
        [(Table::Keyed, ["keyed-put", "keyed-get"]), (Table::Hash, ["hash-put", "hash-get"])]
    {
        for mode in modes {
            cases.push(of_table(table, mode, "1-caller", ENTRIES, 1, DELAY));
            cases.push(of_table(table, mode, "64-callers", ENTRIES, MANY_CALLERS, RATE));
        }
    }
    cases
}
