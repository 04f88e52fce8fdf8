//! The tool, as users run it with `-vv`: what it prints, but for the data that it is asked for.

use std::{
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use pravega_sdk_integration_tests::harness::{FAR, eventually, issuer::Issuer, tool::binary};
use pravega_sdk_server::EmbeddedServer;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::Command,
    time::timeout,
};

use super::secrets::{CLIENT, DATA, PASSWORD, Secrets, TOKEN_KEY, USER, WRONG};

/// Variables with which the tool would have other credentials.
const VARIABLES: &[&str] =
    &["PRAVEGA_USER", "PRAVEGA_PASSWORD", "PRAVEGA_AUTH_METHOD", "PRAVEGA_AUTH_TOKEN"];

/// What the standard output of a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// The data of streams and tables, as it was asked for.
    Data,
    /// Anything else.
    Others,
}

/// The tool, for one server.
struct Tool<'a> {
    secrets: &'a Secrets,
    url: String,
}

pub(super) async fn everything(secrets: &Secrets, server: &EmbeddedServer) {
    let tool = Tool { secrets, url: server.url() };
    commands(&tool).await;
    credentials(&tool).await;
    mistakes(&tool).await;
    dev(secrets).await;
}

impl Tool<'_> {
    fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(binary());
        VARIABLES.iter().for_each(|name| _ = command.env_remove(name));
        command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1").kill_on_drop(true);
        command.args(["-vvv", "--timeout", "10s", "--ca"]).arg(self.secrets.certificate());
        command.args(options).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the tool with some input, and scans what it prints.
    async fn run(&self, mut command: Command, input: &str, shows: Shows) -> Output {
        let mut process = command.spawn().unwrap();
        let mut stdin = process.stdin.take().unwrap();
        // A command that fails before it reads closes the pipe.
        stdin.write_all(input.as_bytes()).await.ok();
        drop(stdin);
        let output = timeout(FAR, process.wait_with_output()).await.unwrap().unwrap();
        self.secrets.scanner.scan("tool", &output.stderr);
        if shows == Shows::Others {
            self.secrets.scanner.scan("tool", &output.stdout);
        }
        output
    }

    fn as_user(&self, options: &[&str]) -> Command {
        let password = self.secrets.path("password");
        let mut command = self.command(&["--controller", &self.url, "--user", USER]);
        command.arg("--password-file").arg(password).args(options);
        command
    }

    /// Runs a command that succeeds.
    async fn good(&self, options: &[&str], input: &str, shows: Shows) -> String {
        let output = self.run(self.as_user(options), input, shows).await;
        let shown = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{options:?}: {shown}");
        let is_logged = shown.contains("TRACE") || options.ends_with(&["--settings"]);
        assert!(is_logged, "{options:?}: -vvv logs everything");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// A command of every kind, with data and without.
async fn commands(tool: &Tool<'_>) {
    let (data, others) = (Shows::Data, Shows::Others);
    let lines = format!("{DATA}\n{DATA}\n");
    for (options, input, shows) in [
        ("scope create tool", "", others),
        ("scope list", "", others),
        ("scope describe tool", "", others),
        ("stream create tool/events --segments 2", "", others),
        ("stream describe tool/events", "", others),
        ("write tool/events", lines.as_str(), others),
        ("-o json write tool/events", &lines, others),
        ("read tool/events", "", data),
        ("-o json read tool/events --count 1", "", data),
        ("cut show tool/events --at tail", "", others),
        ("segment list tool/events", "", others),
        ("segment describe tool/events/0.#epoch.0", "", others),
        ("stream create tool/bytes", "", others),
        ("bytes put tool/bytes", DATA, others),
        ("bytes get tool/bytes", "", data),
        ("table create tool/table --primary-key-length 4", "", others),
        ("table put tool/table pear --file -", DATA, others),
        ("table get tool/table pear", "", data),
        ("table scan tool/table", "", data),
        ("group create tool/group --stream tool/events", "", others),
        ("group describe tool/group", "", others),
        ("doctor", "", others),
        ("doctor --settings", "", others),
        ("doctor --probe", "", others),
    ] {
        let options: Vec<&str> = options.split(' ').collect();
        tool.good(&options, input, shows).await;
    }
    let id = tool.good(&["txn", "begin", "tool/events"], "", others).await;
    tool.good(&["txn", "write", "tool/events", &id], &lines, others).await;
    tool.good(&["txn", "commit", "tool/events", &id], "", others).await;
    let segment = "segmentName=tool/events/0.#epoch.0";
    tool.good(&["wire", "send", "GetStreamSegmentInfo", segment], "", others).await;
}

/// Credentials of each kind: accepted, and refused.
async fn credentials(tool: &Tool<'_>) {
    let list = ["scope", "list"];
    let file = |name: &str| tool.secrets.path(name);
    for (option, name, code) in [
        ("--token-file", "token", 0),
        ("--token-file", "expired-token", 6),
        ("--token-file", "wrong-password", 2),
        ("--user ann --password-file", "wrong-password", 6),
        ("--user ann --password-file", "token", 6),
    ] {
        let mut command = tool.command(&["--controller", &tool.url]);
        command.args(option.split(' ')).arg(file(name)).args(list);
        let output = tool.run(command, "", Shows::Others).await;
        let shown = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{option} {name}: {shown}");
    }
    for variables in [
        [("PRAVEGA_USER", USER), ("PRAVEGA_PASSWORD", PASSWORD)],
        [("PRAVEGA_USER", USER), ("PRAVEGA_PASSWORD", WRONG)],
        [("PRAVEGA_AUTH_METHOD", "Bearer"), ("PRAVEGA_AUTH_TOKEN", &tool.secrets.tokens.good)],
        [("PRAVEGA_AUTH_METHOD", "Bearer"), ("PRAVEGA_AUTH_TOKEN", WRONG)],
        [("PRAVEGA_AUTH_METHOD", "Basic"), ("PRAVEGA_AUTH_TOKEN", TOKEN_KEY)],
    ] {
        for options in [&list[..], &["doctor"], &["doctor", "--settings"]] {
            let mut command = tool.command(&["--controller", &tool.url]);
            command.args(options).envs(variables);
            tool.run(command, "", Shows::Others).await;
        }
    }
    let (issuer, repeating) =
        (Issuer::issuing(&tool.secrets.tokens.good).unwrap(), Issuer::repeating().unwrap());
    for (issuer, code) in [(&issuer, 0), (&repeating, 6)] {
        let adapter = json!({
            "realm": "r", "auth-server-url": issuer.url(), "resource": "c",
            "credentials": { "secret": CLIENT },
        });
        let file = tool.secrets.file("adapter.json", &adapter.to_string());
        let mut command = tool.command(&["--controller", &tool.url, "--keycloak-file"]);
        command.arg(file).args(list);
        let output = tool.run(command, "", Shows::Others).await;
        let shown = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{shown}");
    }
}

/// Secrets where they do not belong.
async fn mistakes(tool: &Tool<'_>) {
    let url = format!("tls://{USER}:{}@localhost:1", WRONG.replace(' ', "/"));
    let list = ["--controller", &url, "scope", "list"];
    let output = tool.run(tool.command(&list), "", Shows::Others).await;
    assert_eq!(output.status.code(), Some(2));
    let certificate = tool.secrets.path("client/server.crt");
    for key in ["server/server.key", "token-key", "no-key"] {
        let mut command = tool.command(&["--controller", &tool.url, "--cert"]);
        command.arg(&certificate).arg("--key").arg(tool.secrets.path(key)).args(["scope", "list"]);
        tool.run(command, "", Shows::Others).await;
    }
    let closed = ["--controller", "tls://127.0.0.1:1", "--timeout", "1s", "scope", "list"];
    let mut command = tool.command(&closed);
    command.envs([("PRAVEGA_USER", USER), ("PRAVEGA_PASSWORD", PASSWORD)]);
    tool.run(command, "", Shows::Others).await;
}

/// A server of the tool, with a client; its log is on the standard error.
async fn dev(secrets: &Secrets) {
    let files = secrets.path("server");
    let mut command = Tool { secrets, url: String::new() }.command(&["dev", "--port", "0"]);
    command.args(["--rest-port", "0", "--tls"]).arg(&files).arg("--auth");
    command.arg(secrets.path("accounts")).arg("--token-key").arg(secrets.path("token-key"));
    let mut process = command.spawn().unwrap();
    let (stdout, stderr) = (process.stdout.take().unwrap(), process.stderr.take().unwrap());
    let scanner = secrets.scanner;
    let log = tokio::spawn(async move {
        let (mut text, mut stderr) = (scanner.text("tool"), stderr);
        let mut part = vec![0; 1 << 16];
        while let Ok(len @ 1..) = stderr.read(&mut part).await {
            text.push(&part[..len]);
        }
    });
    let mut lines = BufReader::new(stdout).lines();
    let url = loop {
        let line = timeout(FAR, lines.next_line()).await.unwrap().unwrap().unwrap();
        scanner.scan("tool", line.as_bytes());
        if let Some(url) = line.split_whitespace().find(|word| word.starts_with("tls://")) {
            break url.to_owned();
        }
    };
    let tool = Tool { secrets, url };
    tool.good(&["scope", "create", "dev"], "", Shows::Others).await;
    tool.good(&["stream", "create", "dev/events"], "", Shows::Others).await;
    tool.good(&["write", "dev/events"], DATA, Shows::Others).await;
    tool.good(&["read", "dev/events"], "", Shows::Data).await;
    let wrong = secrets.path("wrong-password");
    refused(&tool, &wrong).await;
    process.start_kill().unwrap();
    eventually("the server has ended", async || process.try_wait().unwrap().is_some()).await;
    timeout(Duration::from_secs(30), log).await.unwrap().unwrap();
}

async fn refused(tool: &Tool<'_>, password: &Path) {
    let mut command = tool.command(&["--controller", &tool.url, "--user", USER]);
    command.arg("--password-file").arg(password).args(["scope", "list"]);
    let output = tool.run(command, "", Shows::Others).await;
    assert_eq!(output.status.code(), Some(6));
}
