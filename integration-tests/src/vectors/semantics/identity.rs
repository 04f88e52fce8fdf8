//! What clients of Keycloak send.

use anyhow::{Context as _, Result, bail};
use pravega_sdk_identity::Keycloak;
use serde_json::Value as Json;

use crate::{
    harness::issuer::{Issuer, PERMITTED},
    vectors::line::{list, same, text},
};

/// The requests of a client with the adapter configuration of the line, recorded by an issuer that
/// is on another port than the one of the line.
pub(super) fn keycloak_exchange(line: &Json) -> Result<()> {
    let mut config = line["config"].clone();
    let url = text(&config, "auth-server-url")?;
    let rest = url.strip_prefix("http://").context("the server is not at an http URL")?;
    let path = rest.split_once('/').map_or("", |(_, path)| path).to_owned();
    let issuer = Issuer::start(200)?;
    config["auth-server-url"] = format!("{}/{path}", issuer.url()).into();
    let keycloak = Keycloak::from_json(&config.to_string())?;
    let keycloak = match text(line, "client")? {
        // Later ones encode id and secret, as this one does by default.
        "0.9.0" => keycloak.with_unencoded_secret(),
        other => bail!("nothing is known about client {other}"),
    };
    let credentials = keycloak.credentials()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    super::client::header(&runtime, &credentials, &format!("Bearer {PERMITTED}"))?;
    same("the requests", issuer.asked().as_slice(), list(line, "requests")?)
}
