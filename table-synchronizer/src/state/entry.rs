//! The layout of the entries of a state synchronizer.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use pravega_sdk_types::{ErrorKind, classify};

const INITIAL: i32 = 1;
const UPDATES: i32 = 2;
/// The length of the kind of an entry, and of the length of an update.
const INT: usize = 4;

/// What an entry of a state synchronizer holds.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use pravega_sdk_table_synchronizer::StateEntry;
///
/// let entry = StateEntry::updates([Bytes::from("+1"), Bytes::from("-2")])?;
/// let StateEntry::Updates(updates) = StateEntry::parse(entry)? else { unreachable!() };
/// assert_eq!(updates.collect::<Vec<_>>(), ["+1", "-2"]);
/// # Ok::<(), pravega_sdk_table_synchronizer::StateEntryError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateEntry {
    /// The bytes of an initial state. Of an entry that Java's client wrote, zero bytes follow it.
    Initial(Bytes),
    /// The bytes of updates.
    Updates(StateUpdates),
}

/// The bytes of the updates of an entry, in order.
#[derive(Clone, PartialEq, Eq)]
pub struct StateUpdates {
    /// Whole updates, each with its length before it.
    rest: Bytes,
}

/// Bytes that are not an entry of a state synchronizer, or updates that do not fit one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateEntryError {
    /// The entry is shorter than its kind.
    #[error("an entry of a state synchronizer has at least 4 bytes, this one has {0}")]
    Short(usize),
    /// No entry has this kind.
    #[error("an entry of a state synchronizer has kind 1 or 2, this one has {0}")]
    Kind(i32),
    /// An update is not within its entry.
    #[error("update {index} claims {claimed} bytes, and {left} are left in its entry")]
    Length {
        /// The number of the update in its entry, from 0 on.
        index: usize,
        /// The length that it claims.
        claimed: i64,
        /// The number of bytes that follow.
        left: usize,
    },
    /// An update is too long for its length to be written.
    #[error("an update has {0} bytes, which is too long for an entry")]
    TooLong(usize),
}

classify!(StateEntryError, |error| match error {
    StateEntryError::TooLong(_) => ErrorKind::InvalidArgument,
    StateEntryError::Short(_) | StateEntryError::Kind(_) | StateEntryError::Length { .. } => {
        ErrorKind::Corrupt
    }
});

impl StateEntry {
    /// Takes an entry apart. All lengths are checked; nothing is copied.
    ///
    /// # Errors
    ///
    /// [`StateEntryError`] if the bytes are not an entry.
    pub fn parse(mut entry: Bytes) -> Result<Self, StateEntryError> {
        let len = entry.len();
        let kind = entry.try_get_i32().map_err(|_| StateEntryError::Short(len))?;
        match kind {
            INITIAL => Ok(Self::Initial(entry)),
            UPDATES => StateUpdates::checked(entry).map(Self::Updates),
            other => Err(StateEntryError::Kind(other)),
        }
    }

    /// Returns the entry of an initial state.
    #[must_use]
    pub fn initial(initial: &[u8]) -> Bytes {
        let mut entry = BytesMut::with_capacity(INT + initial.len());
        entry.put_i32(INITIAL);
        entry.put_slice(initial);
        entry.freeze()
    }

    /// Returns the entry of some updates.
    ///
    /// # Errors
    ///
    /// [`StateEntryError::TooLong`] if an update is longer than 2 GiB.
    pub fn updates(updates: impl IntoIterator<Item = Bytes>) -> Result<Bytes, StateEntryError> {
        let mut entry = BytesMut::new();
        entry.put_i32(UPDATES);
        for update in updates {
            let len = update.len();
            entry.put_i32(i32::try_from(len).map_err(|_| StateEntryError::TooLong(len))?);
            entry.put_slice(&update);
        }
        Ok(entry.freeze())
    }
}

impl StateUpdates {
    /// Checks that the bytes are whole updates.
    fn checked(rest: Bytes) -> Result<Self, StateEntryError> {
        let mut unchecked: &[u8] = &rest;
        let mut index = 0;
        while !unchecked.is_empty() {
            let left = unchecked.len();
            let Ok(claimed) = unchecked.try_get_i32() else {
                return Err(StateEntryError::Length { index, claimed: INT as i64, left });
            };
            let left = unchecked.len();
            let len = usize::try_from(claimed).ok().filter(|len| *len <= left);
            let Some(after) = len.and_then(|len| unchecked.get(len..)) else {
                let claimed = i64::from(claimed);
                return Err(StateEntryError::Length { index, claimed, left });
            };
            unchecked = after;
            index += 1;
        }
        Ok(Self { rest })
    }
}

impl Iterator for StateUpdates {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let len = self.rest.try_get_i32().ok().and_then(|len| usize::try_from(len).ok())?;
        (len <= self.rest.len()).then(|| self.rest.split_to(len))
    }
}

impl std::fmt::Debug for StateUpdates {
    /// Shows the length of all, which may be personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StateUpdates({} bytes)", self.rest.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_the_bytes_of_javas_client() {
        assert_eq!(StateEntry::initial(b"state")[..], *b"\0\0\0\x01state");
        let updates = StateEntry::updates(["a", "", "bcd"].map(Bytes::from)).unwrap();
        assert_eq!(updates[..], *b"\0\0\0\x02\0\0\0\x01a\0\0\0\0\0\0\0\x03bcd");
    }

    #[test]
    fn an_entry_is_taken_apart_into_slices_of_it() {
        let StateEntry::Initial(initial) = StateEntry::parse(StateEntry::initial(b"x")).unwrap()
        else {
            panic!("not an initial state");
        };
        assert_eq!(initial, "x");
        for updates in [vec![], vec![""], vec!["a", "", "bcd"]] {
            let entry = StateEntry::updates(updates.iter().copied().map(Bytes::from)).unwrap();
            let StateEntry::Updates(found) = StateEntry::parse(entry).unwrap() else {
                panic!("not updates");
            };
            assert_eq!(found.collect::<Vec<_>>(), updates);
        }
    }

    #[test]
    fn every_cut_and_every_false_length_is_refused_with_the_number_of_the_update() {
        let entry = StateEntry::updates(["ab", "cde"].map(Bytes::from)).unwrap();
        for len in 0..entry.len() {
            let parsed = StateEntry::parse(entry.slice(..len));
            // Only between two updates is a shorter entry whole.
            assert_eq!(parsed.is_ok(), len == 4 || len == 10, "{len} bytes: {parsed:?}");
        }
        for (claimed, at) in [(-1, 0), (i32::MIN, 0), (i32::MAX, 1), (4, 1)] {
            let mut entry = BytesMut::from(&entry[..]);
            let place = 4 + 6 * at;
            entry[place..place + 4].copy_from_slice(&i32::to_be_bytes(claimed));
            let error = StateEntry::parse(entry.freeze()).unwrap_err();
            let StateEntryError::Length { index, claimed: found, .. } = error else {
                panic!("{error}");
            };
            assert_eq!((index, found), (at, i64::from(claimed)));
        }
        for kind in [0, 3, -1, i32::MAX] {
            let entry = Bytes::copy_from_slice(&i32::to_be_bytes(kind));
            assert_eq!(StateEntry::parse(entry).unwrap_err(), StateEntryError::Kind(kind));
        }
        assert_eq!(StateEntry::parse(Bytes::new()).unwrap_err(), StateEntryError::Short(0));
    }
}
