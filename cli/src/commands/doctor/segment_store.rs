//! Checks the handshake with the segment store, and its protocol versions.

use std::time::Instant;

use pravega_sdk::{
    ClientFactory,
    types::{Endpoint, ErrorKind},
    wire_protocol::VersionRange,
};

use super::{
    advice::{self, Peer},
    checks::{Checks, Finding},
};
use crate::failure::with_causes;

pub(super) async fn handshake(
    client: &ClientFactory,
    endpoint: &Endpoint,
    checks: &mut Checks,
) -> bool {
    let start = Instant::now();
    match client.raw_client().connection(endpoint).await {
        Ok(connection) => {
            let elapsed = start.elapsed().as_secs_f64() * 1e3;
            checks.record("handshake", Finding::Good(format!("{endpoint} in {elapsed:.1} ms")));
            let detail = format!(
                "protocol versions {}; this client supports {}",
                connection.peer_versions(),
                VersionRange::SUPPORTED
            );
            checks.record("version", Finding::Good(detail))
        }
        Err(error) => {
            let fix = match (error.kind(), advice::tls_problem(&error)) {
                (_, Some(problem)) => advice::of_tls(problem, Peer::SegmentStore),
                (ErrorKind::IncompatibleServer, _) => {
                    "the segment store is too old or too new for this tool"
                }
                (ErrorKind::Protocol, _) => {
                    "the peer is not a segment store, or TLS is on at one end only"
                }
                _ => "see the segment store's log",
            };
            checks.record("handshake", Finding::Bad(with_causes(&error), fix))
        }
    }
}
