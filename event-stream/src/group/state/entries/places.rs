//! Which items of a list are in which of its pages.

use std::collections::{BTreeMap, HashMap};

use pravega_sdk_types::serial::SerialError;

use super::{key::PageNumber, page::ItemKey};

/// The order of the items of a page: it is below this.
const PAGE_SHIFT: u32 = 32;

/// Where an item is in the order of a list: the number of its page, and one that rises in the page.
/// It is the number of the segment in the state, too.
pub(super) type Place = u64;

/// An item in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) key: ItemKey,
    /// True if the item has how far its segment was read.
    pub(super) has_read: bool,
}

/// The items of a list by their places.
#[derive(Debug, Default)]
pub(super) struct Places {
    order: BTreeMap<Place, Placed>,
    of: HashMap<ItemKey, Place>,
    /// The pages, each with the number of its items.
    pages: BTreeMap<PageNumber, usize>,
}

/// What a page that is read again changes.
#[derive(Debug, Default)]
pub(super) struct PageChange {
    /// The items that are not in the page any more, or have another place.
    pub(super) gone: Vec<(Place, Placed)>,
    /// The place of each item that is read.
    pub(super) places: Vec<Place>,
}

/// Returns the first place of a page.
fn first_place(page: PageNumber) -> Place {
    u64::from(page) << PAGE_SHIFT
}

/// Returns the page of a place.
pub(super) fn page_of(place: Place) -> PageNumber {
    PageNumber::try_from(place >> PAGE_SHIFT).unwrap_or(PageNumber::MAX)
}

/// Returns the place of an item of a page that is written as a whole.
pub(super) fn place_in(page: PageNumber, index: usize) -> Place {
    first_place(page).saturating_add(u64::try_from(index).unwrap_or(u64::MAX))
}

impl Places {
    pub(super) fn place_of(&self, key: &ItemKey) -> Option<Place> {
        self.of.get(key).copied()
    }

    /// Returns the numbers of the pages, sorted.
    pub(super) fn pages(&self) -> impl DoubleEndedIterator<Item = PageNumber> + '_ {
        self.pages.keys().copied()
    }

    pub(super) fn has_page(&self, page: PageNumber) -> bool {
        self.pages.contains_key(&page)
    }

    /// Returns true if the list has no page, not even one without items.
    pub(super) fn is_gone(&self) -> bool {
        self.pages.is_empty()
    }

    /// Returns the item in a place.
    pub(super) fn at(&self, place: Place) -> Option<&Placed> {
        self.order.get(&place)
    }

    /// Returns the items, in order.
    pub(super) fn items(&self) -> impl Iterator<Item = (Place, &Placed)> + '_ {
        self.order.iter().map(|(place, item)| (*place, item))
    }

    /// Returns the items of a page, in order.
    pub(super) fn page(&self, page: PageNumber) -> impl Iterator<Item = (Place, &Placed)> + '_ {
        let places = first_place(page)..=first_place(page) | u64::from(u32::MAX);
        self.order.range(places).map(|(place, item)| (*place, item))
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Compares a page with its items as they were read. An item keeps its place if those before
    /// it leave it free, so that an item that leaves the page moves no other.
    pub(super) fn compare(&self, page: PageNumber, keys: &[&ItemKey]) -> PageChange {
        let old = |key: &ItemKey| self.place_of(key).filter(|place| page_of(*place) == page);
        let places = rising_places(page, keys, old);
        let places = places.unwrap_or_else(|| {
            // Of a page whose places are used up, all items get new ones.
            (0..keys.len()).map(|index| place_in(page, index)).collect()
        });
        let kept: HashMap<Place, &ItemKey> =
            places.iter().copied().zip(keys.iter().copied()).collect();
        let is_gone = |(place, item): &(Place, &Placed)| kept.get(place) != Some(&&item.key);
        let gone = self.page(page).filter(is_gone).map(|(place, item)| (place, item.clone()));
        PageChange { gone: gone.collect(), places }
    }

    /// Takes items out that are not in a page any more.
    pub(super) fn take(&mut self, gone: &[(Place, Placed)]) {
        for (place, item) in gone {
            self.order.remove(place);
            self.of.remove(&item.key);
        }
    }

    /// Sets the items of a page, each in its place, after those were taken out that have left it.
    /// Returns, for each, how it was before.
    ///
    /// # Errors
    ///
    /// [`SerialError`] if an item is in the list twice.
    pub(super) fn put(
        &mut self,
        page: PageNumber,
        items: Vec<(Place, Placed)>,
    ) -> Result<Vec<Option<Placed>>, SerialError> {
        self.pages.insert(page, items.len());
        let put = |(place, item): (Place, Placed)| match self.of.insert(item.key.clone(), place) {
            Some(before) if before != place => {
                Err(SerialError::Invalid { what: "item that is in a list twice" })
            }
            _ => Ok(self.order.insert(place, item)),
        };
        items.into_iter().map(put).collect()
    }

    /// Removes a page, whose items were taken out.
    pub(super) fn remove_page(&mut self, page: PageNumber) {
        self.pages.remove(&page);
    }
}

/// Returns places of a page that rise, for each item its old one if possible; `None` if there are
/// too few.
fn rising_places(
    page: PageNumber,
    keys: &[&ItemKey],
    old: impl Fn(&ItemKey) -> Option<Place>,
) -> Option<Vec<Place>> {
    let mut next = Some(first_place(page));
    let place = |key: &&ItemKey| {
        let free = next.filter(|free| page_of(*free) == page)?;
        let place = old(key).map_or(free, |old| old.max(free));
        next = place.checked_add(1);
        Some(place)
    };
    keys.iter().map(place).collect()
}
