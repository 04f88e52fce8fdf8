//! The tests that a test binary lists.

/// Returns the tests of a module in the list of all tests. A filter would also find those of
/// modules whose names end with this one.
pub(crate) fn tests_in<'l>(module: &str, listed: &'l str) -> Vec<&'l str> {
    let tests = listed.lines().filter_map(|line| line.strip_suffix(": test"));
    let is_inside =
        |test: &&str| test.strip_prefix(module).is_some_and(|rest| rest.starts_with("::"));
    tests.filter(is_inside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_of_a_module_are_no_others_with_a_similar_name() {
        let listed = "tables::a: test\ntables::model::b: test\ncli::tables::c: test\n\
                      group_tables::d: test\ntables_of::e: test\ntables::f: bench\n\n5 tests\n";
        assert_eq!(tests_in("tables", listed), ["tables::a", "tables::model::b"]);
        assert_eq!(tests_in("cli::tables", listed), ["cli::tables::c"]);
        assert!(tests_in("table", listed).is_empty());
    }
}
