//! What a reader of a group asks the controller.

use std::time::Duration;

use pravega_sdk_controller_client::{ControllerError, Subscriber};
use pravega_sdk_segment_client::{
    context::SegmentContext,
    error::ReadError,
    machine::delay,
    runtime::{random_bits, rng},
    seeded_bugs::Bugs,
};
use pravega_sdk_types::{
    Backoff, BoundedCut, ErrorKind, Offset, ScopedReaderGroup, ScopedSegment, SegmentId, Successor,
};
use tokio::time::sleep;

use super::{
    super::{
        beginning::init_of,
        state::{GroupInit, GroupSegment},
    },
    machine::error_at,
};
use crate::reader::{explain_missing, final_successors};

/// Segments with all their predecessors.
pub(super) type Followers = Vec<(GroupSegment, Vec<SegmentId>)>;

/// Finds the successors of a segment that was read to its end; none if its stream ends with it.
/// Asked for as long as it takes: in the middle of a scale segments are sealed before they have
/// successors, and a controller may be down.
pub(super) async fn find_successors(
    context: SegmentContext,
    segment: ScopedSegment,
    backoff: Backoff,
    bugs: Bugs,
) -> Result<Followers, ControllerError> {
    let (mut random, mut failures) = (random_bits(rng(None)), 0_u32);
    loop {
        match successors_now(&context, &segment, bugs).await {
            Ok(Some(found)) => return Ok(followers(&segment, found)),
            Ok(None) => {}
            Err(error) if error.is_retryable() => {}
            Err(error) => return Err(error),
        }
        failures = failures.saturating_add(1);
        sleep(delay(&backoff, failures, &mut random)).await;
    }
}

/// The successors that a segment has now; `None` means that some will come, as far as the
/// controller knows.
async fn successors_now(
    context: &SegmentContext,
    segment: &ScopedSegment,
    bugs: Bugs,
) -> Result<Option<Vec<Successor>>, ControllerError> {
    let found = context.controller().successors(segment).await?;
    if !found.is_empty() {
        return Ok(Some(found));
    }
    final_successors(&**context.controller(), segment, bugs).await
}

fn followers(segment: &ScopedSegment, found: Vec<Successor>) -> Followers {
    let stream = segment.scoped_stream();
    let follower = |Successor { id, range, predecessors }| {
        let segment = ScopedSegment::new(&stream, id);
        (GroupSegment { segment, range: Some(range) }, predecessors)
    };
    found.into_iter().map(follower).collect()
}

/// Finds out why a segment does not exist: the error is of the kind
/// [`Truncated`](ErrorKind::Truncated) if it has successors.
pub(super) async fn find_reason(
    context: SegmentContext,
    segment: ScopedSegment,
    at: Offset,
    backoff: Backoff,
) -> ReadError {
    let (mut random, mut failures) = (random_bits(rng(None)), 0_u32);
    loop {
        let detail = "the segment does not exist any more";
        let missing = error_at(ErrorKind::NotFound, detail, &segment, at);
        let explained = explain_missing(&context, missing).await;
        if !explained.is_retryable() {
            return explained;
        }
        failures = failures.saturating_add(1);
        sleep(delay(&backoff, failures, &mut random)).await;
    }
}

/// Finds what a group begins again with by the configuration that the controller has; `None` if
/// that is not newer than `generation`.
pub(super) async fn find_configuration(
    context: SegmentContext,
    group: ScopedReaderGroup,
    generation: Option<i64>,
) -> Result<Option<GroupInit>, ReadError> {
    let found = context.controller().reader_group_configuration(&group).await;
    let found = found.map_err(|error| {
        let detail = "the configuration of the group cannot be found";
        ReadError::from_controller(error, detail, &group.state_stream())
    })?;
    if found.generation() <= generation {
        return Ok(None);
    }
    init_of(&context, &found).await.map(Some)
}

/// Tells the controller up to where a group has read a stream. Returns true if it took the cut.
pub(super) async fn publish(
    context: SegmentContext,
    subscriber: Subscriber,
    cut: BoundedCut,
) -> bool {
    let told = context.controller().update_subscriber_cut(&subscriber, &cut).await;
    if let Err(error) = &told {
        tracing::warn!(%error, group = %subscriber.group, "a cut of the group was not published");
    }
    told.is_ok()
}

/// How long a reader returns nothing while it waits for an answer of the controller, without which
/// it can go on.
pub(super) const CONTROLLER_WAIT: Duration = Duration::from_secs(5);
