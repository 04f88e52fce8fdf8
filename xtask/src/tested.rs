//! The build that tests use: one for all of them.
//!
//! Cargo unites the features of the packages that one command selects. A command for a single
//! package enables fewer, so the crates below are built once more, and all that depend on them. So
//! tests, examples and the tool are of the whole workspace, with the same features.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::command::{cargo, shown};

/// What no package of the workspace enables by itself: examples and tests need it.
const FEATURES: &str = "pravega-sdk/embedded,pravega-sdk/json,pravega-sdk-connection-pool/dns";

/// Returns a command of cargo for the whole workspace.
pub(crate) fn workspace(root: &Path, command: &str) -> Command {
    let mut cargo = cargo(root);
    cargo.args([command, "--workspace", "--features", FEATURES]);
    cargo
}

/// Returns the path of a program that was built beside this one.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    Ok(env::current_exe()?.with_file_name(name))
}

/// Builds the `pravega` tool as the tests of the workspace do.
pub(crate) fn build_tool(root: &Path) -> Result<()> {
    // The tests of its package, with which cargo builds it.
    built(workspace(root, "test").args(["--test", "golden"])).map(drop)
}

/// A test binary of `integration-tests`.
#[derive(Debug, Clone)]
pub(crate) struct TestBinary {
    program: PathBuf,
    folder: PathBuf,
}

impl TestBinary {
    /// Builds a binary.
    pub(crate) fn build(root: &Path, name: &str) -> Result<Self> {
        let mut command = workspace(root, "test");
        if name == INTEROP {
            command.args(["--features", "pravega-sdk-integration-tests/interop"]);
        }
        let messages = built(command.args(["--test", name]))?;
        let folder = root.join("integration-tests");
        let source = folder.join("tests").join(name).join("main.rs");
        let program = executable_of(&source, &messages)
            .with_context(|| format!("cargo names no test binary of {}", source.display()))?;
        Ok(Self { program: program.into(), folder })
    }

    /// Returns the names of its tests.
    pub(crate) fn list(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command().arg("--list").args(arguments).output();
        let output = output.with_context(|| format!("cannot start {}", self.program.display()))?;
        ensure!(output.status.success(), "{} lists no tests", self.program.display());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Returns a command that runs it where cargo does: in the folder of its package.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder);
        command
    }
}

/// The binary that is behind a feature, as it needs other servers.
pub(crate) const INTEROP: &str = "interop";

/// Builds tests without a run of them; returns what cargo tells of each binary.
fn built(command: &mut Command) -> Result<String> {
    command.args(["--no-run", "--message-format", "json-render-diagnostics"]);
    let shown = shown(command);
    println!("$ {shown}");
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {shown}"))?;
    if !output.status.success() {
        bail!("{shown} ended with {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns the executable of a source file in the messages of cargo, one a line.
fn executable_of<'m>(source: &Path, messages: &'m str) -> Option<&'m str> {
    let source = format!("\"src_path\":\"{}\"", source.display());
    let of_source = messages.lines().filter(|line| line.contains(&source));
    let mut executables =
        of_source.filter_map(|line| line.split_once("\"executable\":\"")?.1.split('"').next());
    executables.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_that_of_the_source_and_no_other_of_its_name() {
        let message = |package: &str, executable: &str| {
            format!(
                "{{\"reason\":\"compiler-artifact\",\"target\":{{\"kind\":[\"test\"],\"name\":\
                 \"suite\",\"src_path\":\"/w/{package}/tests/suite/main.rs\"}},\"filenames\":[],\
                 \"executable\":{executable},\"fresh\":true}}"
            )
        };
        let messages = [
            message("http", "\"/w/target/debug/deps/suite-1\""),
            message("integration-tests", "null"),
            message("integration-tests", "\"/w/target/debug/deps/suite-2\""),
        ]
        .join("\n");
        let of = |package: &str| {
            let source = format!("/w/{package}/tests/suite/main.rs");
            executable_of(Path::new(&source), &messages)
        };
        assert_eq!(of("http"), Some("/w/target/debug/deps/suite-1"));
        assert_eq!(of("integration-tests"), Some("/w/target/debug/deps/suite-2"));
        assert_eq!(of("tls"), None);
    }
}
