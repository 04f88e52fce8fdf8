//! Serialization of positions in a stream, as text.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};

use crate::{
    BoundedCut, EventPointer, Position, StreamCut, StreamPosition, Timestamp, serial::SerialError,
};

/// Deserializes a text from any kind of string.
struct TextVisitor<T>(PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! as_text {
    ($($type:ty, $to_text:expr;)*) => {
        $(
            impl Serialize for $type {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    let to_text: fn(&Self) -> Result<String, SerialError> = $to_text;
                    let text = to_text(self).map_err(serde::ser::Error::custom)?;
                    serializer.serialize_str(&text)
                }
            }

            impl<'de> Deserialize<'de> for $type {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    deserializer.deserialize_str(TextVisitor(PhantomData))
                }
            }
        )*
    };
}

as_text! {
    BoundedCut, |cut| Ok(cut.to_text());
    EventPointer, |pointer| Ok(pointer.to_string());
    Position, |position| position.to_text();
    StreamCut, |cut| Ok(cut.to_text());
    StreamPosition, |position| Ok(position.to_string());
    Timestamp, |time| Ok(time.to_string());
}

#[cfg(test)]
mod tests {
    use serde::de::{
        IntoDeserializer as _,
        value::{Error, StrDeserializer},
    };

    use super::*;
    use crate::{Offset, SegmentId};

    fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
        let deserializer: StrDeserializer<'a, Error> = text.into_deserializer();
        T::deserialize(deserializer)
    }

    #[test]
    fn places_are_read_from_their_texts() {
        let stream = "shop/orders".parse().unwrap();
        let cut = BoundedCut::new(stream, [(SegmentId::from(7), Offset(42))]).unwrap();
        assert_eq!(read(&cut.to_text()), Ok(cut.clone()));
        let cut = StreamCut::from(cut);
        assert_eq!(read(&cut.to_text()), Ok(cut));
        assert!(read::<BoundedCut>("UNBOUNDED").is_err());
        let position = Position::new([("a/b/0.#epoch.0".parse().unwrap(), Offset(3))], []);
        assert_eq!(read(&position.to_text().unwrap()), Ok(position));
        assert_eq!(read("tail"), Ok(StreamPosition::Tail));
        assert!(read::<StreamPosition>("nowhere").is_err());
    }
}
