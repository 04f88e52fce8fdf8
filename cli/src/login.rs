//! Ways to log in: a user with a password, a token, or a client of Keycloak.

use std::path::{Path, PathBuf};

use pravega_sdk::{ClientConfig, controller_client::Credentials, identity::Keycloak};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    failure::{Failure, Result},
    limits::Limits,
    secret_file,
};

/// How the tool says to a controller who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Login {
    /// A user with a password.
    Password { user: String, password: Password },
    /// A file whose first line is a bearer token.
    TokenFile(PathBuf),
    /// A file with the adapter configuration of a client of Keycloak.
    KeycloakFile(PathBuf),
}

/// Where a password is.
#[derive(Debug, Clone)]
pub(crate) enum Password {
    /// In the first line of a file.
    File(PathBuf),
    /// In the file of the contexts, or in the hands of the command.
    Stored(SecretString),
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(path), Self::File(other)) => path == other,
            (Self::Stored(text), Self::Stored(other)) => {
                text.expose_secret() == other.expose_secret()
            }
            (Self::File(_), Self::Stored(_)) | (Self::Stored(_), Self::File(_)) => false,
        }
    }
}

impl Eq for Password {}

impl Login {
    /// Sets the credentials. A certificate of Keycloak may be one of the trust store so far.
    pub(crate) fn apply(&self, config: ClientConfig, limits: Limits) -> Result<ClientConfig> {
        match self {
            Self::Password { user, password } => {
                let credentials = match password {
                    Password::File(path) => {
                        let password = secret_file::first_line(path).map_err(Failure::usage)?;
                        Credentials::basic(user, password.expose_secret())?
                    }
                    Password::Stored(text) => Credentials::basic(user, text.expose_secret())?,
                };
                Ok(config.with_credentials(credentials))
            }
            Self::TokenFile(path) => {
                // A wrong file is reported now; later ones are the token's renewals.
                secret_file::first_line(path).map_err(Failure::usage)?;
                let path = path.clone();
                Ok(config.with_credentials(Credentials::bearer_from(move || {
                    let token = secret_file::first_line(&path);
                    // The text of it is zeroed by the credentials.
                    async move { token.map(|token| token.expose_secret().to_owned()) }
                })))
            }
            Self::KeycloakFile(path) => keycloak(config, path, limits),
        }
    }

    /// The way, by the names of the options.
    pub(crate) fn way(&self) -> &'static str {
        match self {
            Self::Password { password: Password::File(_), .. } => "password-file",
            Self::Password { password: Password::Stored(_), .. } => "stored-password",
            Self::TokenFile(_) => "token-file",
            Self::KeycloakFile(_) => "keycloak-file",
        }
    }

    pub(crate) fn user(&self) -> Option<&str> {
        match self {
            Self::Password { user, .. } => Some(user),
            Self::TokenFile(_) | Self::KeycloakFile(_) => None,
        }
    }

    /// The file with the secret; `None` if the secret is stored.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::Password { password: Password::File(path), .. }
            | Self::TokenFile(path)
            | Self::KeycloakFile(path) => Some(path),
            Self::Password { password: Password::Stored(_), .. } => None,
        }
    }

    /// The same login with another path of its file.
    pub(crate) fn map_file(self, map: impl FnOnce(PathBuf) -> PathBuf) -> Self {
        match self {
            Self::Password { user, password: Password::File(path) } => {
                Self::Password { user, password: Password::File(map(path)) }
            }
            Self::Password { user, password: Password::Stored(text) } => {
                Self::Password { user, password: Password::Stored(text) }
            }
            Self::TokenFile(path) => Self::TokenFile(map(path)),
            Self::KeycloakFile(path) => Self::KeycloakFile(map(path)),
        }
    }
}

/// Logs in at Keycloak when a token is needed.
fn keycloak(config: ClientConfig, path: &Path, limits: Limits) -> Result<ClientConfig> {
    let json = secret_file::read(path).map_err(Failure::usage)?;
    let keycloak = Keycloak::from_json(json.expose_secret()).map_err(|error| {
        let error = Failure::from(error);
        Failure::usage(format_args!("{} cannot be used: {error}", path.display()))
    })?;
    let keycloak = match limits.login() {
        Some(limit) => keycloak.with_timeout(limit),
        None => keycloak,
    };
    Ok(config.with_keycloak(keycloak)?)
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::Canary;

    fn applied(login: &Login) -> ClientConfig {
        let config = ClientConfig::from_url("tcp://localhost:1").unwrap();
        login.apply(config, Limits::default()).unwrap()
    }

    #[tokio::test]
    async fn no_copy_of_a_password_or_a_token_is_left_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let (canary, path) = (Canary::new(), folder.path().join("secret"));
        canary.write(&path);
        let password = Password::File(path.clone());
        let config = applied(&Login::Password { user: "ann".to_owned(), password });
        // Only its encoded form is kept.
        assert_eq!(canary.copies(), 0);
        drop(config);

        let config = applied(&Login::TokenFile(path));
        assert_eq!(canary.copies(), 0, "the check of the file leaves nothing");
        let header = config.credentials().authorization().await.unwrap().unwrap();
        assert!(canary.copies() > 0);
        drop((header, config));
        // The task of the fetch ends.
        for _ in 0..100 {
            if canary.copies() == 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(canary.copies(), 0);
    }
}
