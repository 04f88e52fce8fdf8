//! Which entries a state has, and in which of them each of its parts is.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use pravega_sdk_types::{
    ScopedSegment,
    serial::{SerialError, SerialWriter},
};

use super::{
    super::{
        checkpoints::Positions,
        group_state::ReaderGroupState,
        ordered::Numbered,
        segment_offsets::{RangedOffset, SegmentOffsets},
    },
    draft::{Draft, InOrder},
    items::{held_to_bytes, name_of, offset_to_bytes, pending_to_bytes, segment_of},
    key::{EntryKey, List, PageNumber, SetNumber},
    names::Names,
    page::{Item, ItemKey, page_to_bytes},
    places::{Placed, Places},
    touched::{Touched, TouchedCheckpoints},
};

type Written<T> = Result<T, SerialError>;

/// The length of a chunk of the configuration, in bytes.
const CHUNK: usize = 512 * 1024;

/// Which entries a state has, and in which of them each of its parts is.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) lists: BTreeMap<List, Places>,
    /// The readers that have each segment: one, unless another client has stored more.
    pub(super) holders: HashMap<ScopedSegment, Vec<Arc<str>>>,
    pub(super) names: Names,
    /// The chunks of the configuration.
    pub(super) configuration: Vec<PageNumber>,
    /// A list without pages.
    pub(super) none: Places,
}

/// The entries that are stored for parts of a state.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    pub(super) puts: Vec<(EntryKey, Bytes)>,
    /// Entries without which the state would be another one.
    pub(super) removed: Vec<EntryKey>,
    /// Entries that mean nothing any more.
    pub(super) unused: Vec<EntryKey>,
}

/// The positions of each set.
type PositionsOf<'a> = BTreeMap<SetNumber, &'a Positions>;

/// The lists of which pages are stored again.
struct Drafts<'i> {
    index: &'i Index,
    all: BTreeMap<List, Draft<'i>>,
}

impl Index {
    pub(super) fn list(&self, list: &List) -> &Places {
        self.lists.get(list).unwrap_or(&self.none)
    }

    /// Returns the keys of the pages and of the configuration, and that of the checkpoints.
    pub(super) fn keys(&self) -> impl Iterator<Item = EntryKey> + '_ {
        let configuration = self.configuration.iter().map(|page| EntryKey::Configuration(*page));
        let pages = self.lists.iter().flat_map(|(list, places)| {
            places.pages().map(|page| EntryKey::Page(list.clone(), page))
        });
        configuration.chain([EntryKey::Checkpoints]).chain(pages)
    }

    /// Returns the entries of the parts of a state that were touched since it was stored.
    ///
    /// # Errors
    ///
    /// [`SerialError`] if a name or a number does not fit the layout.
    pub(super) fn encode(&self, touched: &Touched, after: &ReaderGroupState) -> Written<Encoded> {
        let mut encoded = Encoded::default();
        let mut drafts = Drafts { index: self, all: BTreeMap::new() };
        for (segment, readers) in &touched.segments {
            drafts.hold(segment, readers, &touched.reordered, after);
        }
        for (reader, had_lag) in &touched.readers {
            drafts.open(List::Assigned(reader.clone()));
            let key = EntryKey::Lag(reader.clone());
            match after.lags.get(reader) {
                Some(lag) => encoded.puts.push((key, lag_to_bytes(*lag))),
                None if *had_lag => encoded.removed.push(key),
                None => {}
            }
        }
        for segment in &touched.future {
            let place = after.future.numbered(segment).map(|entry| InOrder::At(entry.number));
            drafts.set(List::Future, ItemKey::Segment(segment.clone()), place);
        }
        if touched.is_new {
            let ends = after.ends.keys().cloned().map(ItemKey::Segment);
            drafts.replace(&List::Ends, ends.collect());
            let configuration = after.configuration.to_bytes()?;
            for (number, chunk) in (0..).zip(configuration.chunks(CHUNK)) {
                let key = EntryKey::Configuration(number);
                encoded.puts.push((key, Bytes::copy_from_slice(chunk)));
            }
        }
        let mut positions = PositionsOf::new();
        let renewed = match &touched.checkpoints {
            Some(touched) => {
                let names = self.names.renewed(&after.checkpoints)?;
                drafts.checkpoints(touched, after, &names);
                encoded.puts.push((EntryKey::Checkpoints, names.to_bytes()?.into()));
                encoded.unused.extend(self.pages_of_others(&names));
                Some(names)
            }
            None => None,
        };
        if let Some(names) = &renewed {
            for (name, set) in &names.sets {
                positions.extend(after.checkpoints.known(name).map(|known| (set.number, known)));
            }
            positions.extend(names.last.zip(after.checkpoints.last_completed()));
        }
        for (list, draft) in drafts.all {
            let keeps_page = matches!(&list, List::Assigned(reader) if after.is_online(reader));
            for (page, items) in draft.finish(keeps_page) {
                let is_stored = self.list(&list).has_page(page);
                let key = EntryKey::Page(list.clone(), page);
                match items {
                    Some(items) => {
                        let items = items.into_iter().map(|item| {
                            let body = body(&list, &item, after, &positions)?;
                            Ok(Item { key: item.key, body })
                        });
                        let items = items.collect::<Written<Vec<Item>>>()?;
                        encoded.puts.push((key, page_to_bytes(&items)?.into()));
                    }
                    None if is_stored => encoded.removed.push(key),
                    None => {}
                }
            }
        }
        Ok(encoded)
    }

    /// Returns the pages of sets that other names do not have.
    fn pages_of_others(&self, names: &Names) -> Vec<EntryKey> {
        let left: BTreeSet<SetNumber> = names.numbers().collect();
        let dropped: BTreeSet<SetNumber> =
            self.names.numbers().filter(|number| !left.contains(number)).collect();
        let lists = dropped.into_iter().flat_map(|set| [List::Positions(set), List::Waiting(set)]);
        let pages = lists.flat_map(|list| {
            let pages: Vec<PageNumber> = self.list(&list).pages().collect();
            pages.into_iter().map(move |page| EntryKey::Page(list.clone(), page))
        });
        pages.collect()
    }
}

impl<'i> Drafts<'i> {
    fn open(&mut self, list: List) -> &mut Draft<'i> {
        let index = self.index;
        let places = index.list(&list);
        self.all.entry(list).or_insert_with(|| Draft::new(places))
    }

    /// Sets the place of an item; `None` if it is not in the list.
    fn set(&mut self, list: List, key: ItemKey, place: Option<InOrder>) {
        self.set_with_read(list, key, place.map(|place| (place, false)));
    }

    /// As [`set`](Self::set); the flag is true if the item has how far its segment was read.
    fn set_with_read(&mut self, list: List, key: ItemKey, item: Option<(InOrder, bool)>) {
        let known = self.index.list(&list).place_of(&key);
        match item {
            Some((place, has_read)) => self.open(list).set(Placed { key, has_read }, place),
            None if known.is_some() => self.open(list).remove(known),
            None => {}
        }
    }

    /// Replaces all items of a list without an order.
    fn replace(&mut self, list: &List, keys: BTreeSet<ItemKey>) {
        let gone = self.index.list(list).items().map(|(_, item)| &item.key);
        let gone: Vec<ItemKey> = gone.filter(|key| !keys.contains(key)).cloned().collect();
        gone.into_iter().for_each(|key| self.set(list.clone(), key, None));
        for key in keys {
            self.set(list.clone(), key, Some(InOrder::Anywhere));
        }
    }

    /// Sets a segment in the lists of those that have it, of which the first has how far it was
    /// read.
    fn hold(
        &mut self,
        segment: &ScopedSegment,
        got: &BTreeSet<Arc<str>>,
        reordered: &BTreeSet<Arc<str>>,
        after: &ReaderGroupState,
    ) {
        let index = self.index;
        let held = index.holders.get(segment).into_iter().flatten();
        let readers: BTreeSet<&Arc<str>> = held.chain(got).collect();
        let read = after.last_read.ranged(segment);
        let key = ItemKey::Segment(segment.clone());
        let mut is_beside = false;
        let mut item = |entry: &Numbered<RangedOffset>| {
            let has_read = !is_beside && read.is_some_and(|read| read.range == entry.value.range);
            is_beside |= has_read;
            (InOrder::At(entry.number), has_read)
        };
        for reader in readers {
            let entry = after.assigned.get(reader).and_then(|of| of.numbered(segment));
            let item = entry.map(&mut item).map(|(order, has_read)| match order {
                InOrder::At(place) if reordered.contains(reader) => {
                    (InOrder::Again(place), has_read)
                }
                order => (order, has_read),
            });
            self.set_with_read(List::Assigned(reader.clone()), key.clone(), item);
        }
        let unassigned = after.unassigned.numbered(segment).map(&mut item);
        self.set_with_read(List::Unassigned, key.clone(), unassigned);
        let other = read.filter(|_| !is_beside).map(|_| (InOrder::Anywhere, true));
        self.set_with_read(List::OtherRead, key, other);
    }

    /// Sets what belongs to the checkpoints.
    fn checkpoints(&mut self, touched: &TouchedCheckpoints, after: &ReaderGroupState, new: &Names) {
        let (index, checkpoints) = (self.index, &after.checkpoints);
        let segments = |positions: &Positions| -> BTreeSet<ItemKey> {
            positions.keys().cloned().map(ItemKey::Segment).collect()
        };
        for (name, set) in &new.sets {
            let is_stored = index.names.sets.contains_key(name) && !touched.created.contains(name);
            let list = List::Positions(set.number);
            match checkpoints.positions.get(name) {
                Some(known) if is_stored => {
                    for segment in touched.answers.get(name).into_iter().flatten() {
                        let place = known.contains_key(segment).then_some(InOrder::Anywhere);
                        self.set(list.clone(), ItemKey::Segment(segment.clone()), place);
                    }
                }
                known => {
                    let items = known.map(|known| segments(known)).unwrap_or_default();
                    self.replace(&list, items);
                }
            }
            let list = List::Waiting(set.number);
            match checkpoints.waiting.get(name) {
                Some(readers) if is_stored => {
                    for reader in touched.waiting.get(name).into_iter().flatten() {
                        let place = readers.contains(reader).then_some(InOrder::Anywhere);
                        self.set(list.clone(), ItemKey::Name(reader.clone()), place);
                    }
                }
                readers => {
                    let readers = readers.into_iter().flatten().cloned().map(ItemKey::Name);
                    self.replace(&list, readers.collect());
                }
            }
        }
        let (Some(number), Some(last)) = (new.last, &checkpoints.last) else { return };
        let is_of_one = new.sets.values().any(|set| set.number == number);
        let is_same = touched.last.as_ref().is_some_and(|before| before == last);
        let is_stored = is_same && index.names.has(number);
        if !is_of_one && !is_stored {
            self.replace(&List::Positions(number), segments(last));
        }
    }
}

/// Returns the bytes of an item.
fn body(
    list: &List,
    item: &Placed,
    state: &ReaderGroupState,
    positions: &PositionsOf<'_>,
) -> Written<Vec<u8>> {
    let missing = || SerialError::Invalid { what: "item of a list" };
    let held = |segments: Option<&SegmentOffsets>| {
        let segment = segment_of(&item.key)?;
        let held = segments.and_then(|segments| segments.ranged(segment)).ok_or_else(missing)?;
        let read = state.last_read.get(segment).filter(|_| item.has_read);
        Ok(held_to_bytes(held, read))
    };
    match list {
        List::Assigned(reader) => held(state.assigned.get(reader)),
        List::Unassigned => held(Some(&state.unassigned)),
        List::OtherRead => {
            let read = state.last_read.ranged(segment_of(&item.key)?);
            Ok(held_to_bytes(read.ok_or_else(missing)?, None))
        }
        List::Future => {
            let pending = state.future.get(segment_of(&item.key)?);
            pending_to_bytes(pending.ok_or_else(missing)?)
        }
        List::Ends => {
            let end = state.ends.get(segment_of(&item.key)?);
            Ok(offset_to_bytes(*end.ok_or_else(missing)?))
        }
        List::Positions(set) => {
            let offset = positions.get(set).and_then(|of| of.get(segment_of(&item.key).ok()?));
            Ok(offset_to_bytes(*offset.ok_or_else(missing)?))
        }
        List::Waiting(_) => name_of(&item.key).map(|_| Vec::new()),
    }
}

/// Returns the bytes of a lag.
fn lag_to_bytes(lag: i64) -> Bytes {
    let mut to = SerialWriter::new();
    to.i64(lag);
    to.finish().into()
}
