//! Creates channels, each with one connection.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use pravega_sdk_types::{Endpoint, ErrorKind, Failure, Outcome};
use tokio::time::timeout;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint as ChannelBuilder};

use super::{connector::Connector, status::FailedAttempt};
use crate::{
    ControllerConfig, ControllerError, TlsTrust,
    machine::{Bugs, ControllerBug},
    network::Network,
};

/// Creates channels.
pub(super) struct Dialer {
    network: Arc<dyn Network>,
    tls: Option<ClientTlsConfig>,
    connect_timeout: Duration,
    keep_alive_interval: Duration,
    bugs: Bugs,
}

impl Dialer {
    pub(super) fn new(
        config: &ControllerConfig,
        network: Arc<dyn Network>,
    ) -> Result<Self, ControllerError> {
        let tls = match &config.tls {
            None => None,
            Some(TlsTrust::Platform) => Some(ClientTlsConfig::new().with_native_roots()),
            Some(TlsTrust::File(path)) => {
                Some(ClientTlsConfig::new().ca_certificate(read_certificate(path)?))
            }
        };
        Ok(Self {
            network,
            tls,
            connect_timeout: config.connect_timeout,
            keep_alive_interval: config.keep_alive_interval,
            bugs: config.bugs,
        })
    }

    /// Connects to a controller. One deadline covers the look-up, TCP and TLS.
    pub(super) async fn connect(&self, endpoint: &Endpoint) -> Result<Channel, FailedAttempt> {
        let builder = self.builder(endpoint).map_err(FailedAttempt::not_sent)?;
        let limit = self.connect_timeout;
        let network = Arc::clone(&self.network);
        let connector = Connector::new(endpoint.clone(), network, limit, self.bugs);
        let connecting = builder.connect_with_connector(connector);
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
        let refused = |source: tonic::transport::Error| {
            let detail = format_args!("cannot create a channel to {endpoint}");
            ControllerError::from(
                Failure::new(ErrorKind::Config, Outcome::NotApplied, detail).with_source(source),
            )
        };
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let invalid = |error: &dyn fmt::Display| {
            ControllerError::invalid(format!("{endpoint} is not an address: {error}"))
        };
        // A URI has no zone; the connector has the whole endpoint.
        let authority = Endpoint::new(endpoint.host_without_zone(), endpoint.port());
        let authority = authority.map_err(|error| invalid(&error))?;
        let builder = Channel::from_shared(format!("{scheme}://{authority}"))
            .map_err(|error| invalid(&error))?
            .http2_keep_alive_interval(self.keep_alive_interval)
            .keep_alive_while_idle(true);
        let Some(tls) = &self.tls else { return Ok(builder) };
        let tls =
            tls.clone().domain_name(endpoint.host_without_zone()).timeout(self.connect_timeout);
        builder.tls_config(tls).map_err(refused)
    }
}

/// Reads a trust store, so that a bad one fails now and not at the first handshake.
fn read_certificate(path: &Path) -> Result<Certificate, ControllerError> {
    let refused = |reason: String| {
        ControllerError::new(
            ErrorKind::Config,
            Outcome::NotApplied,
            format!("trust store {} cannot be used: {reason}", path.display()),
        )
    };
    if path.is_dir() {
        return Err(refused("it is a folder, not a PEM file".to_owned()));
    }
    let pem = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
    if !pem.windows(27).any(|window| window == b"-----BEGIN CERTIFICATE-----") {
        return Err(refused("it has no PEM certificate".to_owned()));
    }
    Ok(Certificate::from_pem(pem))
}
