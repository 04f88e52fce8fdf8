//! `pravega auth`, against servers with accounts and TLS.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    process::Stdio,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use pravega_sdk_integration_tests::harness::{
    self,
    issuer::Issuer,
    jwt::{AUDIENCE, Signer, claims, key_set},
};
use pravega_sdk_server::{EmbeddedServer, JwtAccounts, ServerTls};
use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

use super::contexts::{User, checked};

const PASSWORD: &str = "a canary: pass:word";

async fn start() -> EmbeddedServer {
    let server = harness::builder().with_tls(ServerTls::made_in_memory());
    server.with_account("ann", PASSWORD).start().await.unwrap()
}

/// A user with the certificate of a server, and the options to reach it.
fn user_of(server: &EmbeddedServer) -> (User, [String; 4]) {
    let user = User::new();
    let ca = user.file("ca.pem", &server.certificate().unwrap());
    let options = ["--controller".to_owned(), server.url(), "--ca".to_owned(), ca];
    (user, options)
}

fn with<'a>(options: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    let options = options.iter().map(String::as_str);
    more.iter().copied().chain(options).collect()
}

/// Checks that no form of the password is in the file of the contexts.
fn check_secrecy(user: &User) {
    let text = user.text();
    let header = BASE64_STANDARD.encode(format!("ann:{PASSWORD}"));
    assert!(!text.contains("canary") && !text.contains(&header), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_checked_and_the_path_of_its_password_is_kept_until_the_logout() {
    let server = start().await;
    let (user, options) = user_of(&server);
    let good = user.file("good", &format!("{PASSWORD}\n"));
    let wrong = user.file("wrong", "canary");
    let log_in = ["auth", "login", "--user", "ann", "--password-file"];
    let (_, err) = user.run(6, &with(&options, &[&log_in[..], &[&wrong]].concat()));
    assert!(err.contains("help: nothing was stored"), "{err}");
    assert_eq!(user.text(), "");
    let (state, _) = user.json(&[], 6, &with(&options, &["auth", "status"]));
    assert_eq!((&state["state"], &state["method"]), (&"refused".into(), &"none".into()));

    let (out, err) = user.run(0, &with(&options, &[&log_in[..], &[&good]].concat()));
    assert!(out.is_empty() && err.contains("logged in to tls://"), "{out}{err}");
    assert!(err.contains(" as ann") && err.contains("has the path of the secret, "), "{err}");
    check_secrecy(&user);
    // No option is needed now.
    user.run(0, &["scope", "create", "s"]);
    user.run(0, &["doctor"]);
    let (state, _) = user.json(&[], 0, &["auth", "status"]);
    for (field, expected) in [
        ("controller", server.url().as_str()),
        ("controller_from", "context"),
        ("context", "default"),
        ("method", "Basic"),
        ("user", "ann"),
        ("credentials_from", "context"),
        ("secret_in", good.as_str()),
        ("state", "accepted"),
    ] {
        assert_eq!(state[field], expected, "{field}");
    }
    assert!(state["expires"].is_null(), "{state}");

    // The file is read by each command, so a password that has changed is noticed.
    fs::write(&good, "canary").unwrap();
    let (state, _) = user.json(&[], 6, &["auth", "status"]);
    assert_eq!(state["state"], "refused");
    fs::remove_file(&good).unwrap();
    let (_, err) = user.run(2, &["scope", "list"]);
    assert!(err.contains("error: context default: ") && err.contains("cannot be read"), "{err}");

    let (_, err) = user.run(0, &["auth", "logout"]);
    assert!(err.contains("logged out of context default as ann"), "{err}");
    assert!(err.contains(&format!("left: the file with the secret, {good}")), "{err}");
    let (_, err) = user.run(3, &["auth", "logout"]);
    assert!(err.contains("context default has no credentials"), "{err}");
    user.run(6, &["scope", "list"]);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_from_stdin_is_kept_only_with_the_option_that_says_so() {
    let server = start().await;
    let (user, options) = user_of(&server);
    let from_stdin = |more: &[&str], code: i32| {
        let arguments = ["auth", "login", "--user", "ann", "--password-stdin"];
        let arguments = with(&options, &[&arguments[..], more].concat());
        let mut process =
            user.command(&[("PRAVEGA_USER", "bob"), ("PRAVEGA_PASSWORD", "canary")], &arguments);
        process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = process.spawn().unwrap();
        let password = format!("{PASSWORD}\nmore\n");
        process.stdin.take().unwrap().write_all(password.as_bytes()).ok();
        checked(&process.wait_with_output().unwrap(), code, &arguments).1
    };
    let err = from_stdin(&[], 2);
    assert!(err.contains("only with --store-password, unencrypted"), "{err}");
    assert_eq!(user.text(), "");
    let err = from_stdin(&["--store-password", "--context", "prod"], 0);
    assert!(err.contains("warning: context prod has the password unencrypted in "), "{err}");
    assert!(err.contains("PRAVEGA_USER, PRAVEGA_PASSWORD in the environment win"), "{err}");
    assert!(user.text().contains(PASSWORD));
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(user.config()), 0o600);
    let (state, _) = user.json(&[], 0, &["auth", "status"]);
    assert_eq!((&state["state"], &state["user"]), (&"accepted".into(), &"ann".into()));
    assert!(state["secret_in"].as_str().unwrap().ends_with("config.toml, unencrypted"), "{state}");
    for format in ["text", "json", "table"] {
        for arguments in [&["context", "show"][..], &["context", "list"], &["doctor"]] {
            user.run(0, &[&["-vv", "-o", format], arguments].concat());
        }
    }
    // The environment wins, and a wrong user in it is refused.
    let variables = [("PRAVEGA_USER", "bob"), ("PRAVEGA_PASSWORD", "canary")];
    let (state, _) = user.json(&variables, 6, &["auth", "status"]);
    assert_eq!((&state["user"], &state["state"]), (&"bob".into(), &"refused".into()));
    assert_eq!(state["credentials_from"], "environment");
    assert_eq!(state["secret_in"], "PRAVEGA_USER, PRAVEGA_PASSWORD");
    // Options win over both.
    let good = user.file("good", PASSWORD);
    let option = ["--user", "ann", "--password-file", &good, "auth", "status"];
    let (state, _) = user.json(&variables, 0, &option);
    assert_eq!(state["credentials_from"], "option");
    assert_eq!(state["secret_in"], good.as_str());

    fs::set_permissions(user.config(), fs::Permissions::from_mode(0o644)).unwrap();
    let (_, err) = user.run(2, &["scope", "list"]);
    assert!(err.contains("other users can read the password in") && err.contains("0644"), "{err}");
    fs::set_permissions(user.config(), fs::Permissions::from_mode(0o600)).unwrap();
    let (_, err) = user.run_with(&variables, 0, &["auth", "logout"]);
    assert!(err.contains("the password is removed from "), "{err}");
    assert!(err.contains("left: PRAVEGA_USER, PRAVEGA_PASSWORD in the environment"), "{err}");
    check_secrecy(&user);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_a_context_are_sent_to_no_other_controllers() {
    let (server, other) = (start().await, start().await);
    let (user, options) = user_of(&server);
    let good = user.file("good", PASSWORD);
    let log_in = ["auth", "login", "--user", "ann", "--password-file", &good];
    user.run(0, &with(&options, &log_in));
    // The other server would accept them.
    let ca = user.file("other.pem", &other.certificate().unwrap());
    let away = ["--controller", &other.url(), "--ca", &ca];
    let (_, err) = user.run(6, &[&away[..], &["scope", "list"]].concat());
    assert!(err.contains("note: context default is for ") && err.contains("not sent"), "{err}");
    let variables = [("PRAVEGA_CONTROLLER_URI", other.url())];
    let variables = variables.each_ref().map(|(name, url)| (*name, url.as_str()));
    let (_, err) = user.run_with(&variables, 6, &["--ca", &ca, "scope", "list"]);
    assert!(err.contains("PRAVEGA_CONTROLLER_URI leads to"), "{err}");
    let (state, _) = user.json(&variables, 6, &["--ca", &ca, "auth", "status"]);
    assert_eq!((&state["context"], &state["method"]), (&serde_json::Value::Null, &"none".into()));
    let (_, err) = user.run(2, &[&away[..], &["--context", "default", "scope", "list"]].concat());
    assert!(err.contains("leave one of them out"), "{err}");
    // Nor by a login of another cluster under the same name, nor without TLS.
    let (_, err) = user.run(2, &[&away[..], &log_in[..]].concat());
    assert!(err.contains("context default is for "), "{err}");
    let plain = server.url().replace("tls://", "tcp://");
    let (_, err) = user.run(1, &["--controller", &plain, "--timeout", "2s", "scope", "list"]);
    assert!(err.contains("without TLS: the context is not used"), "{err}");
    let off = [("PRAVEGA_TLS_TO_CONTROLLER", "off")];
    let (_, err) = user.run_with(&off, 2, &["scope", "list"]);
    assert!(err.contains("PRAVEGA_TLS_TO_CONTROLLER leads to"), "{err}");
    // The same controller by a URL is the same cluster.
    user.run(0, &["--controller", &server.url(), "scope", "list"]);
    server.shutdown().await;
    other.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_shows_its_user_and_its_life_and_a_client_of_keycloak_logs_in() {
    let signer = Signer::new("one");
    let user = User::new();
    let keys = user.file("keys.json", &key_set(&[&signer]));
    let accounts = user.file("accounts", "bob:*:prn::/,READ_UPDATE\n");
    let server = harness::builder()
        .with_accounts_file(accounts)
        .with_jwt_accounts(JwtAccounts::with_key_set_file(keys, AUDIENCE));
    let server = server.start().await.unwrap();
    let token = user.file("token", &signer.sign(&claims("bob")));
    let log_in = ["auth", "login", "--controller", &server.url(), "--token-file", &token];
    user.run(0, &log_in);
    assert!(!user.text().contains(&fs::read_to_string(&token).unwrap()));
    let (state, _) = user.json(&[], 0, &["auth", "status"]);
    assert_eq!((&state["method"], &state["user"]), (&"Bearer".into(), &"bob".into()));
    assert_eq!((&state["state"], &state["secret_in"]), (&"accepted".into(), &token.into()));
    let life = state["life"].as_str().unwrap();
    assert!(life.starts_with("4m") || life == "5m", "{state}");
    assert!(state["expires"].as_str().unwrap().ends_with('Z'), "{state}");
    server.shutdown().await;
    // Without a server the state is not known, and what the token says is shown all the same.
    let (state, _) = user.json(&[], 5, &["--timeout", "2s", "auth", "status"]);
    assert_eq!((&state["state"], &state["user"]), (&"unknown".into(), &"bob".into()));

    let open = harness::builder().start().await.unwrap();
    let issuer = Issuer::start(200).unwrap();
    let adapter = format!(
        "{{\"realm\":\"r\",\"auth-server-url\":\"{}\",\"resource\":\"c\",\
         \"credentials\":{{\"secret\":\"canary\"}}}}",
        issuer.url()
    );
    let adapter = user.file("keycloak.json", &adapter);
    let url = open.url();
    let log_in = ["auth", "login", "--context", "k", "--controller", &url];
    let (_, err) = user.run(0, &[&log_in[..], &["--keycloak-file", &adapter]].concat());
    assert!(err.contains("the cluster lets in clients without credentials"), "{err}");
    assert!(err.contains("it is not the current context"), "{err}");
    let (state, _) = user.json(&[], 0, &["--context", "k", "auth", "status"]);
    assert_eq!((&state["state"], &state["secret_in"]), (&"not needed".into(), &adapter.into()));
    check_secrecy(&user);
    // A login at an issuer that refuses it is not kept.
    let refusing = Issuer::start(401).unwrap();
    let adapter = fs::read_to_string(user.folder.path().join("keycloak.json")).unwrap();
    let adapter = user.file("wrong.json", &adapter.replace(&issuer.url(), &refusing.url()));
    let before = user.text();
    user.run(6, &[&log_in[..], &["--keycloak-file", &adapter]].concat());
    assert_eq!(user.text(), before);
    open.shutdown().await;
}

/// Runs a command on a terminal, types each answer after its question, and returns what the
/// terminal shows and the exit code.
fn on_terminal(user: &User, arguments: &[&str], answers: &[(&str, &str)]) -> (String, Option<i32>) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let open = || {
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        rustix::fs::open(&name, flags, Mode::empty()).unwrap()
    };
    let mut command = user.command(&[], arguments);
    command.stdin(open()).stdout(open()).stderr(open());
    let mut process = command.spawn().unwrap();
    drop(command);
    let mut terminal = File::from(terminal);
    let (mut shown, mut at) = (String::new(), 0);
    for (question, answer) in answers {
        while !shown[at..].contains(question) {
            let mut byte = [0];
            terminal.read_exact(&mut byte).unwrap();
            shown.push(char::from(byte[0]));
        }
        at = shown.len();
        if *answer == "^C" {
            let pid = rustix::process::Pid::from_child(&process);
            rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        } else {
            terminal.write_all(answer.as_bytes()).unwrap();
        }
    }
    let mut rest = Vec::new();
    // After the last writer has closed the terminal, reading fails.
    terminal.read_to_end(&mut rest).ok();
    (shown + &String::from_utf8_lossy(&rest), process.wait().unwrap().code())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_typed_is_not_shown_and_kept_only_after_a_yes() {
    let server = start().await;
    let (user, options) = user_of(&server);
    let arguments = with(&options, &["auth", "login"]);
    let typed = format!("{PASSWORD}\n");
    let (question, asked) = (("User: ", "ann\n"), ("Password of ann: ", typed.as_str()));
    let kept = "unencrypted and readable for you only? [y/N] ";
    let (shown, code) = on_terminal(&user, &arguments, &[question, asked, (kept, "\n")]);
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("nothing was stored") && !shown.contains("canary"), "{shown}");
    let (shown, code) =
        on_terminal(&user, &arguments, &[question, ("Password of ann: ", "canary\n")]);
    assert_eq!(code, Some(6), "{shown}");
    let (shown, code) = on_terminal(&user, &arguments, &[question, ("Password of ann: ", "^C")]);
    assert_eq!(code, Some(130), "{shown}");
    assert!(shown.contains("stopped by SIGINT: nothing was stored"), "{shown}");
    assert_eq!(user.text(), "");

    let (shown, code) = on_terminal(&user, &arguments, &[question, asked, (kept, "y\n")]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("warning: context default has the password"), "{shown}");
    assert!(!shown.contains("canary"), "{shown}");
    user.run(0, &["scope", "list"]);
    user.run(0, &["auth", "logout"]);
    let given = with(&options, &["auth", "login", "--user", "ann", "--store-password"]);
    let (shown, code) = on_terminal(&user, &given, &[asked]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(user.text().contains("canary"));
    server.shutdown().await;
}
