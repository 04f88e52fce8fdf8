//! The tests that run once more on an embedded server whose data is in a folder.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::command::{cargo, run};

/// What tells the tests to have such servers.
pub(crate) const VARIABLE: (&str, &str) = ("PRAVEGA_TEST_STORAGE", "folder");

/// Modules of the suite in which data is written and read in every way. The others differ in what
/// clients do, not in what a server keeps, and those of reader groups take a minute of waiting.
const MODULES: [&str; 6] =
    ["states::", "tables::", "transactions::", "event_writer::", "reader::", "embedded::clock::"];

/// Runs them. Nothing is built that the tests of the workspace have not built.
pub(crate) fn test(root: &Path) -> Result<()> {
    let command = || {
        let mut command = cargo(root);
        command.args(["test", "--workspace", "--test", "suite", "--"]).args(MODULES);
        // A filter is a part of a name.
        command.args(["--skip", "group_reader::"]);
        command.env(VARIABLE.0, VARIABLE.1);
        command
    };
    let listed = command().arg("--list").output().context("cannot start cargo")?;
    if let Some(module) = without_tests(&String::from_utf8_lossy(&listed.stdout)) {
        bail!("the suite has no tests in a module {module}");
    }
    run(&mut command())
}

/// The first module of which a list has no test: a filter that matches nothing passes, so a renamed
/// module would go unnoticed.
fn without_tests(list: &str) -> Option<&'static str> {
    let has_test = |module: &&str| {
        list.lines().any(|line| line.starts_with(*module) && line.ends_with(": test"))
    };
    MODULES.into_iter().find(|module| !has_test(module))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_without_tests_is_noticed() {
        let all: Vec<String> =
            MODULES.iter().map(|module| format!("{module}holds: test")).collect();
        assert_eq!(without_tests(&all.join("\n")), None);
        assert_eq!(without_tests(&all[1..].join("\n")), Some(MODULES[0]));
        // One of another module ends with the name.
        let other = format!("group_{}", all[0]);
        assert_eq!(without_tests(&[&[other][..], &all[1..]].concat().join("\n")), Some(MODULES[0]));
        assert_eq!(without_tests(""), Some(MODULES[0]));
    }
}
