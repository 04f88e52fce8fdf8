//! TLS: which servers get a request, and what is said of the others.

use pravega_sdk_http::{Answer, HttpClient, Request, Unanswered, Url};
use pravega_sdk_tls::{TlsConfig, TlsProblem};
use pravega_sdk_types::ErrorKind;
use rcgen::{DnType, ExtendedKeyUsagePurpose, date_time_ymd};

use crate::{
    authority::{Authority, Certified, self_signed, server},
    server::{FAR, MAX_LEN, Says, Server, whole},
};

async fn presenting(certified: &Certified) -> Server {
    Server::with_tls(server(certified, None), whole("200 OK", "", "{}")).await
}

async fn ask(server: &Server, host: &str, tls: &TlsConfig) -> Result<Answer, Unanswered> {
    let url = Url::parse(&format!("https://{host}:{}/x", server.port)).unwrap();
    let request = Request::post(url, "secret=hunter2".into());
    HttpClient::new(tls, MAX_LEN).send(&request, FAR).await
}

#[tokio::test]
async fn only_a_server_with_a_trusted_certificate_for_its_name_gets_a_request() {
    let authority = Authority::new();
    let usage = ExtendedKeyUsagePurpose::ServerAuth;
    let certified = authority.sign(&["localhost", "127.0.0.1"], usage.clone(), |_| {});
    let good = presenting(&certified).await;
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(ask(&good, host, &authority.trusted()).await.unwrap().status(), 200, "{host}");
    }
    assert_eq!(good.seen().len(), 2);

    let other = Authority::with(|params| {
        params.distinguished_name.push(DnType::CommonName, "other authority");
    });
    let expired = authority.sign(&["localhost"], usage, |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    });
    for (certified, problem, named) in [
        (
            authority.server("id.example.com"),
            TlsProblem::OtherName,
            "is for id.example.com; the host is localhost",
        ),
        (other.server("localhost"), TlsProblem::Untrusted, "\"other authority\""),
        (self_signed(), TlsProblem::Untrusted, "is self-signed and not in the trust store"),
        (expired, TlsProblem::NotValidNow, "expired at 2002-01-01T00:00:00Z"),
    ] {
        let stranger = presenting(&certified).await;
        let error = ask(&stranger, "localhost", &authority.trusted()).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(named) && !text.contains("hunter2"), "{text}");
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Tls, false));
        let Unanswered::Insecure(error) = error else { panic!("{error:?}") };
        assert_eq!(error.problem(), problem, "{text}");
        assert!(stranger.seen().is_empty(), "a secret was sent: {text}");
    }
}

#[tokio::test]
async fn a_client_that_a_server_refuses_gets_the_reason() {
    let authority = Authority::new();
    let config = server(&authority.server("localhost"), Some(&authority));
    let strict = Server::with_tls(config, whole("200 OK", "", "{}")).await;
    let error = ask(&strict, "localhost", &authority.trusted()).await.unwrap_err();
    assert!(error.to_string().contains("requires a certificate of the client"), "{error}");
    assert!(strict.seen().is_empty());
}

#[tokio::test]
async fn tls_at_one_end_only_is_named() {
    let authority = Authority::new();
    let secure = presenting(&authority.server("localhost")).await;
    let error = secure.ask(FAR).await.unwrap_err();
    assert!(error.to_string().contains("the server speaks TLS"), "{error}");

    let open = Server::start(whole("200 OK", "", "{}")).await;
    let error = ask(&open, "localhost", &authority.trusted()).await.unwrap_err();
    assert!(matches!(error, Unanswered::Insecure(_)), "{error:?}");
    assert!(open.seen().is_empty(), "it was asked without TLS");
}

#[tokio::test]
async fn a_server_of_another_protocol_is_no_server_of_http() {
    let authority = Authority::new();
    let mut config = server(&authority.server("localhost"), None);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let other = Server::with_tls(config, whole("200 OK", "", "{}")).await;
    let error = ask(&other, "localhost", &authority.trusted()).await.unwrap_err();
    assert_eq!(error.to_string(), "TLS failed: the server does not speak HTTP/1.1");
}

#[tokio::test]
async fn a_body_without_the_end_of_tls_is_not_whole() {
    let authority = Authority::new();
    let config = server(&authority.server("localhost"), None);
    let cut = Server::with_tls(config, Says::Cut("HTTP/1.1 200 OK\r\n\r\n{}")).await;
    let error = ask(&cut, "localhost", &authority.trusted()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error:?}");
}

#[test]
fn a_file_that_cannot_be_used_is_named_before_any_request() {
    let tls = TlsConfig::new().with_trust_file("/no/such/file");
    let error = HttpClient::new(&tls, MAX_LEN).check().unwrap_err();
    assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some("trust_store")));
    assert!(error.to_string().contains("/no/such/file"), "{error}");
}
