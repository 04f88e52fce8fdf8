//! What a party that signs tokens publishes: its keys, and by OpenID Connect where they are.

use std::{path::PathBuf, time::Duration};

use pravega_sdk_http::{Answer, HttpClient, Request, Url};
use pravega_sdk_server_core::access::jwt::{KeySet, MOST_BYTES, SkippedKey};
use pravega_sdk_tls::TlsConfig;
use pravega_sdk_types::Printable;
use serde::Deserialize;
use tokio::time::Instant;

use super::failure::FetchFailure;
use crate::configured::Unusable;

/// How long a fetch may take, with all its requests.
pub(super) const FETCH: Duration = Duration::from_secs(10);
/// OpenID Connect Discovery 1.0, 4.
const DISCOVERY: &str = ".well-known/openid-configuration";
/// The longest text from a server that is shown, in characters.
const SHOWN: usize = 200;

/// Which servers of keys are trusted.
#[derive(Debug, Clone)]
pub(super) enum Trust {
    /// Those with a certificate of an authority that the system trusts.
    System,
    /// Those with a certificate of a PEM file, or of an authority in it.
    File(PathBuf),
}

impl Trust {
    /// A client that has read no certificate yet, so that each fetch follows changes.
    fn client(&self) -> HttpClient {
        let tls = match self {
            Self::System => TlsConfig::new(),
            Self::File(path) => TlsConfig::new().with_trust_file(path),
        };
        HttpClient::new(&tls, MOST_BYTES)
    }

    /// Refuses a file that cannot be used. It blocks.
    pub(super) fn check(&self) -> Result<(), Unusable> {
        match self {
            Self::System => Ok(()),
            Self::File(path) => {
                self.client().check().map_err(|error| Unusable::new(path, error.to_string()))
            }
        }
    }
}

/// Where keys are fetched from.
#[derive(Debug)]
pub(super) struct Realm {
    place: Place,
    trust: Trust,
}

#[derive(Debug)]
enum Place {
    /// The address of the keys.
    Keys(Url),
    /// The address of a document that has it, and the issuer that the document must have.
    Discovered { document: Url, issuer: String },
}

/// What is read of the document.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

impl Realm {
    /// The keys at an address.
    pub(super) fn of_keys(url: Url, trust: Trust) -> Self {
        Self { place: Place::Keys(url), trust }
    }

    /// The keys of a realm with an address, by its discovery.
    pub(super) fn discovered(realm: &Url, issuer: String, trust: Trust) -> Self {
        Self { place: Place::Discovered { document: realm.join(DISCOVERY), issuer }, trust }
    }

    /// The address that is asked first.
    pub(super) fn url(&self) -> &Url {
        match &self.place {
            Place::Keys(url) | Place::Discovered { document: url, .. } => url,
        }
    }

    /// Fetches the keys.
    pub(super) async fn fetch(&self) -> Result<(KeySet, Vec<SkippedKey>), FetchFailure> {
        let (client, until) = (self.trust.client(), Instant::now() + FETCH);
        let text = match &self.place {
            Place::Keys(url) => get(&client, url, until).await?,
            Place::Discovered { document, issuer } => {
                let text = get(&client, document, until).await?;
                let keys = address(text.body(), document, issuer)
                    .map_err(|why| FetchFailure::new(format!("{document}: {why}")))?;
                get(&client, &keys, until).await?
            }
        };
        KeySet::parse(text.body())
            .map_err(|problem| FetchFailure::new(format!("the keys: {problem}")))
    }
}

/// Asks for a page, until the time of the fetch is over.
async fn get(client: &HttpClient, url: &Url, until: Instant) -> Result<Answer, FetchFailure> {
    let limit = until.saturating_duration_since(Instant::now());
    let answered = client.send(&Request::get(url.clone()), limit).await;
    let answer = answered.map_err(|why| FetchFailure::new(format!("{url}: {why}")))?;
    if answer.status() == 200 {
        return Ok(answer);
    }
    let (status, to) = (answer.status(), answer.location());
    let to = to.map_or(String::new(), |to| format!("; it leads to {}, not followed", shown(to)));
    Err(FetchFailure::new(format!("{url}: the response has the status {status}{to}")))
}

/// The address of the keys, by a document of a realm.
fn address(text: &[u8], document: &Url, issuer: &str) -> Result<Url, String> {
    let found: Document = serde_json::from_slice(text)
        .map_err(|_| "it is no configuration of OpenID Connect".to_owned())?;
    // Discovery 4.3: otherwise another party could answer for this one.
    if found.issuer != issuer {
        let found = shown(&found.issuer);
        return Err(format!("its issuer is {found}, not {issuer:?}; a token must have the latter"));
    }
    document.follow(&found.jwks_uri).map_err(|why| format!("the URL of its keys is wrong: {why}"))
}

/// A text from a server as a log may show it.
fn shown(text: &str) -> String {
    format!("\"{}\"", Printable::with_limit(text, SHOWN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_that_of_its_realm_and_leads_to_no_worse_connection() {
        let document = Url::parse("https://id/realms/r/.well-known/openid-configuration").unwrap();
        let address = |text: &str| {
            address(text.as_bytes(), &document, "https://id/realms/r").map(|url| url.to_string())
        };
        let text = |issuer: &str, keys: &str| {
            format!(r#"{{"issuer":"{issuer}","jwks_uri":"{keys}","other":[]}}"#)
        };
        let keys = "https://keys/certs";
        assert_eq!(address(&text("https://id/realms/r", keys)), Ok(keys.to_owned()));
        for bad in [
            text("https://id/realms/r/", keys),
            text("https://id/realms/other", keys),
            text("https://id/realms/r", "http://id/certs"),
            text("https://id/realms/r", "file:///etc/passwd"),
            text("https://id/realms/r", "/certs"),
            text("https://id/realms/r", "https://user:password@id/certs"),
            "{}".to_owned(),
            "[]".to_owned(),
            String::new(),
        ] {
            assert!(address(&bad).is_err(), "{bad}");
        }
        let long = address(&text(&"x\\n".repeat(10_000), keys)).unwrap_err();
        assert!(long.len() < 1000 && !long.contains('\n'), "{long}");
    }
}
