//! What commands run with: the settings of the cluster, a client on demand, and the output.

use std::{path::Path, time::Duration};

use pravega_sdk::{ClientConfig, ClientFactory};

use crate::{
    access::Access,
    choice::Origin,
    connections,
    failure::Result,
    limits::Limits,
    output::{Format, Output},
    resolved::{Named, Resolved, resolve},
    verbosity::Verbosity,
};

/// Global options that are about every command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Globals {
    pub(crate) limits: Limits,
    pub(crate) format: Format,
    pub(crate) verbosity: Verbosity,
}

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
    /// How much commands write to stderr.
    pub(crate) verbosity: Verbosity,
}

impl Context {
    pub(crate) fn new(named: Named, access: Access, globals: Globals) -> Self {
        let Globals { limits, format, verbosity } = globals;
        Self { output: Output::new(format), limits, named, access, verbosity }
    }

    /// The settings of the command line, the URL, the environment and the context.
    pub(crate) fn resolve(&self) -> Result<Resolved> {
        resolve(&self.named, &self.access, self.limits)
    }

    /// The file of the certificates to trust, if an option names it.
    pub(crate) fn ca(&self) -> Option<&Path> {
        self.access.ca()
    }

    /// What to do if a server does not know who the tool is.
    pub(crate) fn unauthenticated(&self) -> String {
        let origin = self.resolve().map_or(Origin::Default, |resolved| resolved.login_origin);
        unauthenticated(origin)
    }

    /// Creates a client for the cluster.
    pub(crate) async fn client(&self) -> Result<ClientFactory> {
        let resolved = self.resolve()?;
        if let Some(note) = &resolved.left_out {
            self.output.status(format_args!("note: {note}"));
        }
        if self.verbosity.is_verbose() {
            self.tell_settings(&resolved);
        }
        let client = self.client_of(resolved.config)?;
        connections::watch(client.pool().clone(), self.verbosity);
        Ok(client)
    }

    /// Tells which cluster is used, and what else is not as it is by default.
    fn tell_settings(&self, resolved: &Resolved) {
        for setting in resolved.config.settings() {
            let origin = resolved.origin(&setting);
            if setting.name == "url" || origin != Origin::Default {
                self.output.status(format_args!("{}: {} ({origin})", setting.name, setting.value));
            }
        }
    }

    /// Creates a client that finds out why a command has failed.
    pub(crate) fn client_for_advice(&self) -> Result<ClientFactory> {
        self.client_of(self.resolve()?.config)
    }

    /// Creates a client. A person waits at the terminal, so it retries fewer times than the client
    /// of a program does.
    pub(crate) fn client_of(&self, config: ClientConfig) -> Result<ClientFactory> {
        let config = config.with_default_retry(5, Duration::from_millis(1), Duration::from_secs(1));
        Ok(ClientFactory::new(self.limits.client(config))?)
    }
}

/// What to do if a server does not know who the tool is, by where its credentials come from.
fn unauthenticated(origin: Origin) -> String {
    match origin {
        Origin::Default => {
            "give --user and --password-file, --token-file, or --keycloak-file, or keep them with \
             `pravega auth login`; or set PRAVEGA_USER and PRAVEGA_PASSWORD, or \
             PRAVEGA_AUTH_METHOD and PRAVEGA_AUTH_TOKEN; `pravega auth status` shows what is used"
                .to_owned()
        }
        origin => format!(
            "the credentials that were given (source: {origin}) are refused: check the user and \
             the password, or the token; `pravega auth status` shows what is used"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_asked_for_only_if_none_were_given() {
        assert!(unauthenticated(Origin::Default).contains("give --user"));
        for origin in [Origin::Option, Origin::Url, Origin::Environment, Origin::Context] {
            let hint = unauthenticated(origin);
            assert!(!hint.contains("give --user") && hint.contains("check the user"), "{hint}");
        }
    }
}
