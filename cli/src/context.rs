//! What commands run with: the URL of the cluster, a client on demand, and the output.

use std::time::Duration;

use pravega_sdk::{ClientConfig, ClientFactory};

use crate::{
    failure::Result,
    limits::Limits,
    output::{Format, Output},
};

/// The global options of the command line, in effect.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where data and status lines go.
    pub(crate) output: Output,
    /// How long commands wait for servers.
    pub(crate) limits: Limits,
    url: String,
}

impl Context {
    pub(crate) fn new(url: String, limits: Limits, format: Format) -> Self {
        Self { output: Output::new(format), limits, url }
    }

    /// The URL of the cluster, as given on the command line.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Creates a client for the cluster. A person waits at the terminal, so it retries fewer times
    /// than the client of a program does.
    pub(crate) async fn client(&self) -> Result<ClientFactory> {
        let config = ClientConfig::from_url(&self.url)?.with_default_retry(
            5,
            Duration::from_millis(1),
            Duration::from_secs(1),
        );
        Ok(ClientFactory::new(self.limits.client(config))?)
    }
}
