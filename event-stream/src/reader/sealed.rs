//! The successors of a segment in a stream that is sealed.

use pravega_sdk_controller_client::{Controller, ControllerError};
use pravega_sdk_segment_client::seeded_bugs::{Bugs, SeededBug};
use pravega_sdk_types::{ScopedSegment, Successor};

/// Returns the successors of a segment if the stream is sealed, so that no more can come; `None`
/// if it is not, as far as the instance of the controller knows that answers.
pub(crate) async fn final_successors(
    controller: &dyn Controller,
    segment: &ScopedSegment,
    bugs: Bugs,
) -> Result<Option<Vec<Successor>>, ControllerError> {
    let believes = bugs.has(SeededBug::BelievesEarlierSuccessors);
    if !believes && !bugs.has(SeededBug::MixesInstances) {
        return controller.final_successors(segment).await;
    }
    if !controller.current_segments(&segment.scoped_stream()).await?.is_empty() {
        return Ok(None);
    }
    if believes {
        return Ok(Some(Vec::new()));
    }
    controller.successors(segment).await.map(Some)
}
