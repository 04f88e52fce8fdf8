//! Credentials of the command line, against a server with accounts.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use pravega_sdk_integration_tests::harness::{
    self,
    issuer::Issuer,
    port::Refusing,
    tool::{binary, stderr, stdout},
};

const PASSWORD: &str = "a canary: pass:word";

fn secret(path: &Path, text: &str, mode: u32) -> String {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_and_tokens_come_from_files_that_only_their_owner_may_read() {
    let server = harness::builder().with_account("ann", PASSWORD).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode| secret(&folder.path().join(name), text, mode);
    let run = |options: &[&str], code: i32| {
        let mut tool = Command::new(binary());
        tool.args(["--controller", &server.url()]).args(options).args(["scope", "list"]);
        for variable in ["PRAVEGA_USER", "PRAVEGA_PASSWORD"] {
            tool.env_remove(variable);
        }
        let output = tool.output().unwrap();
        let shown = stdout(&output) + &stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{shown}");
        assert!(!shown.contains("canary"), "{shown}");
        shown
    };
    let good = file("good", &format!("{PASSWORD}\nmore\n"), 0o600);
    run(&["--user", "ann", "--password-file", &good], 0);

    let wrong = file("wrong", "canary", 0o600);
    let shown = run(&["--user", "ann", "--password-file", &wrong], 6);
    assert!(shown.contains("help: the credentials that were given (source: option)"), "{shown}");
    assert!(!shown.contains("give --user"), "{shown}");
    assert!(run(&["--token-file", &wrong], 6).contains("Unauthenticated"));
    assert!(run(&[], 6).contains("help: give --user and --password-file"));

    let open = file("open", PASSWORD, 0o644);
    let shown = run(&["--user", "ann", "--password-file", &open], 2);
    assert!(shown.contains("(mode 0644): `chmod 600"), "{shown}");
    let shown = run(&["--token-file", &open], 2);
    assert!(shown.contains("(mode 0644)"), "{shown}");
    let empty = file("empty", "\ncanary", 0o600);
    assert!(run(&["--token-file", &empty], 2).contains("the first line of"));
    assert!(run(&["--token-file", "/no/such/file"], 2).contains("cannot be read"));
    server.shutdown().await;
}

/// Writes an adapter configuration of Keycloak.
fn adapter(path: &Path, url: &str, mode: u32) -> String {
    let json = format!(
        "{{\"realm\":\"r\",\"auth-server-url\":\"{url}\",\"resource\":\"c\",\
         \"credentials\":{{\"secret\":\"canary\"}}}}"
    );
    secret(path, &json, mode)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_keycloak_logs_in_with_its_adapter_configuration() {
    let open = harness::builder().start().await.unwrap();
    let closed = harness::builder().with_account("ann", PASSWORD).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let run_with = |variable: Option<&str>, url: &str, options: &[&str], code: i32| {
        let mut tool = Command::new(binary());
        tool.args(["--controller", url]).args(options);
        for variable in ["PRAVEGA_USER", "PRAVEGA_PASSWORD"] {
            tool.env_remove(variable);
        }
        if let Some(file) = variable {
            tool.env("KEYCLOAK_SERVICE_ACCOUNT_FILE", file);
        }
        let output = tool.args(["scope", "list"]).output().unwrap();
        let shown = stdout(&output) + &stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{shown}");
        assert!(!shown.contains("canary"), "{shown}");
        shown
    };
    let run = |url: &str, options: &[&str], code| run_with(None, url, options, code);
    let issuer = Issuer::start(200).unwrap();
    let good = adapter(&path("good"), &issuer.url(), 0o600);
    run(&open.url(), &["--keycloak-file", &good], 0);
    assert_eq!(issuer.asked().len(), 3, "{:?}", issuer.asked());
    run_with(Some(&good), &open.url(), &[], 0);
    assert_eq!(issuer.asked().len(), 6);
    // The server does not know tokens of an issuer.
    assert!(run(&closed.url(), &["--keycloak-file", &good], 6).contains("Unauthenticated"));

    let refusing = Issuer::start(401).unwrap();
    let wrong = adapter(&path("wrong"), &refusing.url(), 0o600);
    let shown = run(&closed.url(), &["--keycloak-file", &wrong], 6);
    assert!(shown.contains("the issuer refuses the client or its secret: status 401"), "{shown}");
    let down = Refusing::bind();
    let away = adapter(&path("away"), &format!("http://{}", down.address()), 0o600);
    let shown = run(&closed.url(), &["--keycloak-file", &away, "--timeout", "2s"], 5);
    assert!(shown.contains("the issuer cannot be reached"), "{shown}");

    let all_read = adapter(&path("all"), &issuer.url(), 0o644);
    let shown = run(&open.url(), &["--keycloak-file", &all_read], 2);
    assert!(shown.contains("(mode 0644): `chmod 600"), "{shown}");
    let partial = secret(&path("partial"), "{\"realm\":\"r\"}", 0o600);
    let shown = run(&open.url(), &["--keycloak-file", &partial], 2);
    assert!(shown.contains("setting auth-server-url"), "{shown}");
    let both = ["--keycloak-file", &good, "--token-file", &good];
    let shown = run(&open.url(), &both, 2);
    assert!(shown.contains("--keycloak-file cannot be combined with --token-file"), "{shown}");
    let both = ["--keycloak-file", &good, "--user", "ann", "--password-file", &good];
    let shown = run(&open.url(), &both, 2);
    assert!(shown.contains("--keycloak-file cannot be combined with --user"), "{shown}");
    assert_eq!(issuer.asked().len(), 9, "nothing was sent with wrong options");
    open.shutdown().await;
    closed.shutdown().await;
}
