//! Copies of a server's folder: a backup, also while the server runs.
//!
//! ```text
//! source   the folder, which is only read; that of a running server as of one durable batch
//! offer    what a running server tells of its files: names, lengths, the end of the log
//! keeping  asks it for that, and to remove none of them before it is copied
//! serve    the server's side, on a socket in its folder
//! target   the new folder, which is known as unfinished until all is in it and durable
//! backup   files, each checked while it is copied
//! salvage  what can be read of a damaged folder; damage: reading it; missing: what is not there
//! error    why there is no copy
//! ```
//!
//! The process that asks for a copy makes it, with the rights of its user. A server only tells
//! which files it has, and keeps them for as long as the socket is open. So a copy needs no
//! account, and no request can make a server write somewhere.

mod backup;
mod damage;
mod error;
mod keeping;
mod missing;
mod offer;
mod salvage;
mod serve;
mod source;
mod target;

use std::{
    io,
    path::{Path, PathBuf},
};

use tokio::runtime::Handle;

#[cfg(test)]
pub(crate) use self::{backup::take, error::Side, salvage::salvage_to};
#[cfg(test)]
mod tests;
pub use self::{
    backup::{Backup, backup},
    error::CopyError,
    missing::Missing,
    salvage::{Salvaged, salvage},
};
pub(crate) use self::{
    serve::{Snapshots, serve},
    source::Source,
};
use crate::journal::{OpenError, OpenProblem};

/// Does work, which has a name, in a thread of the runtime.
async fn in_thread<T: Send + 'static>(
    what: &str,
    from: PathBuf,
    to: PathBuf,
    work: impl FnOnce(&Path, &Path) -> Result<T, CopyError> + Send + 'static,
) -> Result<T, CopyError> {
    if Handle::try_current().is_err() {
        return Err(CopyError::NoRuntime);
    }
    let folder = from.clone();
    let done = tokio::task::spawn_blocking(move || work(&from, &to));
    done.await.unwrap_or_else(|error| {
        let problem = OpenProblem::io(what)(io::Error::other(error));
        Err(CopyError::Source(OpenError { folder, problem }))
    })
}
