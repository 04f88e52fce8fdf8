//! The tool at a terminal.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;

use super::url;

/// The tool as it was built with the tests.
pub(crate) fn pravega(arguments: &[&str]) -> Output {
    command(arguments)
        .output()
        .expect("the tool was not built: run these tests with `cargo xtask interop`")
}

/// Where the tool is.
pub(crate) fn binary() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.join("pravega")
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(["--controller", &url()]).args(arguments);
    command
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn good(arguments: &[&str]) -> String {
    let output = pravega(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

pub(crate) fn json(arguments: &[&str]) -> Vec<Value> {
    let arguments: Vec<&str> =
        ["-o", "json"].into_iter().chain(arguments.iter().copied()).collect();
    good(&arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn fails(code: i32, arguments: &[&str]) -> String {
    let output = pravega(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
    assert!(output.stdout.is_empty(), "data goes to stdout, nothing else does");
    stderr(&output)
}
