//! What the tool says: help, the commonest mistakes, the settings, and a session with a server of
//! its own.
//!
//! `TRYCMD=overwrite cargo test -p pravega-sdk-cli --test golden` writes them anew.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
};

#[test]
fn the_tool_says_what_the_golden_files_hold() {
    trycmd::TestCases::new()
        .env("PRAVEGA_USER", "somebody")
        .env("PRAVEGA_PASSWORD", "secret")
        .case("tests/cmd/*.trycmd");
}

/// `pravega dev` on a port that is free.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_session_with_a_server_of_its_own_goes_as_the_golden_file_holds() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pravega"));
    command.args(["dev", "--port", "0"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut server = Server(command.spawn().unwrap());
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let ready = lines.next().unwrap();
    let url = ready.split_whitespace().nth(1).unwrap().to_owned();
    assert_eq!(ready, format!("ready  {url}   in memory"));
    let look = lines.next().unwrap();
    assert!(look.starts_with("look   http://127.0.0.1:") && look.ends_with("/v1/scopes"), "{look}");
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

    trycmd::TestCases::new().env("PRAVEGA_CONTROLLER_URI", &url).case("tests/session/*.trycmd");

    // As Ctrl-C does.
    let pid = server.0.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert!(server.0.wait().unwrap().success());
    let mut told = String::new();
    server.0.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(told, "ending, after what is under way; Ctrl-C once more ends it at once\n");
}
