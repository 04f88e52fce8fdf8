//! The state of the controller: scopes with their streams, tables and groups.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use bytestring::ByteString;
use pravega_sdk_proto::{KeyValueTableConfig, ReaderGroupConfiguration};
use pravega_sdk_types::{SegmentId, SegmentNumber};
use prost::Message as _;
use serde::{Deserialize, Serialize};

use super::{encoded::CatalogLog, names, rates::Rates, skyline::Skyline, stream::Stream};

/// The state of the controller.
#[derive(Debug)]
pub struct Catalog {
    pub(super) scopes: BTreeMap<String, Scope>,
    /// Scopes that are being deleted. No call but the one that deletes them knows them.
    pub(super) leaving: BTreeMap<String, Leaving>,
    /// The rates of the segments whose streams scale by rate. They are measured again after a
    /// restart.
    pub(super) rates: BTreeMap<ByteString, Rates>,
    /// The weight of all entries.
    pub(super) held: u64,
    /// The scopes and names of sealed streams that have open transactions, which are aborted.
    pub(super) doomed: BTreeSet<(String, String)>,
    /// The scopes and names of streams whose heads have moved, and how far the segments before
    /// them are deleted.
    pub(super) pruning: BTreeMap<(String, String), Pruning>,
    /// The number of completed transactions whose outcomes are kept.
    pub(super) remembered: usize,
    /// What a log needs; `None` without one.
    pub(super) log: Option<Box<CatalogLog>>,
}

impl Default for Catalog {
    /// A controller without anything but the scope of Pravega's own streams, which always exists.
    fn default() -> Self {
        let system = (names::SYSTEM_SCOPE.to_owned(), Scope::default());
        Self {
            scopes: BTreeMap::from([system]),
            leaving: BTreeMap::new(),
            rates: BTreeMap::new(),
            held: 0,
            doomed: BTreeSet::new(),
            pruning: BTreeMap::new(),
            remembered: 0,
            log: None,
        }
    }
}

/// A scope with its streams, tables and groups.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) streams: BTreeMap<String, Stream>,
    /// The streams with each tag.
    pub(super) tagged: BTreeMap<String, BTreeSet<String>>,
    pub(super) tables: BTreeMap<String, Table>,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) numbers: Numbers,
}

/// A scope that is being deleted.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) scope: Scope,
    /// The last segment of the first stream that was deleted.
    pub(super) reached: Option<SegmentId>,
}

/// How far the segments before the head of a stream are deleted; `None` if it is not begun.
#[derive(Debug, Default)]
pub(super) struct Pruning(pub(super) Option<Begun>);

/// A deletion of segments before a head.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) head: Skyline,
    /// The first segment of the stream. One that is created again has another.
    pub(super) first: Option<SegmentId>,
    /// The last segment that was looked at.
    pub(super) reached: Option<SegmentId>,
}

/// The first numbers of the segments of streams, and of the partitions of tables, that are created
/// again. A client that knows an old segment never takes a new one for it.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// The number that every new stream begins with at least.
    pub(super) floor: SegmentNumber,
    /// The numbers above it, by the names of deleted streams, and of those of deleted tables.
    by_stream: BTreeMap<String, SegmentNumber>,
    by_number: BTreeSet<(SegmentNumber, String)>,
}

/// A key-value table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) config: KeyValueTableConfig,
    /// The number of its first partition.
    pub(super) first: SegmentNumber,
}

impl Table {
    /// Encodes the entry of the table. It has the first number only if that is not 0, as earlier
    /// versions know no other.
    pub(super) fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        let mut entry = postcard::to_allocvec(&self.config.encode_to_vec())?;
        if self.first != SegmentNumber::default() {
            entry.extend(postcard::to_allocvec(&self.first)?);
        }
        Ok(entry)
    }

    /// Reads the entry of a table.
    pub(super) fn read(entry: &[u8]) -> Result<Self, postcard::Error> {
        let (config, first): (Vec<u8>, &[u8]) = postcard::take_from_bytes(entry)?;
        let config = KeyValueTableConfig::decode(&config[..]);
        let config = config.map_err(|_| postcard::Error::SerdeDeCustom)?;
        let first = match first {
            [] => SegmentNumber::default(),
            first => postcard::from_bytes(first)?,
        };
        Ok(Self { config, first })
    }
}

/// A reader group, as far as the controller knows it: its configuration, encoded. Decoded, a long
/// list of streams takes many times the memory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Group {
    encoded: Bytes,
}

impl Group {
    pub(super) fn new(config: &ReaderGroupConfiguration) -> Self {
        Self { encoded: config.encode_to_vec().into() }
    }

    pub(super) fn config(&self) -> ReaderGroupConfiguration {
        // It was encoded here, or checked when it was read back.
        ReaderGroupConfiguration::decode(&self.encoded[..]).unwrap_or_default()
    }

    /// The encoded configuration.
    pub(super) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Returns true if the configuration can be decoded, for one that is read back.
    pub(super) fn is_readable(&self) -> bool {
        ReaderGroupConfiguration::decode(&self.encoded[..]).is_ok()
    }

    /// The length of the encoded configuration, in bytes.
    pub(super) fn len(&self) -> usize {
        self.encoded.len()
    }
}

impl Scope {
    /// Adds a stream to those with its tags.
    pub(super) fn tag(&mut self, name: &str) {
        for tag in self.streams.get(name).into_iter().flat_map(Stream::tags) {
            self.tagged.entry(tag.clone()).or_default().insert(name.to_owned());
        }
    }

    /// Removes a stream from those with its tags.
    pub(super) fn untag(&mut self, name: &str) {
        for tag in self.streams.get(name).into_iter().flat_map(Stream::tags) {
            if let Some(streams) = self.tagged.get_mut(tag) {
                streams.remove(name);
                if streams.is_empty() {
                    self.tagged.remove(tag);
                }
            }
        }
    }
}

impl Numbers {
    /// The number of the first segment of a new stream.
    pub(super) fn first_of(&self, stream: &str) -> SegmentNumber {
        self.by_stream.get(stream).copied().unwrap_or_default().max(self.floor)
    }

    /// The numbers above the floor, by the names of deleted streams.
    pub(super) fn by_stream(&self) -> &BTreeMap<String, SegmentNumber> {
        &self.by_stream
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, SegmentNumber)> {
        self.by_stream.iter().map(|(stream, number)| (stream, *number))
    }

    pub(super) fn len(&self) -> usize {
        self.by_stream.len()
    }

    /// The number of a stream; `None` if it has none above the floor.
    pub(super) fn get(&self, stream: &str) -> Option<SegmentNumber> {
        self.by_stream.get(stream).copied()
    }

    /// The least of the numbers.
    pub(super) fn least(&self) -> Option<SegmentNumber> {
        self.by_number.first().map(|(number, _)| *number)
    }

    /// Sets or removes the number of a stream.
    pub(super) fn set(&mut self, stream: &str, number: Option<SegmentNumber>) {
        if let Some(before) = self.by_stream.remove(stream) {
            self.by_number.remove(&(before, stream.to_owned()));
        }
        if let Some(number) = number {
            self.by_stream.insert(stream.to_owned(), number);
            self.by_number.insert((number, stream.to_owned()));
        }
    }

    /// The names whose numbers are not above a floor.
    pub(super) fn up_to(&self, floor: SegmentNumber) -> Vec<String> {
        let low = self.by_number.iter().take_while(|(number, _)| *number <= floor);
        low.map(|(_, stream)| stream.clone()).collect()
    }
}

impl Catalog {
    /// Approximate memory that the entries use, in bytes.
    pub fn held(&self) -> u64 {
        self.held
    }

    pub(super) fn stream(&self, scope: &str, stream: &str) -> Option<&Stream> {
        self.scopes.get(scope)?.streams.get(stream)
    }

    pub(super) fn table(&self, scope: &str, table: &str) -> Option<&Table> {
        self.scopes.get(scope)?.tables.get(table)
    }

    pub(super) fn group(&self, scope: &str, group: &str) -> Option<&Group> {
        self.scopes.get(scope)?.groups.get(group)
    }
}
