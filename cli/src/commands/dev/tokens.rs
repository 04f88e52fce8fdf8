//! Clients of `pravega dev` with a token that another party has signed.

use std::path::{Path, PathBuf};

use pravega_sdk::embedded::JwtAccounts;

use crate::failure::{Failure, Result};

/// Which tokens are accepted.
#[derive(Debug, clap::Args)]
pub(super) struct TokenArguments {
    /// With --auth, let in clients with a token of this realm, too, such as
    /// https://HOST/realms/REALM of Keycloak, or of any issuer of OpenID Connect; --ca says whom to
    /// trust. The accounts file has the users, with a `*` for the password (NAME:*:RULES), and the
    /// permissions in a token add to what it says
    #[arg(long, value_name = "URL", conflicts_with = "jwks")]
    realm: Option<String>,
    /// With --auth, let in clients with a token that a key of this file has signed, too, as with
    /// --realm; it holds a JWK set, and changes are followed
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Audience that a token must have, by the name of this server there, such as
    /// pravega-controller
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
    /// Issuer that a token must have [default: with --realm its URL, with --jwks any]
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// Claim of a token that names the user, such as preferred_username [default: sub]
    #[arg(long, value_name = "CLAIM")]
    user_claim: Option<String>,
}

impl TokenArguments {
    /// What the options say; `None` without any. Servers of keys are trusted by the certificates of
    /// a file, or of the system.
    ///
    /// # Errors
    ///
    /// [`Failure`] if an option is missing that another one needs.
    pub(super) fn accounts(
        self,
        has_accounts: bool,
        ca: Option<&Path>,
    ) -> Result<Option<JwtAccounts>> {
        let Self { realm, jwks, audience, issuer, user_claim } = self;
        let (option, audience) = match (&realm, &jwks, audience) {
            (None, None, None) => {
                let given = [("--issuer", &issuer), ("--user-claim", &user_claim)];
                return match given.iter().find(|(_, value)| value.is_some()) {
                    Some((name, _)) => Err(needs_keys(name)),
                    None => Ok(None),
                };
            }
            (None, None, Some(_)) => return Err(needs_keys("--audience")),
            (Some(_), _, audience) => ("--realm", audience),
            (None, Some(_), audience) => ("--jwks", audience),
        };
        if !has_accounts {
            return Err(Failure::usage(format!(
                "{option} needs --auth: the accounts file says what users with a token may do"
            )));
        }
        let audience = audience.ok_or_else(|| {
            Failure::usage(format!(
                "{option} needs --audience: otherwise a token for any other service would do; \
                 clients of Pravega ask Keycloak for pravega-controller"
            ))
        })?;
        let mut accounts = match (realm, jwks) {
            (Some(realm), _) => JwtAccounts::of_realm(&realm, &audience),
            (None, jwks) => JwtAccounts::with_key_set_file(jwks.unwrap_or_default(), &audience),
        };
        if let Some(issuer) = &issuer {
            accounts = accounts.with_issuer(issuer);
        }
        if let Some(claim) = &user_claim {
            accounts = accounts.with_user_claim(claim);
        }
        if let Some(ca) = ca {
            accounts = accounts.with_trust_store(ca);
        }
        Ok(Some(accounts))
    }

    /// Whose tokens are accepted, for the user.
    pub(super) fn told(&self) -> Option<String> {
        let keys = match (&self.realm, &self.jwks) {
            (Some(realm), _) => format!("of {realm}"),
            (None, Some(file)) => format!("by the keys of {}", file.display()),
            (None, None) => return None,
        };
        let audience = self.audience.as_deref().unwrap_or_default();
        Some(format!("jwt    tokens {keys} for {audience}\n"))
    }
}

fn needs_keys(option: &str) -> Failure {
    Failure::usage(format!("{option} needs --realm or --jwks, which say whose tokens are accepted"))
}
