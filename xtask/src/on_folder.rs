//! The tests that run once more on an embedded server whose data is in a folder.

use std::path::Path;

use anyhow::{Result, anyhow};

use crate::{command::run, listed::tests_in, tested::TestBinary};

/// What tells the tests to have such servers.
pub(crate) const VARIABLE: (&str, &str) = ("PRAVEGA_TEST_STORAGE", "folder");

/// Modules of the suite in which data is written and read in every way. The others differ in what
/// clients do, not in what a server keeps, and those of reader groups take a minute of waiting.
const MODULES: [&str; 6] =
    ["states", "tables", "transactions", "event_writer", "reader", "embedded::clock"];

/// Runs them. Nothing is built that the tests of the workspace have not built.
pub(crate) fn test(root: &Path) -> Result<()> {
    let suite = TestBinary::build(root, "suite")?;
    let listed = suite.list(&[])?;
    let tests = tests_of_all(&listed)
        .map_err(|module| anyhow!("the suite has no tests in a module {module}"))?;
    run(suite.command().arg("--exact").args(tests).env(VARIABLE.0, VARIABLE.1))
}

/// The tests of all modules in a list; fails with the first module of which it has none. No filter
/// is all tests, so a renamed module would go unnoticed.
fn tests_of_all(listed: &str) -> Result<Vec<&str>, &'static str> {
    let mut tests = Vec::new();
    for module in MODULES {
        let of_module = tests_in(module, listed);
        if of_module.is_empty() {
            return Err(module);
        }
        tests.extend(of_module);
    }
    Ok(tests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_without_tests_is_noticed() {
        let all: Vec<String> =
            MODULES.iter().map(|module| format!("{module}::holds: test")).collect();
        let found = tests_of_all(&all.join("\n")).map(|found| found.len());
        assert_eq!(found, Ok(MODULES.len()));
        assert_eq!(tests_of_all(&all[1..].join("\n")), Err(MODULES[0]));
        // One of another module ends with the name.
        let other = format!("group_{}", all[0]);
        let others = [&[other][..], &all[1..]].concat().join("\n");
        assert_eq!(tests_of_all(&others), Err(MODULES[0]));
        assert_eq!(tests_of_all(""), Err(MODULES[0]));
    }
}
