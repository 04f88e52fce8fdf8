//! Differences between two replies.
//!
//! An intended difference is in [`KNOWN`] with its reason. A known difference that does not occur
//! is as wrong as an unknown one that does.

use crate::connection::Did;
use crate::differential::both::{Differences, Known};

/// Intended differences: the step, the field, and the reason.
pub(super) const KNOWN: &[Known] = &[
    ("*", "lastModified", "a time"),
    (
        "*",
        "serverStackTrace",
        "a standalone server sends its stack trace, which clients do not use",
    ),
    ("*", "continuationToken", "opaque, each server has its own"),
    ("*", "message", "a text for humans"),
    ("hash tables: a delta", "entries", "the order within a page is the server's own"),
];

/// Compares two replies and records their differences.
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

/// Returns true if two replies are equal, except in known fields.
pub(super) fn are_alike(script: &str, step: &str, real: &Did, embedded: &Did) -> bool {
    differing(script, step, real, embedded).iter().all(|(name, field, _)| is_known(name, field))
}

fn is_known(name: &str, field: &str) -> bool {
    KNOWN.iter().any(|(at, known, _)| (*at == "*" || *at == name) && *known == field)
}

/// Returns the step, the field and the values, for each field in which two replies differ.
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
