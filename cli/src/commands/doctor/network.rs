//! Checks that a host name resolves and its port accepts connections.

use std::{
    io,
    net::IpAddr,
    time::{Duration, Instant},
};

use pravega_sdk::types::Endpoint;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::checks::{Checks, Finding};

const STEP_LIMIT: Duration = Duration::from_secs(5);

/// Resolves a host name and connects to its addresses.
pub(super) async fn reach(what: &str, endpoint: &Endpoint, checks: &mut Checks) -> bool {
    let resolved = timeout(STEP_LIMIT, lookup_host((endpoint.host(), endpoint.port()))).await;
    let addresses: Vec<String> = match resolved {
        Ok(Ok(addresses)) => addresses.map(|address| address.ip().to_string()).collect(),
        Ok(Err(error)) => {
            let fix = "check the host name and the name servers of this machine";
            return checks.record(
                &format!("resolve {what}"),
                Finding::Bad(format!("{}: {error}", endpoint.host()), fix),
            );
        }
        Err(_) => {
            let fix = "the name servers of this machine do not answer";
            return checks.record(
                &format!("resolve {what}"),
                Finding::Bad(format!("{}: no answer", endpoint.host()), fix),
            );
        }
    };
    let detail = match endpoint.host().parse::<IpAddr>() {
        Ok(address) => format!("{address} is an address"),
        Err(_) => format!("{} is {}", endpoint.host(), addresses.join(", ")),
    };
    checks.record(&format!("resolve {what}"), Finding::Good(detail));
    let start = Instant::now();
    let finding = match timeout(STEP_LIMIT, TcpStream::connect((endpoint.host(), endpoint.port())))
        .await
    {
        Ok(Ok(_)) => {
            Finding::Good(format!("{endpoint} in {:.1} ms", start.elapsed().as_secs_f64() * 1e3))
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Finding::Bad(
            format!("{endpoint}: {error}"),
            "nothing listens there: start the server, or correct the port",
        ),
        Ok(Err(error)) => Finding::Bad(
            format!("{endpoint}: {error}"),
            "check routes and firewalls on the way to this address",
        ),
        Err(_) => Finding::Bad(
            format!("{endpoint}: no answer within {} s", STEP_LIMIT.as_secs()),
            "a firewall drops the packets, or the host is down",
        ),
    };
    checks.record(&format!("connect {what}"), finding)
}

/// How long a server of HTTP/1 may take for its answer.
const HTTP_LIMIT: Duration = Duration::from_secs(1);
/// A request that every server of HTTP/1 answers, if only with a refusal.
const HTTP_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// How its answer begins.
const HTTP_ANSWER: [u8; 7] = *b"HTTP/1.";

/// Returns true if the peer answers in HTTP/1, which no controller does.
pub(super) async fn speaks_http1(endpoint: &Endpoint) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect((endpoint.host(), endpoint.port())).await?;
        stream.write_all(HTTP_REQUEST).await?;
        let mut answer = [0; HTTP_ANSWER.len()];
        stream.read_exact(&mut answer).await?;
        io::Result::Ok(answer == HTTP_ANSWER)
    };
    matches!(timeout(HTTP_LIMIT, ask).await, Ok(Ok(true)))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Returns whether a server that answers with these bytes is taken for one of HTTP/1.
    async fn is_taken_for_http1(answer: &'static [u8]) -> bool {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answering = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; HTTP_REQUEST.len()];
            socket.read_exact(&mut request).await.unwrap();
            socket.write_all(answer).await.unwrap();
        };
        let endpoint = Endpoint::new("127.0.0.1", port).unwrap();
        tokio::join!(answering, speaks_http1(&endpoint)).1
    }

    #[tokio::test]
    async fn only_an_answer_of_http1_is_taken_for_one() {
        assert!(is_taken_for_http1(b"HTTP/1.1 404 Not Found\r\n\r\n").await);
        assert!(is_taken_for_http1(b"HTTP/1.0 400 Bad Request\r\n\r\n").await);
        // Settings of HTTP/2, and a peer that only closes.
        assert!(!is_taken_for_http1(b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80").await);
        assert!(!is_taken_for_http1(b"").await);
    }
}
