//! Which lines of the input are imported.

use crate::commands::input::Place;

/// The lines that are imported.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// The last line before which all are.
    last: Place,
    /// The numbers of further ones, in order.
    further: Vec<u64>,
    imported: u64,
    kept: u64,
}

impl Done {
    /// Some lines after the last place are imported.
    pub(super) fn some(&mut self, mut places: Vec<Place>) {
        places.sort_by_key(|place| place.number);
        for place in places {
            if self.further.is_empty() && place.number == self.last.number + 1 {
                self.last = place;
            } else {
                self.further.push(place.number);
            }
        }
    }

    pub(super) fn count(&mut self, imported: usize, kept: usize) {
        self.imported += imported as u64;
        self.kept += kept as u64;
    }

    /// Number of entries that were put.
    pub(super) fn imported(&self) -> u64 {
        self.imported
    }

    /// Number of entries whose keys existed and were kept.
    pub(super) fn kept(&self) -> u64 {
        self.kept
    }

    /// Returns true if no line after the last place is imported.
    pub(super) fn is_gapless(&self) -> bool {
        self.further.is_empty()
    }

    /// The last line before which all are imported.
    pub(super) fn last(&self) -> Place {
        self.last
    }

    /// Returns a sentence: `lines 1 to 7, 9 and 12 to 14 are imported`.
    pub(super) fn text(&self) -> String {
        let first = (self.last.number > 0).then_some((1, self.last.number));
        let ranges: Vec<(u64, u64)> = first.into_iter().chain(ranges(&self.further)).collect();
        match ranges.last() {
            None => "no line is imported".to_owned(),
            Some(_) if self.kept > 0 => {
                sentence(&ranges, "is imported or kept", "are imported or kept")
            }
            Some(_) => sentence(&ranges, "is imported", "are imported"),
        }
    }
}

/// Returns `; it is not known of line 8`, or nothing for no line.
pub(super) fn unknown(lines: &[Place]) -> String {
    let mut numbers: Vec<u64> = lines.iter().map(|place| place.number).collect();
    numbers.sort_unstable();
    let ranges = ranges(&numbers);
    if ranges.is_empty() {
        return String::new();
    }
    let lines = sentence(&ranges, "", "");
    format!("; it is not known of {}", lines.trim_end())
}

/// Joins numbers that follow each other.
fn ranges(numbers: &[u64]) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    ranges
}

fn sentence(ranges: &[(u64, u64)], one: &str, many: &str) -> String {
    let name = |(first, last): &(u64, u64)| match last - first {
        0 => first.to_string(),
        _ => format!("{first} to {last}"),
    };
    let mut names: Vec<String> = ranges.iter().map(name).collect();
    let is_one = matches!(ranges, [(first, last)] if first == last);
    let (unit, verb) = if is_one { ("line", one) } else { ("lines", many) };
    let last = names.pop().unwrap_or_default();
    let names = if names.is_empty() { last } else { format!("{} and {last}", names.join(", ")) };
    format!("{unit} {names} {verb}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(numbers: &[u64]) -> Vec<Place> {
        numbers.iter().map(|number| Place { number: *number, end: number * 10 }).collect()
    }

    fn done(last: u64, further: &[u64]) -> Done {
        let mut done = Done::default();
        done.some(places(&(1..=last).collect::<Vec<u64>>()));
        done.some(places(further));
        done
    }

    #[test]
    fn every_line_that_is_imported_is_told_and_no_other() {
        for (last, further, text) in [
            (0, &[][..], "no line is imported"),
            (1, &[], "line 1 is imported"),
            (7, &[], "lines 1 to 7 are imported"),
            (7, &[14, 9, 13, 12], "lines 1 to 7, 9 and 12 to 14 are imported"),
            (0, &[3], "line 3 is imported"),
            (2, &[3, 4, 6], "lines 1 to 4 and 6 are imported"),
        ] {
            assert_eq!(done(last, further).text(), text);
        }
    }

    #[test]
    fn lines_whose_keys_were_kept_are_told_as_such() {
        let mut done = done(3, &[]);
        done.count(2, 1);
        assert_eq!(done.text(), "lines 1 to 3 are imported or kept");
        assert_eq!((done.imported(), done.kept()), (2, 1));
    }

    #[test]
    fn the_rest_begins_after_the_lines_that_follow_each_other() {
        let done = done(2, &[4, 3]);
        assert!(done.is_gapless());
        assert_eq!(done.last(), Place { number: 4, end: 40 });
        assert!(!self::done(2, &[4]).is_gapless());
    }

    #[test]
    fn lines_of_which_it_is_not_known_are_told() {
        assert_eq!(unknown(&[]), "");
        assert_eq!(unknown(&places(&[8])), "; it is not known of line 8");
        assert_eq!(unknown(&places(&[9, 8, 3])), "; it is not known of lines 3 and 8 to 9");
    }
}
