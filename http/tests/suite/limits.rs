//! The limits on time and on bytes.

use std::time::Duration;

use pravega_sdk_http::{HttpClient, Request, Unanswered, Url};
use pravega_sdk_tls::TlsConfig;
use pravega_sdk_types::ErrorKind;
use tokio::{
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout},
};

use crate::{
    authority::{Authority, server},
    server::{FAR, MAX_LEN, Says, Server, asked, client, whole},
};

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_waited_for_until_the_limit_and_no_longer() {
    for text in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
        "HTTP/1.1 200 OK\r\n\r\n{}",
        "HTTP/1.1 103 Early Hints\r\n\r\n",
    ] {
        let server = Server::start(Says::Hangs(text)).await;
        let begun = Instant::now();
        let error = server.ask(LIMIT).await.unwrap_err();
        assert!(matches!(error, Unanswered::Late(LIMIT)), "{text}: {error:?}");
        assert_eq!((error.kind(), begun.elapsed().as_secs()), (ErrorKind::Timeout, 10), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_trickles_is_not_waited_for_beyond_the_limit() {
    let endless = [
        Says::Endless("", "HTTP/1.1 103 Early Hints\r\n\r\n"),
        Says::Endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "x"),
    ];
    for says in endless {
        let server = Server::start(says.clone()).await;
        let asking = server.ask(Duration::from_millis(300));
        let result = timeout(FAR, asking).await.expect("it ends");
        let kind = result.unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::Timeout | ErrorKind::Protocol), "{says:?}: {kind:?}");
    }
}

#[tokio::test]
async fn a_handshake_and_a_connection_count_towards_the_limit() {
    let near = Duration::from_millis(300);
    // It takes connections, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let trusting = HttpClient::new(&Authority::new().trusted(), MAX_LEN);
    let url = Url::parse(&format!("https://localhost:{port}")).unwrap();
    let request = Request::get(url);
    let asking = trusting.send(&request, near);
    let error = timeout(FAR, asking).await.expect("it ends").unwrap_err();
    assert!(matches!(error, Unanswered::Late(_)), "{error:?}");

    // It takes no more connections.
    let full = TcpSocket::new_v4().unwrap();
    full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = full.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(connected) = timeout(near, TcpStream::connect(address)).await {
        waiting.push(connected.unwrap());
        assert!(waiting.len() < 100, "the queue has no end");
    }
    let url = Url::parse(&format!("http://{address}")).unwrap();
    let (client, request) = (client(), Request::get(url));
    let asking = client.send(&request, near);
    let error = timeout(FAR, asking).await.expect("it ends").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unreachable), "{error:?}");
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit() {
    let most = "x".repeat(MAX_LEN);
    assert_eq!(asked(whole("200 OK", "", &most)).await.unwrap().body().len(), MAX_LEN);
    for says in [
        whole("200 OK", "", &format!("{most}x")),
        Says::Endless("HTTP/1.1 200 OK\r\n\r\n", "xxxxxxxxxxxxxxxx"),
        Says::Endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\nxxxx\r\n"),
        // A length that is announced is not waited for.
        Says::Hangs("HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n"),
        Says::Hangs("HTTP/1.1 200 OK\r\nContent-Length: 9007199254740993\r\n\r\n"),
    ] {
        let error = asked(says).await.unwrap_err();
        assert!(matches!(error, Unanswered::TooLong(MAX_LEN)), "{error:?}");
        assert_eq!(error.to_string(), "the answer is longer than 100000 bytes");
    }
    let none = HttpClient::new(&TlsConfig::new(), 0);
    let server = Server::start(whole("200 OK", "", "x")).await;
    let error = none.send(&Request::get(server.url("/")), FAR).await.unwrap_err();
    assert!(matches!(error, Unanswered::TooLong(0)), "{error:?}");
}

#[tokio::test]
async fn a_head_is_read_up_to_its_limit() {
    for says in [
        Says::Endless("HTTP/1.1 200 OK\r\n", "X-A: b\r\n"),
        Says::Endless("HTTP/1.1 200 OK\r\nX-A: ", "b"),
        Says::Endless("HTTP/1.1 200 ", "O"),
    ] {
        let error = asked(says.clone()).await.unwrap_err();
        assert!(matches!(error, Unanswered::NotHttp(_)), "{says:?}: {error:?}");
    }
    let many = |count: usize| asked(whole("200 OK", &"X-A: b\r\n".repeat(count), "{}"));
    assert!(many(90).await.is_ok());
    assert!(matches!(many(101).await, Err(Unanswered::NotHttp(_))));
}

#[tokio::test]
async fn tls_does_not_lift_the_limits() {
    let authority = Authority::new();
    let config = server(&authority.server("localhost"), None);
    let says = Says::Endless("HTTP/1.1 200 OK\r\n\r\n", "xxxxxxxxxxxxxxxx");
    let server = Server::with_tls(config, says).await;
    let url = Url::parse(&format!("https://localhost:{}", server.port)).unwrap();
    let trusting = HttpClient::new(&authority.trusted(), MAX_LEN);
    let error = trusting.send(&Request::get(url), FAR).await.unwrap_err();
    assert!(matches!(error, Unanswered::TooLong(MAX_LEN)), "{error:?}");
}
