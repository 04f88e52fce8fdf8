//! What everything in here needs of a client.

use std::sync::Arc;

use pravega_sdk_controller_client::{Controller, EndpointCache, TokenCache};
use pravega_sdk_segment_client::{RawClient, StoreDialer};

/// What readers, writers and transactions need of a client. Clones share everything.
#[derive(Debug, Clone)]
pub struct StreamParts {
    /// Every call of the controller.
    pub controller: Arc<dyn Controller>,
    /// Which segment store serves which segment.
    pub endpoints: Arc<EndpointCache>,
    /// Delegation tokens.
    pub tokens: Arc<TokenCache>,
    /// Requests to segment stores, over one connection each, which readers share.
    pub raw_client: RawClient,
    /// How writers make connections of their own.
    pub dialer: StoreDialer,
}
