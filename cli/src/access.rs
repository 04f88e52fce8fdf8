//! Options for who the tool is, and whom it trusts.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::Args;
use pravega_sdk::{ClientConfig, controller_client::Credentials, identity::Keycloak};

use crate::{
    failure::{Failure, Result},
    limits::Limits,
};

/// Certificates and credentials of the command line. They win over the URL and the environment.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub(crate) struct Access {
    /// PEM file of the certificates to trust, of authorities or servers
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// PEM file of the client's certificate, for servers that ask for one
    #[arg(long, global = true, value_name = "FILE")]
    cert: Option<PathBuf>,

    /// PEM file of the client's private key [default: the file of --cert]
    // Commands have arguments named `key`.
    #[arg(long = "key", global = true, value_name = "FILE")]
    client_key: Option<PathBuf>,

    /// User, with --password-file
    #[arg(long, global = true, value_name = "NAME")]
    user: Option<String>,

    /// File whose first line is the password; only its owner may read it
    #[arg(long, global = true, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// File whose first line is a bearer token; only its owner may read it, and it is read again
    /// before a token expires
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// File with the adapter configuration of a client of Keycloak (keycloak.json); only its owner
    /// may read it. Keycloak's certificate may be one of the system, or of --ca
    #[arg(long, global = true, value_name = "FILE")]
    keycloak_file: Option<PathBuf>,
}

impl Access {
    /// The file of the certificates to trust.
    pub(crate) fn ca(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// Sets what the options say.
    pub(crate) fn apply(&self, mut config: ClientConfig, limits: Limits) -> Result<ClientConfig> {
        if let Some(path) = &self.ca {
            config = config.with_trust_store(path);
        }
        match (&self.cert, &self.client_key) {
            (None, None) => {}
            (Some(chain), key) => {
                config = config.with_client_certificate(chain, key.as_ref().unwrap_or(chain));
            }
            (None, Some(_)) => return Err(Failure::usage("--key needs --cert")),
        }
        match (self.credentials()?, &self.keycloak_file) {
            (Some(credentials), None) => Ok(config.with_credentials(credentials)),
            (None, Some(path)) => Self::keycloak(config, path, limits),
            (None, None) => Ok(config),
            (Some(_), Some(_)) => {
                let other = if self.user.is_some() { "--user" } else { "--token-file" };
                let text = format!("--keycloak-file cannot be combined with {other}");
                Err(Failure::usage(text))
            }
        }
    }

    /// Logs in at Keycloak when a token is needed.
    fn keycloak(config: ClientConfig, path: &Path, limits: Limits) -> Result<ClientConfig> {
        let json = read(path).map_err(Failure::usage)?;
        let keycloak = Keycloak::from_json(&json).map_err(|error| {
            let error = Failure::from(error);
            Failure::usage(format_args!("{} cannot be used: {error}", path.display()))
        })?;
        let keycloak = match limits.login() {
            Some(limit) => keycloak.with_timeout(limit),
            None => keycloak,
        };
        Ok(config.with_keycloak(keycloak)?)
    }

    fn credentials(&self) -> Result<Option<Credentials>> {
        match (&self.user, &self.password_file, &self.token_file) {
            (None, None, None) => Ok(None),
            (Some(user), Some(path), None) => {
                let password = first_line(path).map_err(Failure::usage)?;
                Ok(Some(Credentials::basic(user, &password)?))
            }
            (None, None, Some(path)) => {
                // A wrong file is reported now; later ones are the token's renewals.
                first_line(path).map_err(Failure::usage)?;
                let path = path.clone();
                Ok(Some(Credentials::bearer_from(move || {
                    let token = first_line(&path);
                    async move { token }
                })))
            }
            (Some(_), None, None) => Err(Failure::usage("--user needs --password-file")),
            (None, Some(_), _) => Err(Failure::usage("--password-file needs --user")),
            (Some(_), _, Some(_)) => {
                Err(Failure::usage("--token-file cannot be combined with --user"))
            }
        }
    }
}

/// A limit far above real secrets.
const MAX_LEN: u64 = 1 << 20;

/// Reads a secret of one line. Its text is in no error.
fn first_line(path: &Path) -> std::result::Result<String, String> {
    match read(path)?.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(format!("the first line of {} is empty", path.display())),
    }
}

/// Reads a file with a secret.
fn read(path: &Path) -> std::result::Result<String, String> {
    let shown = path.display();
    let unreadable = |reason: &dyn std::fmt::Display| format!("{shown} cannot be read: {reason}");
    let file = fs::File::open(path).map_err(|error| unreadable(&error))?;
    check_mode(path, &file.metadata().map_err(|error| unreadable(&error))?)?;
    let mut text = String::new();
    file.take(MAX_LEN).read_to_string(&mut text).map_err(|error| unreadable(&error))?;
    Ok(text)
}

/// Refuses a file that other users can read. A pipe or a terminal is no file.
#[cfg(unix)]
fn check_mode(path: &Path, metadata: &fs::Metadata) -> std::result::Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o777;
    if metadata.is_file() && mode & 0o077 != 0 {
        let shown = path.display();
        return Err(format!(
            "other users can read the secret in {shown} (mode {mode:04o}): `chmod 600 {shown}`, or \
             give it through a pipe"
        ));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &fs::Metadata) -> std::result::Result<(), String> {
    Ok(())
}
