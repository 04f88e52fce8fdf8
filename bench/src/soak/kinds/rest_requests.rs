//! Requests of HTTP/1 that no server should take: foreign hosts, two lengths, huge heads.

use std::time::Duration;

use anyhow::Result;
use tokio::{io::AsyncWriteExt as _, time::timeout};

use crate::soak::attacker::Attacker;

pub(super) async fn round(attacker: Attacker) -> Result<()> {
    let many: String = (0..2_000).map(|number| format!("X-{number}: y\r\n")).collect();
    let long = "y".repeat(2 << 20);
    let requests = [
        "GET /v1/scopes HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(),
        "GET /v1/scopes HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n".to_owned(),
        "GET /v1/scopes HTTP/1.1\r\n\r\n".to_owned(),
        "GET http://evil.example/v1/scopes HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_owned(),
        "POST /v1/scopes HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\
         Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            .to_owned(),
        "POST /v1/scopes HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999\r\n\r\n{"
            .to_owned(),
        "POST /v1/scopes HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n\
         FFFFFFFFFFFFFFFF\r\n"
            .to_owned(),
        format!("GET /v1/scopes HTTP/1.1\r\nHost: 127.0.0.1\r\n{many}\r\n"),
        format!("GET /v1/scopes HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {long}\r\n\r\n"),
        format!("GET /v1/{long} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
        "GET /v1/scopes/%ff%fe/streams HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_owned(),
        "GET /v1/scopes/../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_owned(),
        "GET /v1/scopes%0d%0aX:y HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_owned(),
        "TRACE /v1/scopes HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_owned(),
        "CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_owned(),
        "GET /v1/scopes HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic !!!\r\n\r\n".to_owned(),
        "GET /v1/scopes/s/streams/t/scaling-events?from=x&to=9223372036854775808 HTTP/1.1\r\n\
         Host: 127.0.0.1\r\n\r\n"
            .to_owned(),
    ];
    for request in &requests {
        let mut socket = attacker.connect(attacker.target.rest).await?;
        let sending = socket.write_all(request.as_bytes());
        timeout(Duration::from_secs(5), sending).await.ok();
        socket.shutdown().await.ok();
        attacker.read_to_the_end(&mut socket, Duration::from_secs(10)).await;
    }
    Ok(())
}
