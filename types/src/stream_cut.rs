//! Stream cuts: positions in a stream, as one offset for each segment.

use std::{
    fmt,
    io::{Read as _, Write as _},
    str::FromStr,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use flate2::{Compression, bufread::GzDecoder, write::GzEncoder};

use crate::{
    Epoch, ErrorKind, NameError, ScopedStream, SegmentId, SegmentNumber, SegmentOffset, classify,
    serial::{SerialError, SerialReader, SerialWriter},
};

/// A position in a stream, or an unbounded one.
///
/// The binary and the text form are Java's, so cuts can be exchanged with Java programs.
/// The text is Base64 of gzip; two programs may compress the same cut differently, so compare cuts,
/// never their texts.
///
/// # Examples
///
/// ```
/// use pravega_sdk_types::{BoundedCut, Offset, SegmentId, StreamCut};
///
/// let positions = [(SegmentId::from(0), Offset(42))];
/// let cut = StreamCut::from(BoundedCut::new("shop/orders".parse()?, positions)?);
/// let text = cut.to_text();
/// assert_eq!(text.parse::<StreamCut>()?, cut);
/// assert_eq!(cut.to_string(), "shop/orders:0=42");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamCut {
    /// The head of the stream as the start of a range, the tail as its end.
    Unbounded,
    /// One offset for each segment of the cut.
    At(BoundedCut),
}

/// A position in a stream: one offset for each segment of the cut.
#[derive(Debug, Clone)]
pub struct BoundedCut {
    stream: ScopedStream,
    /// In the order given, so that a cut that was read is stored the same; each segment once.
    positions: Vec<(SegmentId, SegmentOffset)>,
}

/// The text of an unbounded cut.
const UNBOUNDED: &str = "UNBOUNDED";
/// A cut of a thousand segments takes 30 KB before compression, so 1 MiB is far above real cuts.
const MAX_TEXT_BYTES: u64 = 1 << 20;
const TEXT_VERSION: &str = "0";
/// Version 1 has signed offsets; version 0, which is only read, has unsigned ones.
const VERSIONS: &[u8] = &[0, 1];

/// A stream cut that is refused.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamCutError {
    /// The text is not Base64.
    #[error("the stream cut is not Base64")]
    Base64(#[from] base64::DecodeError),
    /// The decoded Base64 is not one gzip member.
    #[error("the stream cut is not gzip: {0}")]
    Gzip(String),
    /// The decompressed text is longer than the limit.
    #[error("the stream cut is longer than {MAX_TEXT_BYTES} bytes when decompressed")]
    TooLong,
    /// Bytes follow the compressed text.
    #[error("{0} bytes follow the compressed stream cut")]
    TrailingBytes(usize),
    /// The decompressed text does not have five parts.
    #[error("the stream cut has {found} parts separated by ':', 5 are needed")]
    Parts {
        /// Number of parts found.
        found: usize,
    },
    /// The version of the text is not known.
    #[error("the stream cut is of text version {0:?}, only \"0\" is known")]
    TextVersion(String),
    /// The three lists of the text have different lengths.
    #[error(
        "the stream cut lists {numbers} segment numbers, {epochs} epochs and {offsets} offsets"
    )]
    Lists {
        /// Length of the list of segment numbers.
        numbers: usize,
        /// Length of the list of epochs.
        epochs: usize,
        /// Length of the list of offsets.
        offsets: usize,
    },
    /// An element of a list is not a number of its kind.
    #[error("element {index} of the {list} of the stream cut is not a number of its kind")]
    Element {
        /// The list.
        list: &'static str,
        /// Index of the element, from 0.
        index: usize,
    },
    /// An offset is negative. In the text and binary forms −1 means the end of a segment.
    #[error("the offset {offset} of segment {segment} is negative")]
    Offset {
        /// The segment.
        segment: SegmentId,
        /// Its offset.
        offset: i64,
    },
    /// A segment is in the cut twice.
    #[error("segment {0} is in the stream cut twice")]
    Duplicate(SegmentId),
    /// The text is that of an unbounded cut, which is not a position.
    #[error("an unbounded stream cut is not a position")]
    Unbounded,
    /// The stream's name is invalid.
    #[error("the stream cut has an invalid stream name")]
    Name(#[from] NameError),
    /// The binary form is invalid.
    #[error("the stream cut cannot be decoded")]
    Serial(#[from] SerialError),
}

classify!(StreamCutError, |_| ErrorKind::InvalidStreamCut);

impl StreamCut {
    /// Returns the cut in the form of Java's client; an unbounded cut has no bytes.
    ///
    /// # Errors
    ///
    /// [`StreamCutError::Serial`] if an offset does not fit the layout (2^61).
    pub fn to_bytes(&self) -> Result<Vec<u8>, StreamCutError> {
        match self {
            Self::Unbounded => Ok(Vec::new()),
            Self::At(cut) => cut.to_bytes(),
        }
    }

    /// Decodes the form of [`Self::to_bytes`] and of Java's client.
    ///
    /// # Errors
    ///
    /// [`StreamCutError`] if the bytes are not a cut.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StreamCutError> {
        if bytes.is_empty() {
            return Ok(Self::Unbounded);
        }
        BoundedCut::read(&mut SerialReader::new(bytes)).map(Self::At)
    }

    /// Returns the cut as text, for command lines and configuration files.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Unbounded => UNBOUNDED.to_owned(),
            Self::At(cut) => cut.to_text(),
        }
    }

    /// Returns the cut's place, unless it is unbounded.
    #[must_use]
    pub fn bounded(&self) -> Option<&BoundedCut> {
        match self {
            Self::Unbounded => None,
            Self::At(cut) => Some(cut),
        }
    }
}

impl From<BoundedCut> for StreamCut {
    fn from(cut: BoundedCut) -> Self {
        Self::At(cut)
    }
}

impl FromStr for StreamCut {
    type Err = StreamCutError;

    fn from_str(text: &str) -> Result<Self, StreamCutError> {
        if text == UNBOUNDED {
            return Ok(Self::Unbounded);
        }
        BoundedCut::from_inner_text(&decompress(&BASE64.decode(text)?)?).map(Self::At)
    }
}

impl fmt::Display for StreamCut {
    /// Shows the cut for people; programs read [`StreamCut::to_text`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unbounded => f.write_str(UNBOUNDED),
            Self::At(cut) => cut.fmt(f),
        }
    }
}

impl BoundedCut {
    /// Creates a cut through `stream`.
    ///
    /// # Errors
    ///
    /// [`StreamCutError::Duplicate`] if a segment is named twice, [`StreamCutError::Offset`] if an
    /// offset is negative.
    pub fn new<O: Into<SegmentOffset>>(
        stream: ScopedStream,
        positions: impl IntoIterator<Item = (SegmentId, O)>,
    ) -> Result<Self, StreamCutError> {
        let positions = positions.into_iter().map(|(id, offset)| (id, offset.into()));
        let positions: Vec<(SegmentId, SegmentOffset)> = positions.collect();
        for (segment, offset) in &positions {
            if let Some(offset) = offset.offset().filter(|offset| offset.0 < 0) {
                return Err(StreamCutError::Offset { segment: *segment, offset: offset.0 });
            }
        }
        let mut ids: Vec<_> = positions.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        if let Some((first, _)) = ids.iter().zip(ids.iter().skip(1)).find(|(a, b)| a == b) {
            return Err(StreamCutError::Duplicate(*first));
        }
        Ok(Self { stream, positions })
    }

    /// Creates a cut without segments: the tail of a sealed stream.
    #[must_use]
    pub fn empty(stream: ScopedStream) -> Self {
        Self { stream, positions: Vec::new() }
    }

    /// Returns the stream.
    #[must_use]
    pub fn stream(&self) -> &ScopedStream {
        &self.stream
    }

    /// Returns the segments and the offset in each, in the order given.
    pub fn positions(
        &self,
    ) -> impl ExactSizeIterator<Item = (SegmentId, SegmentOffset)> + Clone + '_ {
        self.positions.iter().copied()
    }

    /// Returns the offset in `segment`, if it is a segment of the cut.
    #[must_use]
    pub fn offset(&self, segment: SegmentId) -> Option<SegmentOffset> {
        self.positions.iter().find(|(id, _)| *id == segment).map(|(_, offset)| *offset)
    }

    fn sorted(&self) -> Vec<(SegmentId, SegmentOffset)> {
        let mut sorted = self.positions.clone();
        sorted.sort_unstable();
        sorted
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, StreamCutError> {
        let mut body = SerialWriter::new();
        body.utf(&self.stream.to_string())?;
        body.count(self.positions.len())?;
        for (segment, offset) in &self.positions {
            body.compact_long(i64::from(*segment))?;
            body.compact_signed_long(offset.to_wire())?;
        }
        let mut writer = SerialWriter::new();
        writer.versioned(1, &[body])?;
        Ok(writer.finish())
    }

    pub(crate) fn read(reader: &mut SerialReader<'_>) -> Result<Self, StreamCutError> {
        let revisions = reader.versioned(VERSIONS)?;
        let mut body = revisions.require(0)?;
        let stream = ScopedStream::internal(&body.utf()?)?;
        let signed = revisions.version() == 1;
        let positions = body.collection(|r| {
            let segment = SegmentId::from(r.compact_long()?);
            let offset = if signed { r.compact_signed_long()? } else { r.compact_long()? };
            Ok((segment, SegmentOffset::from_wire(offset)))
        })?;
        Self::new(stream, positions)
    }

    /// Returns the cut as text: that of [`StreamCut::to_text`].
    #[must_use]
    pub fn to_text(&self) -> String {
        BASE64.encode(compress(self.inner_text().as_bytes()))
    }

    /// `0:scope/stream:numbers:epochs:offsets`, each list with commas.
    fn inner_text(&self) -> String {
        let list = |item: &dyn Fn(&(SegmentId, SegmentOffset)) -> String| {
            self.positions.iter().map(item).collect::<Vec<_>>().join(",")
        };
        format!(
            "{TEXT_VERSION}:{}:{}:{}:{}",
            self.stream,
            list(&|(id, _)| id.number().to_string()),
            list(&|(id, _)| id.epoch().to_string()),
            list(&|(_, offset)| offset.to_string()),
        )
    }

    fn from_inner_text(text: &str) -> Result<Self, StreamCutError> {
        let parts: Vec<&str> = text.split(':').collect();
        let &[version, stream, numbers, epochs, offsets] = parts.as_slice() else {
            return Err(StreamCutError::Parts { found: parts.len() });
        };
        if version != TEXT_VERSION {
            return Err(StreamCutError::TextVersion(
                crate::Printable::with_limit(version, 20).to_string(),
            ));
        }
        let stream = ScopedStream::internal(stream)?;
        let numbers: Vec<i32> = parse_list("segment numbers", numbers)?;
        let epochs: Vec<i32> = parse_list("epochs", epochs)?;
        let offsets: Vec<i64> = parse_list("offsets", offsets)?;
        if numbers.len() != epochs.len() || numbers.len() != offsets.len() {
            return Err(StreamCutError::Lists {
                numbers: numbers.len(),
                epochs: epochs.len(),
                offsets: offsets.len(),
            });
        }
        let ids =
            numbers.iter().zip(&epochs).map(|(n, e)| SegmentId::new(Epoch(*e), SegmentNumber(*n)));
        Self::new(stream, ids.zip(offsets.into_iter().map(SegmentOffset::from_wire)))
    }
}

impl FromStr for BoundedCut {
    type Err = StreamCutError;

    fn from_str(text: &str) -> Result<Self, StreamCutError> {
        match text.parse()? {
            StreamCut::At(cut) => Ok(cut),
            StreamCut::Unbounded => Err(StreamCutError::Unbounded),
        }
    }
}

impl PartialEq for BoundedCut {
    /// Two cuts are the same if their stream and positions are; the order of the positions does not
    /// matter.
    fn eq(&self, other: &Self) -> bool {
        self.stream == other.stream && self.sorted() == other.sorted()
    }
}

impl Eq for BoundedCut {}

impl fmt::Display for BoundedCut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.stream)?;
        for (index, (segment, offset)) in self.positions.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}={offset}", i64::from(*segment))?;
        }
        Ok(())
    }
}

fn parse_list<T: FromStr>(list: &'static str, text: &str) -> Result<Vec<T>, StreamCutError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',')
        .enumerate()
        .map(|(index, item)| item.parse().map_err(|_| StreamCutError::Element { list, index }))
        .collect()
}

fn compress(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to a vector does not fail. If it did, a reader would refuse the empty result.
    encoder.write_all(text).and_then(|()| encoder.finish()).unwrap_or_default()
}

/// Decompresses exactly one gzip member, and at most [`MAX_TEXT_BYTES`].
fn decompress(bytes: &[u8]) -> Result<String, StreamCutError> {
    let gzip = |error: std::io::Error| StreamCutError::Gzip(error.to_string());
    let mut decoder = GzDecoder::new(bytes);
    let mut text = Vec::new();
    (&mut decoder).take(MAX_TEXT_BYTES + 1).read_to_end(&mut text).map_err(gzip)?;
    if text.len() as u64 > MAX_TEXT_BYTES {
        return Err(StreamCutError::TooLong);
    }
    match decoder.into_inner().len() {
        0 => String::from_utf8(text)
            .map_err(|_| StreamCutError::Gzip("the text is not UTF-8".to_owned())),
        trailing => Err(StreamCutError::TrailingBytes(trailing)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text_of(inner: &str) -> String {
        BASE64.encode(compress(inner.as_bytes()))
    }

    fn refused(inner: &str) -> StreamCutError {
        text_of(inner).parse::<StreamCut>().unwrap_err()
    }

    #[test]
    fn each_step_of_a_bad_text_has_its_own_error() {
        assert!(matches!("####".parse::<StreamCut>(), Err(StreamCutError::Base64(_))));
        assert!(matches!(
            BASE64.encode("plain").parse::<StreamCut>(),
            Err(StreamCutError::Gzip(_))
        ));
        assert_eq!(refused("0:a/b:0:0"), StreamCutError::Parts { found: 4 });
        assert_eq!(refused("7:a/b:0:0:0"), StreamCutError::TextVersion("7".to_owned()));
        assert_eq!(
            refused("0:a/b:0,1:0:0"),
            StreamCutError::Lists { numbers: 2, epochs: 1, offsets: 1 }
        );
        assert_eq!(
            refused("0:a/b:0,x:0,0:0,0"),
            StreamCutError::Element { list: "segment numbers", index: 1 }
        );
        assert_eq!(
            refused("0:a/b:99999999999:0:0"),
            StreamCutError::Element { list: "segment numbers", index: 0 }
        );
        assert_eq!(
            refused("0:a/b:0:0:-2"),
            StreamCutError::Offset { segment: 0.into(), offset: -2 }
        );
        assert_eq!(refused("0:a/b:0,0:0,0:1,2"), StreamCutError::Duplicate(0.into()));
        assert!(matches!(refused("0:a:0:0:0"), StreamCutError::Name(_)));
    }

    #[test]
    fn a_bounded_cut_has_the_same_text_and_an_unbounded_one_is_not_read_as_one() {
        let cut = BoundedCut::empty("a/b".parse().unwrap());
        assert_eq!(cut.to_text().parse(), Ok(cut.clone()));
        assert_eq!(cut.to_text().parse(), Ok(StreamCut::from(cut)));
        assert_eq!(UNBOUNDED.parse::<BoundedCut>(), Err(StreamCutError::Unbounded));
    }

    #[test]
    fn a_second_member_and_trailing_bytes_are_refused() {
        let one = compress(b"0:a/b:0:0:0");
        let two = [one.clone(), one.clone()].concat();
        let junk = [one.as_slice(), b"x"].concat();
        assert_eq!(
            BASE64.encode(&two).parse::<StreamCut>(),
            Err(StreamCutError::TrailingBytes(one.len()))
        );
        assert_eq!(
            BASE64.encode(&junk).parse::<StreamCut>(),
            Err(StreamCutError::TrailingBytes(1))
        );
    }

    #[test]
    fn a_gzip_bomb_ends_at_the_limit() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let zeros = vec![b'0'; 1 << 20];
        for _ in 0..256 {
            encoder.write_all(&zeros).unwrap();
        }
        let bomb = BASE64.encode(encoder.finish().unwrap());
        assert_eq!(bomb.parse::<StreamCut>(), Err(StreamCutError::TooLong));
    }

    #[test]
    fn a_version_0_offset_that_is_not_a_compact_long_of_a_cut_is_refused() {
        assert!(StreamCut::from_bytes(&[0, 9, 0]).is_err());
        assert!(StreamCut::from_bytes(&[1]).is_err());
    }

    proptest! {
        #[test]
        fn a_cut_comes_back_from_both_forms(
            positions in prop::collection::btree_map(0..i64::MAX >> 2, -1..1_i64 << 60, 0..20),
        ) {
            let positions = positions
                .into_iter()
                .map(|(id, offset)| (SegmentId::from(id), SegmentOffset::from_wire(offset)));
            let cut = StreamCut::from(BoundedCut::new("a/b".parse().unwrap(), positions).unwrap());
            prop_assert_eq!(&StreamCut::from_bytes(&cut.to_bytes().unwrap()).unwrap(), &cut);
            prop_assert_eq!(cut.to_text().parse::<StreamCut>().unwrap(), cut);
        }

        #[test]
        fn no_bytes_and_no_text_panic(bytes in any::<Vec<u8>>()) {
            let _ = StreamCut::from_bytes(&bytes);
            let _ = BASE64.encode(&bytes).parse::<StreamCut>();
            let _ = BASE64.encode(compress(&bytes)).parse::<StreamCut>();
        }
    }
}
