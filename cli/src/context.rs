//! What commands run with: the URL of the cluster, a client on demand, and the output.

use std::{path::Path, time::Duration};

use pravega_sdk::{ClientConfig, ClientFactory};

use crate::{
    access::{Access, Certificate},
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
    access: Access,
}

impl Context {
    pub(crate) fn new(url: String, access: Access, limits: Limits, format: Format) -> Self {
        Self { output: Output::new(format), limits, url, access }
    }

    /// The settings of the command line, the URL and the environment.
    pub(crate) fn config(&self) -> Result<ClientConfig> {
        let mut config = ClientConfig::from_url(&self.url)?;
        if let Some(path) = self.access.ca() {
            config = config.with_trust_store(path);
        }
        if let Some(Certificate { chain, key }) = self.access.certificate()? {
            let key = key.unwrap_or_else(|| chain.clone());
            config = config.with_client_certificate(chain, key);
        }
        match self.access.login()? {
            Some(login) => login.apply(config, self.limits),
            None => Ok(config),
        }
    }

    /// The file of the certificates to trust, if an option names it.
    pub(crate) fn ca(&self) -> Option<&Path> {
        self.access.ca()
    }

    /// Creates a client for the cluster. A person waits at the terminal, so it retries fewer times
    /// than the client of a program does.
    pub(crate) async fn client(&self) -> Result<ClientFactory> {
        let config =
            self.config()?.with_default_retry(5, Duration::from_millis(1), Duration::from_secs(1));
        Ok(ClientFactory::new(self.limits.client(config))?)
    }
}
