//! Backends from DNS.

use std::{collections::HashSet, net::SocketAddr, time::Duration};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::rr::{RData, RecordType},
};
use pravega_sdk_types::{Endpoint, ErrorKind, classify};

use super::polled::{BackendSource, Resolved};
use crate::error::BoxError;

/// Backends from the records of a name server, each valid for the records' time to live.
///
/// Use it with [`PolledResolver`](super::PolledResolver).
#[derive(Debug)]
pub struct DnsResolver {
    resolver: TokioResolver,
    name: String,
    question: Question,
}

#[derive(Debug)]
enum Question {
    /// The addresses of a host, on one port.
    Host { port: u16 },
    /// The servers of a service, each with its port.
    Service,
}

/// The name resolver cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("the name resolver cannot be set up: {0}")]
pub struct DnsError(String);

classify!(DnsError, |_| ErrorKind::Config);

impl DnsResolver {
    /// The addresses of `name` (A and AAAA records), each with `port`; asked of the machine's name
    /// servers.
    ///
    /// # Errors
    ///
    /// [`DnsError`] if the machine's configuration cannot be read.
    pub fn host(name: impl Into<String>, port: u16) -> Result<Self, DnsError> {
        Ok(Self { resolver: system()?, name: name.into(), question: Question::Host { port } })
    }

    /// The servers of `name` (SRV records), each with its own port; asked of the machine's name
    /// servers.
    ///
    /// # Errors
    ///
    /// [`DnsError`] if the machine's configuration cannot be read.
    pub fn service(name: impl Into<String>) -> Result<Self, DnsError> {
        Ok(Self { resolver: system()?, name: name.into(), question: Question::Service })
    }

    /// Sends queries to the name server at `server` instead.
    ///
    /// # Errors
    ///
    /// [`DnsError`] if no resolver can be made for it.
    pub fn with_server(mut self, server: SocketAddr) -> Result<Self, DnsError> {
        let mut connection = ConnectionConfig::udp();
        connection.port = server.port();
        let server = NameServerConfig::new(server.ip(), true, vec![connection]);
        let config = ResolverConfig::from_parts(None, vec![], vec![server]);
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        // The caller keeps the answer for as long as the records live.
        builder.options_mut().cache_size = 0;
        builder.options_mut().timeout = Duration::from_secs(2);
        self.resolver = builder.build().map_err(|error| DnsError(error.to_string()))?;
        Ok(self)
    }

    async fn addresses(&self, name: &str, port: u16) -> Result<(Vec<Endpoint>, u32), BoxError> {
        let found = self.resolver.lookup_ip(name).await?;
        let time_to_live =
            found.as_lookup().answers().iter().map(|record| record.ttl).min().unwrap_or(0);
        let endpoints = found.iter().map(|address| Endpoint::new(&address.to_string(), port));
        Ok((endpoints.collect::<Result<_, _>>()?, time_to_live))
    }
}

fn system() -> Result<TokioResolver, DnsError> {
    let builder = TokioResolver::builder_tokio().map_err(|error| DnsError(error.to_string()))?;
    builder.build().map_err(|error| DnsError(error.to_string()))
}

impl BackendSource for DnsResolver {
    async fn backends(&self) -> Result<Resolved, BoxError> {
        let (backends, seconds) = match self.question {
            Question::Host { port } => self.addresses(&self.name, port).await?,
            Question::Service => {
                let found = self.resolver.lookup(self.name.as_str(), RecordType::SRV).await?;
                let mut endpoints = HashSet::new();
                let mut shortest = u32::MAX;
                for record in found.answers() {
                    let RData::SRV(service) = &record.data else { continue };
                    shortest = shortest.min(record.ttl);
                    let target = service.target.to_utf8();
                    let (addresses, time_to_live) = self.addresses(&target, service.port).await?;
                    shortest = shortest.min(time_to_live);
                    endpoints.extend(addresses);
                }
                (endpoints.into_iter().collect(), shortest)
            }
        };
        Ok(Resolved { backends, time_to_live: Duration::from_secs(u64::from(seconds)) })
    }
}

#[cfg(test)]
mod tests {
    use pravega_sdk_types::{Classified, Outcome};

    use super::*;

    #[test]
    fn a_resolver_that_cannot_be_set_up_is_a_matter_of_configuration() {
        let error: Box<dyn Classified + Send + Sync> = Box::new(DnsError("no servers".to_owned()));
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Config, Outcome::NotApplied));
    }
}
