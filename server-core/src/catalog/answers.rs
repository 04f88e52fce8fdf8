//! How long the answers of calls that change something may be: their memory is there before
//! anything changes. The answers of all other such calls are short.

use pravega_sdk_proto::{ReaderGroupConfiguration, ScaleRequest, StreamInfo};
use prost::Message as _;

use super::state::{Catalog, Group};

/// A status, numbers, and the headers of fields, in bytes.
const SHORT: usize = 256;
/// The numbers of a segment with its part of the key space, and the headers of their fields.
const SEGMENT: usize = 64;
/// A token without the names in it.
const TOKEN: usize = 1024;

impl Catalog {
    /// The most bytes of the answer to
    /// [`create_transaction`](Self::create_transaction).
    pub fn most_of_transaction(&self, info: &StreamInfo) -> usize {
        let active = self.stream(&info.scope, &info.stream).map_or(0, |found| found.active().len());
        SHORT + TOKEN + 4 * names(info) + active * (SEGMENT + names(info))
    }

    /// The most bytes of the answer to [`scale`](Self::scale).
    pub fn most_of_scale(&self, request: &ScaleRequest) -> usize {
        let names = request.stream_info.as_ref().map_or(0, names);
        SHORT + request.new_key_ranges.len() * (SEGMENT + names)
    }

    /// The most bytes of the answer to [`create_group`](Self::create_group), which has the
    /// configuration of the request, or that of the group that exists.
    pub fn most_of_group(&self, config: &ReaderGroupConfiguration) -> usize {
        let found = self.group(&config.scope, &config.reader_group_name);
        SHORT + config.encoded_len().max(found.map_or(0, Group::len))
    }
}

fn names(info: &StreamInfo) -> usize {
    info.scope.len() + info.stream.len()
}
