//! Messages of the controller inside other values, in their own encoding.

use prost::Message;
use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

pub(super) fn serialize<M: Message, S: Serializer>(message: &M, to: S) -> Result<S::Ok, S::Error> {
    message.encode_to_vec().serialize(to)
}

pub(super) fn deserialize<'de, M: Message + Default, D: Deserializer<'de>>(
    from: D,
) -> Result<M, D::Error> {
    let bytes = Vec::<u8>::deserialize(from)?;
    M::decode(&bytes[..]).map_err(D::Error::custom)
}
