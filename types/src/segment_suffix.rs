//! Suffixes in the names of segments that are derived from other segments.

use uuid::Uuid;

pub(crate) const TRANSACTION_INFIX: &str = "#transaction.";
const TRANSIENT_INFIX: &str = "#transient.";
/// Hexadecimal digits of a UUID.
const ID_DIGITS: usize = 32;

/// Returns the name of the segment into which a transaction's or a transient segment merges, and
/// `None` for any other segment.
#[must_use]
pub fn parent(name: &str) -> Option<&str> {
    strip_transaction(name).or_else(|| strip_transient(name))
}

pub(crate) fn strip_transaction(name: &str) -> Option<&str> {
    let (parent, id) = name.rsplit_once(TRANSACTION_INFIX)?;
    is_id(id).then_some(parent)
}

pub(crate) fn strip_transient(name: &str) -> Option<&str> {
    let (parent, ids) = name.rsplit_once(TRANSIENT_INFIX)?;
    let (writer, random) = ids.split_once('.')?;
    (is_id(writer) && is_id(random)).then_some(parent)
}

fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && Uuid::try_parse(text).is_ok()
}
