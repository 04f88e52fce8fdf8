//! Where clients do their work: streams and tables with new names.

use anyhow::Result;
use pravega_sdk::{
    ClientFactory,
    types::{Scope, ScopedKeyValueTable, ScopedStream},
};

/// The stream or the table that a client uses.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) scope: String,
    pub(super) name: String,
}

impl Place {
    pub(super) fn of_stream(stream: &ScopedStream) -> Self {
        Self { scope: stream.scope().to_string(), name: stream.stream().to_string() }
    }

    pub(super) fn of_table(table: &ScopedKeyValueTable) -> Self {
        Self { scope: table.scope().to_string(), name: table.table().to_string() }
    }
}

/// Creates the scope, and returns it with a name that was not used before.
pub(super) async fn new_name(factory: &ClientFactory) -> Result<(Scope, String)> {
    let scope = Scope::new("bench")?;
    factory.controller().create_scope(&scope).await?;
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
    Ok((scope, format!("run-{nanos}")))
}
