//! How an application's values become bytes, and bytes values: events of streams, keys and values
//! of tables.
//!
//! | codec | for |
//! |---|---|
//! | [`Raw`] | bytes |
//! | [`Utf8`] | text |
//! | [`BigEndian`] | numbers in a fixed number of bytes, in their order |
//! | `Json` (feature `json`), `Postcard` (feature `postcard`) | what serde serializes |
//! | `Prost` (feature `prost`) | protocol buffers |
//!
//! A codec of a program's own is a type with [`Codec`] and [`Encode`].

mod big_endian;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "postcard")]
mod postcard;
#[cfg(feature = "prost")]
mod prost;
mod raw;
mod traits;
mod utf8;

#[cfg(feature = "json")]
pub use self::json::Json;
#[cfg(feature = "postcard")]
pub use self::postcard::Postcard;
#[cfg(feature = "prost")]
pub use self::prost::Prost;
pub use self::{
    big_endian::BigEndian,
    raw::Raw,
    traits::{Codec, CodecError, Encode},
    utf8::Utf8,
};

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use bytes::Bytes;

    use super::*;

    #[test]
    fn raw_takes_bytes_as_they_are() {
        let bytes = Bytes::from_static(b"abc");
        assert_eq!(Raw.encode(bytes.clone()).unwrap().as_ptr(), bytes.as_ptr());
        assert_eq!(Raw.encode(vec![1, 2]).unwrap(), Bytes::from_static(&[1, 2]));
        assert_eq!(Raw.decode(bytes.clone()).unwrap(), bytes);
    }

    #[test]
    fn numbers_have_one_length_and_their_order() {
        let codec = BigEndian::<u64>::new();
        let encoded: Vec<Bytes> =
            [0, 1, 255, 256, u64::MAX].map(|number| codec.encode(number).unwrap()).into();
        assert!(encoded.is_sorted() && encoded.iter().all(|bytes| bytes.len() == 8));
        assert_eq!(codec.decode(encoded[3].clone()).unwrap(), 256);
        let error = codec.decode(encoded[3].slice(1..)).unwrap_err();
        assert_eq!(error.to_string(), "not the bytes of a u64");
    }

    #[test]
    fn text_that_is_none_is_refused() {
        assert_eq!(Utf8.encode("Grüße").unwrap(), Bytes::from("Grüße"));
        assert_eq!(Utf8.decode(Bytes::from("Grüße")).unwrap(), "Grüße");
        let error = Utf8.decode(Bytes::from_static(&[0xFF])).unwrap_err();
        assert_eq!(error.to_string(), "not UTF-8");
        assert!(error.source().is_some());
    }

    #[cfg(feature = "json")]
    #[test]
    fn json_takes_values_and_references() {
        let codec = Json::<Vec<u32>>::new();
        assert_eq!(codec.encode(vec![1, 2]).unwrap(), Bytes::from_static(b"[1,2]"));
        assert_eq!(codec.encode(&vec![1, 2]).unwrap(), Bytes::from_static(b"[1,2]"));
        assert_eq!(codec.decode(Bytes::from_static(b"[1,2]")).unwrap(), vec![1, 2]);
        assert!(codec.decode(Bytes::from_static(b"[1,2")).is_err());
    }

    #[cfg(feature = "postcard")]
    #[test]
    fn postcard_reads_what_it_wrote_and_refuses_what_follows() {
        let codec = Postcard::<(u32, String)>::new();
        let bytes = codec.encode((300, "x".to_owned())).unwrap();
        assert_eq!(codec.decode(bytes.clone()).unwrap(), (300, "x".to_owned()));
        assert!(codec.decode([&bytes[..], b"more"].concat().into()).is_err());
        assert!(codec.decode(bytes.slice(..1)).is_err());
    }

    #[cfg(feature = "prost")]
    #[test]
    fn prost_reads_what_it_wrote() {
        let codec = Prost::<String>::new();
        let bytes = codec.encode("x".to_owned()).unwrap();
        assert_eq!(codec.encode(&"x".to_owned()).unwrap(), bytes);
        assert_eq!(codec.decode(bytes).unwrap(), "x");
        assert!(codec.decode(Bytes::from_static(&[0xFF])).is_err());
    }
}
