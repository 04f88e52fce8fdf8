//! The pages of a list that a change writes.

use std::collections::BTreeMap;

#[cfg(test)]
use super::page::ItemKey;
use super::{
    key::PageNumber,
    places::{Place, Placed, Places, page_of},
};

/// The number of items in a page, unless the list is long.
const MIN_PAGE: usize = 64;
/// The number of pages of a list that was stored at once: pages of a long list are larger.
const PAGES: usize = 48;
/// A list with more pages is stored again as a whole.
const MAX_PAGES: usize = 64;

/// A list with changes, of which only the pages are copied that they are about. An item stays in
/// the page that it has; others follow after the last.
#[derive(Debug)]
pub(super) struct Draft<'p> {
    old: &'p Places,
    pages: BTreeMap<PageNumber, BTreeMap<Place, Placed>>,
    added: Vec<(Place, Placed)>,
    len: usize,
}

/// The items of pages that may be others than before; `None` for a page that is removed.
pub(super) type NewPages = BTreeMap<PageNumber, Option<Vec<Placed>>>;

/// Where an item is in the order of its list.
#[derive(Debug, Clone, Copy)]
pub(super) enum InOrder {
    /// At this place, which is after all others if the item was added.
    At(Place),
    /// After all that stay where they are, in the order of these places.
    Again(Place),
    /// The order means nothing.
    Anywhere,
}

impl<'p> Draft<'p> {
    pub(super) fn new(old: &'p Places) -> Self {
        Self { old, pages: BTreeMap::new(), added: Vec::new(), len: old.len() }
    }

    /// Sets an item that is in the list. Each item is set once.
    pub(super) fn set(&mut self, item: Placed, order: InOrder) {
        let known = self.old.place_of(&item.key);
        let stays = |known: &Place| match order {
            InOrder::At(place) => place == *known,
            InOrder::Again(_) => false,
            InOrder::Anywhere => true,
        };
        if let Some(place) = known.filter(stays) {
            self.page(page_of(place)).insert(place, item);
            return;
        }
        if let Some(place) = known {
            self.take(place);
        }
        let after_others = u64::try_from(self.added.len()).unwrap_or(u64::MAX);
        let place = match order {
            InOrder::At(place) | InOrder::Again(place) => place,
            InOrder::Anywhere => after_others,
        };
        self.added.push((place, item));
        self.len += 1;
    }

    /// Removes an item, if it is in the list.
    pub(super) fn remove(&mut self, place: Option<Place>) {
        if let Some(place) = place {
            self.take(place);
        }
    }

    fn take(&mut self, place: Place) {
        if self.page(page_of(place)).remove(&place).is_some() {
            self.len = self.len.saturating_sub(1);
        }
    }

    fn page(&mut self, page: PageNumber) -> &mut BTreeMap<Place, Placed> {
        let old = self.old;
        self.pages
            .entry(page)
            .or_insert_with(|| old.page(page).map(|(place, item)| (place, item.clone())).collect())
    }

    /// Returns the pages that may have changed. A list that keeps a page has one without items.
    pub(super) fn finish(mut self, keeps_page: bool) -> NewPages {
        if self.len == 0 {
            let mut pages: NewPages = self.old.pages().map(|page| (page, None)).collect();
            if keeps_page {
                pages.insert(PageNumber::MIN, Some(Vec::new()));
            }
            return pages;
        }
        self.added.sort_by_key(|(place, _)| *place);
        let capacity = self.len.div_ceil(PAGES).max(MIN_PAGE);
        let (old, added) = (self.old, std::mem::take(&mut self.added));
        let mut pages: BTreeMap<PageNumber, Vec<Placed>> = BTreeMap::new();
        if let (Some(last), false) = (old.pages().next_back(), added.is_empty()) {
            self.page(last);
        }
        for (page, items) in self.pages {
            pages.insert(page, items.into_values().collect());
        }
        let mut last = old.pages().next_back().unwrap_or_default();
        let mut overflow = Vec::new();
        for (_, item) in added {
            let page = pages.entry(last).or_default();
            if page.len() < capacity {
                page.push(item);
            } else if let Some(next) = last.checked_add(1) {
                last = next;
                pages.insert(last, vec![item]);
            } else {
                overflow.push(item);
            }
        }
        let is_left = |page: &PageNumber| !pages.contains_key(page);
        let unchanged = old.pages().filter(is_left).count();
        let count = unchanged + pages.values().filter(|items| !items.is_empty()).count();
        if count > MAX_PAGES || !overflow.is_empty() {
            return again(old, pages, overflow, capacity);
        }
        let has_items = |items: Vec<Placed>| Some(items).filter(|items| !items.is_empty());
        pages.into_iter().map(|(page, items)| (page, has_items(items))).collect()
    }
}

/// Returns all pages of a list whose items are put into pages again.
fn again(
    old: &Places,
    mut pages: BTreeMap<PageNumber, Vec<Placed>>,
    overflow: Vec<Placed>,
    capacity: usize,
) -> NewPages {
    for page in old.pages() {
        let items = || old.page(page).map(|(_, item)| item.clone()).collect();
        pages.entry(page).or_insert_with(items);
    }
    let mut new: NewPages = pages.keys().map(|page| (*page, None)).collect();
    let mut items = pages.into_values().flatten().chain(overflow).peekable();
    for page in 0.. {
        if items.peek().is_none() {
            break;
        }
        new.insert(page, Some(items.by_ref().take(capacity).collect()));
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: i64) -> ItemKey {
        let stream = "s/t".parse().unwrap();
        ItemKey::Segment(pravega_sdk_types::ScopedSegment::new(&stream, number.into()))
    }

    /// A list whose order is kept, as a state and as a client have it.
    #[derive(Default)]
    struct Model {
        places: Places,
        items: Vec<i64>,
    }

    impl Model {
        fn new(items: impl IntoIterator<Item = i64>) -> Self {
            let mut model = Self::default();
            model.change(&[], &items.into_iter().collect::<Vec<_>>());
            model
        }

        /// Removes items and adds others at the end; returns the pages that were changed.
        fn change(&mut self, removed: &[i64], added: &[i64]) -> Vec<PageNumber> {
            let next = self.places.items().last().map_or(0, |(place, _)| place + 1);
            let mut draft = Draft::new(&self.places);
            for number in removed.iter().filter(|number| !added.contains(number)) {
                draft.remove(self.places.place_of(&key(*number)));
            }
            for (place, number) in (next..).zip(added) {
                let item = Placed { key: key(*number), has_read: false };
                draft.set(item, InOrder::At(place));
            }
            let pages = draft.finish(false);
            let is_new = |(page, items): (PageNumber, Option<Vec<Placed>>)| {
                let before: Vec<Placed> = self.places.page(page).map(|it| it.1.clone()).collect();
                let is_new = items.as_ref().map_or(&[][..], Vec::as_slice) != before;
                let keys: Vec<ItemKey> =
                    items.iter().flatten().map(|item| item.key.clone()).collect();
                let keys: Vec<&ItemKey> = keys.iter().collect();
                let change = self.places.compare(page, &keys);
                (page, items, change, is_new)
            };
            let pages: Vec<_> = pages.into_iter().map(is_new).collect();
            pages.iter().for_each(|(.., change, _)| self.places.take(&change.gone));
            let mut changed = Vec::new();
            for (page, items, change, is_new) in pages {
                match items {
                    Some(items) => {
                        let items = change.places.into_iter().zip(items).collect();
                        self.places.put(page, items).unwrap();
                    }
                    None => self.places.remove_page(page),
                }
                changed.extend(is_new.then_some(page));
            }
            self.items.retain(|item| !removed.contains(item));
            self.items.extend(added);
            let found: Vec<ItemKey> =
                self.places.items().map(|(_, item)| item.key.clone()).collect();
            assert_eq!(found, self.items.iter().copied().map(key).collect::<Vec<_>>());
            changed
        }
    }

    #[test]
    fn an_item_that_is_removed_or_added_or_moves_to_the_end_changes_the_pages_that_it_is_in() {
        let mut model = Model::new(0..200);
        assert_eq!(model.places.pages().collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(model.change(&[130], &[]), [2]);
        assert_eq!(model.change(&[], &[300]), [3]);
        assert_eq!(model.change(&[70], &[70]), [1, 3]);
        assert_eq!(model.change(&[], &(400..500).collect::<Vec<_>>()), [3, 4]);
    }

    #[test]
    fn an_item_in_a_list_without_an_order_stays_in_its_page() {
        let model = Model::new(0..200);
        let mut draft = Draft::new(&model.places);
        for (number, has_read) in [(20, true), (500, false)] {
            draft.set(Placed { key: key(number), has_read }, InOrder::Anywhere);
        }
        let pages = draft.finish(false);
        assert_eq!(pages.keys().collect::<Vec<_>>(), [&0, &3]);
        assert_eq!(pages[&0].as_ref().unwrap().iter().filter(|item| item.has_read).count(), 1);
    }

    #[test]
    fn a_list_has_few_pages_however_long_it_is_and_however_many_items_left_it() {
        assert_eq!(Model::new(0..100_000).places.pages().count(), 48);
        let mut model = Model::default();
        for round in 0..200_i64 {
            model.change(&[], &(round * 64..(round + 1) * 64).collect::<Vec<_>>());
            // Of each page one item stays.
            model.change(&(round * 64 + 1..(round + 1) * 64).collect::<Vec<_>>(), &[]);
            assert!(model.places.pages().count() <= MAX_PAGES, "{round}");
        }
    }

    #[test]
    fn a_list_without_items_has_no_page_or_the_first_one() {
        let model = Model::new(0..3);
        let empty = |keeps_page| {
            let mut draft = Draft::new(&model.places);
            (0..3).for_each(|number| draft.remove(model.places.place_of(&key(number))));
            draft.finish(keeps_page)
        };
        assert_eq!(empty(false), NewPages::from([(0, None)]));
        assert_eq!(empty(true), NewPages::from([(0, Some(Vec::new()))]));
    }

    #[test]
    fn a_list_whose_page_numbers_are_used_up_is_stored_again() {
        let mut places = Places::default();
        let item = |number| Placed { key: key(number), has_read: false };
        let full = PageNumber::MAX;
        let first = u64::from(full) << 32;
        let items = (0..64).map(|number| (first + number, item(i64::try_from(number).unwrap())));
        places.put(full, items.collect()).unwrap();
        let mut draft = Draft::new(&places);
        draft.set(item(64), InOrder::Anywhere);
        let pages = draft.finish(false);
        assert_eq!(pages.keys().collect::<Vec<_>>(), [&0, &1, &full]);
        assert_eq!(pages[&full], None);
        assert_eq!(pages[&1], Some(vec![item(64)]));
    }
}
