//! Compares the clock of this machine with that of the server.

use std::time::{Duration, SystemTime};

use pravega_sdk::{
    ClientFactory,
    controller_client::AccessOperation,
    types::{Endpoint, ScopedStream},
    wire_protocol::commands::{CreateSegment, DeleteSegment, GetSegmentAttribute},
};
use uuid::Uuid;

use super::checks::{Checks, Finding};

/// A smaller difference does no harm: tokens and transactions have leases of seconds and more.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// Reads the server's clock from a delegation token, or from the creation time of a segment that
/// is created for the purpose.
pub(super) async fn compare(
    may_probe: bool,
    client: &ClientFactory,
    endpoint: &Endpoint,
    checks: &mut Checks,
) {
    let Ok(stream) = ScopedStream::internal("_system/doctor") else { return };
    let token = client.controller().delegation_token(&stream, AccessOperation::Read).await;
    let issued =
        token.as_ref().ok().and_then(|token| token.claims()).and_then(|claims| claims.issued_at);
    let server = match issued {
        Some(seconds) => Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
        None if may_probe => probe_clock(client, endpoint).await,
        None => None,
    };
    let Some(server) = server else {
        let detail = if may_probe {
            "the server does not tell its time"
        } else {
            "no token has the time of the server; --probe creates and deletes a segment for it"
        };
        checks.record("clock", Finding::Skipped(detail.to_owned()));
        return;
    };
    let here = SystemTime::now();
    let (apart, direction) = match here.duration_since(server) {
        Ok(apart) => (apart, "ahead of"),
        Err(error) => (error.duration(), "behind"),
    };
    let detail = format!("this machine is {:.1} s {direction} the server", apart.as_secs_f64());
    let finding = if apart <= CLOCK_TOLERANCE {
        Finding::Good(detail)
    } else {
        Finding::Odd(
            detail,
            "correct one of the clocks: tokens and writer timestamps depend on them",
        )
    };
    checks.record("clock", finding);
}

/// The attribute that holds a segment's creation time, in milliseconds since 1970.
const CREATION_TIME: Uuid = Uuid::from_u64_pair(0x8000_0000_0000_0000, 0);

async fn probe_clock(client: &ClientFactory, endpoint: &Endpoint) -> Option<SystemTime> {
    let segment = format!("_system/doctor-{}/0.#epoch.0", Uuid::new_v4().simple());
    let store = client.raw_client();
    let create = CreateSegment {
        request_id: 0,
        segment: segment.clone().into(),
        target_rate: 0,
        scale_type: 0,
        delegation_token: "".into(),
        rollover_size_bytes: 0,
    };
    store.request(endpoint, create).await.ok()?;
    let read = GetSegmentAttribute {
        request_id: 0,
        segment_name: segment.clone().into(),
        attribute_id: CREATION_TIME,
        delegation_token: "".into(),
    };
    let created = store.request(endpoint, read).await;
    let delete =
        DeleteSegment { request_id: 0, segment: segment.into(), delegation_token: "".into() };
    store.request(endpoint, delete).await.ok();
    let milliseconds = u64::try_from(created.ok()?.value).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds))
}
