//! Checkpoints of reader groups.

use std::str::FromStr;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use crate::{
    BoundedCut, ScopedStream, StreamCutError,
    serial::{SerialError, SerialReader, SerialWriter},
};

/// A checkpoint of a reader group: its name, and a cut through each stream that the group reads.
///
/// The events before the cuts were read when the checkpoint was taken, and those after them were
/// not. The binary form is Java's.
///
/// # Examples
///
/// ```
/// use pravega_sdk_types::{BoundedCut, Checkpoint, Offset, SegmentId};
///
/// let cut = BoundedCut::new("shop/orders".parse()?, [(SegmentId::from(0), Offset(42))])?;
/// let checkpoint = Checkpoint::new("nightly", [cut]);
/// assert_eq!(Checkpoint::from_bytes(&checkpoint.to_bytes()?)?, checkpoint);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    name: String,
    cuts: Vec<BoundedCut>,
}

const VERSIONS: &[u8] = &[0];

impl Checkpoint {
    /// Creates a checkpoint from a cut through each stream.
    #[must_use]
    pub fn new(name: impl Into<String>, cuts: impl IntoIterator<Item = BoundedCut>) -> Self {
        Self { name: name.into(), cuts: cuts.into_iter().collect() }
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the cuts.
    #[must_use]
    pub fn cuts(&self) -> &[BoundedCut] {
        &self.cuts
    }

    /// Returns the cut through a stream, if the group reads it.
    #[must_use]
    pub fn cut(&self, stream: &ScopedStream) -> Option<&BoundedCut> {
        self.cuts.iter().find(|cut| cut.stream() == stream)
    }

    /// Returns the checkpoint in the form of Java's client.
    ///
    /// # Errors
    ///
    /// [`StreamCutError::Serial`] if the name or an offset does not fit the layout.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StreamCutError> {
        let mut body = SerialWriter::new();
        body.utf(&self.name)?;
        body.count(self.cuts.len())?;
        for cut in &self.cuts {
            body.utf(&cut.stream().to_string())?;
            body.bytes(&cut.to_bytes()?);
        }
        let mut writer = SerialWriter::new();
        writer.versioned(0, &[body])?;
        Ok(writer.finish())
    }

    /// Returns the bytes of [`Self::to_bytes`] in Base64.
    ///
    /// # Errors
    ///
    /// As [`Self::to_bytes`].
    pub fn to_text(&self) -> Result<String, StreamCutError> {
        Ok(BASE64.encode(self.to_bytes()?))
    }

    /// Decodes the form of [`Self::to_bytes`] and of Java's client.
    ///
    /// # Errors
    ///
    /// [`StreamCutError`] if the bytes are not a checkpoint.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StreamCutError> {
        let revisions = SerialReader::new(bytes).versioned(VERSIONS)?;
        let mut body = revisions.require(0)?;
        let name = body.utf()?.into_owned();
        let count = body.compact_int()?;
        let mut cuts = Vec::new();
        for _ in 0..count {
            let stream = ScopedStream::internal(&body.utf()?)?;
            let cut = BoundedCut::read(&mut body)?;
            if *cut.stream() != stream {
                return Err(SerialError::Invalid { what: "stream of a cut" }.into());
            }
            cuts.push(cut);
        }
        Ok(Self { name, cuts })
    }
}

impl FromStr for Checkpoint {
    type Err = StreamCutError;

    /// Parses the text of [`Self::to_text`].
    fn from_str(text: &str) -> Result<Self, StreamCutError> {
        Self::from_bytes(&BASE64.decode(text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Offset, SegmentId};

    fn cut(stream: &str) -> BoundedCut {
        BoundedCut::new(stream.parse().unwrap(), [(SegmentId::from(0), Offset(3))]).unwrap()
    }

    #[test]
    fn every_cut_of_the_bytes_is_refused() {
        let bytes = Checkpoint::new("c", [cut("a/b"), cut("a/c")]).to_bytes().unwrap();
        for len in 0..bytes.len() {
            assert!(Checkpoint::from_bytes(&bytes[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_checkpoint_is_read_from_its_text() {
        let checkpoint = Checkpoint::new("c", [cut("a/b"), cut("a/c")]);
        let text = checkpoint.to_text().unwrap();
        assert_eq!(text.parse(), Ok(checkpoint));
        assert!(matches!("-".parse::<Checkpoint>(), Err(StreamCutError::Base64(_))));
        assert!("".parse::<Checkpoint>().is_err());
    }

    #[test]
    fn a_cut_under_the_name_of_another_stream_is_refused() {
        let bytes = Checkpoint::new("c", [cut("a/b")]).to_bytes().unwrap();
        let key = bytes.windows(3).position(|part| part == b"a/b").unwrap();
        let mut other = bytes.clone();
        other[key + 2] = b'c';
        assert!(Checkpoint::from_bytes(&other).is_err());
        assert!(Checkpoint::from_bytes(&bytes).is_ok());
    }
}
