//! A position in a stream, as `--from` and `--until` take it.

use std::str::FromStr;

use pravega_sdk::types::{EventPointer, StreamCut};

use crate::failure::with_causes;

/// A position in a stream, as written on a command line.
#[derive(Debug, Clone)]
pub(super) enum Position {
    Head,
    Tail,
    Cut(StreamCut),
    Event(EventPointer),
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "head" => Ok(Self::Head),
            "tail" => Ok(Self::Tail),
            _ if text.contains(".#epoch.") => {
                text.parse().map(Self::Event).map_err(|error| with_causes(&error))
            }
            _ => text.parse().map(Self::Cut).map_err(|error| with_causes(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_a_word_a_cut_or_an_event() {
        assert!(matches!("head".parse(), Ok(Position::Head)));
        assert!(matches!("UNBOUNDED".parse(), Ok(Position::Cut(StreamCut::Unbounded))));
        assert!(matches!("s/t/0.#epoch.0:8-16".parse(), Ok(Position::Event(_))));
        assert!("nonsense".parse::<Position>().is_err());
    }
}
