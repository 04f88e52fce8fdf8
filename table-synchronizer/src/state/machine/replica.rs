//! This client's copy of the state, and the meaning of each entry for it.

use std::error::Error;

use pravega_sdk_types::Offset;

use crate::{revisioned::Revision, state::shared_state::SharedState};

/// The state and its revision, once an initial state is known.
///
/// An initial state replaces an older state. An update is applied if its revision, which counts the
/// updates of an entry, is newer than the state; so an entry of which this client has applied
/// everything changes nothing when it is read again.
#[derive(Debug)]
pub(crate) struct Replica<S> {
    held: Option<Held<S>>,
}

#[derive(Debug)]
struct Held<S> {
    state: S,
    revision: Revision,
    /// After the initial state with which the copy began.
    initial: Offset,
}

/// An update that does not fit the state.
#[derive(Debug)]
pub(crate) struct Inapplicable {
    /// Its number in its entry.
    pub(crate) index: u32,
    pub(crate) source: Box<dyn Error + Send + Sync>,
}

impl<S: SharedState> Replica<S> {
    /// Creates a copy without a state.
    pub(crate) fn new() -> Self {
        Self { held: None }
    }

    pub(crate) fn state(&self) -> Option<&S> {
        self.held.as_ref().map(|held| &held.state)
    }

    pub(crate) fn revision(&self) -> Option<&Revision> {
        self.held.as_ref().map(|held| &held.revision)
    }

    /// Returns the length of the entries since the initial state with which the copy began.
    pub(crate) fn bytes_since_initial(&self) -> u64 {
        let bytes = self.held.as_ref().map_or(0, |held| held.revision.offset().0 - held.initial.0);
        u64::try_from(bytes).unwrap_or(0)
    }

    /// Handles an initial state with the revision of its entry.
    pub(crate) fn adopt(&mut self, initial: S::Initial, revision: &Revision) {
        if self.held.as_ref().is_none_or(|held| held.revision < *revision) {
            let state = S::create(initial, revision);
            self.held =
                Some(Held { state, revision: revision.clone(), initial: revision.offset() });
        }
    }

    /// Handles the updates of an entry with its revision. Without a state they mean nothing.
    ///
    /// # Errors
    ///
    /// [`Inapplicable`] if an update does not fit the state. It is left out with those after it in
    /// the entry, and the state is after the entry.
    pub(crate) fn apply(
        &mut self,
        updates: Vec<S::Update>,
        entry: &Revision,
    ) -> Result<(), Inapplicable> {
        let Some(held) = &mut self.held else { return Ok(()) };
        let last = u32::try_from(updates.len()).unwrap_or(u32::MAX).saturating_sub(1);
        for (index, update) in (0..).zip(updates) {
            let revision = entry.with_index(index);
            if held.revision < revision {
                if let Err(source) = held.state.apply(update, &revision) {
                    held.revision = entry.with_index(last);
                    return Err(Inapplicable { index, source });
                }
                held.revision = revision;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// The updates that were applied, with the indexes of their revisions.
    #[derive(Debug, PartialEq)]
    struct Log(Vec<(u32, i64)>);

    impl SharedState for Log {
        type Initial = i64;
        type Update = i64;

        fn create(initial: i64, _: &Revision) -> Self {
            Self(vec![(0, initial)])
        }

        fn apply(
            &mut self,
            update: i64,
            revision: &Revision,
        ) -> Result<(), Box<dyn Error + Send + Sync>> {
            if update < 0 {
                return Err("negative".into());
            }
            self.0.push((revision.index(), update));
            Ok(())
        }
    }

    fn at(offset: i64) -> Revision {
        let segment = Arc::new("s/t/0.#epoch.0".parse().unwrap());
        Revision::new(&segment, Offset(offset), 0)
    }

    fn initialized() -> Replica<Log> {
        let mut replica = Replica::new();
        replica.adopt(7, &at(10));
        replica
    }

    #[test]
    fn updates_before_an_initial_state_mean_nothing() {
        let mut replica = Replica::<Log>::new();
        replica.apply(vec![1], &at(5)).unwrap();
        assert_eq!(replica.state(), None);
        replica.adopt(7, &at(10));
        assert_eq!(replica.state(), Some(&Log(vec![(0, 7)])));
        assert_eq!(replica.revision(), Some(&at(10)));
    }

    #[test]
    fn the_length_of_the_entries_begins_again_with_each_initial_state_that_is_adopted() {
        let mut replica = initialized();
        assert_eq!(replica.bytes_since_initial(), 0);
        replica.apply(vec![1, 2], &at(20)).unwrap();
        assert_eq!(replica.bytes_since_initial(), 10);
        replica.adopt(8, &at(15));
        assert_eq!(replica.bytes_since_initial(), 10, "it is older");
        replica.adopt(8, &at(30));
        replica.apply(vec![1], &at(33)).unwrap();
        assert_eq!(replica.bytes_since_initial(), 3);
    }

    #[test]
    fn an_entry_that_was_applied_changes_nothing_when_it_is_read_again() {
        let mut replica = initialized();
        for _ in 0..2 {
            replica.apply(vec![1, 2], &at(20)).unwrap();
            replica.adopt(8, &at(10));
            assert_eq!(replica.state(), Some(&Log(vec![(0, 7), (0, 1), (1, 2)])));
            assert_eq!(replica.revision(), Some(&at(20).with_index(1)));
        }
    }

    #[test]
    fn an_initial_state_replaces_an_older_state_only() {
        let mut replica = initialized();
        replica.adopt(8, &at(9));
        assert_eq!(replica.state(), Some(&Log(vec![(0, 7)])));
        replica.adopt(8, &at(11));
        assert_eq!(replica.state(), Some(&Log(vec![(0, 8)])));
    }

    #[test]
    fn an_update_that_does_not_fit_is_left_out_with_the_rest_of_its_entry() {
        let mut replica = initialized();
        let refused = replica.apply(vec![1, -1, 2], &at(20)).unwrap_err();
        assert_eq!(refused.index, 1);
        assert_eq!(replica.state(), Some(&Log(vec![(0, 7), (0, 1)])));
        // Read again, nothing of the entry is applied.
        replica.apply(vec![1, -1, 2], &at(20)).unwrap();
        replica.apply(vec![3], &at(30)).unwrap();
        assert_eq!(replica.state(), Some(&Log(vec![(0, 7), (0, 1), (0, 3)])));
    }
}
