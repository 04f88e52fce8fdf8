//! Names that may have been meant.

/// The name that is most like `wanted`, if one is.
pub(crate) fn similar<'a>(wanted: &str, names: &[&'a str]) -> Option<&'a str> {
    similar_within(3, wanted, names)
}

/// The name that is most like `wanted`, if at most so many slips make it of that.
pub(crate) fn similar_within<'a>(slips: usize, wanted: &str, names: &[&'a str]) -> Option<&'a str> {
    let (wanted, len) = (wanted.to_lowercase(), wanted.chars().count());
    // In a short name every letter counts.
    let allowed = ((len + 1) / 3).min(slips);
    // The distance of two long names takes long.
    let may_be_near = |name: &&&str| name.chars().count().abs_diff(len) <= allowed;
    let distance = |name: &str| strsim::damerau_levenshtein(&wanted, &name.to_lowercase());
    let near = names.iter().filter(may_be_near).map(|name| (distance(name), *name));
    near.filter(|(distance, _)| *distance <= allowed).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_similar_if_a_slip_or_two_make_it_of_another() {
        let names = ["orders", "refunds", "b", "Films"];
        for (wanted, found) in [
            ("order", Some("orders")),
            ("odrers", Some("orders")),
            ("ORDERS", Some("orders")),
            ("film", Some("Films")),
            ("rfund", Some("refunds")),
            ("a", None),
            ("stock", None),
        ] {
            assert_eq!(similar(wanted, &names), found, "{wanted}");
        }
    }
}
