//! Differences between two replies.
//!
//! A difference that is meant is in [`KNOWN`] with its reason. A known difference that does not show
//! is as wrong as an unknown one that does.

use super::connection::Did;
use crate::differential::both::{Differences, Known};

/// Differences that are meant: the step, the field, and why.
pub(super) const KNOWN: &[Known] = &[
    ("*", "lastModified", "a time"),
    ("*", "serverStackTrace", "a standalone server sends its stack, which tells a client nothing"),
    ("*", "continuationToken", "opaque, each server has its own"),
    ("*", "message", "a text for people"),
    ("hash tables: a delta", "entries", "the order within a page is the server's own"),
];

/// Compares two replies and notes where they differ.
pub(super) fn compare(
    script: &str,
    step: &str,
    real: &Did,
    embedded: &Did,
    differences: &mut Differences,
) {
    for (name, field, shown) in differing(script, step, real, embedded) {
        if !is_known(&name, &field) {
            println!("{name}: {field} is {shown}");
        }
        differences.insert((name, field));
    }
}

/// Returns true if two replies differ in nothing or in known fields only.
pub(super) fn are_alike(script: &str, step: &str, real: &Did, embedded: &Did) -> bool {
    differing(script, step, real, embedded).iter().all(|(name, field, _)| is_known(name, field))
}

fn is_known(name: &str, field: &str) -> bool {
    KNOWN.iter().any(|(at, known, _)| (*at == "*" || *at == name) && *known == field)
}

/// The step, the field and the values, for each field in which two replies differ.
fn differing(
    script: &str,
    step: &str,
    real: &Did,
    embedded: &Did,
) -> Vec<(String, String, String)> {
    let name = format!("{script}: {step}");
    match (real, embedded) {
        (Did::Replied(real), Did::Replied(embedded)) if real.name() == embedded.name() => real
            .fields()
            .into_iter()
            .zip(embedded.fields())
            .filter(|((_, one), (_, other))| one != other)
            .map(|((field, one), (_, other))| {
                (name.clone(), field, format!("{one:?} there and {other:?} here"))
            })
            .collect(),
        (real, embedded) if real == embedded => Vec::new(),
        (real, embedded) => {
            vec![(name, "reply".to_owned(), format!("{real:?} there and {embedded:?} here"))]
        }
    }
}
