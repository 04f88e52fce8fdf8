//! Keeps prices in a key-value table, and changes one only if no other program has changed it.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use futures_util::TryStreamExt as _;
use pravega_sdk::{
    ErrorKind,
    controller_client::KeyValueTableConfiguration,
    table_synchronizer::Keys,
    types::{Scope, ScopedKeyValueTable},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pravega = pravega_sdk::embedded().await?;
    let client = pravega.client();
    // A table is in a scope, as a stream is.
    let scope: Scope = "shop".parse()?;
    client.controller().create_scope(&scope).await?;
    let name: ScopedKeyValueTable = "shop/prices".parse()?;
    // Two partitions, and keys of 4 bytes.
    let configuration = KeyValueTableConfiguration::new(2, 4);
    client.controller().create_key_value_table(&name, &configuration).await?;
    let prices = client.key_value_table(&name).await?;

    let first = prices.insert("pear", "3").await?;
    prices.insert("plum", "2").await?;
    prices.insert("kiwi", "5").await?;
    prices.put_at("pear", "4", first).await?;
    // The price has another version now.
    let late = prices.put_at("pear", "1", first).await.map_err(|error| error.kind());
    assert_eq!(late.err(), Some(ErrorKind::ConditionFailed));

    let mut found = Vec::new();
    let mut entries = prices.entries(&Keys::prefix("p"))?;
    while let Some(entry) = entries.try_next().await? {
        println!("{:?} costs {:?}", entry.key.primary(), entry.value);
        found.push((entry.key.primary().clone(), entry.value));
    }
    assert_eq!(found, [("pear".into(), "4".into()), ("plum".into(), "2".into())]);
    Ok(())
}
