//! The build of the benchmarks: the SDK as it ships.
//!
//! Cargo unites the features that the packages of one build enable, so that a single dependency of
//! the benchmarks on test code would put that code into the build that is measured.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use crate::command::cargo;

/// Features and packages that no measured build contains.
const REFUSED: &[&str] = &["seeded-bugs", "testing", "pravega-sdk-simulation"];
/// A package that every measured build contains; without it the tree was not read as expected.
const MEASURED: &str = "pravega-sdk-event-stream";

/// Fails if the build of the benchmarks contains test code.
pub(crate) fn check(root: &Path) -> Result<()> {
    let tree = ["tree", "-p", "pravega-sdk-bench", "-e", "normal", "--prefix", "none"];
    let output = cargo(root)
        .args(tree)
        .args(["--format", "{p} {f}"])
        .output()
        .context("cargo cannot be started")?;
    ensure!(
        output.status.success(),
        "cargo tree fails: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    ships(&String::from_utf8_lossy(&output.stdout))
}

/// Checks a tree of one package per line, `name version (path) feature,feature`.
fn ships(tree: &str) -> Result<()> {
    let words = |line: &str| line.split([' ', ',']).map(str::to_owned).collect::<Vec<_>>();
    let refused: Vec<&str> = tree
        .lines()
        .filter(|line| words(line).iter().any(|word| REFUSED.contains(&word.as_str())))
        .collect();
    if !refused.is_empty() {
        bail!("the benchmarks measure a build with test code in it:\n  {}", refused.join("\n  "));
    }
    let is_found = tree.lines().any(|line| line.split(' ').next() == Some(MEASURED));
    ensure!(is_found, "{MEASURED} is not in the tree of the benchmarks");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_benchmarks_measure_the_build_that_ships() {
        check(&crate::root().unwrap()).unwrap();
    }

    #[test]
    fn a_tree_with_a_feature_or_a_package_of_tests_is_refused() {
        let good = "pravega-sdk-bench v0.1.0 (/x)\npravega-sdk-event-stream v0.1.0 (/x) json\n";
        ships(good).unwrap();
        for bad in [
            "pravega-sdk-event-stream v0.1.0 (/x) json,seeded-bugs",
            "pravega-sdk-segment-client v0.1.0 (/x) testing",
            "pravega-sdk-simulation v0.1.0 (/x) ",
        ] {
            let error = ships(&format!("{good}{bad}\n")).unwrap_err().to_string();
            assert!(error.contains(bad.trim()), "{error}");
        }
        assert!(ships("pravega-sdk-bench v0.1.0 (/x)\n").is_err());
    }
}
