//! The entry of the checkpoints: their names, and which sets have what belongs to each.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pravega_sdk_types::serial::{SerialError, SerialReader, SerialWriter};

use super::{
    super::{
        checkpoints::{CheckpointState, Positions},
        serial::parts::{VERSIONS, read_bool, read_text, write_all, write_bool},
    },
    key::SetNumber,
};

type Read<T> = Result<T, SerialError>;

/// The names of checkpoints, and their sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names {
    order: Vec<Arc<str>>,
    /// The sets of checkpoints with positions, or that wait for readers.
    pub(super) sets: BTreeMap<Arc<str>, NamedSet>,
    /// That of the positions of the last checkpoint.
    pub(super) last: Option<SetNumber>,
    /// The highest number that a set has had.
    highest: SetNumber,
    is_last_published: bool,
}

/// The set of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NamedSet {
    pub(super) number: SetNumber,
    pub(super) is_waiting: bool,
    pub(super) has_positions: bool,
}

/// What belongs to each set.
#[derive(Debug, Default)]
pub(super) struct SetContents {
    pub(super) positions: BTreeMap<SetNumber, Arc<Positions>>,
    pub(super) waiting: BTreeMap<SetNumber, BTreeSet<Arc<str>>>,
}

impl Names {
    /// Returns true if a set is one of these.
    pub(super) fn has(&self, set: SetNumber) -> bool {
        self.last == Some(set) || self.sets.values().any(|known| known.number == set)
    }

    /// Returns the numbers of all sets.
    pub(super) fn numbers(&self) -> impl Iterator<Item = SetNumber> + '_ {
        self.sets.values().map(|set| set.number).chain(self.last)
    }

    /// Returns true if a set may be one of those that were numbered before these.
    pub(super) fn may_have_had(&self, set: SetNumber) -> bool {
        set <= self.highest
    }

    /// Returns true if there is a set of which others have more than these.
    pub(super) fn hides_part_of(&self, others: &Self) -> bool {
        let own = self.parts();
        others.parts().into_iter().any(|(number, (is_waiting, has_positions))| {
            own.get(&number).is_some_and(|own| is_waiting && !own.0 || has_positions && !own.1)
        })
    }

    /// Returns, for each set, if readers and if positions of it are known.
    fn parts(&self) -> BTreeMap<SetNumber, (bool, bool)> {
        let sets = self.sets.values();
        let mut parts: BTreeMap<_, _> =
            sets.map(|set| (set.number, (set.is_waiting, set.has_positions))).collect();
        if let Some(last) = self.last {
            parts.entry(last).or_default().1 = true;
        }
        parts
    }

    fn new_number(&mut self) -> Read<SetNumber> {
        let value = i64::MAX;
        let number = self.highest.checked_add(1).filter(|number| i64::try_from(*number).is_ok());
        self.highest = number.ok_or(SerialError::OutOfRange { what: "number of a set", value })?;
        Ok(self.highest)
    }

    /// Returns the names and sets of other checkpoints. One that is left has the number that it
    /// had.
    pub(super) fn renewed(&self, checkpoints: &CheckpointState) -> Read<Self> {
        let mut new = Self {
            order: checkpoints.order.clone(),
            highest: self.highest,
            is_last_published: checkpoints.is_last_published,
            ..Self::default()
        };
        for name in checkpoints.positions.keys().chain(checkpoints.waiting.keys()) {
            if new.sets.contains_key(name) {
                continue;
            }
            let number = match self.sets.get(name) {
                Some(set) => set.number,
                None => new.new_number()?,
            };
            let is_waiting = checkpoints.waiting.contains_key(name);
            let has_positions = checkpoints.positions.contains_key(name);
            new.sets.insert(name.clone(), NamedSet { number, is_waiting, has_positions });
        }
        if let Some(last) = &checkpoints.last {
            let is_last = |(name, _): &(&Arc<str>, &NamedSet)| {
                let positions = checkpoints.positions.get(*name);
                positions.is_some_and(|known| Arc::ptr_eq(known, last) || known == last)
            };
            let is_free = |number: &SetNumber| new.sets.values().all(|set| set.number != *number);
            let shared = new.sets.iter().find(is_last).map(|(_, set)| set.number);
            let number = shared.or_else(|| self.last.filter(is_free));
            new.last = Some(number.map_or_else(|| new.new_number(), Ok)?);
        }
        Ok(new)
    }

    pub(super) fn to_bytes(&self) -> Read<Vec<u8>> {
        let mut to = SerialWriter::new();
        write_all(&mut to, self.order.len(), &self.order, |to, name| to.utf(name))?;
        write_all(&mut to, self.sets.len(), &self.sets, |to, (name, set)| {
            to.utf(name)?;
            write_set(to, set.number)?;
            write_bool(to, set.is_waiting);
            write_bool(to, set.has_positions);
            Ok(())
        })?;
        write_bool(&mut to, self.last.is_some());
        self.last.into_iter().try_for_each(|last| write_set(&mut to, last))?;
        write_set(&mut to, self.highest)?;
        write_bool(&mut to, self.is_last_published);
        let mut writer = SerialWriter::new();
        writer.versioned(0, &[to])?;
        Ok(writer.finish())
    }

    /// Reads the bytes of the entry. No two checkpoints have the same set, so the positions of all
    /// of them take no more memory than the entries do.
    pub(super) fn from_bytes(bytes: &[u8]) -> Read<Self> {
        let revisions = SerialReader::new(bytes).versioned(VERSIONS)?;
        let mut from = revisions.require(0)?;
        let order = from.collection(read_text)?;
        let mut numbers = BTreeSet::new();
        let sets = from.collection(|from| {
            let (name, number) = (read_text(from)?, read_set(from)?);
            let set =
                NamedSet { number, is_waiting: read_bool(from)?, has_positions: read_bool(from)? };
            let is_new = numbers.insert(number);
            is_new.then_some((name, set)).ok_or(SerialError::Invalid { what: "number of a set" })
        })?;
        let last = read_bool(&mut from)?.then(|| read_set(&mut from)).transpose()?;
        let highest = read_set(&mut from)?;
        let is_last_published = read_bool(&mut from)?;
        let names =
            Self { order, sets: sets.into_iter().collect(), last, highest, is_last_published };
        if names.numbers().any(|number| number > highest) {
            return Err(SerialError::Invalid { what: "highest number of a set" });
        }
        Ok(names)
    }

    /// Takes checkpoints apart that have these names.
    pub(super) fn contents(&self, checkpoints: CheckpointState) -> SetContents {
        let CheckpointState { mut positions, mut waiting, last, .. } = checkpoints;
        let mut contents = SetContents::default();
        for (name, set) in &self.sets {
            if let Some(known) = positions.remove(name) {
                contents.positions.insert(set.number, known);
            }
            if let Some(readers) = waiting.remove(name) {
                contents.waiting.insert(set.number, readers);
            }
        }
        if let (Some(number), Some(last)) = (self.last, last) {
            contents.positions.entry(number).or_insert(last);
        }
        contents
    }

    /// Puts checkpoints with these names together.
    pub(super) fn checkpoints(&self, mut contents: SetContents) -> CheckpointState {
        let (mut waiting, mut positions) = (BTreeMap::new(), BTreeMap::new());
        let of = |number: SetNumber, contents: &SetContents| {
            contents.positions.get(&number).cloned().unwrap_or_default()
        };
        for (name, set) in &self.sets {
            if set.has_positions {
                positions.insert(name.clone(), of(set.number, &contents));
            }
            if set.is_waiting {
                let readers = contents.waiting.remove(&set.number).unwrap_or_default();
                waiting.insert(name.clone(), readers);
            }
        }
        let last = self.last.map(|number| of(number, &contents));
        let order = self.order.clone();
        CheckpointState::new(order, waiting, positions, last, self.is_last_published)
    }
}

fn read_set(from: &mut SerialReader<'_>) -> Read<SetNumber> {
    u64::try_from(from.i64()?).map_err(|_| SerialError::Invalid { what: "number of a set" })
}

fn write_set(to: &mut SerialWriter, set: SetNumber) -> Read<()> {
    let what = "number of a set";
    let set = i64::try_from(set).map_err(|_| SerialError::OutOfRange { what, value: i64::MAX })?;
    to.i64(set);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(sets: &[(&str, SetNumber)], highest: SetNumber) -> Names {
        let set = |number| NamedSet { number, is_waiting: true, has_positions: true };
        Names {
            order: sets.iter().map(|(name, _)| Arc::from(*name)).collect(),
            sets: sets.iter().map(|(name, number)| (Arc::from(*name), set(*number))).collect(),
            last: None,
            highest,
            is_last_published: false,
        }
    }

    #[test]
    fn names_are_read_as_they_were_written_and_sets_that_two_have_or_that_come_again_are_refused() {
        let names = named(&[("x", 3), ("a/b \u{1F600}\0", 1)], 4);
        let bytes = names.to_bytes().unwrap();
        assert_eq!(Names::from_bytes(&bytes).unwrap(), names);
        for len in 0..bytes.len() {
            assert!(Names::from_bytes(&bytes[..len]).is_err(), "{len}");
        }
        for refused in [named(&[("x", 3), ("y", 3)], 4), named(&[("x", 3)], 2)] {
            let bytes = refused.to_bytes().unwrap();
            assert!(matches!(Names::from_bytes(&bytes), Err(SerialError::Invalid { .. })));
        }
    }

    #[test]
    fn sets_that_have_had_all_numbers_are_an_error_and_no_number_is_used_again() {
        let last = u64::try_from(i64::MAX).unwrap();
        let names = named(&[("x", 3)], last);
        let mut checkpoints = CheckpointState::default();
        checkpoints.begin("x".into(), BTreeSet::new(), Positions::new()).unwrap();
        assert_eq!(names.renewed(&checkpoints).unwrap().sets["x"].number, 3);
        checkpoints.begin("y".into(), BTreeSet::new(), Positions::new()).unwrap();
        assert!(matches!(names.renewed(&checkpoints), Err(SerialError::OutOfRange { .. })));
    }
}
