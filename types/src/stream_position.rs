//! A place in a stream that reading can start from, with a text form.

use std::{fmt, str::FromStr};

use crate::{
    BoundedCut, ErrorKind, EventPointer, EventPointerError, StreamCut, StreamCutError, Timestamp,
    TimestampError, classify,
};

/// A place in a stream.
///
/// The text form is `head`, `tail`, `cut:TEXT` with the text of a [`StreamCut`], `event:TEXT` with
/// that of an [`EventPointer`], or `time:TEXT` with that of a [`Timestamp`].
///
/// # Examples
///
/// ```
/// use pravega_sdk_types::{EventPointer, StreamPosition};
///
/// let pointer: EventPointer = "shop/orders/0.#epoch.0:64-128".parse()?;
/// let position = StreamPosition::from(pointer);
/// assert_eq!(position.to_string(), "event:shop/orders/0.#epoch.0:64-128");
/// assert_eq!(position.to_string().parse::<StreamPosition>()?, position);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StreamPosition {
    /// The first event that is not truncated.
    #[default]
    Head,
    /// The end of the stream at the time of use.
    Tail,
    /// A stream cut.
    Cut(BoundedCut),
    /// An event.
    Event(EventPointer),
    /// A time of the clock by which the writers note time.
    Time(Timestamp),
}

/// A text that is not a [`StreamPosition`].
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamPositionError {
    /// The text has none of the forms.
    #[error("a position has the form head, tail, cut:TEXT, event:TEXT or time:TEXT")]
    Form,
    /// The cut is unbounded, so it is not a single position.
    #[error("an unbounded stream cut is not a position; use head or tail")]
    Unbounded,
    /// The cut cannot be read.
    #[error("the position holds no stream cut")]
    Cut(#[from] StreamCutError),
    /// The event pointer cannot be read.
    #[error("the position holds no event pointer")]
    Event(#[from] EventPointerError),
    /// The time cannot be read.
    #[error("the position holds no time")]
    Time(#[from] TimestampError),
}

classify!(StreamPositionError, |error| match error {
    StreamPositionError::Form => ErrorKind::InvalidArgument,
    StreamPositionError::Unbounded => ErrorKind::InvalidStreamCut,
    StreamPositionError::Cut(error) => error.kind(),
    StreamPositionError::Event(error) => error.kind(),
    StreamPositionError::Time(error) => error.kind(),
});

impl From<BoundedCut> for StreamPosition {
    fn from(cut: BoundedCut) -> Self {
        Self::Cut(cut)
    }
}

impl From<EventPointer> for StreamPosition {
    fn from(pointer: EventPointer) -> Self {
        Self::Event(pointer)
    }
}

impl From<Timestamp> for StreamPosition {
    fn from(time: Timestamp) -> Self {
        Self::Time(time)
    }
}

impl fmt::Display for StreamPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("head"),
            Self::Tail => f.write_str("tail"),
            Self::Cut(cut) => write!(f, "cut:{}", cut.to_text()),
            Self::Event(pointer) => write!(f, "event:{pointer}"),
            Self::Time(time) => write!(f, "time:{time}"),
        }
    }
}

impl FromStr for StreamPosition {
    type Err = StreamPositionError;

    fn from_str(text: &str) -> Result<Self, StreamPositionError> {
        match text.split_once(':') {
            None if text == "head" => Ok(Self::Head),
            None if text == "tail" => Ok(Self::Tail),
            Some(("cut", cut)) => match cut.parse()? {
                StreamCut::At(cut) => Ok(Self::Cut(cut)),
                StreamCut::Unbounded => Err(StreamPositionError::Unbounded),
            },
            Some(("event", pointer)) => Ok(Self::Event(pointer.parse()?)),
            Some(("time", time)) => Ok(Self::Time(time.parse()?)),
            _ => Err(StreamPositionError::Form),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Offset, SegmentId, SegmentOffset};

    #[test]
    fn every_position_is_read_as_it_was_written() {
        let stream = "shop/orders".parse().unwrap();
        let cut = BoundedCut::new(stream, [(SegmentId::from(7), Offset(42))]).unwrap();
        let pointer: EventPointer = "shop/orders/0.#epoch.0:64-128".parse().unwrap();
        let ended = [(SegmentId::from(0), SegmentOffset::End)];
        for position in [
            StreamPosition::Head,
            StreamPosition::Tail,
            BoundedCut::empty(cut.stream().clone()).into(),
            BoundedCut::new(cut.stream().clone(), ended).unwrap().into(),
            cut.into(),
            pointer.into(),
            Timestamp::from_millis(-1).into(),
            Timestamp::from_millis(i64::MIN).into(),
            Timestamp::from_millis(i64::MAX).into(),
        ] {
            assert_eq!(position.to_string().parse(), Ok(position));
        }
    }

    #[test]
    fn text_that_is_no_position_is_refused_with_its_reason() {
        let error = |text: &str| text.parse::<StreamPosition>().unwrap_err();
        for text in ["", "Head", "head:", "0", "cuts:x"] {
            assert_eq!(error(text), StreamPositionError::Form, "{text:?}");
        }
        assert_eq!(error("cut:UNBOUNDED"), StreamPositionError::Unbounded);
        assert!(matches!(error("cut:?"), StreamPositionError::Cut(_)));
        assert!(matches!(error("event:x"), StreamPositionError::Event(_)));
        assert!(matches!(error("time:noon"), StreamPositionError::Time(_)));
    }
}
