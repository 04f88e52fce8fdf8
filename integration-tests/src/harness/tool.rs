//! The `pravega` tool as a child process.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;

use super::url;

/// Runs the tool that was built with the tests, and returns its output.
pub fn pravega(arguments: &[&str]) -> Output {
    command(arguments)
        .output()
        .expect("the tool was not built: run these tests with `cargo xtask interop`")
}

/// Returns the path of the tool, beside the test binary.
pub fn binary() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.join("pravega")
}

/// Returns a command that runs the tool against the server under test.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    // Contexts of the user who runs the tests say nothing here.
    command.env("PRAVEGA_CONFIG", "/dev/null");
    command.args(["--controller", &url()]).args(arguments);
    command
}

/// Returns the standard output as text.
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Returns the standard error as text.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs the tool, requires success and returns its output.
pub fn good(arguments: &[&str]) -> String {
    let output = pravega(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

/// Runs the tool with JSON output, requires success and returns the lines.
pub fn json(arguments: &[&str]) -> Vec<Value> {
    let arguments: Vec<&str> =
        ["-o", "json"].into_iter().chain(arguments.iter().copied()).collect();
    good(&arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Runs the tool, requires the exit code and returns its standard error.
pub fn fails(code: i32, arguments: &[&str]) -> String {
    let output = pravega(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
    assert!(output.stdout.is_empty(), "data goes to stdout, nothing else does");
    stderr(&output)
}
