//! Newtypes for numbers and ids.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use crate::{ErrorKind, classify};

macro_rules! number_type {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub $inner);

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }

        impl From<$name> for $inner {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_type! {
    /// A generation of a stream's segment set; every scale makes a new one.
    Epoch(i32)
}

number_type! {
    /// The index of a segment within its stream. Unique only together with its [`Epoch`].
    SegmentNumber(i32)
}

number_type! {
    /// A byte position in a segment, counted from the segment's first byte.
    Offset(i64)
}

number_type! {
    /// A segment container of a Pravega cluster: the unit in which segments move between segment
    /// stores.
    ContainerId(i32)
}

number_type! {
    /// The rising number by which a segment store recognizes an append that it has already stored.
    EventNumber(i64)
}

impl EventNumber {
    /// The number that a segment store sends for an unknown writer (`i64::MIN`).
    pub const NONE: Self = Self(i64::MIN);
}

/// Identifies a writer to a segment store, which remembers the last [`EventNumber`] of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WriterId(pub Uuid);

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Uuid> for WriterId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

/// Identifies a transaction; its text form is that of a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionId(pub Uuid);

/// A text that is not a [`TransactionId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct TransactionIdError(#[from] uuid::Error);

classify!(TransactionIdError, |_| ErrorKind::InvalidArgument);

impl TransactionId {
    /// Returns the epoch in which the transaction began, which is needed to find its segments.
    ///
    /// The controller keeps it in the upper 32 bits of the id.
    #[must_use]
    pub fn epoch(self) -> Epoch {
        let (high, _) = self.0.as_u64_pair();
        Epoch((high >> 32) as u32 as i32)
    }

    /// Returns the two signed halves, as the controller sends them.
    #[must_use]
    pub fn to_halves(self) -> (i64, i64) {
        let (high, low) = self.0.as_u64_pair();
        (high as i64, low as i64)
    }

    /// Creates an id from the two signed halves that the controller sends.
    #[must_use]
    pub fn from_halves(high: i64, low: i64) -> Self {
        Self(Uuid::from_u64_pair(high as u64, low as u64))
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TransactionId {
    type Err = TransactionIdError;

    fn from_str(text: &str) -> Result<Self, TransactionIdError> {
        Ok(Self(text.parse()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_id_carries_its_epoch_in_the_upper_32_bits() {
        let id = TransactionId::from_halves(30_076_030_447, -2);
        assert_eq!(id.epoch(), Epoch(7));
        assert_eq!(id.to_halves(), (30_076_030_447, -2));
    }
}
