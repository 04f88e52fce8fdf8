//! Parsers for arguments that several commands take.

use std::num::NonZeroU32;

use pravega_sdk::{
    Timestamp,
    types::{KeyRange, Offset, Scope, ScopedStream, SegmentId, SegmentOffset, TransactionId},
};

/// A scope, including internal ones, for commands that may inspect them.
pub(crate) fn any_scope(text: &str) -> Result<Scope, String> {
    Scope::internal(text).map_err(|error| error.to_string())
}

/// A stream, including internal ones.
pub(crate) fn any_stream(text: &str) -> Result<ScopedStream, String> {
    ScopedStream::internal(text).map_err(|error| error.to_string())
}

/// A number above 0.
pub(crate) fn count(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| format!("\"{text}\" is not a number above 0"))
}

/// One character, which may be written as `\t`, `\n`, `\0` or `\\`.
pub(crate) fn character(text: &str) -> Result<char, String> {
    let mut chars = text.chars();
    match (text, chars.next(), chars.next()) {
        ("\\t", ..) => Ok('\t'),
        ("\\n", ..) => Ok('\n'),
        ("\\0", ..) => Ok('\0'),
        ("\\\\", ..) => Ok('\\'),
        (_, Some(one), None) => Ok(one),
        (_, None, _) => Err("it is empty; write one character, or \\t for a tab".to_owned()),
        _ => Err(format!("\"{text}\" is not one character; \\t is a tab")),
    }
}

/// The id of a transaction.
pub(crate) fn transaction_id(text: &str) -> Result<TransactionId, String> {
    text.parse().map_err(|_| {
        format!("\"{text}\" is not the id of a transaction, as `pravega txn begin` prints it")
    })
}

/// A time: milliseconds since 1970, or as 2020-09-13T12:26:40Z.
pub(crate) fn timestamp(text: &str) -> Result<Timestamp, String> {
    if let Ok(millis) = text.parse() {
        return Ok(Timestamp::from_millis(millis));
    }
    text.parse().map_err(|_| {
        format!("\"{text}\" is not a time; write milliseconds since 1970, or 2020-09-13T12:26:40Z")
    })
}

/// The text of an error about a line of JSON, with its column. The caller knows the line.
pub(crate) fn json_error(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).unwrap_or(&text);
    format!("{text} at column {}", error.column())
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
pub(crate) fn segment_offset(text: &str) -> Result<(SegmentId, SegmentOffset), String> {
    let (segment, offset) =
        text.split_once('=').ok_or_else(|| format!("\"{text}\" is not SEGMENT=OFFSET"))?;
    let offset = offset.parse().map_err(|_| format!("\"{offset}\" is not an offset"))?;
    Ok((segment_id(segment)?, SegmentOffset::from_wire(offset)))
}

/// The rate at which a stream scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScaleRate {
    /// The target rate per segment.
    pub(crate) target: NonZeroU32,
    /// The number of segments that a hot segment splits into.
    pub(crate) split_factor: NonZeroU32,
    pub(crate) min_segments: NonZeroU32,
}

/// `RATE[:FACTOR[:MIN]]`, with a factor of 2 and a minimum of 1 by default.
pub(crate) fn rate(text: &str) -> Result<ScaleRate, String> {
    let mut parts = text.split(':');
    let target = count(parts.next().unwrap_or_default())?;
    let split_factor = parts.next().map_or(Ok(NonZeroU32::MIN.saturating_add(1)), count)?;
    let min_segments = parts.next().map_or(Ok(NonZeroU32::MIN), count)?;
    match parts.next() {
        None => Ok(ScaleRate { target, split_factor, min_segments }),
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

/// A number of bytes, with K, M, G or T for powers of 1024; `1.5G` is one, too.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let refuse = || format!("\"{text}\" is not a number of bytes; write 1048576, 1M or 1.5G");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &*text.get(digits.len()..).unwrap_or_default().to_ascii_uppercase() {
        "" | "B" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        "T" | "TB" | "TIB" => 1 << 40,
        _ => return Err(refuse()),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let whole = whole.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    let parts = thousandths(fraction).filter(|parts| *parts == 0 || unit > 1);
    let parts = parts.and_then(|parts| parts.checked_mul(unit)).map(|parts| parts / 1000);
    whole.zip(parts).and_then(|(whole, parts)| whole.checked_add(parts)).ok_or_else(refuse)
}

/// The digits after a decimal point, of which there are up to three, in thousandths.
fn thousandths(digits: &str) -> Option<u64> {
    let is_fraction = (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    is_fraction.then(|| format!("{digits:0<3}").parse().ok()).flatten()
}

/// A number of bytes in memory.
pub(crate) fn length(text: &str) -> Result<usize, String> {
    usize::try_from(bytes(text)?).map_err(|_| format!("{text} is more than memory holds"))
}

/// An offset in a segment, as a number of bytes.
pub(crate) fn offset(text: &str) -> Result<Offset, String> {
    let too_far = |_| format!("\"{text}\" is after the last possible offset, {}", i64::MAX);
    i64::try_from(bytes(text)?).map(Offset).map_err(too_far)
}

/// A duration with its unit.
pub(crate) fn duration(text: &str) -> Result<std::time::Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write a number and a unit, such as 30s or 2h"))
}

/// A duration in which something can happen: servers and the tool count milliseconds.
pub(crate) fn some_time(text: &str) -> Result<std::time::Duration, String> {
    let duration = duration(text)?;
    if duration.as_millis() == 0 { Err("it is at least 1ms".to_owned()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn bytes_take_units_of_powers_of_1024_in_either_case() {
        for (text, expected) in [
            ("0", 0),
            ("17", 17),
            ("17B", 17),
            ("64K", 65_536),
            ("64kb", 65_536),
            ("1M", 1 << 20),
            ("1GiB", 1 << 30),
            ("2T", 2 << 40),
            ("1.5K", 1536),
            ("0.5MiB", 512 << 10),
            ("1.25G", 1280 << 20),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "K",
            "-1",
            "1.5",
            "1.5B",
            ".5M",
            "1.M",
            "1.2345G",
            "1.-5M",
            "12 bananas",
            "1X",
            "99999999999T",
            "16777215.999T1",
        ] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_offset_fits_in_63_bits() {
        assert_eq!(offset("1K"), Ok(Offset(1024)));
        assert_eq!(offset("9223372036854775807"), Ok(Offset(i64::MAX)));
        assert!(offset("18446744073709551615").unwrap_err().contains("the last possible offset"));
    }

    #[test]
    fn limits_are_a_minimum_and_an_optional_maximum() {
        assert_eq!(limits("1M..2M", bytes), Ok((1 << 20, Some(2 << 20))));
        assert_eq!(limits("7", bytes), Ok((7, None)));
        assert_eq!(
            limits("1h..2days", duration),
            Ok((Duration::from_secs(3600), Some(Duration::from_secs(2 * 86_400))))
        );
        for text in ["", "..", "1..", "..1", "1..2..3"] {
            assert!(limits(text, bytes).is_err(), "{text}");
        }
    }

    #[test]
    fn some_time_is_at_least_a_millisecond() {
        assert_eq!(some_time("1ms"), Ok(Duration::from_millis(1)));
        for text in ["0s", "0ms", "999us"] {
            assert!(some_time(text).unwrap_err().contains("at least 1ms"), "{text}");
        }
        assert!(some_time("5").unwrap_err().contains("a unit"));
    }

    #[test]
    fn a_duration_needs_a_unit() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert!(duration("30").unwrap_err().contains("such as 30s or 2h"));
    }

    #[test]
    fn a_character_is_one_or_the_name_of_one() {
        for (text, expected) in
            [(":", ':'), ("→", '→'), ("\\t", '\t'), ("\\n", '\n'), ("\\\\", '\\'), ("\\", '\\')]
        {
            assert_eq!(character(text), Ok(expected), "{text}");
        }
        assert!(character("::").unwrap_err().contains("\"::\" is not one character"));
        assert!(character("").unwrap_err().contains("it is empty"));
    }

    #[test]
    fn an_id_and_a_time_are_refused_in_words_of_their_own() {
        assert!(transaction_id("notanid").unwrap_err().contains("as `pravega txn begin` prints"));
        assert_eq!(timestamp("1600000000000"), Ok(Timestamp::from_millis(1_600_000_000_000)));
        assert_eq!(timestamp("2020-09-13T12:26:40Z"), timestamp("1600000000000"));
        assert!(timestamp("now").unwrap_err().contains("milliseconds since 1970"));
    }

    #[test]
    fn an_error_of_json_has_the_column_and_no_line() {
        let error = serde_json::from_str::<serde_json::Value>("{x").unwrap_err();
        assert_eq!(json_error(&error), "key must be a string at column 2");
    }

    #[test]
    fn a_segment_id_is_a_number_or_number_and_epoch() {
        assert_eq!(segment_id("3"), Ok(SegmentId::from(3)));
        assert_eq!(segment_id("3.#epoch.1"), Ok(SegmentId::from((1 << 32) | 3)));
        for text in ["", "-1", "x", "3.#epoch.", "#epoch.1"] {
            assert!(segment_id(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_segment_offset_is_a_segment_and_an_offset() {
        assert_eq!(segment_offset("3=8"), Ok((SegmentId::from(3), SegmentOffset::At(Offset(8)))));
        assert_eq!(segment_offset("3=-1"), Ok((SegmentId::from(3), SegmentOffset::End)));
        for text in ["3", "=", "3=", "=8", "3=x", "-1=8"] {
            assert!(segment_offset(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_range_has_two_bounds_in_order() {
        let range = key_range("0.25-0.5").unwrap();
        assert_eq!((range.low(), range.high()), (0.25, 0.5));
        for text in ["0.5", "0.5-0.5", "0.5-0.25", "0.5-1.5", "a-b", "-0.5-0.5"] {
            assert!(key_range(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_has_a_split_factor_of_2_and_a_minimum_of_1_by_default() {
        for (text, expected) in
            [("100", (100, 2, 1)), ("100:3", (100, 3, 1)), ("100:3:4", (100, 3, 4))]
        {
            let parsed = rate(text)
                .map(|rate| (rate.target, rate.split_factor, rate.min_segments))
                .map(|(target, factor, min)| (target.get(), factor.get(), min.get()));
            assert_eq!(parsed, Ok(expected), "{text}");
        }
        for text in ["", "0", "x", "100:0", "100:2:0", "100:2:1:9"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn internal_names_are_accepted_and_invalid_ones_are_not() {
        assert_eq!(any_scope("_system").unwrap().as_str(), "_system");
        assert_eq!(any_stream("shop/_MARKorders").unwrap().to_string(), "shop/_MARKorders");
        assert!(any_scope("my shop").is_err());
        assert!(any_stream("orders").is_err());
    }
}
