//! The hash that maps a routing key to the key space, and so an event to a segment.
//!
//! Pravega hashes keys with MurmurHash3 (x64, 128 bits) over their UTF-16 code units and takes the
//! first 52 bits of the result as a fraction. All clients must compute the same bits, or the
//! order per key is lost between them; golden values of the Java client check this module.

use std::fmt;

/// Seed for routing keys of events: Java's string hash of `EventRouter`.
pub const EVENT_SEED: i32 = java_string_hash("EventRouter");
/// Seed for primary keys of key-value tables: Java's string hash of `KeyValueTableRouter`.
pub const TABLE_SEED: i32 = java_string_hash("KeyValueTableRouter");
/// Seed for the ids of named segment attributes: Java's string hash of `SegmentAttribute`.
pub const ATTRIBUTE_SEED: i32 = java_string_hash("SegmentAttribute");
/// Seed for the choice of a segment's container: Java's string hash of `SegmentToContainerMapper`.
pub const CONTAINER_SEED: i32 = java_string_hash("SegmentToContainerMapper");

/// Decides which segment an event goes to, and with which other events it keeps its order.
///
/// # Examples
///
/// ```
/// use pravega_sdk_types::RoutingKey;
///
/// let position = RoutingKey::from("customer-7").position();
/// assert!((0.0..1.0).contains(&position));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoutingKey(String);

impl RoutingKey {
    /// Creates a key from any text, which may be empty.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// Returns the key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the position of the key in the key space `[0.0, 1.0)`, the same for every client of
    /// Pravega.
    #[must_use]
    pub fn position(&self) -> f64 {
        fraction(hash_text(EVENT_SEED, &self.0).0)
    }
}

impl From<&str> for RoutingKey {
    fn from(key: &str) -> Self {
        Self::new(key)
    }
}

impl From<String> for RoutingKey {
    fn from(key: String) -> Self {
        Self(key)
    }
}

impl fmt::Debug for RoutingKey {
    /// Shows the length only, because a key may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoutingKey({} bytes)", self.0.len())
    }
}

/// Returns the position of a primary key of a key-value table in the key space.
#[must_use]
pub fn table_key_position(primary_key: &[u8]) -> f64 {
    fraction(murmur3_x64_128(TABLE_SEED, primary_key.iter().copied()).0)
}

/// Returns the value by which a reader of a group ranks the segments that it may release: the
/// highest first.
#[must_use]
pub fn release_rank(reader: &str, segment: &str) -> f64 {
    fraction(hash_text(java_string_hash_of(reader), segment).0)
}

/// Returns the id of the segment attribute called `name`.
#[must_use]
pub fn attribute_id(name: &str) -> uuid::Uuid {
    let (h1, h2) = hash_text(ATTRIBUTE_SEED, name);
    uuid::Uuid::from_u64_pair(h1.swap_bytes(), h2.swap_bytes())
}

/// Converts the first 52 bits of a hash into a fraction in `[0.0, 1.0)`.
#[must_use]
pub fn fraction(hash: u64) -> f64 {
    // The bits of 1.0 with the hash as mantissa give a number in [1.0, 2.0).
    f64::from_bits(0x3FF0_0000_0000_0000 | (hash >> 12)) - 1.0
}

/// Hashes the UTF-16 code units of `text`, each as two bytes with the low one first.
#[must_use]
pub fn hash_text(seed: i32, text: &str) -> (u64, u64) {
    murmur3_x64_128(seed, text.encode_utf16().flat_map(u16::to_le_bytes))
}

/// Computes Java's `String.hashCode` of an ASCII text, for constants.
const fn java_string_hash(ascii: &str) -> i32 {
    let mut rest = ascii.as_bytes();
    let mut hash = 0_i32;
    while let [first, tail @ ..] = rest {
        hash = hash.wrapping_mul(31).wrapping_add(*first as i32);
        rest = tail;
    }
    hash
}

/// Computes Java's `String.hashCode`: over UTF-16 code units, wrapping.
#[must_use]
pub fn java_string_hash_of(text: &str) -> i32 {
    text.encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// MurmurHash3, the 128 bit variant for 64 bit machines, with both lanes starting at the seed
/// sign-extended to 64 bits.
fn murmur3_x64_128(seed: i32, bytes: impl Iterator<Item = u8>) -> (u64, u64) {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let mix1 = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let mix2 = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);

    let mut h1 = i64::from(seed) as u64;
    let mut h2 = h1;
    // The two lanes of the current block, filled from the low byte up.
    let (mut k1, mut k2) = (0_u64, 0_u64);
    let mut len = 0_u64;
    for byte in bytes {
        let place = len % 16;
        if place < 8 {
            k1 |= u64::from(byte) << (8 * place);
        } else {
            k2 |= u64::from(byte) << (8 * (place - 8));
        }
        len += 1;
        if place == 15 {
            h1 = (h1 ^ mix1(k1))
                .rotate_left(27)
                .wrapping_add(h2)
                .wrapping_mul(5)
                .wrapping_add(0x52dc_e729);
            h2 = (h2 ^ mix2(k2))
                .rotate_left(31)
                .wrapping_add(h1)
                .wrapping_mul(5)
                .wrapping_add(0x3849_5ab5);
            (k1, k2) = (0, 0);
        }
    }
    // A lane without bytes is zero and mixes to zero.
    h2 ^= mix2(k2);
    h1 ^= mix1(k1);
    h1 ^= len;
    h2 ^= len;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = finish(h1);
    h2 = finish(h2);
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    (h1, h2)
}

fn finish(mut k: u64) -> u64 {
    k = (k ^ (k >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    k = (k ^ (k >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ (k >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_those_of_the_java_client() {
        assert_eq!(EVENT_SEED, 1_741_865_571);
        assert_eq!(TABLE_SEED, -2_020_233_499);
        assert_eq!(ATTRIBUTE_SEED, 817_748_169);
        assert_eq!(CONTAINER_SEED, 1_661_405_012);
        assert_eq!(java_string_hash_of("EventRouter"), EVENT_SEED);
    }

    #[test]
    fn a_fraction_stays_below_one() {
        assert_eq!(fraction(0), 0.0);
        assert!(fraction(u64::MAX) < 1.0);
    }

    #[test]
    fn the_mark_attribute_of_revisioned_streams_has_its_known_id() {
        assert_eq!(
            attribute_id("RevisionStreamClientMark").to_string(),
            "7df9a874-246c-c9d6-9397-cdd19ead68c5"
        );
    }

    #[test]
    fn a_key_is_not_shown_by_debug() {
        assert_eq!(format!("{:?}", RoutingKey::from("secret")), "RoutingKey(6 bytes)");
    }
}
