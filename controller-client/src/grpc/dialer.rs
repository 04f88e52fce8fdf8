//! Creates channels, each with one connection.

use std::{fmt, sync::Arc, time::Duration};

use pravega_sdk_tls::{PeerFault, TlsConnector};
use pravega_sdk_types::{Endpoint, Failure};
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint as ChannelBuilder, Uri};

use super::{
    connector::{Connector, Security},
    status::FailedAttempt,
};
use crate::{
    ControllerConfig, ControllerError,
    machine::{Bugs, ControllerBug},
    network::Network,
};

/// The name of HTTP/2 in the handshake of TLS.
const HTTP2: &[u8] = b"h2";

/// A channel with its one connection.
#[derive(Clone)]
pub(super) struct Dialled {
    pub(super) channel: Channel,
    /// The reason why the controller refuses the connection, if it does so after the handshake.
    pub(super) fault: PeerFault,
}

/// Creates channels.
pub(super) struct Dialer {
    network: Arc<dyn Network>,
    tls: Option<Arc<TlsConnector>>,
    connect_timeout: Duration,
    keep_alive_interval: Duration,
    bugs: Bugs,
}

impl Dialer {
    pub(super) fn new(
        config: &ControllerConfig,
        network: Arc<dyn Network>,
    ) -> Result<Self, ControllerError> {
        let tls = config.tls.as_ref().map(|tls| Arc::new(TlsConnector::new(tls, Some(HTTP2))));
        if let Some(tls) = &tls {
            tls.check().map_err(|error| {
                ControllerError::from(Failure::caused_by(error, "TLS cannot be set up"))
            })?;
        }
        Ok(Self {
            network,
            tls,
            connect_timeout: config.connect_timeout,
            keep_alive_interval: config.keep_alive_interval,
            bugs: config.bugs,
        })
    }

    /// Connects to a controller. One deadline covers the look-up, TCP and TLS.
    pub(super) async fn connect(&self, endpoint: &Endpoint) -> Result<Dialled, FailedAttempt> {
        let builder = self.builder(endpoint).map_err(FailedAttempt::not_sent)?;
        let limit = self.connect_timeout;
        let network = Arc::clone(&self.network);
        let fault = PeerFault::default();
        let security = Security { tls: self.tls.clone(), fault: fault.clone() };
        let connector = Connector::new(endpoint.clone(), network, limit, self.bugs, security);
        let connecting = async {
            let channel = builder.connect_with_connector(connector).await?;
            Ok::<_, tonic::transport::Error>(Dialled { channel, fault })
        };
        if self.bugs.has(ControllerBug::TimesConnectsOnly) {
            return connecting.await.map_err(|error| FailedAttempt::unconnected(&error));
        }
        match timeout(limit, connecting).await {
            Ok(connected) => connected.map_err(|error| FailedAttempt::unconnected(&error)),
            Err(_) => Err(FailedAttempt::connected_late(limit)),
        }
    }

    /// Fails if no channel to that controller can be created.
    pub(super) fn check(&self, endpoint: &Endpoint) -> Result<(), ControllerError> {
        self.builder(endpoint).map(drop)
    }

    fn builder(&self, endpoint: &Endpoint) -> Result<ChannelBuilder, ControllerError> {
        let invalid = |error: &dyn fmt::Display| {
            ControllerError::invalid(format!("{endpoint} is not an address: {error}"))
        };
        // A URI has no zone; the connector has the whole endpoint.
        let authority = Endpoint::new(endpoint.host_without_zone(), endpoint.port());
        let authority = authority.map_err(|error| invalid(&error))?;
        let builder = Channel::from_shared(format!("http://{authority}"))
            .map_err(|error| invalid(&error))?
            .http2_keep_alive_interval(self.keep_alive_interval)
            .keep_alive_while_idle(true);
        if self.tls.is_none() {
            return Ok(builder);
        }
        // The connector speaks TLS; the library would refuse an address that says so.
        let origin: Uri =
            format!("https://{authority}").parse().map_err(|error| invalid(&error))?;
        Ok(builder.origin(origin))
    }
}
