//! Contexts of the command line: the file, and which of options, environment and context counts.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use pravega_sdk_integration_tests::harness::{
    self,
    tool::{binary, stderr, stdout},
};
use pravega_sdk_server::EmbeddedServer;
use serde_json::Value;
use tempfile::TempDir;

/// A user with a folder of their own.
pub(super) struct User {
    pub(super) folder: TempDir,
}

impl User {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// The file of the contexts.
    pub(super) fn config(&self) -> PathBuf {
        self.folder.path().join("home/config.toml")
    }

    /// The text of the file of the contexts.
    pub(super) fn text(&self) -> String {
        fs::read_to_string(self.config()).unwrap_or_default()
    }

    /// Writes a file that only the user may read.
    pub(super) fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A command in the folder, with no variables but those given.
    pub(super) fn command(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        for (name, _) in std::env::vars() {
            if name.to_ascii_lowercase().starts_with("pravega") || name.starts_with("KEYCLOAK") {
                command.env_remove(name);
            }
        }
        command.env("PRAVEGA_CONFIG", self.config()).envs(variables.iter().copied());
        command.current_dir(self.folder.path()).stdin(Stdio::null()).args(arguments);
        command
    }

    /// Runs a command with variables, requires the exit code, and returns stdout and stderr. No
    /// canary is in them.
    pub(super) fn run_with(
        &self,
        variables: &[(&str, &str)],
        code: i32,
        arguments: &[&str],
    ) -> (String, String) {
        let output = self.command(variables, arguments).output().unwrap();
        checked(&output, code, arguments)
    }

    pub(super) fn run(&self, code: i32, arguments: &[&str]) -> (String, String) {
        self.run_with(&[], code, arguments)
    }

    /// Runs a command with JSON output, and returns its record.
    pub(super) fn json(
        &self,
        variables: &[(&str, &str)],
        code: i32,
        arguments: &[&str],
    ) -> (Value, String) {
        let arguments = [&["-o", "json"], arguments].concat();
        let (stdout, stderr) = self.run_with(variables, code, &arguments);
        (serde_json::from_str(&stdout).unwrap_or_default(), stderr)
    }
}

/// Checks the exit code, and that no secret is shown.
pub(super) fn checked(output: &Output, code: i32, arguments: &[&str]) -> (String, String) {
    let (out, err) = (stdout(output), stderr(output));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{err}");
    assert!(!out.contains("canary") && !err.contains("canary"), "{arguments:?}: {out}{err}");
    (out, err)
}

#[test]
fn contexts_are_created_listed_shown_chosen_and_deleted() {
    let user = User::new();
    let (out, err) = user.run(0, &["context", "list"]);
    assert!(out.is_empty() && err.contains("there are no contexts"), "{out}{err}");
    let (_, err) = user.run(2, &["context", "set", "prod", "--ca", "ca.pem"]);
    assert!(err.contains("a new one needs --controller"), "{err}");

    let prod = ["--controller", "tls://p:1", "--ca", "ca.pem", "--user", "ann"];
    let prod = [&["context", "set", "prod"], &prod[..], &["--password-file", "pw"]].concat();
    let (_, err) = user.run(0, &prod);
    assert!(err.starts_with("created context prod in "), "{err}");
    assert!(err.contains("`pravega context use prod`"), "{err}");
    user.run(0, &["context", "set", "test", "--controller", "tcp://t:1", "--use"]);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(user.config()), mode(user.folder.path().join("home"))), (0o600, 0o700));

    let (out, _) = user.run(0, &["context", "list"]);
    assert_eq!(out, "prod\tfalse\ttls://p:1\tpassword-file\ntest\ttrue\ttcp://t:1\t-\n");
    let (shown, _) = user.json(&[], 0, &["context", "describe", "prod"]);
    let here = user.folder.path().canonicalize().unwrap();
    let path = |name: &str| Value::from(here.join(name).to_str().unwrap());
    assert_eq!((&shown["ca"], &shown["login_file"]), (&path("ca.pem"), &path("pw")));
    assert_eq!((&shown["user"], &shown["login"]), (&"ann".into(), &"password-file".into()));
    assert_eq!(shown["host_names"], "checked");

    let (_, err) = user.run(3, &["context", "use", "prd"]);
    assert!(err.contains("there is no context \"prd\"") && err.contains("prod, test"), "{err}");
    user.run(0, &["context", "use", "prod"]);
    let (shown, _) = user.json(&[], 0, &["context", "show"]);
    assert_eq!(shown["context"], "prod");
    let (shown, _) = user.json(&[("PRAVEGA_CONTEXT", "test")], 0, &["context", "show"]);
    assert_eq!(shown["context"], "test");

    let (_, err) = user.run(2, &["context", "set", "prod", "--controller", "tls://q:1"]);
    assert!(err.contains("has credentials for tls://p:1, which would go to tls://q:1"), "{err}");
    let unset = ["context", "set", "prod", "--controller", "tls://q:1", "--unset", "credentials"];
    user.run(0, &unset);
    let (_, err) = user.run(0, &["context", "delete", "prod"]);
    assert!(err.contains("there is no current context now"), "{err}");
    user.run(3, &["context", "delete", "prod"]);
    user.run(3, &["context", "show"]);
    assert!(!user.text().contains("prod"), "{}", user.text());
}

#[test]
fn a_file_that_is_wrong_is_refused_with_its_line_and_nothing_is_written_to_it() {
    let user = User::new();
    fs::create_dir(user.folder.path().join("home")).unwrap();
    let wrong = "version = 1\n[contexts.a]\ncontroler = \"tcp://h:1\"\n";
    fs::write(user.config(), wrong).unwrap();
    for arguments in [
        &["scope", "list"][..],
        &["context", "list"],
        &["context", "set", "b", "--controller", "tcp://h:1"],
        &["auth", "status"],
        &["doctor", "--settings"],
    ] {
        let (_, err) = user.run(2, arguments);
        assert!(err.contains("config.toml: line 3: "), "{arguments:?}: {err}");
        assert!(err.contains("unknown field \"controler\""), "{arguments:?}: {err}");
    }
    assert_eq!(user.text(), wrong);
    // What needs no cluster needs no contexts.
    user.run(0, &["completions", "bash"]);
    let (_, err) =
        user.run(5, &["--context", "", "--controller", "tcp://127.0.0.1:1", "scope", "list"]);
    assert!(err.contains("cannot be reached"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_option_wins_over_the_environment_which_wins_over_the_context() {
    let [option, variable, context, other] = [0; 4].map(|_| harness::builder());
    let servers = [
        option.start().await.unwrap(),
        variable.start().await.unwrap(),
        context.start().await.unwrap(),
        other.start().await.unwrap(),
    ];
    let user = User::new();
    let [option, variable, current, other] = servers.each_ref().map(EmbeddedServer::url);
    user.run(0, &["context", "set", "current", "--controller", &current, "--use"]);
    user.run(0, &["context", "set", "other", "--controller", &other]);
    let by_variable = ("PRAVEGA_CONTROLLER_URI", variable.as_str());
    let by_context = ("PRAVEGA_CONTEXT", "other");
    for (variables, options, url, from) in [
        (&[][..], &[][..], &current, "context"),
        (&[by_context], &[], &other, "context"),
        (&[by_variable], &[], &variable, "environment"),
        (&[by_variable, by_context], &[], &variable, "environment"),
        (&[], &["--controller", &option], &option, "option"),
        (&[by_variable], &["--controller", &option], &option, "option"),
        (&[by_context], &["--controller", &option], &option, "option"),
        (&[], &["--context", "other"], &other, "context"),
        (&[by_context], &["--context", "current"], &current, "context"),
        (&[by_variable], &["--context", ""], &variable, "environment"),
    ] {
        let (shown, err) = user.json(variables, 0, &[options, &["auth", "status"]].concat());
        let found = (shown["controller"].as_str().unwrap(), shown["controller_from"].as_str());
        assert_eq!(found, (url.as_str(), Some(from)), "{variables:?} {options:?}: {err}");
        let arguments = [options, &["scope", "create", "seen"]].concat();
        user.run_with(variables, 0, &arguments);
    }
    // An option that names a context means its cluster and no other.
    let options = ["--context", "current", "scope", "list"];
    let (_, err) = user.run_with(&[by_variable], 2, &options);
    assert!(err.contains("PRAVEGA_CONTROLLER_URI leads to"), "{err}");
    let (_, err) = user.run(2, &[&["--controller", &option], &options[..]].concat());
    assert!(err.contains("--controller leads to"), "{err}");
    let (_, err) = user.run(3, &["--context", "nope", "scope", "list"]);
    assert!(err.contains("there are current, other in "), "{err}");
    for server in servers {
        server.shutdown().await;
    }
}

#[test]
fn settings_of_the_context_give_way_to_the_environment_and_both_to_options() {
    let user = User::new();
    let url = "tls://h:1?call_timeout=7s&connect_timeout=7s";
    let set =
        ["context", "set", "a", "--controller", url, "--ca", "/context", "--cert", "/context"];
    user.run(0, &[&set[..], &["--use"]].concat());
    let value = |variables: &[(&str, &str)], options: &[&str], name: &str| {
        let arguments = [options, &["-o", "json", "doctor", "--settings"]].concat();
        let (out, err) = user.run_with(variables, 0, &arguments);
        assert!(err.contains("context a, the current one"), "{err}");
        let settings = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let setting = settings.into_iter().find(|setting| setting["setting"] == name).unwrap();
        let text = |field: &str| setting[field].as_str().unwrap().to_owned();
        (text("value"), text("source"))
    };
    let found = |value: &str, source: &str| (value.to_owned(), source.to_owned());
    let ca = [("PRAVEGA_TRUST_STORE", "/variable")];
    let cert = [("PRAVEGA_CLIENT_CERTIFICATE", "/variable")];
    let time = [("PRAVEGA_CALL_TIMEOUT", "8s")];
    assert_eq!(value(&[], &[], "trust_store"), found("/context", "context"));
    assert_eq!(value(&ca, &[], "trust_store"), found("/variable", "environment"));
    assert_eq!(value(&ca, &["--ca", "/option"], "trust_store"), found("/option", "option"));
    assert_eq!(value(&[], &["--ca", "/option"], "trust_store"), found("/option", "option"));
    let name = "client_certificate";
    assert_eq!(value(&[], &[], name), found("/context", "context"));
    assert_eq!(value(&cert, &[], name), found("/variable", "environment"));
    assert_eq!(value(&cert, &["--cert", "/option"], name), found("/option", "option"));
    // The key of the context does not go with another certificate.
    assert_eq!(value(&cert, &[], "client_key"), found("none", "default"));
    assert_eq!(value(&[], &[], "call_timeout"), found("7s", "context"));
    assert_eq!(value(&time, &[], "call_timeout"), found("8s", "environment"));
    assert_eq!(value(&time, &[], "connect_timeout"), found("7s", "context"));
    let url = ["--controller", "tls://h:1?call_timeout=9s"];
    assert_eq!(value(&time, &url, "call_timeout"), found("9s", "url"));
    assert_eq!(value(&[], &url, "connect_timeout"), found("5s", "default"));
}
