//! The names of a journal's files.

/// The name of a journal's file.
pub(crate) fn file_name(number: u64) -> String {
    format!("journal-{number:08}")
}

/// The number in the name of a journal's file.
pub(crate) fn file_number(name: &str) -> Option<u64> {
    name.strip_prefix("journal-").filter(|digits| digits.len() >= 8)?.parse().ok()
}

/// The file with the synced length of the journal.
pub(super) const MARK: &str = "mark";
/// A journal's file that is not complete yet.
pub(super) const UNFINISHED: &str = "journal.new";

/// Returns true if a name is that of one of a journal's files.
pub(crate) fn is_of_journal(name: &str) -> bool {
    [MARK, UNFINISHED].contains(&name) || file_number(name).is_some()
}
