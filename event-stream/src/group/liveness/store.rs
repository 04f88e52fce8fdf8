//! Where leases are kept: attributes of the segment of the group's state.

use std::time::Duration;

use pravega_sdk_segment_client::{
    attributes::{AttributeError, AttributeId, AttributeValue, SegmentAttributes, Swap},
    context::SegmentContext,
};
use pravega_sdk_types::{ErrorKind, Failure, Outcome, ScopedSegment};
use sha3::{
    Shake128,
    digest::{ExtendableOutput as _, Update as _, XofReader as _},
};
use tokio::time::timeout;

use super::machine::{LeaseTimes, LeaseValue};

/// What the id of an attribute is derived from, besides the name of the reader.
const PURPOSE: &[u8] = b"pravega-sdk: lease of the reader ";

/// The leases of the readers of a group.
///
/// Each call is one request, and takes at most the [time](LeaseTimes::request_timeout) that the
/// length of the lease allows. Clones are cheap.
#[derive(Debug, Clone)]
pub struct LeaseStore {
    attributes: SegmentAttributes,
    timeout: Duration,
}

impl LeaseStore {
    /// Creates a handle of the leases of a group, by the segment of its
    /// [state](crate::group::GroupStore::segment): a group that is created again has another one.
    /// Nothing is sent.
    #[must_use]
    pub fn new(context: SegmentContext, state: ScopedSegment, times: LeaseTimes) -> Self {
        let attributes = SegmentAttributes::new(context, state);
        Self { attributes, timeout: times.request_timeout() }
    }

    /// Returns a handle of the same leases whose requests may take so long.
    #[must_use]
    pub fn within(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// Returns the lease of a reader. `None` means that it has none: it is not in the group, or one
    /// of another client.
    ///
    /// # Errors
    ///
    /// [`AttributeError`]: its kind is [`NotFound`](ErrorKind::NotFound) if there is no such group,
    /// and [`Corrupt`](ErrorKind::Corrupt) if a newer client has written the lease in a form that
    /// this one does not know.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn read(&self, reader: &str) -> Result<Option<LeaseValue>, AttributeError> {
        let reading = timeout(self.timeout, self.attributes.value(lease_id(reader)));
        let value = reading.await.map_err(|_| self.late("reading", Outcome::NotApplied))??;
        value.map(|value| self.parse(value)).transpose()
    }

    /// Sets the lease of a reader if it has the expected value, and returns true if it is set.
    /// `None` is that of a reader without a lease.
    ///
    /// # Errors
    ///
    /// [`AttributeError`]. Its outcome is [`Unknown`](Outcome::Unknown) if the lease may be set, or
    /// may be set later. As no value is set twice, [`read`](Self::read) shows what happened.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the lease may or may not be set.
    pub async fn swap(
        &self,
        reader: &str,
        expected: Option<LeaseValue>,
        new: Option<LeaseValue>,
    ) -> Result<bool, AttributeError> {
        let (expected, new) = (stored(expected), stored(new));
        let setting = self.attributes.compare_and_set(lease_id(reader), expected, new);
        let swapped = timeout(self.timeout, setting).await;
        let swapped = swapped.map_err(|_| self.late("setting", Outcome::Unknown))??;
        Ok(swapped == Swap::Set)
    }

    fn parse(&self, value: AttributeValue) -> Result<LeaseValue, AttributeError> {
        LeaseValue::from_number(value.get()).ok_or_else(|| {
            let detail = "the lease of a reader has a form that this client does not know";
            self.failure(ErrorKind::Corrupt, Outcome::NotApplied, "reading", detail)
        })
    }

    fn late(&self, operation: &'static str, outcome: Outcome) -> AttributeError {
        self.failure(ErrorKind::Timeout, outcome, operation, "the server did not answer in time")
    }

    fn failure(
        &self,
        kind: ErrorKind,
        outcome: Outcome,
        operation: &'static str,
        detail: &str,
    ) -> AttributeError {
        let segment = self.attributes.segment();
        Failure::new(kind, outcome, detail)
            .with_operation(operation)
            .with_stream(&segment.scoped_stream())
            .with_segment(segment.id())
            .into()
    }
}

fn stored(lease: Option<LeaseValue>) -> Option<AttributeValue> {
    lease.and_then(|lease| lease.number().try_into().ok())
}

/// The id of the lease of a reader: one of version 8, so that it is none of the server's or of a
/// writer's.
fn lease_id(reader: &str) -> AttributeId {
    let mut shake = Shake128::default();
    shake.update(PURPOSE);
    shake.update(reader.as_bytes());
    let mut bytes = [0; 16];
    shake.finalize_xof().read(&mut bytes);
    AttributeId::new(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_id_of_a_lease_follows_from_the_name_and_does_not_change() {
        let id: Uuid = "80dbe860-d945-8693-b1ff-935be0c5e93c".parse().unwrap();
        assert_eq!(lease_id("reader-1").get(), id);
        assert_ne!(lease_id("reader-1"), lease_id("reader-2"));
        assert_eq!(lease_id("").get().get_version_num(), 8);
    }
}
