//! Golden outputs of the tool: help, common mistakes, settings, contexts, and a session with an
//! embedded server.
//!
//! `TRYCMD=overwrite cargo test -p pravega-sdk-cli --test golden` rewrites them.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
};

#[test]
fn outputs_match_the_golden_files() {
    trycmd::TestCases::new()
        .env("PRAVEGA_USER", "alice")
        .env("PRAVEGA_PASSWORD", "secret")
        .env("PRAVEGA_CONFIG", NO_CONTEXTS)
        .case("tests/cmd/*.trycmd");
}

/// A file without contexts, so that those of the user who runs the tests say nothing here.
const NO_CONTEXTS: &str = "/dev/null";

#[test]
fn contexts_match_the_golden_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml").to_str().unwrap().to_owned();
    let cases = trycmd::TestCases::new();
    cases.env("PRAVEGA_CONFIG", &file).insert_var("[CONFIG]", file).unwrap();
    cases.case("tests/contexts/*.trycmd");
}

/// `pravega dev` on a free port.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_session_with_a_dev_server_matches_the_golden_file() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pravega"));
    command.args(["dev", "--port", "0"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut server = Server(command.spawn().unwrap());
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let ready = lines.next().unwrap();
    let url = ready.split_whitespace().nth(1).unwrap().to_owned();
    assert_eq!(ready, format!("ready  {url}   in memory"));
    let rest = lines.next().unwrap();
    assert!(rest.starts_with("rest   http://127.0.0.1:") && rest.ends_with("/v1/scopes"), "{rest}");
    let hints: Vec<String> = lines.by_ref().take(4).map(|line| line.replace(&url, "URL")).collect();
    assert_eq!(
        hints,
        [
            "try    pravega --controller URL scope create demo",
            "       pravega --controller URL stream create demo/hello",
            "       echo hi | pravega --controller URL write demo/hello",
            "       pravega --controller URL read demo/hello",
        ]
    );

    trycmd::TestCases::new()
        .env("PRAVEGA_CONTROLLER_URI", &url)
        .env("PRAVEGA_CONFIG", NO_CONTEXTS)
        .case("tests/session/*.trycmd");

    // As Ctrl-C does.
    let pid = server.0.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert!(server.0.wait().unwrap().success());
    let mut stderr = String::new();
    server.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(stderr, "shutting down; press Ctrl-C again to quit now\n");
}
