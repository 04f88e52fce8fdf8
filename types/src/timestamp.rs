//! Points in time, as Pravega counts them.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime},
};

use crate::{ErrorKind, classify};

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z.
///
/// The text form is RFC 3339 in UTC with milliseconds.
///
/// # Examples
///
/// ```
/// use pravega_sdk_types::Timestamp;
///
/// let time = Timestamp::from_millis(1_600_000_000_123);
/// assert_eq!(time.to_string(), "2020-09-13T12:26:40.123Z");
/// assert_eq!("2020-09-13T12:26:40.123Z".parse(), Ok(time));
/// # Ok::<(), pravega_sdk_types::TimestampError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// A text that is not a [`Timestamp`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a time has the form 2020-09-13T12:26:40.123Z, in UTC")]
pub struct TimestampError;

classify!(TimestampError, |_| ErrorKind::InvalidArgument);

const MILLIS_PER_SECOND: i64 = 1000;
const SECONDS_PER_DAY: i64 = 86_400;

impl Timestamp {
    /// Creates a time from milliseconds since 1970.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since 1970.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }
}

impl From<SystemTime> for Timestamp {
    /// Cuts to milliseconds, and to what 64 bits hold.
    fn from(time: SystemTime) -> Self {
        let millis = |length: Duration| i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Self(millis(since)),
            Err(before) => Self(millis(before.duration()).saturating_neg()),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(MILLIS_PER_SECOND);
        let millis = self.0.rem_euclid(MILLIS_PER_SECOND);
        let date = Date::of_day(seconds.div_euclid(SECONDS_PER_DAY));
        let second = seconds.rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let Date { year, month, day } = date;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// Reads `YYYY-MM-DDTHH:MM:SS[.fraction]Z`; digits below a millisecond are cut.
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        parse(text).ok_or(TimestampError)
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (sign, date) = date.strip_prefix('-').map_or((1, date), |date| (-1, date));
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let mut parts = time.splitn(3, ':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    let date = Date {
        year: sign * number(year, year.len().max(4), i64::MAX)?,
        month: number(month, 2, 12)?,
        day: number(day, 2, 31)?,
    };
    // A day that the month does not have comes back as another date.
    let days = date.day_number()?;
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|digit| digit.is_ascii_digit());
    if Date::of_day(days) != date || !is_fraction {
        return None;
    }
    let second_of_day =
        number(hour, 2, 23)? * 3600 + number(minute, 2, 59)? * 60 + number(second, 2, 59)?;
    let millis = number(format!("{fraction:0<3}").get(..3)?, 3, 999)?;
    let seconds = i128::from(days) * i128::from(SECONDS_PER_DAY) + i128::from(second_of_day);
    let total = seconds * i128::from(MILLIS_PER_SECOND) + i128::from(millis);
    i64::try_from(total).ok().map(Timestamp)
}

/// A number of exactly `digits` digits, at most `max`.
fn number(text: &str, digits: usize, max: i64) -> Option<i64> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && *number <= max)
}

/// A day of the Gregorian calendar, before its introduction too.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Date {
    year: i64,
    month: i64,
    day: i64,
}

/// Days of 400 years, after which the calendar repeats.
const DAYS_PER_ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;

impl Date {
    /// Returns the date of a day counted from 1970-01-01. Years begin in March here, so that a leap
    /// day is the last of its year.
    fn of_day(day: i64) -> Self {
        let day = day + DAYS_TO_1970;
        let (era, day_of_era) = (day.div_euclid(DAYS_PER_ERA), day.rem_euclid(DAYS_PER_ERA));
        let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
        let year_of_era = (day_of_era - leap_days) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        Self { year: era * 400 + year_of_era + i64::from(month <= 2), month, day }
    }

    fn day_number(self) -> Option<i64> {
        let year = self.year.checked_sub(i64::from(self.month <= 2))?;
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let march_month = (self.month + 9) % 12;
        let day_of_year = (153 * march_month + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era.checked_mul(DAYS_PER_ERA)?.checked_add(day_of_era)?.checked_sub(DAYS_TO_1970)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_and_read_as_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_827_696_007, "2000-02-29T12:34:56.007Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"),
        ] {
            let time = Timestamp::from_millis(millis);
            assert_eq!(time.to_string(), text);
            assert_eq!(text.parse(), Ok(time));
        }
        for millis in [i64::MIN, i64::MAX, 253_402_300_800_000] {
            let time = Timestamp::from_millis(millis);
            assert_eq!(time.to_string().parse(), Ok(time), "{time}");
        }
    }

    #[test]
    fn a_fraction_may_be_shorter_or_longer_than_milliseconds() {
        let millis = |text: &str| text.parse().map(Timestamp::as_millis);
        assert_eq!(millis("1970-01-01T00:00:01Z"), Ok(1000));
        assert_eq!(millis("1970-01-01T00:00:01.5Z"), Ok(1500));
        assert_eq!(millis("1970-01-01T00:00:01.0019Z"), Ok(1001));
    }

    #[test]
    fn text_that_is_no_time_is_refused() {
        for text in [
            "",
            "Z",
            "TZ",
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00+00:00",
            "1970-13-01T00:00:00Z",
            "1970-02-29T00:00:00Z",
            "1970-00-01T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:60:00Z",
            "1970-01-01T00:00:0Z",
            "1970-01-01T00:00:00.xZ",
            "1970-01-01T00:00:00.Z",
            "70-01-01T00:00:00Z",
            "1970-01-01T00:00:00.001xZ",
            "1970-01-01T+1:00:00Z",
            "ü970-01-01T00:00:00Z",
            "999999999999999999-01-01T00:00:00Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampError), "{text:?}");
        }
    }

    #[test]
    fn the_clock_of_the_system_is_cut_to_milliseconds() {
        let at = |offset| SystemTime::UNIX_EPOCH + offset;
        assert_eq!(Timestamp::from(at(Duration::from_micros(1999))).as_millis(), 1);
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(Timestamp::from(before).as_millis(), -1000);
    }
}
