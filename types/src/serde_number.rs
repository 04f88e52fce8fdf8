//! Serialization of numbers and ids, as the integers that they hold.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{ContainerId, Epoch, EventNumber, Offset, SegmentId, SegmentNumber};

macro_rules! as_integer {
    ($($name:ty, $integer:ty;)*) => {
        $(
            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    <$integer>::from(*self).serialize(serializer)
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    <$integer>::deserialize(deserializer).map(Self::from)
                }
            }
        )*
    };
}

as_integer! {
    ContainerId, i32;
    Epoch, i32;
    EventNumber, i64;
    Offset, i64;
    SegmentId, i64;
    SegmentNumber, i32;
}

#[cfg(test)]
mod tests {
    use serde::de::{IntoDeserializer, value::Error};

    use super::*;

    #[test]
    fn an_integer_is_read_as_the_number_that_holds_it() {
        let offset = Offset::deserialize(IntoDeserializer::<Error>::into_deserializer(-1_i64));
        assert_eq!(offset, Ok(Offset(-1)));
        let id: i64 = (3 << 32) | 7;
        let read = SegmentId::deserialize(IntoDeserializer::<Error>::into_deserializer(id));
        assert_eq!(read, Ok(SegmentId::new(Epoch(3), SegmentNumber(7))));
    }
}
