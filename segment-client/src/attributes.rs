//! Attributes of a segment: numbers by ids, which many clients change by comparing and setting.

use std::fmt;

use pravega_sdk_types::{
    ErrorKind, Failure, Outcome, ScopedSegment, Wording, WriterId, classify, error_type,
};
use pravega_sdk_wire_protocol::commands::{GetSegmentAttribute, UpdateSegmentAttribute};
use uuid::Uuid;

use crate::{
    context::SegmentContext,
    request::{AskError, Repeats, Terms},
};

/// What the protocol has for an attribute that does not exist.
const ABSENT: i64 = i64::MIN;

/// The id of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeId(Uuid);

impl AttributeId {
    /// The time at which the segment was created, in milliseconds since 1970. The server sets it.
    pub const CREATION_TIME: Self = Self::of_server(0);
    /// The number of events that were appended to the segment. The server adds to it.
    pub const EVENT_COUNT: Self = Self::of_server(1);

    const fn of_server(number: u64) -> Self {
        Self(Uuid::from_u64_pair(0x8000_0000_0000_0000, number))
    }

    /// Creates the id of an attribute of a program's own. Choose a random one.
    #[must_use]
    pub const fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// Returns the id under which the server keeps the number of the last event of a writer.
    #[must_use]
    pub fn of_writer(writer: WriterId) -> Self {
        Self(writer.0)
    }

    /// Returns the id.
    #[must_use]
    pub const fn get(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for AttributeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The value of an attribute: any `i64` but the lowest, which means that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeValue(i64);

/// The lowest `i64`, which is no value of an attribute.
#[derive(Debug, thiserror::Error)]
#[error("an attribute cannot have the lowest number, as it means that there is no value")]
pub struct AttributeValueError;

classify!(AttributeValueError, |_| ErrorKind::InvalidArgument);

impl AttributeValue {
    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    fn of_wire(value: i64) -> Option<Self> {
        (value != ABSENT).then_some(Self(value))
    }
}

impl TryFrom<i64> for AttributeValue {
    type Error = AttributeValueError;

    fn try_from(value: i64) -> Result<Self, AttributeValueError> {
        Self::of_wire(value).ok_or(AttributeValueError)
    }
}

impl From<u32> for AttributeValue {
    fn from(value: u32) -> Self {
        Self(value.into())
    }
}

impl From<i32> for AttributeValue {
    fn from(value: i32) -> Self {
        Self(value.into())
    }
}

impl fmt::Display for AttributeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The result of comparing and setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the attribute may have had another value"]
pub enum Swap {
    /// The attribute had the expected value, and has the new one.
    Set,
    /// The attribute had another value, and still has it.
    Different,
}

error_type! {
    /// A failed call about an attribute, or one whose effect is unknown.
    ///
    /// | kind | meaning |
    /// |---|---|
    /// | [`NotFound`](ErrorKind::NotFound) | there is no such segment |
    /// | [`Sealed`](ErrorKind::Sealed) | the segment is sealed, so its attributes cannot change |
    ///
    /// Any other kind is that of the request which failed. A change whose reply was lost has the
    /// outcome [`Unknown`](Outcome::Unknown).
    pub struct AttributeError {}
    wording: Wording::new("using an attribute")
        .with_effects("the attribute was set", "it is not known whether the attribute was set");
    accessors: stream, segment, endpoint, hint;
}

impl AttributeError {
    fn from_ask(error: AskError, segment: &ScopedSegment, operation: &'static str) -> Self {
        let detail = match error.kind() {
            ErrorKind::NotFound => "there is no such segment",
            ErrorKind::Sealed => "the segment is sealed",
            _ => "the request failed",
        };
        let endpoint = match &error {
            AskError::Store(error) => error.endpoint().cloned(),
            AskError::Controller(_) | AskError::WrongBytes => None,
        };
        let failure = Failure::new(error.kind(), error.outcome(), detail)
            .with_operation(operation)
            .with_stream(&segment.scoped_stream())
            .with_segment(segment.id())
            .with_endpoint(endpoint);
        match error {
            AskError::Controller(error) => failure.with_source(error),
            other => failure.with_source(other),
        }
        .into()
    }
}

/// The attributes of one segment.
///
/// A segment has a few numbers beside its bytes, by ids that programs choose. Many clients can use
/// one as a mark, a generation or a lock: [`compare_and_set`](Self::compare_and_set) changes it
/// only if it has the value that was read before. Attributes live as long as their segment: a
/// stream that scales has new segments without them.
///
/// Clones are cheap. Each request finds the segment's store again if the segment has moved.
///
/// # Examples
///
/// ```no_run
/// use pravega_sdk_segment_client::{
///     attributes::{AttributeId, SegmentAttributes, Swap},
///     context::SegmentContext,
/// };
/// use pravega_sdk_types::ScopedSegment;
/// use uuid::Uuid;
///
/// # async fn example(context: SegmentContext) -> Result<(), Box<dyn std::error::Error>> {
/// let segment = ScopedSegment::new(&"shop/orders".parse()?, 0.into());
/// let attributes = SegmentAttributes::new(context, segment);
/// let generation = AttributeId::new(Uuid::from_u128(0x8d1c_4a76_23b0_4f5e_9c0d_6a2f_b1e3_7742));
/// let before = attributes.value(generation).await?;
/// let next = before.map_or(0, |value| value.get()) + 1;
/// match attributes.compare_and_set(generation, before, Some(next.try_into()?)).await? {
///     Swap::Set => println!("this is generation {next}"),
///     Swap::Different => println!("another program was faster"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SegmentAttributes {
    context: SegmentContext,
    segment: ScopedSegment,
}

impl SegmentAttributes {
    /// Creates a handle of the attributes of a segment. Nothing is sent.
    #[must_use]
    pub fn new(context: SegmentContext, segment: ScopedSegment) -> Self {
        Self { context, segment }
    }

    /// Returns the segment.
    #[must_use]
    pub fn segment(&self) -> &ScopedSegment {
        &self.segment
    }

    /// Returns the value of an attribute; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`AttributeError`] if there is no such segment, or a server does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn value(&self, id: AttributeId) -> Result<Option<AttributeValue>, AttributeError> {
        let asked = self.context.ask(&self.segment, |token| GetSegmentAttribute {
            request_id: 0,
            segment_name: self.segment.to_string().into(),
            attribute_id: id.get(),
            delegation_token: token.into(),
        });
        let reply = asked.await.map_err(|error| {
            let failed = self.failed(error, "reading an attribute");
            failed.map(|failure| failure.with_outcome(Outcome::NotApplied))
        })?;
        Ok(AttributeValue::of_wire(reply.value))
    }

    /// Sets an attribute if it has the expected value. `None` is that of an attribute that does not
    /// exist, so that setting it removes the attribute.
    ///
    /// A change whose reply was lost may have been made, and is not sent again: the attribute may
    /// have the expected value once more, set by another client. If a value is never set twice,
    /// [`value`](Self::value) shows what happened.
    ///
    /// # Errors
    ///
    /// [`AttributeError`] if there is no such segment, it is sealed, or a server does not answer.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the attribute may or may not be set.
    pub async fn compare_and_set(
        &self,
        id: AttributeId,
        expected: Option<AttributeValue>,
        new: Option<AttributeValue>,
    ) -> Result<Swap, AttributeError> {
        let wire = |value: Option<AttributeValue>| value.map_or(ABSENT, AttributeValue::get);
        let terms = Terms::of_change(&self.segment).with_repeats(Repeats::UntilInDoubt);
        let asked = self.context.ask_on(&self.segment, &terms, |token| UpdateSegmentAttribute {
            request_id: 0,
            segment_name: self.segment.to_string().into(),
            attribute_id: id.get(),
            new_value: wire(new),
            expected_value: wire(expected),
            delegation_token: token.into(),
        });
        let reply = asked.await.map_err(|error| self.failed(error, "setting an attribute"))?;
        Ok(if reply.success { Swap::Set } else { Swap::Different })
    }

    fn failed(&self, error: AskError, operation: &'static str) -> AttributeError {
        AttributeError::from_ask(error, &self.segment, operation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_number_is_no_value() {
        assert!(AttributeValue::try_from(i64::MIN).is_err());
        for number in [i64::MIN + 1, -1, 0, i64::MAX] {
            assert_eq!(AttributeValue::try_from(number).unwrap().get(), number);
        }
    }

    #[test]
    fn the_ids_of_the_server_are_those_of_the_protocol() {
        let event_count = "80000000-0000-0000-0000-000000000001";
        assert_eq!(AttributeId::EVENT_COUNT.to_string(), event_count);
    }
}
