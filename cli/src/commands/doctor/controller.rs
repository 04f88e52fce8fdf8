//! Checks that the controller answers, accepts the credentials, and knows a segment store.

use std::time::Instant;

use pravega_sdk::{
    ClientFactory,
    controller_client::ControllerError,
    types::{Endpoint, ErrorKind, Scope, ScopedSegment, ScopedStream, SegmentId},
};

use super::{
    advice::{self, CredentialFailure, Peer},
    checks::{Checks, Finding},
    network,
};
use crate::failure::with_causes;

/// A call that succeeds only if TLS, gRPC and credentials are right.
pub(super) async fn call(client: &ClientFactory, checks: &mut Checks) -> bool {
    let start = Instant::now();
    let called = match Scope::internal("_system") {
        Ok(scope) => client.controller().scope_exists(&scope).await,
        Err(_) => return false,
    };
    let credentials = client.config().credentials();
    let method = credentials.method();
    let elapsed = start.elapsed().as_secs_f64() * 1e3;
    let refused = called.as_ref().err().and_then(|error| CredentialFailure::of(error, credentials));
    // Without the credentials no controller was asked.
    let is_asked = refused != Some(CredentialFailure::Unobtained);
    if is_asked && called.as_ref().map_or_else(is_of_controller, |_| true) {
        trusted(client, checks);
        checks.record("controller", Finding::Good(format!("answers in {elapsed:.1} ms")));
    }
    match (called, refused) {
        (Ok(_), _) if credentials.is_anonymous() => checks.record(
            "authentication",
            Finding::Good("the server asks for no credentials".to_owned()),
        ),
        (Ok(_), _) => checks
            .record("authentication", Finding::Good(format!("accepted (credentials: {method})"))),
        // Before the kind: the issuer of the credentials may be what refuses, or is away.
        (Err(error), Some(failure)) => {
            checks.record("authentication", Finding::Bad(with_causes(&error), failure.fix()))
        }
        (Err(error), None) if error.kind() == ErrorKind::PermissionDenied => {
            let detail =
                format!("accepted (credentials: {method}), not permitted to read scope _system");
            checks.record(
                "authentication",
                Finding::Odd(detail, "fine unless this user administers the cluster"),
            )
        }
        (Err(error), None) => {
            let found = if is_http1(client).await { Some(("controller", HTTP1)) } else { None };
            let (check, fix) = found.unwrap_or_else(|| fix_of(&error));
            checks.record(check, Finding::Bad(with_causes(&error), fix))
        }
    }
}

/// The fix for the port of an HTTP server.
const HTTP1: &str = "correct the port: a server of HTTP/1 answers there, and no controller; the \
                     controller of `pravega dev` has the port before that of its REST interface";

/// Returns true if what listens in place of a controller speaks HTTP/1.
async fn is_http1(client: &ClientFactory) -> bool {
    let uri = client.config().uri();
    if uri.scheme().is_tls() {
        return false;
    }
    for endpoint in uri.endpoints() {
        if network::speaks_http1(endpoint).await {
            return true;
        }
    }
    false
}

/// Returns the check that an error belongs to, and its fix.
fn fix_of(error: &ControllerError) -> (&'static str, &'static str) {
    match (error.kind(), advice::tls_problem(error)) {
        (_, Some(problem)) => ("tls", advice::of_tls(problem, Peer::Controller)),
        (ErrorKind::Timeout, _) => (
            "controller",
            "check the server: it takes connections and does not answer, so it hangs or is \
             overloaded, or it is no controller",
        ),
        (ErrorKind::Unreachable | ErrorKind::ConnectionLost | ErrorKind::Unavailable, _) => (
            "controller",
            "check port and scheme: the server is no controller, or TLS is on at one end only",
        ),
        _ => ("controller", "see the controller's log"),
    }
}

/// Returns true if an error is an answer of the controller.
fn is_of_controller(error: &ControllerError) -> bool {
    matches!(error.kind(), ErrorKind::Unauthenticated | ErrorKind::PermissionDenied)
}

/// Records what vouches for the controller, if it speaks TLS.
fn trusted(client: &ClientFactory, checks: &mut Checks) {
    if !client.config().is_tls_to_controller() {
        return;
    }
    let settings = client.config().settings();
    let trust = settings.iter().find(|setting| setting.name == "trust_store");
    let trust = trust.map(|setting| &*setting.value).unwrap_or_default();
    checks.record("tls", Finding::Good(format!("trusted (trust store: {trust})")));
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
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let detail = "not located: not permitted to read scope _system".to_owned();
            let fix = "fine unless this user administers the cluster; for the checks of the \
                       segment store use an account that does";
            checks.record("locate segment store", Finding::Odd(detail, fix));
            None
        }
        Err(error) => {
            let fix = "no segment store is registered with the controller: check that one runs";
            checks.record("locate segment store", Finding::Bad(with_causes(&error), fix));
            None
        }
    }
}
