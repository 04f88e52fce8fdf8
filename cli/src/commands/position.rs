//! A position in a stream, as options take it.

use std::str::FromStr;

use pravega_sdk::{
    StreamPosition,
    types::{
        EventPointer, EventPointerError, Offset, ScopedSegment, ScopedStream, SegmentId, StreamCut,
        StreamPositionError,
    },
};

use crate::{failure::with_causes, parse::segment_id};

/// A position in a stream, as written on a command line: the text of a [`StreamPosition`], and for
/// cuts and events also their own texts.
#[derive(Debug, Clone)]
pub(crate) enum Position {
    At(StreamPosition),
    /// An event, without the name of the stream.
    Event {
        segment: SegmentId,
        offset: Offset,
        length: i32,
    },
    /// The cut `UNBOUNDED`: the head or the tail.
    Unbounded,
}

/// Why a text is no position.
pub(super) const FORMS: &str = "it is none of: head, tail, the text of a stream cut, \
                                SEGMENT:OFFSET-LENGTH, time:2020-09-13T12:26:40Z";
/// How the text of every stream cut begins: gzip in Base64.
const CUT_PREFIX: &str = "H4sI";

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "start" | "earliest" | "beginning" => return Ok(Self::At(StreamPosition::Head)),
            "end" | "latest" => return Ok(Self::At(StreamPosition::Tail)),
            _ => {}
        }
        match text.parse() {
            Ok(position) => return Ok(Self::At(position)),
            Err(StreamPositionError::Form) => {}
            Err(error) => return Err(with_causes(&error)),
        }
        if text.contains(".#epoch.") {
            return event(text);
        }
        match text.parse() {
            Ok(StreamCut::At(cut)) => Ok(Self::At(cut.into())),
            Ok(StreamCut::Unbounded) => Ok(Self::Unbounded),
            Err(error) if text.starts_with(CUT_PREFIX) => Err(with_causes(&error)),
            Err(_) => Err(FORMS.to_owned()),
        }
    }
}

/// `[SCOPE/STREAM/]SEGMENT:OFFSET-LENGTH`
fn event(text: &str) -> Result<Position, String> {
    if text.contains('/') {
        let pointer: EventPointer = text.parse().map_err(|error| with_causes(&error))?;
        return Ok(Position::At(pointer.into()));
    }
    let parts = || {
        let (segment, place) = text.split_once(':')?;
        let (offset, length) = place.split_once('-')?;
        Some((segment, offset.parse().ok()?, length.parse().ok()?))
    };
    let (segment, offset, length) = parts().ok_or("an event has the form SEGMENT:OFFSET-LENGTH")?;
    Ok(Position::Event { segment: segment_id(segment)?, offset: Offset(offset), length })
}

impl Position {
    /// The position in `stream`; `unbounded` in place of `UNBOUNDED`.
    pub(crate) fn in_stream(
        &self,
        stream: &ScopedStream,
        unbounded: StreamPosition,
    ) -> Result<StreamPosition, EventPointerError> {
        match self {
            Self::At(position) => Ok(position.clone()),
            Self::Unbounded => Ok(unbounded),
            Self::Event { segment, offset, length } => {
                let segment = ScopedSegment::new(stream, *segment);
                Ok(EventPointer::new(segment, *offset, *length)?.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_a_word_a_cut_an_event_or_a_time() {
        assert!(matches!("head".parse(), Ok(Position::At(StreamPosition::Head))));
        for head in ["start", "earliest", "beginning"] {
            assert!(matches!(head.parse(), Ok(Position::At(StreamPosition::Head))), "{head}");
        }
        for tail in ["end", "latest"] {
            assert!(matches!(tail.parse(), Ok(Position::At(StreamPosition::Tail))), "{tail}");
        }
        assert!(matches!("UNBOUNDED".parse(), Ok(Position::Unbounded)));
        for event in ["s/t/0.#epoch.0:8-16", "event:s/t/0.#epoch.0:8-16"] {
            assert!(matches!(event.parse(), Ok(Position::At(StreamPosition::Event(_)))));
        }
        let time = "time:2020-09-13T12:26:40Z";
        assert!(matches!(time.parse(), Ok(Position::At(StreamPosition::Time(_)))));
    }

    #[test]
    fn an_event_is_found_in_the_stream_that_is_read() {
        let position: Position = "0.#epoch.0:8-16".parse().unwrap();
        let found = position.in_stream(&"s/t".parse().unwrap(), StreamPosition::Head).unwrap();
        assert_eq!(found.to_string(), "event:s/t/0.#epoch.0:8-16");
    }

    #[test]
    fn text_of_no_form_is_refused_with_the_forms_and_a_damaged_cut_with_its_damage() {
        let error = |text: &str| text.parse::<Position>().unwrap_err();
        for text in ["", "earlier", "0:11", "xyz"] {
            assert_eq!(error(text), FORMS, "{text:?}");
        }
        assert!(error("H4sIAAAA").contains("not gzip"));
        assert!(error("0.#epoch.0:8").contains("SEGMENT:OFFSET-LENGTH"));
    }
}
