//! A record of an index stream: fields to search by, and data.
//!
//! ```text
//! event header (8) | type i32 = 0 | version i32 = 0 | fields length u32 | data length u32
//! | field count u32 | per field: name u128, value u64 | data length u32 | data | zeros up to the record size
//! ```
//!
//! All numbers have the high byte first. A name is the first 128 bits of its SHAKE128. This is the
//! layout of `pravega-client`, the existing client for Rust; a record is an event too, for programs
//! that read the stream as events.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use pravega_sdk_segment_client::error::WriteError;
use pravega_sdk_wire_protocol::event::{self, EVENT_HEADER_LEN};
use sha3::{
    Shake128,
    digest::{ExtendableOutput as _, Update as _, XofReader as _},
};

/// The names and values of a record's fields, in order.
///
/// Values never go down from one record to the next, which is what makes a stream searchable by
/// each of them. New fields may be added after the others later on.
///
/// # Examples
///
/// ```
/// use pravega_sdk_event_stream::index::Fields;
///
/// struct Frame { time_ms: u64, number: u64 }
///
/// impl Fields for Frame {
///     fn fields(&self) -> Vec<(&'static str, u64)> {
///         vec![("time_ms", self.time_ms), ("number", self.number)]
///     }
/// }
/// # assert_eq!(Frame { time_ms: 1, number: 2 }.fields().len(), 2);
/// ```
pub trait Fields {
    /// The fields, each by its name.
    fn fields(&self) -> Vec<(&'static str, u64)>;
}

impl<const N: usize> Fields for [(&'static str, u64); N] {
    fn fields(&self) -> Vec<(&'static str, u64)> {
        self.to_vec()
    }
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRecord {
    pub(super) fields: Vec<(u128, u64)>,
    data: Bytes,
}

/// A record is no record, or not one of its stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no record of an index stream: {0}")]
pub(super) struct InvalidRecord(&'static str);

/// As many as `pravega-client` takes.
pub(super) const MAX_FIELDS: usize = 100;
/// A field's name and its value.
const FIELD_LEN: usize = 24;
/// Everything but the fields and the data: type, version, two lengths, and the counts in front of
/// both.
const FIXED_LEN: usize = 6 * 4;

impl IndexRecord {
    /// The data.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// The value of a field; `None` if the record has no field of that name.
    #[must_use]
    pub fn value(&self, field: &str) -> Option<u64> {
        let name = hashed(field);
        self.fields.iter().find(|(found, _)| *found == name).map(|(_, value)| *value)
    }
}

/// The first 128 bits of a name's SHAKE128.
pub(super) fn hashed(name: &str) -> u128 {
    let mut shake = Shake128::default();
    shake.update(name.as_bytes());
    let mut bits = [0; 16];
    shake.finalize_xof().read(&mut bits);
    u128::from_be_bytes(bits)
}

pub(super) fn hash_all(fields: &[(&'static str, u64)]) -> Vec<(u128, u64)> {
    fields.iter().map(|(name, value)| (hashed(name), *value)).collect()
}

/// A record of `size` bytes.
pub(super) fn encode(
    fields: &[(u128, u64)],
    data: &[u8],
    size: usize,
) -> Result<Bytes, WriteError> {
    let len = FIXED_LEN + fields.len() * FIELD_LEN + data.len();
    if EVENT_HEADER_LEN + len > size {
        let room = size.saturating_sub(EVENT_HEADER_LEN + FIXED_LEN + fields.len() * FIELD_LEN);
        let len = data.len();
        let detail =
            format_args!("the data has {len} bytes, a record of {size} holds at most {room}");
        return Err(WriteError::invalid(detail));
    }
    let header = event::header(size - EVENT_HEADER_LEN).map_err(WriteError::invalid)?;
    // Checked above to be at most the record's size, which an event's header can say.
    let length = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
    let mut record = BytesMut::with_capacity(size);
    record.put_slice(&header);
    record.put_i32(0);
    record.put_i32(0);
    record.put_u32(length(fields.len() * FIELD_LEN));
    record.put_u32(length(data.len()));
    record.put_u32(length(fields.len()));
    for (name, value) in fields {
        record.put_u128(*name);
        record.put_u64(*value);
    }
    record.put_u32(length(data.len()));
    record.put_slice(data);
    record.put_bytes(0, size - EVENT_HEADER_LEN - len);
    Ok(record.freeze())
}

/// Reads what [`encode`] or `pravega-client` wrote.
pub(super) fn decode(mut record: Bytes) -> Result<IndexRecord, InvalidRecord> {
    let ends = || InvalidRecord("it ends early");
    match event::parse_header(&record, record.len()) {
        Ok(len) if record.len() == EVENT_HEADER_LEN + len => {}
        _ => return Err(InvalidRecord("it begins with no event header of its length")),
    }
    record.advance(EVENT_HEADER_LEN);
    let (kind, version) = (next_u32(&mut record)?, next_u32(&mut record)?);
    if kind != 0 {
        return Err(InvalidRecord("its type is not 0"));
    }
    if version != 0 {
        return Err(InvalidRecord("its version is not 0"));
    }
    // Both lengths are said again where they are needed.
    next_u32(&mut record)?;
    next_u32(&mut record)?;
    let count = next_u32(&mut record)? as usize;
    let mut fields = Vec::new();
    for _ in 0..count {
        let name = record.try_get_u128().map_err(|_| ends())?;
        fields.push((name, record.try_get_u64().map_err(|_| ends())?));
    }
    let len = next_u32(&mut record)? as usize;
    if len > record.len() {
        return Err(ends());
    }
    Ok(IndexRecord { fields, data: record.split_to(len) })
}

fn next_u32(record: &mut Bytes) -> Result<u32, InvalidRecord> {
    record.try_get_u32().map_err(|_| InvalidRecord("it ends early"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_its_shake128() {
        // The first 16 bytes of SHAKE128 of nothing, from the standard's test vectors.
        assert_eq!(hashed(""), 0x7f9c_2ba4_e88f_827d_6160_4550_7605_853e);
    }

    #[test]
    fn a_record_is_the_same_as_that_of_pravega_client() {
        // Written by version 0.3.7: fields "time" = 10 and "id" = 1, the data "frame 1", records of
        // 160 bytes.
        let golden = "000000000000009800000000000000000000003000000007000000025123619f\
             02fe0a48d22817ee93ef0224000000000000000af0e92d29f741ebf4eb6469c3\
             e7da76260000000000000001000000076672616d652031";
        let mut golden = pravega_sdk_wire_protocol::value::from_hex(golden).unwrap();
        golden.resize(160, 0);
        let fields = hash_all(&[("time", 10), ("id", 1)]);
        assert_eq!(encode(&fields, b"frame 1", 160).unwrap(), golden);
        let record = decode(golden.into()).unwrap();
        assert_eq!(
            (record.value("time"), record.value("id"), &record.data()[..]),
            (Some(10), Some(1), &b"frame 1"[..])
        );
    }

    #[test]
    fn a_record_stands_as_the_layout_says() {
        let record = encode(&[(7, 9)], b"ab", 64).unwrap();
        let mut expected = vec![
            0, 0, 0, 0, 0, 0, 0, 56, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0, 0, 2, 0, 0, 0, 1,
        ];
        expected.extend(7_u128.to_be_bytes());
        expected.extend(9_u64.to_be_bytes());
        expected.extend([0, 0, 0, 2, b'a', b'b']);
        expected.resize(64, 0);
        assert_eq!(record, expected);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_how_much_would() {
        let fields = [(1, 1), (2, 2)];
        let room = 200 - 8 - FIXED_LEN - 2 * FIELD_LEN;
        encode(&fields, &vec![0; room], 200).unwrap();
        let refused = encode(&fields, &vec![0; room + 1], 200).unwrap_err();
        assert!(
            refused.to_string().contains(&format!("a record of 200 holds at most {room}")),
            "{refused}"
        );
        encode(&fields, b"", 10).unwrap_err();
    }

    #[test]
    fn every_cut_of_a_record_is_refused() {
        let record = encode(&[(1, 1)], b"some data", 100).unwrap();
        for len in 0..record.len() {
            assert!(decode(record.slice(..len)).is_err(), "{len}");
        }
        assert_eq!(decode(record).unwrap().data(), "some data");
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            decode(bytes.into()).ok();
        }

        #[test]
        fn encoded_records_decode_to_the_same(
            fields in proptest::collection::vec(any::<(u128, u64)>(), 0..10),
            data in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let record = decode(encode(&fields, &data, 1000).unwrap()).unwrap();
            prop_assert_eq!(&record.fields, &fields);
            prop_assert_eq!(record.data(), &data);
        }
    }
}
