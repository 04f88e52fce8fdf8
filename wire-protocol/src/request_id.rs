//! Ids that match replies to requests.

use std::fmt;

/// Names one conversation on a shared connection. Counted from 1; 0 means a connection that is not
/// shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(pub i32);

/// Matches a reply to its request: the flow in the high 32 bits, a running number in the low ones.
///
/// The server returns it unchanged. Java's client finds the conversation by the high half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub i64);

/// Generates flow ids: 1 up to `i32::MAX`, then from 1 again.
#[derive(Debug, Clone)]
pub struct FlowIds {
    next: i32,
}

/// Generates the request ids of one flow.
#[derive(Debug, Clone)]
pub struct RequestIds {
    flow: FlowId,
    next: u32,
}

impl RequestId {
    /// The running number has 28 bits in Java's client.
    const SEQUENCE_MASK: u32 = 0x0FFF_FFFF;

    /// Creates an id; the low 28 bits of `sequence` count.
    #[must_use]
    pub fn new(flow: FlowId, sequence: u32) -> Self {
        Self((i64::from(flow.0) << 32) | i64::from(sequence & Self::SEQUENCE_MASK))
    }

    /// Returns the flow.
    #[must_use]
    pub fn flow(self) -> FlowId {
        FlowId((self.0 >> 32) as i32)
    }

    /// Returns true if the id was generated before `other`. Both are of the same flow and at most
    /// half of all numbers apart: running numbers start again after 2^28.
    #[must_use]
    pub fn is_before(self, other: Self) -> bool {
        let distance = (other.0 as u32).wrapping_sub(self.0 as u32) & Self::SEQUENCE_MASK;
        distance != 0 && distance <= Self::SEQUENCE_MASK / 2
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Default for FlowIds {
    fn default() -> Self {
        Self { next: 1 }
    }
}

impl FlowIds {
    /// Returns the next flow id.
    pub fn next_flow(&mut self) -> FlowId {
        let flow = FlowId(self.next);
        self.next = self.next.checked_add(1).unwrap_or(1);
        flow
    }
}

impl RequestIds {
    /// Creates a generator that starts with the first id of `flow`.
    #[must_use]
    pub fn new(flow: FlowId) -> Self {
        Self { flow, next: 0 }
    }

    /// Returns the next id. After 2^28 ids they start again.
    pub fn next_id(&mut self) -> RequestId {
        let id = RequestId::new(self.flow, self.next);
        self.next = self.next.wrapping_add(1);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_wrap_to_one_and_sequences_to_zero_after_28_bits() {
        let mut flows = FlowIds { next: i32::MAX };
        assert_eq!((flows.next_flow(), flows.next_flow()), (FlowId(i32::MAX), FlowId(1)));
        assert_eq!(RequestId::new(FlowId(3), 1 << 28), RequestId::new(FlowId(3), 0));
        assert_eq!(RequestId::new(FlowId(3), u32::MAX).flow(), FlowId(3));
    }
}
