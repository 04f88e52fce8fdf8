//! Lists in pages: what is in which page, and the bytes of a page.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use pravega_sdk_types::{
    ScopedSegment, ScopedStream, SegmentId,
    serial::{SerialError, SerialReader, SerialWriter},
};

use super::{
    super::serial::parts::{VERSIONS, read_array, read_text, write_all, write_array},
    key::PageNumber,
};

/// The number of items in a page, unless the list is long.
const MIN_PAGE: usize = 64;
/// The number of pages of a list that was stored at once: pages of a long list are larger.
const PAGES: usize = 48;
/// A list with more pages is stored again as a whole.
const MAX_PAGES: usize = 64;

/// What an item of a list is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum ItemKey {
    Segment(ScopedSegment),
    Name(Arc<str>),
}

/// An item of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) key: ItemKey,
    pub(super) body: Vec<u8>,
}

/// The items of each page of a list.
pub(super) type Pages = BTreeMap<PageNumber, Vec<Item>>;

/// What the order of a list means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// It is kept.
    Kept,
    /// Nothing.
    Free,
}

/// Puts items into pages. An item stays in the page that it has, as long as the items are in their
/// order; others follow after the last.
pub(super) fn place(old: Option<&Pages>, items: Vec<Item>, order: Order) -> Pages {
    let capacity = items.len().div_ceil(PAGES).max(MIN_PAGE);
    let placed = match old {
        Some(old) => place_beside(old, items, capacity, order),
        None => place_new(items, capacity),
    };
    if placed.len() <= MAX_PAGES {
        return placed;
    }
    place_new(placed.into_values().flatten().collect(), capacity)
}

fn place_new(items: Vec<Item>, capacity: usize) -> Pages {
    let mut pages = Pages::new();
    let mut items = items.into_iter().peekable();
    for number in 0.. {
        if items.peek().is_none() {
            break;
        }
        pages.insert(number, items.by_ref().take(capacity).collect());
    }
    pages
}

fn place_beside(old: &Pages, items: Vec<Item>, capacity: usize, order: Order) -> Pages {
    let mut known = HashMap::new();
    let mut count = 0;
    for (number, page) in old {
        for item in page {
            known.insert(&item.key, (count, *number));
            count += 1;
        }
    }
    let mut pages = Pages::new();
    let mut next = 0;
    let mut last = old.last_key_value().map_or(0, |(number, _)| *number);
    for item in items {
        match known.get(&item.key) {
            Some((place, number)) if order == Order::Free || *place >= next => {
                next = place + 1;
                pages.entry(*number).or_default().push(item);
            }
            _ => {
                // Nothing that is after it has a place before it.
                next = count;
                let page: &mut Vec<Item> = pages.entry(last).or_default();
                if page.len() < capacity {
                    page.push(item);
                } else {
                    last = last.saturating_add(1);
                    pages.insert(last, vec![item]);
                }
            }
        }
    }
    pages
}

/// Returns the bytes of a page. Names of streams are in it once.
pub(super) fn page_to_bytes(items: &[Item]) -> Result<Vec<u8>, SerialError> {
    let mut numbers: HashMap<Arc<str>, usize> = HashMap::new();
    let (mut texts, mut body) = (Vec::new(), SerialWriter::new());
    body.count(items.len())?;
    for item in items {
        let (text, id): (Arc<str>, _) = match &item.key {
            ItemKey::Name(name) => (name.clone(), None),
            ItemKey::Segment(segment) => {
                (segment.scoped_stream().to_string().into(), Some(segment.id()))
            }
        };
        let number = *numbers.entry(text.clone()).or_insert_with(|| {
            texts.push(text);
            texts.len() - 1
        });
        body.count(number)?;
        body.u8(u8::from(id.is_some()));
        if let Some(id) = id {
            body.i64(id.into());
        }
        write_array(&mut body, &item.body)?;
    }
    let mut revision = SerialWriter::new();
    write_all(&mut revision, texts.len(), &texts, |to, text| to.utf(text))?;
    revision.bytes(&body.finish());
    let mut writer = SerialWriter::new();
    writer.versioned(0, &[revision])?;
    Ok(writer.finish())
}

/// Reads the bytes of a page.
pub(super) fn page_from_bytes(bytes: &[u8]) -> Result<Vec<Item>, SerialError> {
    let revisions = SerialReader::new(bytes).versioned(VERSIONS)?;
    let mut from = revisions.require(0)?;
    let texts = from.collection(read_text)?;
    let mut streams: Vec<Option<ScopedStream>> = vec![None; texts.len()];
    from.collection(|from| {
        let invalid = SerialError::Invalid { what: "text of an item" };
        let number = usize::try_from(from.compact_int()?).map_err(|_| invalid.clone())?;
        let text = texts.get(number).ok_or_else(|| invalid.clone())?;
        let has_id = from.u8()? != 0;
        let key = if has_id {
            let id = SegmentId::from(from.i64()?);
            let stream = streams.get_mut(number).ok_or_else(|| invalid.clone())?;
            if stream.is_none() {
                *stream = Some(ScopedStream::internal(text).map_err(|_| invalid.clone())?);
            }
            let stream = stream.as_ref().ok_or(invalid)?;
            ItemKey::Segment(ScopedSegment::new(stream, id))
        } else {
            ItemKey::Name(text.clone())
        };
        let body = read_array(from, "item")?.to_vec();
        Ok(Item { key, body })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(number: i64, body: u8) -> Item {
        let stream = "s/t".parse().unwrap();
        let key = ItemKey::Segment(ScopedSegment::new(&stream, number.into()));
        Item { key, body: vec![body] }
    }

    fn items(numbers: impl IntoIterator<Item = i64>) -> Vec<Item> {
        numbers.into_iter().map(|number| item(number, 0)).collect()
    }

    fn new(items: Vec<Item>) -> Pages {
        place(None, items, Order::Kept)
    }

    fn in_order(pages: &Pages) -> Vec<Item> {
        pages.values().flatten().cloned().collect()
    }

    /// The pages that are not as before.
    fn changed(before: &Pages, after: &Pages) -> Vec<PageNumber> {
        let numbers = before.keys().chain(after.keys());
        let mut changed: Vec<_> =
            numbers.filter(|it| before.get(it) != after.get(it)).copied().collect();
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    #[test]
    fn an_item_that_is_changed_removed_or_added_changes_one_page() {
        let before = new(items(0..200));
        assert_eq!(before.len(), 4);
        let mut one = items(0..200);
        one[70].body = vec![1];
        assert_eq!(changed(&before, &place(Some(&before), one, Order::Kept)), [1]);
        let without = items((0..200).filter(|number| *number != 130));
        let after = place(Some(&before), without.clone(), Order::Kept);
        assert_eq!(changed(&before, &after), [2]);
        assert_eq!(in_order(&after), without);
        let more = place(Some(&before), items(0..201), Order::Kept);
        assert_eq!(changed(&before, &more), [3]);
    }

    #[test]
    fn the_order_of_a_list_is_kept_also_if_an_item_moves_to_its_end() {
        let before = new(items(0..100));
        let moved = items((0..100).filter(|number| *number != 3).chain([3]));
        let after = place(Some(&before), moved.clone(), Order::Kept);
        assert_eq!(in_order(&after), moved);
        let turned = items((0..100).rev());
        let after = place(Some(&before), turned.clone(), Order::Kept);
        assert_eq!(in_order(&after), turned);
    }

    #[test]
    fn an_item_in_the_middle_of_a_list_without_an_order_changes_one_page() {
        let before = new(items((0..200).filter(|number| *number != 20)));
        let after = place(Some(&before), items(0..200), Order::Free);
        assert_eq!(changed(&before, &after), [3]);
        let ordered = place(Some(&before), items(0..200), Order::Kept);
        assert_eq!(in_order(&ordered), items(0..200));
    }

    #[test]
    fn a_list_has_few_pages_however_long_it_is_and_however_many_items_left_it() {
        assert_eq!(new(items(0..100_000)).len(), 48);
        let mut pages = Pages::new();
        for round in 0..200_i64 {
            // Of each page one item stays.
            let kept = (0..round).map(|page| page * 64).chain(round * 64..(round + 1) * 64);
            let kept = items(kept);
            pages = place(Some(&pages), kept.clone(), Order::Kept);
            assert!(pages.len() <= MAX_PAGES, "{round}");
            assert_eq!(in_order(&pages), kept);
        }
    }

    #[test]
    fn a_page_is_read_as_it_was_written() {
        let name = Item { key: ItemKey::Name("s/t".into()), body: Vec::new() };
        let page: Vec<Item> = items(0..3).into_iter().chain([name]).collect();
        let bytes = page_to_bytes(&page).unwrap();
        assert_eq!(page_from_bytes(&bytes).unwrap(), page);
        for len in 0..bytes.len() {
            assert!(page_from_bytes(&bytes[..len]).is_err(), "{len}");
        }
        assert_eq!(page_from_bytes(&page_to_bytes(&[]).unwrap()).unwrap(), []);
    }
}
