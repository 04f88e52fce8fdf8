//! `pravega dev --salvage`

use std::path::Path;

use pravega_sdk::{
    ErrorKind,
    embedded::{Missing, Salvaged, salvage},
};

use super::backup::failure;
use crate::{
    context::Context,
    failure::{Failure, Result},
    output::{Record, status},
};

/// Writes what can be read of a damaged folder to a new one, and lists what is missing: anything
/// that is makes it fail.
pub(crate) async fn run(from: &Path, to: &Path, context: &mut Context) -> Result<()> {
    let salvaged = salvage(from, to).await.map_err(failure)?;
    context.output.list(salvaged.missing.iter().map(record).collect())?;
    let Salvaged { segments, bytes, missing, .. } = salvaged;
    let told = told(to, segments, bytes, missing.len());
    if missing.is_empty() {
        status(told);
        return Ok(());
    }
    Err(Failure::of_kind(ErrorKind::Corrupt, told).with_hint(
        "a server starts on the new folder, with what could be read. The damaged one was not \
         changed: keep it, as what is missing may be nowhere else",
    ))
}

/// What is in the new folder, and how much is not.
fn told(to: &Path, segments: usize, bytes: u64, missing: usize) -> String {
    let is_missing = match missing {
        0 => "nothing is missing".to_owned(),
        1 => "one thing is missing, which is listed".to_owned(),
        count => format!("{count} things are missing, which are listed"),
    };
    let kept = if bytes == 0 && missing > 0 { "; no event could be kept" } else { "" };
    format!("{}: {segments} segments with {bytes} bytes{kept}; {is_missing}", to.display())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_and_what_is_missing_is_told() {
        let to = Path::new("new");
        for (bytes, missing, expected) in [
            (7, 0, "new: 2 segments with 7 bytes; nothing is missing"),
            (0, 0, "new: 2 segments with 0 bytes; nothing is missing"),
            (7, 1, "new: 2 segments with 7 bytes; one thing is missing, which is listed"),
            (7, 3, "new: 2 segments with 7 bytes; 3 things are missing, which are listed"),
            (
                0,
                1,
                "new: 2 segments with 0 bytes; no event could be kept; one thing is missing, which \
                 is listed",
            ),
        ] {
            assert_eq!(told(to, 2, bytes, missing), expected);
        }
    }
}
