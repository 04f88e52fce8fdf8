//! What the threads that keep the files of a log share.

use std::sync::Arc;

use pravega_sdk_server_core::log::FolderId;

use super::{disk::Disk, inbox::Inbox, kept::Kept};

/// What the threads that keep files share.
#[derive(Debug, Clone)]
pub(super) struct Keeping {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) inbox: Inbox,
    pub(super) kept: Arc<Kept>,
    pub(super) folder: FolderId,
    /// The length after which a log file ends.
    pub(super) file_len: u64,
}
