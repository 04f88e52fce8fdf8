//! What a party that signs tokens publishes: its keys, and by OpenID Connect where they are.

use std::time::Duration;

use pravega_sdk_server_core::access::jwt::{KeySet, MOST_BYTES, SkippedKey};
use serde::Deserialize;
use tokio::time::timeout;

use super::{
    failure::{FetchFailure, shown},
    http::get,
    tls::Trust,
    url::Url,
};

/// How long a fetch may take, with all its requests.
pub(super) const FETCH: Duration = Duration::from_secs(10);
/// OpenID Connect Discovery 1.0, 4.
const DISCOVERY: &str = "/.well-known/openid-configuration";

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
    pub(super) fn discovered(realm: &Url, issuer: String, trust: Trust) -> Result<Self, String> {
        let place = Place::Discovered { document: realm.then(DISCOVERY)?, issuer };
        Ok(Self { place, trust })
    }

    /// The address that is asked first.
    pub(super) fn url(&self) -> &Url {
        match &self.place {
            Place::Keys(url) | Place::Discovered { document: url, .. } => url,
        }
    }

    /// Fetches the keys.
    pub(super) async fn fetch(&self) -> Result<(KeySet, Vec<SkippedKey>), FetchFailure> {
        let late = |_| FetchFailure::new(format!("{}: no answer after {FETCH:?}", self.url()));
        let text = timeout(FETCH, Box::pin(self.key_set())).await.map_err(late)??;
        KeySet::parse(&text).map_err(|problem| FetchFailure::new(format!("the keys: {problem}")))
    }

    async fn key_set(&self) -> Result<Vec<u8>, FetchFailure> {
        match &self.place {
            Place::Keys(url) => get(url, &self.trust, MOST_BYTES).await,
            Place::Discovered { document, issuer } => {
                let text = get(document, &self.trust, MOST_BYTES).await?;
                let keys = address(&text, document, issuer)
                    .map_err(|why| FetchFailure::new(format!("{document}: {why}")))?;
                get(&keys, &self.trust, MOST_BYTES).await
            }
        }
    }
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
    let keys = Url::parse(&found.jwks_uri)
        .map_err(|why| format!("its keys are at {}: {why}", shown(&found.jwks_uri)))?;
    if document.has_tls && !keys.has_tls {
        return Err(format!("its keys are at {keys}, without TLS"));
    }
    Ok(keys)
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
