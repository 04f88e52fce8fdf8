//! The bytes of a page of a list.

use std::{collections::HashMap, sync::Arc};

use pravega_sdk_types::{
    ScopedSegment, ScopedStream, SegmentId,
    serial::{SerialError, SerialReader, SerialWriter},
};

use super::super::serial::parts::{VERSIONS, read_array, read_text, write_all, write_array};

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

/// Returns the bytes of a page. Names of streams are in it once.
pub(super) fn page_to_bytes(items: &[Item]) -> Result<Vec<u8>, SerialError> {
    let mut texts = Texts::default();
    let mut body = SerialWriter::new();
    body.count(items.len())?;
    for item in items {
        let (number, id) = match &item.key {
            ItemKey::Name(name) => (texts.number(name), None),
            ItemKey::Segment(segment) => (texts.of_stream(segment), Some(segment.id())),
        };
        body.count(number)?;
        body.u8(u8::from(id.is_some()));
        if let Some(id) = id {
            body.i64(id.into());
        }
        write_array(&mut body, &item.body)?;
    }
    let texts = texts.all;
    let mut revision = SerialWriter::new();
    write_all(&mut revision, texts.len(), &texts, |to, text| to.utf(text))?;
    revision.bytes(&body.finish());
    let mut writer = SerialWriter::new();
    writer.versioned(0, &[revision])?;
    Ok(writer.finish())
}

/// The texts of a page, each with its number.
#[derive(Default)]
struct Texts {
    all: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, usize>,
    /// The stream of the item before, as most are of one.
    last: Option<(ScopedStream, usize)>,
}

impl Texts {
    fn number(&mut self, text: &Arc<str>) -> usize {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        self.all.push(text.clone());
        let number = self.all.len() - 1;
        self.numbers.insert(text.clone(), number);
        number
    }

    fn of_stream(&mut self, segment: &ScopedSegment) -> usize {
        let stream = segment.scoped_stream();
        if let Some((_, number)) = self.last.as_ref().filter(|(last, _)| *last == stream) {
            return *number;
        }
        let number = self.number(&stream.to_string().into());
        self.last = Some((stream, number));
        number
    }
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
