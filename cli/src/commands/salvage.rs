//! `pravega dev --salvage`

use std::path::Path;

use pravega_sdk::embedded::{Missing, Salvaged, salvage};

use super::backup::failure;
use crate::{
    context::Context,
    failure::Result,
    output::{Record, status},
};

/// Writes what can be read of a damaged folder to a new one, and lists what is missing.
pub(crate) async fn run(from: &Path, to: &Path, context: &mut Context) -> Result<()> {
    let Salvaged { segments, bytes, missing, .. } = salvage(from, to).await.map_err(failure)?;
    context.output.list(missing.iter().map(record).collect())?;
    let what = match missing.len() {
        0 => "nothing is missing".to_owned(),
        1 => "one thing is missing".to_owned(),
        count => format!("{count} things are missing"),
    };
    status(format_args!("{}: {segments} segments with {bytes} bytes; {what}", to.display()));
    Ok(())
}

/// A line of the list: what is missing, of what, and from where to where.
fn record(missing: &Missing) -> Record {
    let record = |kind: &str| Record::new().with("missing", kind);
    let range = |record: Record, from: u64, to: u64| record.with("from", from).with("to", to);
    let record = match missing {
        Missing::File { file, .. } => record("file").with("of", file.clone()),
        Missing::Changes { file, from, to } => {
            range(record("changes").with("of", file.clone()), *from, *to)
        }
        Missing::Bytes { segment, from, to } => {
            range(record("bytes").with("of", segment.clone()), *from, *to)
        }
        Missing::Nameless { number, from, to } => {
            range(record("name").with("of", *number), *from, *to)
        }
        _ => record("entry"),
    };
    record.with("text", missing.to_string())
}
