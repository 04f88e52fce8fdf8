//! One fetch, of servers of all kinds.

use pravega_sdk_http::Url;
use pravega_sdk_server_core::access::jwt::MOST_BYTES;
use tokio::time::Instant;

use super::super::{
    failure::FetchFailure,
    realm::{FETCH, Realm, Trust},
    testing::{Publisher, Says, Signer, set},
};

fn of_keys(publisher: &Publisher) -> Realm {
    Realm::of_keys(Url::parse(&publisher.url("/certs")).unwrap(), Trust::System)
}

/// The number of keys, or why there are none.
async fn fetch(says: Says) -> Result<usize, String> {
    let publisher = Publisher::start(says).await;
    let fetched = of_keys(&publisher).fetch().await;
    fetched.map(|(keys, _)| keys.len()).map_err(|failure| failure.to_string())
}

fn raw(text: &str) -> Says {
    Says::Raw(text.to_owned())
}

#[tokio::test]
async fn keys_are_what_is_at_the_address() {
    let keys = set(&[&Signer::new("a"), &Signer::new("b")]);
    assert_eq!(fetch(Says::Text(keys)).await, Ok(2));
}

#[tokio::test]
async fn any_other_response_is_a_failure_that_says_what_it_was() {
    let long = MOST_BYTES + 1;
    for (says, expected) in [
        (raw("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), "404"),
        (
            raw("HTTP/1.1 302 Found\r\nLocation: http://other/\r\n\r\n"),
            "302; it leads to \"http://other/\", not followed",
        ),
        (raw("HTTP/1.1 204 No Content\r\n\r\n"), "204"),
        (raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}"), "before the whole answer"),
        (
            Says::Raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {long}\r\n\r\n")),
            "longer than 262144",
        ),
        (raw("HTTP/1.1 200 OK\r\n\r\n<html>"), "no JWK set"),
        (raw(""), "before the whole answer"),
        (raw("SSH-2.0-OpenSSH\r\n"), "not HTTP"),
        (
            Says::Endless("HTTP/1.1 200 OK\r\n\r\n{\"keys\":[".to_owned(), b" "),
            "longer than 262144",
        ),
        (Says::Endless("HTTP/1.1 200 OK\r\n".to_owned(), b"X-A: b\r\n"), "not HTTP"),
    ] {
        let why = fetch(says).await.unwrap_err();
        assert!(why.contains(expected), "{expected} is not in {why}");
    }
    let far = format!("HTTP/1.1 302 Found\r\nLocation: /{}\r\n\r\n", "x".repeat(20_000));
    let why = fetch(Says::Raw(far)).await.unwrap_err();
    assert!(why.len() < 400, "{} bytes of it are shown", why.len());
    let publisher = Publisher::start(raw("")).await;
    let realm = of_keys(&publisher);
    drop(publisher);
    // The port is closed, or the connection is reset as the server ends.
    assert!(realm.fetch().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_waited_for_ten_seconds_in_all() {
    for text in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"] {
        let publisher = Publisher::start(Says::Hangs(text.to_owned())).await;
        let begun = Instant::now();
        let FetchFailure { .. } = of_keys(&publisher).fetch().await.unwrap_err();
        assert_eq!(begun.elapsed().as_secs(), FETCH.as_secs(), "{text}");
    }
}

#[tokio::test]
async fn a_realm_says_where_its_keys_are() {
    let publisher = Publisher::start(Says::Text(String::new())).await;
    let url = publisher.url("/realms/shop");
    let document =
        |issuer: &str, keys: &str| format!(r#"{{"issuer":"{issuer}","jwks_uri":"{keys}"}}"#);
    let keys = Publisher::start(Says::Text(set(&[&Signer::new("a")]))).await;
    publisher.say(Says::Text(document(&url, &keys.url("/certs"))));
    let realm = |issuer: &str| {
        Realm::discovered(&Url::parse_base(&url).unwrap(), issuer.to_owned(), Trust::System)
    };
    assert_eq!(realm(&url).fetch().await.unwrap().0.len(), 1);
    assert_eq!((publisher.requests(), keys.requests()), (1, 1));
    let other = realm("https://id.example.com").fetch().await.unwrap_err().to_string();
    assert!(other.contains("issuer"), "{other}");
    assert_eq!(keys.requests(), 1, "the keys of another party are not asked for");
}

#[cfg(feature = "tls")]
mod with_tls {
    use std::sync::Arc;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        ports::{Clients, Port},
        protocol::Protocol,
        tls::{Certificates, Handshakes, ServerTls},
        turns::Turns,
    };

    /// A server of keys with a certificate for this machine, and the text of that.
    async fn publisher(says: Says) -> (Publisher, String) {
        let certificates = Arc::new(Certificates::open(&ServerTls::made_in_memory()).unwrap());
        let text = certificates.text();
        let handshakes =
            Handshakes::new(&certificates, Protocol::Rest, Turns::of_runtime()).unwrap();
        let enter = move |socket| {
            let handshakes = handshakes.clone();
            async move {
                let seat =
                    Port::new("test", 1, Clients::Any).seat(&CancellationToken::new()).unwrap();
                handshakes.make(socket, &seat).await
            }
        };
        (Publisher::start_with(says, enter).await, text)
    }

    #[tokio::test]
    async fn only_a_server_with_a_trusted_certificate_for_its_name_is_asked() {
        let (publisher, certificate) = publisher(Says::Text(set(&[&Signer::new("a")]))).await;
        let folder = tempfile::tempdir().unwrap();
        let (trusted, other) = (folder.path().join("trusted"), folder.path().join("other"));
        std::fs::write(&trusted, certificate).unwrap();
        let stranger = Certificates::open(&ServerTls::made_in_memory()).unwrap();
        std::fs::write(&other, stranger.text()).unwrap();
        let fetch = async |host: &str, trust: Trust| {
            let url = format!("https://{host}:{}/certs", publisher.port);
            let realm = Realm::of_keys(Url::parse(&url).unwrap(), trust);
            realm.fetch().await.map(|(keys, _)| keys.len()).map_err(|failure| failure.to_string())
        };
        for host in ["127.0.0.1", "localhost"] {
            assert_eq!(fetch(host, Trust::File(trusted.clone())).await, Ok(1), "{host}");
        }
        let none = folder.path().join("none");
        for (trust, reason) in [
            (Trust::File(other), "is not signed by the key of its issuer"),
            (Trust::System, "the server's certificate"),
            (Trust::File(none.clone()), &*none.to_string_lossy()),
        ] {
            let why = fetch("127.0.0.1", trust).await.unwrap_err();
            assert!(why.contains(reason), "{why}");
        }
        assert_eq!(publisher.requests(), 2);
        // The certificates are read for each fetch.
        std::fs::copy(&trusted, &none).unwrap();
        assert_eq!(fetch("localhost", Trust::File(none)).await, Ok(1));
    }
}
