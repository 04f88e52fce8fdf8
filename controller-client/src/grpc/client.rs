//! The client and its clones.

use std::{fmt, sync::Arc};

use pravega_sdk_types::{Endpoint, ErrorKind, Outcome};

use super::call::Calls;
use crate::{
    ControllerConfig, ControllerError, HomeRuntime,
    network::{Network, SystemNetwork},
};

/// The controller of a cluster, over gRPC.
///
/// Clones are cheap and share their connections. The client connects to a controller when a call
/// needs it, and again after the connection has ended; its tasks are on the runtime of
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
        Self::with_network(config, Arc::new(SystemNetwork))
    }

    /// As [`new`](Self::new), over a network in place of the system's.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    #[doc(hidden)]
    pub fn with_network(
        config: ControllerConfig,
        network: Arc<dyn Network>,
    ) -> Result<Self, ControllerError> {
        let home = HomeRuntime::current().ok_or_else(|| {
            ControllerError::new(
                ErrorKind::NoRuntime,
                Outcome::NotApplied,
                "a controller client must be made inside a tokio runtime: call it from async code, \
                 or enter a runtime first",
            )
        })?;
        Ok(Self { calls: Arc::new(Calls::new(&config, network, home)?) })
    }

    /// Returns the controllers in use: those of the address, or those discovered.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.calls.nodes.with(|nodes, _| nodes.listed().to_vec())
    }
}

impl fmt::Debug for ControllerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControllerClient")
            .field("uri", &self.calls.nodes.config().uri.to_string())
            .field("credentials", &self.calls.nodes.config().credentials)
            .finish_non_exhaustive()
    }
}
