//! Checks that the controller answers, accepts the credentials, and knows a segment store.

use std::time::Instant;

use pravega_sdk::{
    ClientFactory,
    types::{Endpoint, ErrorKind, Scope, ScopedSegment, ScopedStream, SegmentId},
};

use super::checks::{Checks, Finding};
use crate::failure::with_causes;

/// A call that succeeds only if TLS, gRPC and credentials are right.
pub(super) async fn call(client: &ClientFactory, checks: &mut Checks) -> bool {
    let start = Instant::now();
    let called = match Scope::internal("_system") {
        Ok(scope) => client.controller().scope_exists(&scope).await,
        Err(_) => return false,
    };
    let method = client.config().credentials().method().to_owned();
    let elapsed = start.elapsed().as_secs_f64() * 1e3;
    match called {
        Ok(_) => {
            checks.record("controller", Finding::Good(format!("answers in {elapsed:.1} ms")));
            checks.record(
                "authentication",
                Finding::Good(format!("accepted (credentials: {method})")),
            )
        }
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied) => {
            checks.record("controller", Finding::Good(format!("answers in {elapsed:.1} ms")));
            let detail =
                format!("accepted (credentials: {method}), not permitted to read scope _system");
            checks.record(
                "authentication",
                Finding::Odd(detail, "fine unless this user administers the cluster"),
            )
        }
        Err(error) => {
            let (check, fix) = match error.kind() {
                ErrorKind::Unauthenticated if client.config().credentials().is_anonymous() => (
                    "authentication",
                    "the cluster requires credentials: give --user and --password-file, or \
                     --token-file",
                ),
                ErrorKind::Unauthenticated => (
                    "authentication",
                    "the credentials were refused: check user, password or token",
                ),
                ErrorKind::Tls => (
                    "tls",
                    "trust the certificate authority with --ca, and use the host name that the \
                     certificate is for; or correct the scheme, tcp or tls",
                ),
                ErrorKind::Unreachable
                | ErrorKind::ConnectionLost
                | ErrorKind::Timeout
                | ErrorKind::Unavailable => (
                    "controller",
                    "the peer is not a controller, or TLS is on at one end only: \
                     check port and scheme",
                ),
                _ => ("controller", "see the controller's log"),
            };
            checks.record(check, Finding::Bad(with_causes(&error), fix))
        }
    }
}

pub(super) async fn discovery(client: &ClientFactory, checks: &mut Checks) {
    if !client.config().uri().scheme().is_discovery() {
        return;
    }
    let finding = match client.controller().controllers().await {
        Ok(found) => {
            let found: Vec<String> = found.iter().map(Endpoint::to_string).collect();
            Finding::Good(found.join(", "))
        }
        Err(error) => Finding::Odd(
            format!(
                "using the controllers of the URL, as the cluster gives no list of them: {error}"
            ),
            "a standalone server gives no list; use tcp or tls",
        ),
    };
    checks.record("discovery", finding);
}

/// Any segment will do: the controller computes its location from the name.
fn some_segment() -> Option<ScopedSegment> {
    Some(ScopedSegment::new(&ScopedStream::internal("_system/doctor").ok()?, SegmentId::from(0)))
}

pub(super) async fn segment_store(client: &ClientFactory, checks: &mut Checks) -> Option<Endpoint> {
    match client.controller().segment_endpoint(&some_segment()?).await {
        Ok(endpoint) => {
            checks.record("locate segment store", Finding::Good(endpoint.to_string()));
            Some(endpoint)
        }
        Err(error) => {
            let fix = "no segment store is registered with the controller: check that one runs";
            checks.record("locate segment store", Finding::Bad(with_causes(&error), fix));
            None
        }
    }
}
