//! No secret is in any output: what all crates log at TRACE, errors with their causes, `Debug`, and
//! what the tool prints with `-vv`.
//!
//! A log belongs to a process, so these tests run others of this binary in processes of their own:
//! `story`, which uses everything with secrets of every kind and fails in every way, and a part of
//! the suite, on a server with an account.

mod failures;
mod identity;
mod planted;
mod secrets;
mod story;
mod tool;
mod usage;
mod watched;

use std::{
    env,
    process::{Output, Stdio},
};

use pravega_sdk_integration_tests::harness::{FAR, is_embedded};
use tokio::{process::Command, time::timeout};

/// The variable that has a part of the suite watched.
const WATCHED: (&str, &str) = ("PRAVEGA_TEST_CANARIES", "1");

/// Runs tests of this binary in another process, which ends with a failure if a secret leaks.
async fn run(filters: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(filters).envs(settings.iter().copied()).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // On a busy machine the part of the suite takes minutes.
    timeout(FAR * 10, command.output()).await.expect("the tests end").unwrap()
}

/// Returns all that tests have printed.
fn printed(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

#[tokio::test]
async fn no_secret_of_a_client_a_server_or_the_tool_is_shown_anywhere() {
    let name = "canaries::story::everything_is_used_with_secrets_and_none_is_shown";
    let output = run(&["--ignored", "--exact", name], &[]).await;
    let text = printed(&output);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[tokio::test]
async fn no_secret_is_in_the_log_of_the_suite_on_a_server_with_an_account() {
    if !is_embedded() {
        return;
    }
    let filters = ["--include-ignored", "--test-threads", "2"];
    let filters = [&filters[..], watched::MODULES, watched::SKIPPED].concat();
    let output = run(&filters, &[WATCHED]).await;
    let text = printed(&output);
    let end = "canaries::watched::every_crate_is_heard ... ok";
    assert!(output.status.success() && text.contains(end), "{text}");
}

#[tokio::test]
async fn a_secret_in_the_log_of_the_suite_ends_it() {
    if !is_embedded() {
        return;
    }
    let name = "canaries::planted::a_token_is_logged";
    let output = run(&["--ignored", "--exact", name], &[WATCHED]).await;
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(101), "{text}");
    assert!(text.contains("a secret leaks: a delegation token (raw) in suite"), "{text}");
}
