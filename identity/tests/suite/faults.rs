//! Issuers that fail, refuse, hang or answer anything: what the error says, how often they are
//! asked, and that no secret is shown.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use futures_util::future::join_all;
use pravega_sdk_identity::{IdentityError, Keycloak};
use pravega_sdk_types::{ErrorKind, Outcome};
use tokio::net::TcpSocket;

use crate::issuer::{Issuer, Reply, SECRET, Seen, sent, shown, token};

/// A deadline that is reached in a test.
const NEAR: Duration = Duration::from_secs(1);
/// One that is not, on a busy machine either.
const FAR: Duration = Duration::from_secs(60);

/// Which requests an issuer answers in the way of a test.
type Which = fn(&Seen) -> bool;

const PARTS: [Which; 3] = [Seen::is_discovery, Seen::is_login, Seen::is_for_permissions];

/// Requires that a fetch fails with a kind, and returns the error and the number of requests of
/// that part.
async fn fails(
    which: Which,
    reply: impl Fn() -> Reply + Send + Sync + 'static,
    kind: ErrorKind,
) -> (IdentityError, usize) {
    let issuer = Issuer::start(move |seen| which(seen).then(&reply));
    // What may pass is tried until the deadline.
    let limit = if kind.is_retryable() { NEAR } else { FAR };
    let credentials = issuer.keycloak().with_timeout(limit).credentials().unwrap();
    let error = sent(&credentials).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (kind, Outcome::NotApplied), "{error:?}");
    let text = shown(&error);
    for secret in [SECRET, "access-1", "permitted-2"] {
        assert!(!text.contains(secret), "{text}");
    }
    let source = std::error::Error::source(&error).unwrap();
    let cause = source.downcast_ref::<IdentityError>().unwrap().clone();
    assert_eq!(cause.kind(), kind);
    (cause, issuer.count(which))
}

#[tokio::test]
async fn a_refusal_ends_the_fetch_at_its_first_request() {
    use ErrorKind::{NotFound, PermissionDenied, Protocol, Unauthenticated};
    let [discovery, login, permissions] = PARTS;
    for (which, status, code, kind) in [
        (discovery, 404, "Realm does not exist", NotFound),
        (login, 400, "invalid_client", Unauthenticated),
        (login, 401, "unauthorized_client", Unauthenticated),
        (login, 403, "access_denied", PermissionDenied),
        (permissions, 400, "invalid_resource", PermissionDenied),
        (permissions, 401, "invalid_token", Unauthenticated),
        (permissions, 403, "access_denied", PermissionDenied),
        (permissions, 302, "", Protocol),
    ] {
        // The issuer repeats the secret.
        let body = format!("{{\"error\":\"{code}\",\"error_description\":\"about {SECRET}\"}}");
        let (error, requests) = fails(which, move || Reply::Json(status, body.clone()), kind).await;
        assert_eq!((requests, error.attempts()), (1, 1), "{error}");
        assert!(!error.is_retryable(), "{error}");
        assert!(error.to_string().contains(code), "{error}");
        assert!(error.to_string().contains("getting a token for client client at localhost:"));
    }
}

#[tokio::test]
async fn no_form_of_a_secret_that_an_issuer_repeats_is_shown() {
    let secret = "canary of/the:client+";
    let encoded = "canary+of%2Fthe%3Aclient%2B";
    let pair = BASE64.encode(format!("client:{encoded}"));
    let forms = [secret.to_owned(), encoded.to_owned(), encoded.replace('+', "%20"), pair];
    for form in forms {
        let redirect = format!(
            "HTTP/1.1 302 Found\r\nLocation: http://login/{form}?secret={form}&state=hidden\r\n\
             Content-Length: 0\r\n\r\n"
        );
        let description = format!("{{\"error\":\"{form}\",\"error_description\":\"of {form}\"}}");
        let kind = format!("{{\"access_token\":\"x-1\",\"token_type\":\"{form}\"}}");
        for (status, body) in [(401, description), (302, redirect), (200, kind)] {
            let issuer = Issuer::start(move |seen| {
                let is_raw = status == 302;
                let reply = || match is_raw {
                    true => Reply::Raw(body.clone().into_bytes()),
                    false => Reply::Json(status, body.clone()),
                };
                seen.is_login().then(reply)
            });
            let client = Keycloak::new(&issuer.url(), "r 1", "client", secret).unwrap();
            let error = sent(&client.credentials().unwrap()).await.unwrap_err();
            let text = shown(&error);
            assert!(!text.contains(&form) && !text.contains("hidden"), "{status}: {text}");
            assert!(text.contains("[REDACTED]"), "{status}: {text}");
        }
    }
    // The token of the answer itself.
    let issuer = Issuer::start(|seen| {
        let body = "{\"access_token\":\"canary\",\"token_type\":\"canary\"}";
        seen.is_for_permissions().then(|| Reply::Json(200, body.to_owned()))
    });
    let text = shown(&sent(&issuer.credentials()).await.unwrap_err());
    assert!(!text.contains("canary") && text.contains("not Bearer"), "{text}");
}

#[tokio::test]
async fn an_issuer_that_asks_for_time_is_not_asked_again_by_every_call() {
    let busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n";
    let issuer = Issuer::start(|seen| seen.is_login().then(|| Reply::Raw(busy.to_vec())));
    let credentials = issuer.credentials();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        let error = sent(&credentials).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(issuer.count(Seen::is_login), 1);
}

#[tokio::test]
async fn a_failure_is_repeated_until_the_deadline() {
    let replies: [(fn() -> Reply, ErrorKind); 4] = [
        (|| Reply::Json(500, "<html>".to_owned()), ErrorKind::Unavailable),
        (|| Reply::Json(503, String::new()), ErrorKind::Unavailable),
        (|| Reply::Json(429, String::new()), ErrorKind::LimitReached),
        (|| Reply::Raw(Vec::new()), ErrorKind::ConnectionLost),
    ];
    let cases = PARTS.iter().flat_map(|which| replies.map(|(reply, kind)| (*which, reply, kind)));
    join_all(cases.map(async |(which, reply, kind)| {
        let (error, requests) = fails(which, reply, kind).await;
        assert!(requests > 1 && error.is_retryable(), "{requests} requests, {error}");
        assert_eq!(error.attempts() as usize, requests);
    }))
    .await;
}

#[tokio::test]
async fn a_failure_that_passes_is_not_seen() {
    for which in PARTS {
        let failures = AtomicU32::new(0);
        let issuer = Issuer::start(move |seen| {
            let fails = which(seen) && failures.fetch_add(1, Ordering::SeqCst) < 3;
            fails.then(|| Reply::Json(500, String::new()))
        });
        assert!(sent(&issuer.credentials()).await.unwrap().starts_with("permitted-"));
        assert_eq!((issuer.count(which), issuer.seen().len()), (4, 6));
    }
}

#[tokio::test]
async fn an_issuer_that_hangs_ends_the_fetch_at_its_deadline() {
    let replies: [fn() -> Reply; 2] = [|| Reply::Silence, || Reply::Trickle];
    let cases = PARTS.iter().flat_map(|which| replies.map(|reply| (*which, reply)));
    join_all(cases.map(async |(which, reply)| {
        let begun = Instant::now();
        let (error, _) = fails(which, reply, ErrorKind::Timeout).await;
        assert!(begun.elapsed() >= NEAR && error.is_retryable(), "{error}");
    }))
    .await;
}

#[tokio::test]
async fn an_answer_that_is_none_of_an_issuer_ends_the_fetch_at_once() {
    let answers: [fn() -> Reply; 8] = [
        || Reply::Json(200, "<html>no JSON</html>".to_owned()),
        || Reply::Json(200, "{}".to_owned()),
        || Reply::Json(200, "[".repeat(100_000)),
        || Reply::Json(204, String::new()),
        || Reply::Raw(b"220 mail.example.com ESMTP\r\n".to_vec()),
        || Reply::Endless(b"HTTP/1.1 200 OK\r\n\r\n          "),
        || Reply::Endless(b"HTTP/1.1 200 OK\r\nX-Header: x\r\n"),
        || Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n".to_vec()),
    ];
    for which in PARTS {
        for reply in answers {
            let (error, requests) = fails(which, reply, ErrorKind::Protocol).await;
            assert_eq!(requests, 1, "{error}");
        }
    }
}

#[tokio::test]
async fn a_body_without_end_is_read_up_to_its_limit() {
    // The head once, then the body.
    let endless =
        || Reply::Endless(b"HTTP/1.1 200 OK\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    let (error, _) = fails(Seen::is_login, endless, ErrorKind::Protocol).await;
    assert!(error.to_string().contains("longer than 1048576 bytes"), "{error}");
}

#[tokio::test]
async fn a_token_that_cannot_be_used_is_refused_and_not_shown() {
    for body in [
        "{\"access_token\":\"canary-of-the-client\",\"expires_in\":0}",
        "{\"access_token\":\"canary-of-the-client\",\"expires_in\":-300}",
        "{\"access_token\":\"canary-of-the-client\",\"expires_in\":{}}",
        "{\"access_token\":\"canary-of-the-client\\r\\nX: y\",\"expires_in\":60}",
        "{\"access_token\":\"\",\"expires_in\":60}",
        "{\"access_token\":[\"canary-of-the-client\"]}",
        "{\"token_type\":\"Bearer\",\"expires_in\":60}",
        "{\"access_token\":\"x\",\"token_type\":\"mac\"}",
    ] {
        for which in [Seen::is_login as Which, Seen::is_for_permissions] {
            let (_, requests) =
                fails(which, move || Reply::Json(200, body.to_owned()), ErrorKind::Protocol).await;
            assert_eq!(requests, 1, "{body}");
        }
    }
    for lifetime in ["1e300", "18446744073709551615", "\"600\""] {
        let issuer = Issuer::start(move |seen| {
            seen.is_for_permissions().then(|| Reply::Json(200, token("long", 1, lifetime)))
        });
        assert_eq!(sent(&issuer.credentials()).await.unwrap(), "long-1", "{lifetime}");
    }
}

#[tokio::test]
async fn an_issuer_that_does_not_run_is_unreachable() {
    // Bound, and not listening.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    let client = Keycloak::new(&url, "r", "c", SECRET).unwrap().with_timeout(NEAR);
    let error = sent(&client.credentials().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.is_retryable());
    let text = shown(&error);
    assert!(text.contains("attempts)") && text.contains("refused"), "{text}");

    let url = "http://no-such-host.invalid";
    let client = Keycloak::new(url, "r", "c", SECRET).unwrap().with_timeout(NEAR);
    let error = sent(&client.credentials().unwrap()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::Timeout), "{error:?}");
}

#[tokio::test]
async fn a_failure_is_the_answer_of_the_next_second_and_then_the_issuer_is_asked_again() {
    let issuer = Issuer::start(|seen| seen.is_login().then(|| Reply::Json(401, String::new())));
    let credentials = issuer.credentials();
    let begun = Instant::now();
    let mut calls = 0;
    while issuer.count(Seen::is_login) < 2 {
        let error = sent(&credentials).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        calls += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(begun.elapsed() >= Duration::from_secs(1), "after {:?}", begun.elapsed());
    assert!(calls > 2, "{calls}");
}

#[tokio::test]
async fn a_token_endpoint_that_has_moved_is_found_after_a_failure() {
    // Each look at the page finds another endpoint; the first one is gone after a login.
    let pages = AtomicU32::new(0);
    let port = std::sync::Arc::new(std::sync::OnceLock::new());
    let known = std::sync::Arc::clone(&port);
    let issuer = Issuer::start(move |seen| {
        let base: &String = known.wait();
        if seen.is_discovery() {
            let page = pages.fetch_add(1, Ordering::SeqCst) + 1;
            let json = format!("{{\"token_endpoint\":\"{base}/{page}\"}}");
            return Some(Reply::Json(200, json));
        }
        let moved = pages.load(Ordering::SeqCst) == 1 && seen.path == "/1";
        let first = seen.is_for_permissions() && moved;
        first.then(|| Reply::Json(404, String::new()))
    });
    port.set(issuer.url()).unwrap();
    let credentials = issuer.credentials();
    assert_eq!(sent(&credentials).await.unwrap_err().kind(), ErrorKind::NotFound);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(sent(&credentials).await.is_ok());
    assert_eq!(issuer.seen().last().unwrap().path, "/2");
}
