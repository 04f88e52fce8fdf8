//! Checks that a host name resolves and its port accepts connections.

use std::time::{Duration, Instant};

use pravega_sdk::types::Endpoint;
use tokio::{
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
    checks.record(
        &format!("resolve {what}"),
        Finding::Good(format!("{} is {}", endpoint.host(), addresses.join(", "))),
    );
    let start = Instant::now();
    let finding = match timeout(STEP_LIMIT, TcpStream::connect((endpoint.host(), endpoint.port())))
        .await
    {
        Ok(Ok(_)) => {
            Finding::Good(format!("{endpoint} in {:.1} ms", start.elapsed().as_secs_f64() * 1e3))
        }
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Finding::Bad(
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
