//! The choice of what happens when a segment store has no space.

/// What a writer does with events for which the segment store has no space: the embedded server
/// above its memory limit.
///
/// Either way the store keeps none of them, nor any that were sent after them, until the writer
/// sends them again.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// They fail with the next reply of the store, and with them all events in hand for the same
    /// segment. The kind is [`OutOfSpace`](pravega_sdk_types::ErrorKind::OutOfSpace), and
    /// they are not stored, or the outcome is unknown if they were in flight when an earlier
    /// connection ended. Later events are tried again.
    Fail,
    /// They are sent again until there is space, in order, after the waits of the back-off. Their
    /// delivery timeout bounds that; then they fail with the same kind.
    Wait,
}
