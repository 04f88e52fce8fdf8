//! A state as it is stored, which follows the changes of its entries.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use pravega_sdk_types::{
    KeyRange, ScopedSegment, SegmentOffset,
    serial::{SerialError, SerialReader},
};

use super::{
    super::{
        configuration::StoredConfiguration,
        future_segments::Pending,
        group_state::ReaderGroupState,
        ordered::Numbered,
        segment_offsets::{GroupSegment, RangedOffset},
    },
    head::Head,
    index::Index,
    items::{name_of, offset_of, read_held, read_pending, segment_of},
    key::{EntryKey, HEAD, List, PageNumber, SetNumber},
    names::{Names, SetContents},
    page::{Item, ItemKey, page_from_bytes},
    places::{PageChange, Place, Placed},
};

type Read<T> = Result<T, SerialError>;

/// A state as it is stored: what follows from its entries, of which only those are read again that
/// change.
#[derive(Debug)]
pub(crate) struct StoredState {
    pub(super) state: ReaderGroupState,
    pub(super) head: Head,
    pub(super) index: Index,
    /// The keys of entries that mean nothing any more.
    pub(super) void: BTreeSet<Bytes>,
    /// The number of pages that were read.
    #[cfg(test)]
    pages_read: u64,
}

/// Whether a state has followed changes of its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refreshed {
    Done,
    /// They are not those of one state that goes on. All entries must be read; this state is none.
    Unclear,
}

/// A page that has changed.
struct ChangedPage {
    list: List,
    page: PageNumber,
    items: Vec<(Placed, Body)>,
    is_removed: bool,
}

/// What an item says.
enum Body {
    /// The segment is in a list of a holder.
    Held(RangedOffset, Option<SegmentOffset>),
    /// The segment was read as far as this.
    Read(RangedOffset),
    Pending(Pending),
    At(SegmentOffset),
    Reader,
}

/// The changes of the entries of one incarnation, read.
#[derive(Default)]
struct Changes {
    names: Option<Names>,
    lags: Vec<(Arc<str>, Option<i64>)>,
    pages: Vec<ChangedPage>,
    /// Entries that mean nothing; the flag is true for those that are stored.
    void: Vec<(Bytes, bool)>,
}

impl StoredState {
    /// Reads the entries of a state; `None` if there is no state.
    ///
    /// # Errors
    ///
    /// [`SerialError`] if they are not the entries of a state.
    pub(crate) fn read(
        entries: impl IntoIterator<Item = (Bytes, Bytes)>,
    ) -> Result<Option<Self>, SerialError> {
        let (heads, others): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|(key, _)| key == HEAD);
        let Some((_, head)) = heads.first() else { return Ok(None) };
        let head = Head::from_bytes(head)?;
        let (mut chunks, mut changed) = (BTreeMap::new(), Vec::new());
        for (key, value) in others {
            match parse(&key)? {
                (incarnation, EntryKey::Configuration(page)) if incarnation == head.incarnation => {
                    chunks.insert(page, value);
                }
                _ => changed.push((key, Some(value))),
            }
        }
        let configuration: Vec<u8> = chunks.values().flatten().copied().collect();
        let configuration = StoredConfiguration::from_bytes(&configuration)?;
        let mut stored = Self {
            state: ReaderGroupState::empty(configuration),
            index: Index { configuration: chunks.into_keys().collect(), ..Index::default() },
            head: head.clone(),
            void: BTreeSet::new(),
            #[cfg(test)]
            pages_read: 0,
        };
        let changes = stored.read_changes(changed)?.filter(|changes| changes.names.is_some());
        let changes = changes.ok_or(SerialError::Invalid { what: "checkpoints of a group" })?;
        match stored.follow(&head, changes)? {
            Refreshed::Done => Ok(Some(stored)),
            Refreshed::Unclear => Err(SerialError::Invalid { what: "entries of a state" }),
        }
    }

    /// Returns the state.
    pub(crate) fn state(&self) -> &ReaderGroupState {
        &self.state
    }

    /// Returns the number of pages that were read.
    #[cfg(test)]
    pub(crate) fn pages_read(&self) -> u64 {
        self.pages_read
    }

    /// Follows changes of the entries: the value of each that may have changed, or `None` for one
    /// that does not exist.
    ///
    /// # Errors
    ///
    /// [`SerialError`] if one is not an entry of a state. This state is as before then.
    pub(crate) fn refresh(&mut self, changed: Vec<(Bytes, Option<Bytes>)>) -> Read<Refreshed> {
        let mut head = self.head.clone();
        if let Some((_, value)) = changed.iter().find(|(key, _)| key == HEAD) {
            let Some(value) = value else { return Ok(Refreshed::Unclear) };
            head = Head::from_bytes(value)?;
            if head.incarnation != self.head.incarnation {
                return Ok(Refreshed::Unclear);
            }
        }
        let others = changed.into_iter().filter(|(key, _)| key != HEAD).collect();
        match self.read_changes(others)? {
            Some(changes) => Ok(self.follow(&head, changes).unwrap_or(Refreshed::Unclear)),
            None => Ok(Refreshed::Unclear),
        }
    }

    /// Reads the values of changed entries; `None` if no state goes on with them.
    fn read_changes(&mut self, changed: Vec<(Bytes, Option<Bytes>)>) -> Read<Option<Changes>> {
        let (mut changes, mut pages) = (Changes::default(), Vec::new());
        for (key, value) in changed {
            let (incarnation, entry) = parse(&key)?;
            if incarnation != self.head.incarnation {
                changes.void.push((key, value.is_some()));
                continue;
            }
            match entry {
                EntryKey::Configuration(_) => return Ok(None),
                EntryKey::Checkpoints => {
                    let Some(value) = value else { return Ok(None) };
                    changes.names = Some(Names::from_bytes(&value)?);
                }
                EntryKey::Lag(reader) => {
                    let lag = value.map(|value| SerialReader::new(&value).i64()).transpose()?;
                    changes.lags.push((reader, lag));
                }
                EntryKey::Page(list, page) => pages.push((key, list, page, value)),
            }
        }
        let names = changes.names.as_ref().unwrap_or(&self.index.names);
        let sets: BTreeSet<SetNumber> = names.numbers().collect();
        for (key, list, page, value) in pages {
            if list.set().is_some_and(|set| !sets.contains(&set)) {
                changes.void.push((key, value.is_some()));
                continue;
            }
            let is_removed = value.is_none();
            #[cfg(test)]
            {
                self.pages_read += u64::from(!is_removed);
            }
            let items = value.map(|value| page_from_bytes(&value)).transpose()?;
            let items = items.unwrap_or_default().into_iter().map(|item| placed(&list, item));
            let items = items.collect::<Read<Vec<_>>>()?;
            changes.pages.push(ChangedPage { list, page, items, is_removed });
        }
        Ok(Some(changes))
    }

    /// Makes changes of the entries those of the state.
    fn follow(&mut self, head: &Head, changes: Changes) -> Read<Refreshed> {
        let Changes { names, lags, mut pages, void } = changes;
        let old = &self.index.names;
        let known: BTreeSet<SetNumber> = old.numbers().collect();
        let is_again = |number| !known.contains(&number) && old.may_have_had(number);
        if names.as_ref().is_some_and(|new| new.numbers().any(is_again) || old.hides_part_of(new)) {
            // Its pages were not read, or what they say was dropped.
            return Ok(Refreshed::Unclear);
        }
        self.head = head.clone();
        self.state.is_updating_configuration = head.is_updating_configuration;
        for (reader, lag) in lags {
            match lag {
                Some(lag) => drop(self.state.lags.insert(reader, lag)),
                None => drop(self.state.lags.remove(&reader)),
            }
        }
        let has_sets = names.is_some() || pages.iter().any(|page| page.list.set().is_some());
        let mut contents = SetContents::default();
        if has_sets {
            contents = self.index.names.contents(std::mem::take(&mut self.state.checkpoints));
        }
        if let Some(names) = names {
            self.drop_sets(&names);
            self.index.names = names;
        }
        for (key, is_stored) in void {
            if is_stored {
                self.void.insert(key);
            } else {
                self.void.remove(&key);
            }
        }
        let compared: Vec<PageChange> = pages.iter().map(|page| self.compare(page)).collect();
        for (page, change) in pages.iter().zip(&compared) {
            self.forget(page, change, &mut contents)?;
        }
        for (page, change) in pages.iter_mut().zip(compared) {
            self.hold(page, change.places, &mut contents)?;
        }
        pages.iter().for_each(|page| self.settle(&page.list));
        if has_sets {
            self.state.checkpoints = self.index.names.checkpoints(contents);
        }
        Ok(Refreshed::Done)
    }

    /// Sets the pages aside that are of no set of some names.
    fn drop_sets(&mut self, names: &Names) {
        let left: BTreeSet<SetNumber> = names.numbers().collect();
        for set in self.index.names.numbers().filter(|set| !left.contains(set)) {
            for list in [List::Positions(set), List::Waiting(set)] {
                let Some(places) = self.index.lists.remove(&list) else { continue };
                for page in places.pages() {
                    let key = EntryKey::Page(list.clone(), page);
                    self.void.insert(key.to_bytes(self.head.incarnation));
                }
            }
        }
    }

    fn compare(&self, page: &ChangedPage) -> PageChange {
        let keys: Vec<&ItemKey> = page.items.iter().map(|(item, _)| &item.key).collect();
        self.index.list(&page.list).compare(page.page, &keys)
    }

    /// Takes out of the state what is not in a page any more.
    fn forget(
        &mut self,
        page: &ChangedPage,
        change: &PageChange,
        contents: &mut SetContents,
    ) -> Read<()> {
        let list = &page.list;
        for ((item, _), place) in page.items.iter().zip(&change.places) {
            let before = self.index.list(list).at(*place);
            let lost = before.filter(|before| before.key == item.key && before.has_read);
            if lost.is_some() && !item.has_read {
                self.state.last_read.remove(segment_of(&item.key)?);
            }
        }
        for (_, item) in &change.gone {
            self.forget_item(list, item, contents)?;
        }
        if let Some(places) = self.index.lists.get_mut(list) {
            places.take(&change.gone);
        }
        Ok(())
    }

    fn forget_item(&mut self, list: &List, item: &Placed, contents: &mut SetContents) -> Read<()> {
        if item.has_read {
            self.state.last_read.remove(segment_of(&item.key)?);
        }
        match list {
            List::Assigned(reader) => {
                let segment = segment_of(&item.key)?;
                if let Some(assigned) = self.state.assigned.get_mut(reader) {
                    assigned.remove(segment);
                }
                if let Some(holders) = self.index.holders.get_mut(segment) {
                    holders.retain(|holder| holder != reader);
                    if holders.is_empty() {
                        self.index.holders.remove(segment);
                    }
                }
            }
            List::Unassigned => drop(self.state.unassigned.remove(segment_of(&item.key)?)),
            List::Future => self.state.future.restore(segment_of(&item.key)?.clone(), None),
            List::Ends => drop(self.state.ends.remove(segment_of(&item.key)?)),
            List::Positions(set) => {
                if let Some(positions) = contents.positions.get_mut(set) {
                    Arc::make_mut(positions).remove(segment_of(&item.key)?);
                }
            }
            List::Waiting(set) => {
                if let Some(readers) = contents.waiting.get_mut(set) {
                    readers.remove(name_of(&item.key)?);
                }
            }
            List::OtherRead => {}
        }
        Ok(())
    }

    /// Puts into the state what a page says.
    fn hold(
        &mut self,
        page: &mut ChangedPage,
        places: Vec<Place>,
        contents: &mut SetContents,
    ) -> Read<()> {
        let (list, items) = (page.list.clone(), std::mem::take(&mut page.items));
        if let List::Assigned(reader) = &list
            && !page.is_removed
        {
            self.state.assigned.entry(reader.clone()).or_default();
        }
        let of_list = self.index.lists.entry(list.clone()).or_default();
        if page.is_removed {
            of_list.remove_page(page.page);
            return Ok(());
        }
        let placed = items.iter().zip(&places).map(|((item, _), place)| (*place, item.clone()));
        let before = of_list.put(page.page, placed.collect())?;
        for (((item, body), place), before) in items.into_iter().zip(places).zip(before) {
            self.hold_item(&list, item, body, place, before.as_ref(), contents)?;
        }
        Ok(())
    }

    fn hold_item(
        &mut self,
        list: &List,
        item: Placed,
        body: Body,
        number: Place,
        before: Option<&Placed>,
        contents: &mut SetContents,
    ) -> Read<()> {
        let had_read = before.is_some_and(|before| before.has_read);
        match (list, item.key, body) {
            (List::Waiting(set), ItemKey::Name(reader), _) => {
                contents.waiting.entry(*set).or_default().insert(reader);
            }
            (List::Assigned(reader), ItemKey::Segment(segment), Body::Held(held, read)) => {
                self.hold_read(&segment, held.range, read, had_read)?;
                if before.is_none() {
                    let holders = self.index.holders.entry(segment.clone()).or_default();
                    holders.push(reader.clone());
                }
                let assigned = self.state.assigned.entry(reader.clone()).or_default();
                assigned.place(segment, Numbered { number, value: held });
            }
            (List::Unassigned, ItemKey::Segment(segment), Body::Held(held, read)) => {
                self.hold_read(&segment, held.range, read, had_read)?;
                self.state.unassigned.place(segment, Numbered { number, value: held });
            }
            (List::OtherRead, ItemKey::Segment(segment), Body::Read(read)) => {
                self.hold_read(&segment, read.range, Some(read.offset), had_read)?;
            }
            (List::Future, ItemKey::Segment(segment), Body::Pending(value)) => {
                self.state.future.place(segment, Numbered { number, value });
            }
            (List::Ends, ItemKey::Segment(segment), Body::At(end)) => {
                self.state.ends.insert(segment, end);
            }
            (List::Positions(set), ItemKey::Segment(segment), Body::At(offset)) => {
                let positions = contents.positions.entry(*set).or_default();
                Arc::make_mut(positions).insert(segment, offset);
            }
            _ => return Err(SerialError::Invalid { what: "item of a list" }),
        }
        Ok(())
    }

    /// Sets how far a segment was read, if an item says it. Only one may.
    fn hold_read(
        &mut self,
        segment: &ScopedSegment,
        range: Option<KeyRange>,
        read: Option<SegmentOffset>,
        had_read: bool,
    ) -> Read<()> {
        let Some(offset) = read else { return Ok(()) };
        let known = self.state.last_read.ranged(segment);
        if known.is_some() && !had_read {
            return Err(SerialError::Invalid { what: "segment that was read twice" });
        }
        if known.is_some_and(|known| known.range != range) {
            self.state.last_read.remove(segment);
        }
        self.state.last_read.insert(GroupSegment { segment: segment.clone(), range }, offset);
        Ok(())
    }

    /// Drops a list without pages.
    fn settle(&mut self, list: &List) {
        if !self.index.list(list).is_gone() {
            return;
        }
        self.index.lists.remove(list);
        if let List::Assigned(reader) = list {
            self.state.assigned.remove(reader);
        }
    }
}

fn parse(key: &[u8]) -> Read<(u64, EntryKey)> {
    EntryKey::from_bytes(key).ok_or(SerialError::Invalid { what: "key of an entry" })
}

/// Reads an item of a list.
fn placed(list: &List, item: Item) -> Read<(Placed, Body)> {
    let body = match list {
        List::Waiting(_) => name_of(&item.key).map(|_| Body::Reader)?,
        _ => {
            segment_of(&item.key)?;
            match list {
                List::Assigned(_) | List::Unassigned => {
                    let (held, read) = read_held(&item.body)?;
                    Body::Held(held, read)
                }
                List::OtherRead => Body::Read(read_held(&item.body)?.0),
                List::Future => Body::Pending(read_pending(&item.body)?),
                _ => Body::At(offset_of(&item)?),
            }
        }
    };
    let has_read = matches!(&body, Body::Held(_, Some(_)) | Body::Read(_));
    Ok((Placed { key: item.key, has_read }, body))
}
