//! The client and its clones.

use std::{fmt, sync::Arc};

use pravega_sdk_types::{Endpoint, ErrorKind, Outcome};

use super::call::Calls;
use crate::{ControllerConfig, ControllerError, HomeRuntime};

/// The controller of a cluster, over gRPC.
///
/// Clones are cheap and share their channels. Channels connect at their first use, and again after
/// they broke; the client has no tasks except those that gRPC spawns on the runtime of
/// [`new`](Self::new). After the end of that runtime every call fails at once, with the kind
/// [`Closed`](ErrorKind::Closed).
///
/// # Cancel safety
///
/// As for [`Controller`](crate::Controller).
#[derive(Clone)]
pub struct ControllerClient {
    pub(super) calls: Arc<Calls>,
}

impl ControllerClient {
    /// Creates a client; the first call connects.
    ///
    /// # Errors
    ///
    /// Kind [`Config`](ErrorKind::Config) if the trust store cannot be used,
    /// [`NoRuntime`](ErrorKind::NoRuntime) outside a tokio runtime.
    pub fn new(config: ControllerConfig) -> Result<Self, ControllerError> {
        let home = HomeRuntime::current().ok_or_else(|| {
            ControllerError::new(
                ErrorKind::NoRuntime,
                Outcome::NotApplied,
                "a controller client must be made inside a tokio runtime: call it from async code, \
                 or enter a runtime first",
            )
        })?;
        Ok(Self { calls: Arc::new(Calls::new(config, home)?) })
    }

    /// Returns the controllers in use: those of the address, or those discovered.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.calls.nodes.endpoints()
    }
}

impl fmt::Debug for ControllerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControllerClient")
            .field("uri", &self.calls.config.uri.to_string())
            .field("credentials", &self.calls.config.credentials)
            .finish_non_exhaustive()
    }
}
