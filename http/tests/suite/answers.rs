//! What is sent, and what is an answer.

use std::time::Duration;

use pravega_sdk_http::{Request, Unanswered, Url};
use pravega_sdk_types::ErrorKind;

use crate::server::{FAR, Says, Server, asked, bytes, client, whole};

#[tokio::test]
async fn a_get_and_a_post_are_sent_with_their_headers_on_connections_of_their_own() {
    let server = Server::start(whole("200 OK", "", "{}")).await;
    let client = client();
    client.send(&Request::get(server.url("/a/b?c=d")), FAR).await.unwrap();
    let post = Request::post(server.url("/token"), "x=1&y=2".into());
    client.send(&post.with_authorization("Bearer abc".into()), FAR).await.unwrap();
    let seen = server.seen();
    let [get, post] = &seen[..] else { panic!("{seen:?}") };
    let common = format!(
        "host: 127.0.0.1:{}\r\nuser-agent: pravega-sdk/{}\r\naccept: application/json\r\n\
         connection: close\r\n",
        server.port,
        env!("CARGO_PKG_VERSION"),
    );
    assert_eq!(*get, format!("GET /a/b?c=d HTTP/1.1\r\n{common}\r\n"));
    let own = "authorization: Bearer abc\r\ncontent-type: application/x-www-form-urlencoded\r\n\
               content-length: 7\r\n";
    assert_eq!(*post, format!("POST /token HTTP/1.1\r\n{common}{own}\r\nx=1&y=2"));
}

#[tokio::test]
async fn a_body_is_read_by_its_length_in_chunks_or_to_the_end_of_the_connection() {
    let body = "0123456789".repeat(5000);
    let (first, second) = body.split_at(123);
    let chunks = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\nX-Trailer: x\r\n\r\n",
        first.len(),
        second.len()
    );
    for says in [
        whole("200 OK", "", &body),
        bytes(&chunks),
        bytes(&format!("HTTP/1.0 200 OK\r\n\r\n{body}")),
        bytes(&format!("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{body}")),
    ] {
        let answer = asked(says).await.unwrap();
        assert_eq!((answer.status(), answer.body()), (200, body.as_bytes()));
    }
    let empty = asked(bytes("HTTP/1.1 204 No Content\r\n\r\n")).await.unwrap();
    assert_eq!((empty.status(), empty.body().len()), (204, 0));
}

#[tokio::test]
async fn an_answer_has_any_status_and_how_long_to_wait() {
    for (wait, expected) in [
        ("Retry-After: 7\r\n", Some(Duration::from_secs(7))),
        ("Retry-After: 18446744073709551616\r\n", None),
        ("Retry-After: Sun, 29 Nov 2026 20:00:00 GMT\r\n", None),
        ("", None),
    ] {
        let answer = asked(whole("503 Service Unavailable", wait, "no")).await.unwrap();
        assert_eq!((answer.status(), answer.retry_after()), (503, expected), "{wait}");
        assert_eq!((answer.body(), answer.location()), (&b"no"[..], None));
    }
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let other = Server::start(whole("200 OK", "", "{}")).await;
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"] {
        for target in [other.url("/x").to_string(), "/same/server".to_owned()] {
            let header = format!("Location: {target}\r\n");
            let server = Server::start(whole(status, &header, "")).await;
            let post = Request::post(server.url("/"), "secret=x".into());
            let answer = client().send(&post, FAR).await.unwrap();
            assert_eq!(answer.status().to_string(), status[..3]);
            assert_eq!(answer.location(), Some(target.as_str()));
            assert_eq!(server.seen().len(), 1, "{target}");
        }
    }
    assert!(other.seen().is_empty(), "{:?}", other.seen());
}

#[tokio::test]
async fn what_is_no_answer_has_a_kind_and_a_reason() {
    let lost = ErrorKind::ConnectionLost;
    for (says, kind, reason) in [
        (bytes(""), lost, "its port may speak TLS only: https"),
        (bytes("HTTP/1.1 200 OK\r\nContent-Le"), lost, "before the whole answer"),
        (bytes("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"), lost, "before the whole answer"),
        (
            bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}"),
            lost,
            "before the whole answer",
        ),
        (
            bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n"),
            ErrorKind::Protocol,
            "is not HTTP",
        ),
        (bytes("SSH-2.0-OpenSSH_9.6\r\n"), ErrorKind::Protocol, "is not HTTP"),
        (
            bytes("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
            ErrorKind::Protocol,
            "is not HTTP",
        ),
    ] {
        let error = asked(says.clone()).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{says:?}: {text}");
        assert!(text.contains(reason), "{says:?}: {text}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_run_is_unreachable_with_the_reason_of_the_system() {
    // Bound, and not listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = Url::parse(&format!("http://{}", socket.local_addr().unwrap())).unwrap();
    let error = client().send(&Request::get(url), FAR).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unreachable, true));
    assert!(error.to_string().starts_with("cannot connect: Connection refused"), "{error}");

    let url = Url::parse("http://no-such-host.invalid/").unwrap();
    let error = client().send(&Request::get(url), Duration::from_secs(5)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::Timeout), "{error:?}");
}

#[tokio::test]
async fn a_server_is_reached_by_its_address_of_ipv6() {
    // Not every machine has one.
    let loopback = std::net::Ipv6Addr::LOCALHOST.into();
    let Some(server) = Server::start_at(loopback, whole("200 OK", "", "{}")).await else { return };
    let url = Url::parse(&format!("http://[::1]:{}/x", server.port)).unwrap();
    client().send(&Request::get(url), FAR).await.unwrap();
    let host = format!("\r\nhost: [::1]:{}\r\n", server.port);
    assert!(server.seen()[0].contains(&host), "{:?}", server.seen());
}

#[tokio::test]
async fn a_header_that_cannot_be_sent_is_refused_and_no_secret_is_shown() {
    let server = Server::start(whole("200 OK", "", "{}")).await;
    let request = Request::get(server.url("/?key=hunter2"));
    let request = request.with_authorization("Bearer hunter2\r\nX-Other: y".into());
    let error = client().send(&request, FAR).await.unwrap_err();
    assert!(matches!(error, Unanswered::NotSent), "{error:?}");
    assert!(server.seen().is_empty());

    // What the server repeats.
    for text in
        ["HTTP/1.1 hunter2\r\n\r\n", "hunter2\r\n\r\n", "HTTP/1.1 200 OK\r\nhunter2\r\n\r\n"]
    {
        let error = asked(Says::Bytes(text.as_bytes().to_vec())).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}
