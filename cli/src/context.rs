//! What commands run with: the settings of the cluster, a client on demand, and the output.

use std::{path::Path, time::Duration};

use pravega_sdk::{ClientConfig, ClientFactory};

use crate::{
    access::Access,
    failure::Result,
    limits::Limits,
    output::{Format, Output},
    resolved::{Named, Resolved, resolve},
};

/// The global options of the command line, in effect.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where data and status lines go.
    pub(crate) output: Output,
    /// How long commands wait for servers.
    pub(crate) limits: Limits,
    /// What names the cluster.
    pub(crate) named: Named,
    /// The options for who the tool is, and whom it trusts.
    pub(crate) access: Access,
}

impl Context {
    pub(crate) fn new(named: Named, access: Access, limits: Limits, format: Format) -> Self {
        Self { output: Output::new(format), limits, named, access }
    }

    /// The settings of the command line, the URL, the environment and the context.
    pub(crate) fn resolve(&self) -> Result<Resolved> {
        resolve(&self.named, &self.access, self.limits)
    }

    /// The file of the certificates to trust, if an option names it.
    pub(crate) fn ca(&self) -> Option<&Path> {
        self.access.ca()
    }

    /// Creates a client for the cluster.
    pub(crate) async fn client(&self) -> Result<ClientFactory> {
        let resolved = self.resolve()?;
        if let Some(note) = &resolved.left_out {
            self.output.status(format_args!("note: {note}"));
        }
        self.client_of(resolved.config)
    }

    /// Creates a client. A person waits at the terminal, so it retries fewer times than the client
    /// of a program does.
    pub(crate) fn client_of(&self, config: ClientConfig) -> Result<ClientFactory> {
        let config = config.with_default_retry(5, Duration::from_millis(1), Duration::from_secs(1));
        Ok(ClientFactory::new(self.limits.client(config))?)
    }
}
