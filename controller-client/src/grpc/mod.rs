//! The controller over gRPC.
//!
//! ```text
//! service    one method a call: arguments to messages, statuses to results
//!   call     attempts: deadline, credentials, retry within the client's budget, fail-over
//!     nodes  which controllers there are, and a channel to each
//!   status   what a gRPC status means, and whether another attempt is worth it
//!   convert  messages from and to the SDK's types
//! ```

mod call;
mod convert;
pub mod encoding;
mod nodes;
mod service;
mod status;

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use pravega_sdk_types::{Endpoint, ErrorKind, Outcome, RetryBudget};
use tokio::time::Instant;

use crate::{ControllerConfig, ControllerError};
use nodes::Nodes;

/// The controller of a cluster, over gRPC.
///
/// Clones are cheap and share their channels. Channels come about when they are first used and
/// again after they broke; the client has no task of its own but those that gRPC spawns on the
/// caller's runtime.
///
/// # Cancel safety
///
/// As [`Controller`](crate::Controller) says.
#[derive(Clone)]
pub struct ControllerClient {
    inner: Arc<Inner>,
}

struct Inner {
    config: ControllerConfig,
    nodes: Nodes,
    retries: Mutex<RetryBudget>,
    started: Instant,
}

impl ControllerClient {
    /// Makes a client; the first call connects.
    ///
    /// # Errors
    ///
    /// Kind [`Config`](ErrorKind::Config) if the trust store cannot be used,
    /// [`NoRuntime`](ErrorKind::NoRuntime) outside a tokio runtime.
    pub fn connect(config: ControllerConfig) -> Result<Self, ControllerError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(ControllerError::new(
                ErrorKind::NoRuntime,
                Outcome::NotApplied,
                "a controller client must be made inside a tokio runtime: call it from async code, or enter a runtime first",
            ));
        }
        let nodes = Nodes::new(&config)?;
        let inner = Inner { config, nodes, retries: Mutex::default(), started: Instant::now() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The controllers that calls go to: those of the address, or those discovered.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.inner.nodes.endpoints()
    }
}

impl fmt::Debug for ControllerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControllerClient")
            .field("uri", &self.inner.config.uri.to_string())
            .field("credentials", &self.inner.config.credentials)
            .finish_non_exhaustive()
    }
}
