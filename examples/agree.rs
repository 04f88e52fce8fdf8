//! Two programs agree on who does what: each claims tasks in a table that both have in memory.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use pravega_sdk::{
    codec::{BigEndian, Raw, Utf8},
    table_synchronizer::{
        TableError, TableSynchronizer,
        recipes::{LeaseConfig, Lock},
    },
    types::{Scope, ScopedKeyValueTable},
};

type Tasks = TableSynchronizer<BigEndian<u32>, Utf8>;

/// Claims a task, unless another worker has it. Returns the worker that has it.
async fn claim(tasks: &mut Tasks, task: u32, worker: &str) -> Result<String, TableError> {
    let claimed = tasks.update(|tasks| {
        // If another worker claims it at the same time, this runs again and sees that.
        if let Some(owner) = tasks.get(task)? {
            return Ok(owner);
        }
        tasks.put(task, worker)?;
        Ok(worker.to_owned())
    });
    Ok(claimed.await?.into_inner())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pravega = pravega_sdk::embedded().await?;
    let client = pravega.client();
    let scope: Scope = "shop".parse()?;
    client.controller().create_scope(&scope).await?;
    let name: ScopedKeyValueTable = "shop/tasks".parse()?;
    let mut ann = client.table_synchronizer(&name, BigEndian::new(), Utf8).await?;
    let mut bob = client.table_synchronizer(&name, BigEndian::new(), Utf8).await?;
    for task in 0..4 {
        let (by_ann, by_bob) =
            tokio::join!(claim(&mut ann, task, "ann"), claim(&mut bob, task, "bob"));
        let (by_ann, by_bob) = (by_ann?, by_bob?);
        println!("task {task} is done by {by_ann}");
        assert_eq!(by_ann, by_bob, "they agree");
    }
    ann.fetch().await?;
    assert_eq!(ann.state().len(), 4);
    ann.close().await?;
    bob.close().await?;

    // A lock, with a token for the resources that it protects.
    let name: ScopedKeyValueTable = "shop/locks".parse()?;
    let table = client.table_synchronizer(&name, Raw, Raw).await?;
    let mut lock = Lock::new(table, "stock", LeaseConfig::default().with_name("ann"));
    let held = lock.acquire(Duration::from_secs(10)).await?;
    println!("the stock is counted with token {}", held.token());
    held.release().await?;
    Ok(())
}
