//! Parsers for arguments that several commands take.

use std::num::NonZeroU32;

use pravega_sdk::types::{KeyRange, Scope, ScopedStream, SegmentId};

/// A scope, including internal ones, for commands that may inspect them.
pub(crate) fn any_scope(text: &str) -> Result<Scope, String> {
    Scope::internal(text).map_err(|error| error.to_string())
}

/// A stream, including internal ones.
pub(crate) fn any_stream(text: &str) -> Result<ScopedStream, String> {
    ScopedStream::internal(text).map_err(|error| error.to_string())
}

/// A segment's id: a number, or `number.#epoch.epoch`.
pub(crate) fn segment_id(text: &str) -> Result<SegmentId, String> {
    if text.contains('#') {
        return text.parse().map_err(|_| format!("\"{text}\" is not NUMBER.#epoch.EPOCH"));
    }
    match text.parse::<i64>() {
        Ok(id) if id >= 0 => Ok(SegmentId::from(id)),
        _ => Err(format!(
            "\"{text}\" is not a segment id; write it as `pravega stream segments` prints it"
        )),
    }
}

/// `LOW-HIGH`, both between 0.0 and 1.0.
pub(crate) fn key_range(text: &str) -> Result<KeyRange, String> {
    let (low, high) = text.split_once('-').ok_or_else(|| format!("\"{text}\" is not LOW-HIGH"))?;
    let bound = |text: &str| text.parse::<f64>().map_err(|_| format!("\"{text}\" is not a number"));
    KeyRange::new(bound(low)?, bound(high)?).map_err(|error| error.to_string())
}

/// `SEGMENT=OFFSET`.
pub(crate) fn segment_offset(text: &str) -> Result<(SegmentId, i64), String> {
    let (segment, offset) =
        text.split_once('=').ok_or_else(|| format!("\"{text}\" is not SEGMENT=OFFSET"))?;
    let offset = offset.parse().map_err(|_| format!("\"{offset}\" is not an offset"))?;
    Ok((segment_id(segment)?, offset))
}

/// `RATE[:FACTOR[:MIN]]`: the target rate per segment, the number of segments that a hot segment
/// splits into (default 2), and the minimum number of segments (default 1).
pub(crate) fn rate(text: &str) -> Result<(NonZeroU32, NonZeroU32, NonZeroU32), String> {
    let number = |text: &str| {
        text.parse::<NonZeroU32>().map_err(|_| format!("\"{text}\" is not a number above 0"))
    };
    let mut parts = text.split(':');
    let rate = number(parts.next().unwrap_or_default())?;
    let factor = parts.next().map_or(Ok(NonZeroU32::MIN.saturating_add(1)), number)?;
    let min = parts.next().map_or(Ok(NonZeroU32::MIN), number)?;
    match parts.next() {
        None => Ok((rate, factor, min)),
        Some(_) => Err(format!("\"{text}\" is not RATE[:FACTOR[:MIN]]")),
    }
}

/// `MIN[..MAX]`, each parsed by `part`.
pub(crate) fn limits<T>(
    text: &str,
    part: impl Fn(&str) -> Result<T, String>,
) -> Result<(T, Option<T>), String> {
    match text.split_once("..") {
        None => Ok((part(text)?, None)),
        Some((min, max)) => Ok((part(min)?, Some(part(max)?))),
    }
}

/// A number of bytes, with K, M, G or T for powers of 1024.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let refuse = || format!("\"{text}\" is not a number of bytes; write 1048576 or 1M");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default().to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        "T" | "TB" | "TIB" => 1 << 40,
        _ => return Err(refuse()),
    };
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(refuse)
}

/// A duration with its unit.
pub(crate) fn duration(text: &str) -> Result<std::time::Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write a number and a unit, such as 30s or 2h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_limits_are_parsed_with_their_units() {
        assert_eq!(bytes("64K"), Ok(65536));
        assert_eq!(bytes("1GiB"), Ok(1 << 30));
        assert!(bytes("12 bananas").is_err());
        assert!(bytes("99999999999T").is_err());
        assert_eq!(limits("1M..2M", bytes), Ok((1 << 20, Some(2 << 20))));
        assert_eq!(limits("7", bytes), Ok((7, None)));
    }

    #[test]
    fn invalid_offsets_ranges_and_rates_are_refused() {
        assert_eq!(segment_offset("3=-1"), Ok((SegmentId::from(3), -1)));
        assert!(segment_offset("3").is_err());
        assert!(segment_id("-1").is_err());
        assert_eq!(segment_id("3.#epoch.1"), Ok(SegmentId::from((1 << 32) | 3)));
        assert!(key_range("0.5-0.5").is_err());
        assert_eq!(
            rate("100").map(|(rate, factor, min)| (rate.get(), factor.get(), min.get())),
            Ok((100, 2, 1))
        );
        assert!(rate("100:2:1:9").is_err());
        assert!(rate("0").is_err());
    }
}
