//! Options for who the tool is, and whom it trusts.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::{
    failure::{Failure, Result},
    login::{Login, Password},
};

/// Certificates and credentials of the command line. They win over the URL, the environment and
/// the context.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Access")]
pub(crate) struct Access {
    /// PEM file of the certificates to trust, of authorities or servers
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    ca: Option<PathBuf>,

    /// PEM file of the client's certificate, for servers that ask for one
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    cert: Option<PathBuf>,

    /// PEM file of the client's private key [default: the file of --cert]
    // Commands have arguments named `key`.
    #[arg(long = "key", global = true, value_name = "FILE", hide_short_help = true)]
    client_key: Option<PathBuf>,

    /// User, with --password-file
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    user: Option<String>,

    /// File whose first line is the password; only its owner may read it
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    password_file: Option<PathBuf>,

    /// File whose first line is a bearer token; only its owner may read it, and it is read again
    /// before a token expires
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    token_file: Option<PathBuf>,

    /// File with the adapter configuration of a client of Keycloak (keycloak.json); only its owner
    /// may read it. Keycloak's certificate may be one of the system, or of --ca
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    keycloak_file: Option<PathBuf>,
}

/// The file of a client's certificate, and that of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) chain: PathBuf,
    /// `None` means the file of the chain.
    pub(crate) key: Option<PathBuf>,
}

impl Access {
    /// The file of the certificates to trust.
    pub(crate) fn ca(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// The user, who may be given without a password.
    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The client's certificate.
    pub(crate) fn certificate(&self) -> Result<Option<Certificate>> {
        match (&self.cert, &self.client_key) {
            (None, None) => Ok(None),
            (Some(chain), key) => Ok(Some(Certificate { chain: chain.clone(), key: key.clone() })),
            (None, Some(_)) => Err(Failure::usage("--key needs --cert")),
        }
    }

    /// The settings that the options set, by their names in a URL.
    pub(crate) fn settings(&self) -> Vec<&'static str> {
        let ca = self.ca.is_some().then_some("trust_store");
        let cert = self.cert.is_some().then_some(["client_certificate", "client_key"]);
        ca.into_iter().chain(cert.into_iter().flatten()).collect()
    }

    /// Returns true if a file with a secret is given.
    pub(crate) fn has_secret_file(&self) -> bool {
        self.password_file.is_some() || self.token_file.is_some() || self.keycloak_file.is_some()
    }

    /// The login that the options say; its files are not read.
    pub(crate) fn login(&self) -> Result<Option<Login>> {
        let other = match (&self.user, &self.password_file, &self.token_file) {
            (None, None, None) => None,
            (Some(user), Some(path), None) => {
                let password = Password::File(path.clone());
                Some((Login::Password { user: user.clone(), password }, "--user"))
            }
            (None, None, Some(path)) => Some((Login::TokenFile(path.clone()), "--token-file")),
            (Some(_), None, None) => return Err(Failure::usage("--user needs --password-file")),
            (None, Some(_), _) => return Err(Failure::usage("--password-file needs --user")),
            (Some(_), _, Some(_)) => {
                return Err(Failure::usage("--token-file cannot be combined with --user"));
            }
        };
        match (other, &self.keycloak_file) {
            (other, None) => Ok(other.map(|(login, _)| login)),
            (None, Some(path)) => Ok(Some(Login::KeycloakFile(path.clone()))),
            (Some((_, option)), Some(_)) => {
                let text = format!("--keycloak-file cannot be combined with {option}");
                Err(Failure::usage(text))
            }
        }
    }
}
