//! `pravega backup`

use std::{io, path::PathBuf};

use pravega_sdk::embedded::{Backup, CopyError, OpenProblem, backup};

use super::folder::{codes, kind_of_copy};
use crate::{
    context::Context,
    failure::{Failure, Result, with_causes},
    output::Record,
};

pub(crate) const AFTER_HELP: &str = concat!(
    "\
The backup has the state as of one moment after the command began: everything that was \
acknowledged before. Writers are not stopped. Every byte is checked while it is copied. The new \
folder is one of its own: `pravega dev --dir NEW` starts a server on it, also while the other one \
runs.

",
    codes!(),
    "

Examples:
  pravega dev --dir data &
  pravega backup data data-monday
  pravega dev --port 19090 --dir data-monday"
);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Folder of the server: that of `pravega dev --dir`
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// Folder for the backup, which is created; if it exists, it must be empty
    #[arg(value_name = "NEW")]
    to: PathBuf,
}

pub(crate) async fn run(arguments: Arguments, context: &mut Context) -> Result<()> {
    let copied = backup(arguments.from, &arguments.to).await;
    let Backup { files, bytes, batch, .. } = copied.map_err(failure)?;
    let folder = arguments.to.display().to_string();
    let record = Record::new().with("folder", folder).with("files", files);
    context.output.one(record.with("bytes", bytes).with("batch", batch))
}

/// The failure of a copy of a folder.
pub(super) fn failure(error: CopyError) -> Failure {
    let failure = Failure::of_kind(kind_of_copy(&error), with_causes(&error));
    let hint = match &error {
        CopyError::NoAnswer { .. } => {
            "a server of an earlier version does not tell its files: stop it, and copy the folder \
             while no server uses it"
        }
        CopyError::Source(source) => match source.problem() {
            OpenProblem::Corrupt { .. } | OpenProblem::Missing { .. } => {
                "no file was changed, and there is no copy. `pravega dev --salvage DIR NEW` writes \
                 what can be read to a new folder, once no server uses this one"
            }
            _ => return failure,
        },
        CopyError::Target(target) => match target.problem() {
            OpenProblem::Io { error, .. } if error.kind() == io::ErrorKind::StorageFull => {
                "nothing was left in the new folder: free space, or name one on another disk"
            }
            _ => return failure,
        },
        _ => return failure,
    };
    failure.with_hint(hint)
}
