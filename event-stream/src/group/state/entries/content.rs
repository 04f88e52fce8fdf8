//! What a state consists of: its lists, and what is in no list.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pravega_sdk_types::{
    KeyRange, ScopedSegment, SegmentOffset,
    serial::{SerialError, SerialReader, SerialWriter},
};

use super::{
    super::{
        checkpoints::{CheckpointState, Positions},
        configuration::StoredConfiguration,
        group_state::{FutureSegment, FutureSegments, ReaderGroupState},
        segment_offsets::{GroupSegment, SegmentOffsets},
        serial::parts::{
            VERSIONS, read_bool, read_ids, read_offset, read_range, read_text, write_all,
            write_bool, write_ids, write_offset, write_range,
        },
    },
    key::{List, SetNumber},
    page::{Item, ItemKey},
};

type Read<T> = Result<T, SerialError>;

/// The numbers of the sets of checkpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sets {
    /// Those of checkpoints with positions, or that wait for readers.
    pub(super) of: BTreeMap<Arc<str>, SetNumber>,
    /// That of the positions of the last checkpoint.
    pub(super) last: Option<SetNumber>,
    next: SetNumber,
}

impl Sets {
    /// Returns true if a set is one of these.
    pub(super) fn has(&self, set: SetNumber) -> bool {
        self.last == Some(set) || self.of.values().any(|known| *known == set)
    }

    fn new_number(&mut self) -> SetNumber {
        self.next += 1;
        self.next
    }

    /// Returns the sets of other checkpoints. One that is left has the number that it had.
    fn renewed(&self, checkpoints: &CheckpointState) -> Self {
        let mut new = Self { of: BTreeMap::new(), last: None, next: self.next };
        for name in checkpoints.positions.keys().chain(checkpoints.waiting.keys()) {
            let number = self.of.get(name).copied().unwrap_or_else(|| new.new_number());
            new.of.insert(name.clone(), number);
        }
        new.last = checkpoints.last.as_ref().map(|last| {
            let is_last = |(name, _): &(&Arc<str>, &SetNumber)| {
                checkpoints.positions.get(*name) == Some(last)
            };
            if let Some((_, number)) = new.of.iter().find(is_last) {
                return *number;
            }
            let is_free = |number: &SetNumber| !new.of.values().any(|used| used == number);
            self.last.filter(is_free).unwrap_or_else(|| new.new_number())
        });
        new
    }
}

/// A state, as it is stored.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) configuration: Vec<u8>,
    /// The names of checkpoints, and their sets.
    pub(super) checkpoints: Vec<u8>,
    pub(super) sets: Sets,
    pub(super) lags: BTreeMap<Arc<str>, i64>,
    pub(super) lists: BTreeMap<List, Vec<Item>>,
    pub(super) is_updating_configuration: bool,
}

impl Content {
    /// Takes a state apart.
    pub(super) fn of(state: &ReaderGroupState, sets: &Sets) -> Read<Self> {
        let sets = sets.renewed(&state.checkpoints);
        let mut content = Self {
            configuration: state.configuration.to_bytes()?,
            checkpoints: checkpoints_to_bytes(&state.checkpoints, &sets)?,
            lags: state.lags.clone(),
            is_updating_configuration: state.is_updating_configuration,
            ..Self::default()
        };
        let mut beside = BTreeSet::new();
        for (reader, segments) in &state.assigned {
            let items = assigned(segments, &state.last_read, &mut beside);
            content.lists.insert(List::Assigned(reader.clone()), items);
        }
        let unassigned = assigned(&state.unassigned, &state.last_read, &mut beside);
        content.add(List::Unassigned, unassigned);
        let others = state.last_read.iter().filter(|(segment, ..)| !beside.contains(*segment));
        let others = others.map(|(segment, range, read)| place_item(segment, range, read, None));
        content.add(List::OtherRead, others.collect());
        content.add(List::Future, state.future.entries.iter().map(future).collect::<Read<_>>()?);
        let ends = state.ends.iter().map(|(segment, end)| offset_item(segment, *end));
        content.add(List::Ends, ends.collect());
        content.add_sets(&state.checkpoints, &sets);
        content.sets = sets;
        Ok(content)
    }

    fn add(&mut self, list: List, items: Vec<Item>) {
        if !items.is_empty() {
            self.lists.insert(list, items);
        }
    }

    fn add_sets(&mut self, checkpoints: &CheckpointState, sets: &Sets) {
        for (name, set) in &sets.of {
            if let Some(positions) = checkpoints.positions.get(name) {
                self.add(List::Positions(*set), position_items(positions));
            }
            if let Some(readers) = checkpoints.waiting.get(name) {
                let item = |reader: &Arc<str>| Item {
                    key: ItemKey::Name(reader.clone()),
                    body: Vec::new(),
                };
                self.add(List::Waiting(*set), readers.iter().map(item).collect());
            }
        }
        if let (Some(set), Some(last)) = (sets.last, &checkpoints.last) {
            self.add(List::Positions(set), position_items(last));
        }
    }

    /// Puts a state together.
    pub(super) fn into_state(mut self) -> Read<(ReaderGroupState, Sets)> {
        let (checkpoints, sets) = self.read_checkpoints()?;
        let mut last_read = SegmentOffsets::default();
        let mut assigned = BTreeMap::new();
        let mut unassigned = SegmentOffsets::default();
        let mut future = FutureSegments::default();
        let mut ends = BTreeMap::new();
        for (list, items) in self.lists {
            match list {
                List::Ends => ends.extend(offsets_of(&items)?),
                List::Future => {
                    for item in &items {
                        let mut from = SerialReader::new(&item.body);
                        let range = read_range(&mut from)?;
                        let segment = GroupSegment { segment: segment_of(item)?, range };
                        future.add(segment, read_ids(&mut from)?.into_iter().collect());
                    }
                }
                List::Assigned(reader) => {
                    assigned.insert(reader, segments_of(&items, &mut last_read)?);
                }
                List::Unassigned => unassigned = segments_of(&items, &mut last_read)?,
                List::OtherRead => {
                    for (segment, offset) in segments_and_ranges(&items)? {
                        last_read.insert(segment, offset);
                    }
                }
                // Of sets, which the checkpoints have taken.
                List::Positions(_) | List::Waiting(_) => {}
            }
        }
        let state = ReaderGroupState {
            configuration: StoredConfiguration::from_bytes(&self.configuration)?,
            checkpoints,
            lags: self.lags,
            future,
            assigned,
            unassigned,
            last_read,
            ends,
            is_updating_configuration: self.is_updating_configuration,
        };
        Ok((state, sets))
    }

    fn read_checkpoints(&mut self) -> Read<(CheckpointState, Sets)> {
        let revisions = SerialReader::new(&self.checkpoints).versioned(VERSIONS)?;
        let mut from = revisions.require(0)?;
        let order = from.collection(read_text)?;
        let (mut sets, mut waiting, mut positions) =
            (Sets::default(), BTreeMap::new(), BTreeMap::new());
        let count = from.compact_int()?;
        for _ in 0..count {
            let (name, set) = (read_text(&mut from)?, read_set(&mut from)?);
            let (is_waiting, has_positions) = (read_bool(&mut from)?, read_bool(&mut from)?);
            if is_waiting {
                let readers = self.lists.get(&List::Waiting(set)).into_iter().flatten();
                let names: Read<BTreeSet<_>> = readers.map(name_of).collect();
                waiting.insert(name.clone(), names?);
            }
            if has_positions {
                positions.insert(name.clone(), self.positions(set)?);
            }
            sets.of.insert(name, set);
        }
        sets.last = read_bool(&mut from)?.then(|| read_set(&mut from)).transpose()?;
        sets.next = read_set(&mut from)?;
        let is_published = read_bool(&mut from)?;
        let last = sets.last.map(|set| self.positions(set)).transpose()?;
        Ok((CheckpointState::new(order, waiting, positions, last, is_published), sets))
    }

    fn positions(&self, set: SetNumber) -> Read<Positions> {
        let items = self.lists.get(&List::Positions(set));
        Ok(offsets_of(items.map_or(&[][..], Vec::as_slice))?.into_iter().collect())
    }
}

fn checkpoints_to_bytes(checkpoints: &CheckpointState, sets: &Sets) -> Read<Vec<u8>> {
    let mut to = SerialWriter::new();
    let order = &checkpoints.order;
    write_all(&mut to, order.len(), order, |to, name| to.utf(name))?;
    write_all(&mut to, sets.of.len(), &sets.of, |to, (name, set)| {
        to.utf(name)?;
        write_set(to, *set);
        write_bool(to, checkpoints.waiting.contains_key(name));
        write_bool(to, checkpoints.positions.contains_key(name));
        Ok(())
    })?;
    write_bool(&mut to, sets.last.is_some());
    sets.last.into_iter().for_each(|last| write_set(&mut to, last));
    write_set(&mut to, sets.next);
    write_bool(&mut to, checkpoints.is_last_published);
    let mut writer = SerialWriter::new();
    writer.versioned(0, &[to])?;
    Ok(writer.finish())
}

fn read_set(from: &mut SerialReader<'_>) -> Read<SetNumber> {
    u64::try_from(from.i64()?).map_err(|_| SerialError::Invalid { what: "number of a set" })
}

fn write_set(to: &mut SerialWriter, set: SetNumber) {
    to.i64(i64::try_from(set).unwrap_or(i64::MAX));
}

/// The segments of a holder, each with how far it was read unless another holder has that.
fn assigned(
    segments: &SegmentOffsets,
    last_read: &SegmentOffsets,
    beside: &mut BTreeSet<ScopedSegment>,
) -> Vec<Item> {
    let item = |(segment, range, offset): (&ScopedSegment, Option<KeyRange>, SegmentOffset)| {
        let read = last_read.ranged(segment).filter(|(of_read, _)| *of_read == range);
        let read = read.filter(|_| beside.insert(segment.clone())).map(|(_, read)| read);
        place_item(segment, range, offset, read)
    };
    segments.iter().map(item).collect()
}

fn place_item(
    segment: &ScopedSegment,
    range: Option<KeyRange>,
    offset: SegmentOffset,
    read: Option<SegmentOffset>,
) -> Item {
    let mut to = SerialWriter::new();
    write_range(&mut to, range);
    write_offset(&mut to, offset);
    write_bool(&mut to, read.is_some());
    read.into_iter().for_each(|read| write_offset(&mut to, read));
    Item { key: ItemKey::Segment(segment.clone()), body: to.finish() }
}

fn segments_of(items: &[Item], last_read: &mut SegmentOffsets) -> Read<SegmentOffsets> {
    let mut segments = SegmentOffsets::default();
    for item in items {
        let mut from = SerialReader::new(&item.body);
        let range = read_range(&mut from)?;
        let segment = GroupSegment { segment: segment_of(item)?, range };
        let offset = read_offset(&mut from)?;
        if read_bool(&mut from)? {
            last_read.insert(segment.clone(), read_offset(&mut from)?);
        }
        segments.insert(segment, offset);
    }
    Ok(segments)
}

fn segments_and_ranges(items: &[Item]) -> Read<Vec<(GroupSegment, SegmentOffset)>> {
    let read = |item: &Item| {
        let mut from = SerialReader::new(&item.body);
        let range = read_range(&mut from)?;
        let segment = GroupSegment { segment: segment_of(item)?, range };
        Ok((segment, read_offset(&mut from)?))
    };
    items.iter().map(read).collect()
}

fn future(entry: &FutureSegment) -> Read<Item> {
    let mut to = SerialWriter::new();
    write_range(&mut to, entry.segment.range);
    let ids = entry.predecessors.iter().copied();
    write_ids(&mut to, entry.predecessors.len(), ids)?;
    Ok(Item { key: ItemKey::Segment(entry.segment.segment.clone()), body: to.finish() })
}

fn offset_item(segment: &ScopedSegment, offset: SegmentOffset) -> Item {
    let mut to = SerialWriter::new();
    write_offset(&mut to, offset);
    Item { key: ItemKey::Segment(segment.clone()), body: to.finish() }
}

fn position_items(positions: &Positions) -> Vec<Item> {
    positions.iter().map(|(segment, offset)| offset_item(segment, *offset)).collect()
}

fn offsets_of(items: &[Item]) -> Read<Vec<(ScopedSegment, SegmentOffset)>> {
    let read =
        |item: &Item| Ok((segment_of(item)?, read_offset(&mut SerialReader::new(&item.body))?));
    items.iter().map(read).collect()
}

fn segment_of(item: &Item) -> Read<ScopedSegment> {
    match &item.key {
        ItemKey::Segment(segment) => Ok(segment.clone()),
        ItemKey::Name(_) => Err(SerialError::Invalid { what: "item of a list of segments" }),
    }
}

fn name_of(item: &Item) -> Read<Arc<str>> {
    match &item.key {
        ItemKey::Name(name) => Ok(name.clone()),
        ItemKey::Segment(_) => Err(SerialError::Invalid { what: "item of a list of readers" }),
    }
}
