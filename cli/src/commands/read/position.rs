//! A position in a stream, as `--from` and `--until` take it.

use std::str::FromStr;

use pravega_sdk::{
    StreamPosition,
    types::{EventPointer, StreamCut, StreamPositionError},
};

use crate::failure::with_causes;

/// A position in a stream, as written on a command line: the text of a [`StreamPosition`], and for
/// cuts and events also their own texts.
#[derive(Debug, Clone)]
pub(super) enum Position {
    At(StreamPosition),
    /// The cut `UNBOUNDED`: the head or the tail.
    Unbounded,
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(position) => return Ok(Self::At(position)),
            Err(StreamPositionError::Form) => {}
            Err(error) => return Err(with_causes(&error)),
        }
        if text.contains(".#epoch.") {
            let pointer: EventPointer = text.parse().map_err(|error| with_causes(&error))?;
            return Ok(Self::At(pointer.into()));
        }
        match text.parse().map_err(|error| with_causes(&error))? {
            StreamCut::At(cut) => Ok(Self::At(cut.into())),
            StreamCut::Unbounded => Ok(Self::Unbounded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_a_word_a_cut_or_an_event() {
        assert!(matches!("head".parse(), Ok(Position::At(StreamPosition::Head))));
        assert!(matches!("UNBOUNDED".parse(), Ok(Position::Unbounded)));
        for event in ["s/t/0.#epoch.0:8-16", "event:s/t/0.#epoch.0:8-16"] {
            assert!(matches!(event.parse(), Ok(Position::At(StreamPosition::Event(_)))));
        }
        assert!("nonsense".parse::<Position>().is_err());
    }
}
