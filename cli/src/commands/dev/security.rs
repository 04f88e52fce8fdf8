//! TLS and accounts of `pravega dev`.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{self, Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use pravega_sdk::embedded::{ServerBuilder, ServerTls, account_line};
use uuid::Uuid;

use crate::failure::{Failure, Result};

/// Where the certificate is kept by default.
pub(super) const FOLDER: &str = "pravega-tls";
/// Where the accounts are kept by default.
pub(super) const FILE: &str = "pravega-accounts";

/// The account of a file that is made.
const USER: &str = "admin";

/// What clients need to be let in, as lines for the user: the settings of the tool.
pub(super) struct Secured {
    certificate: Option<PathBuf>,
    accounts: Option<PathBuf>,
    /// The password of the account that was made.
    password: Option<String>,
}

impl Secured {
    /// Configures a server with TLS and accounts.
    pub(super) fn prepare(
        mut builder: ServerBuilder,
        tls: Option<PathBuf>,
        accounts: Option<PathBuf>,
    ) -> Result<(ServerBuilder, Self)> {
        if let Some(folder) = &tls {
            builder = builder.with_tls(ServerTls::made_in(folder));
        }
        let mut password = None;
        if let Some(file) = &accounts {
            password = make(file).map_err(|error| {
                Failure::other(format!("cannot write {}: {error}", file.display()))
            })?;
            builder = builder.with_accounts_file(file);
        }
        let certificate = tls.map(|folder| folder.join("server.crt"));
        Ok((builder, Self { certificate, accounts, password }))
    }

    pub(super) fn has_tls(&self) -> bool {
        self.certificate.is_some()
    }

    pub(super) fn rest_scheme(&self) -> &'static str {
        if self.has_tls() { "https" } else { "http" }
    }
}

impl fmt::Display for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(certificate) = &self.certificate {
            // The line is for shells in other folders, too.
            let path = path::absolute(certificate).unwrap_or_else(|_| certificate.clone());
            writeln!(f, "tls    export PRAVEGA_TRUST_STORE={}", path.display())?;
        }
        if let Some(accounts) = &self.accounts {
            match &self.password {
                Some(password) => {
                    let file = accounts.display();
                    let token = BASE64.encode(format!("{USER}:{password}"));
                    writeln!(f, "auth   user {USER}, password {password}; made in {file}:")?;
                    writeln!(
                        f,
                        "       export PRAVEGA_AUTH_METHOD=Basic PRAVEGA_AUTH_TOKEN={token}"
                    )?;
                }
                None => writeln!(f, "auth   the accounts of {}", accounts.display())?,
            }
        }
        Ok(())
    }
}

/// Configures the key of tokens of a file, which is made unless it exists.
pub(super) fn with_token_key(builder: ServerBuilder, file: &Path) -> Result<ServerBuilder> {
    // 244 random bits.
    let key = || format!("{}{}\n", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let made = create(file)
        .and_then(|made| made.map_or(Ok(()), |mut made| made.write_all(key().as_bytes())));
    made.map_err(|error| Failure::other(format!("cannot write {}: {error}", file.display())))?;
    Ok(builder.with_token_key_file(file))
}

/// Makes a file of accounts unless it exists, and returns the password of the account in it.
fn make(file: &Path) -> io::Result<Option<String>> {
    let Some(mut made) = create(file)? else { return Ok(None) };
    // 122 random bits.
    let password = Uuid::new_v4().simple().to_string();
    made.write_all(account_line(USER, &password, "prn::*,READ_UPDATE").as_bytes())?;
    Ok(Some(password))
}

/// Creates a file that only its owner can read; `None` if it exists.
fn create(file: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        made => made.map(Some),
    }
}
