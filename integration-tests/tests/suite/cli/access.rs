//! Credentials of the command line, against a server with accounts.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use pravega_sdk_integration_tests::harness::tool::{binary, stderr, stdout};
use pravega_sdk_server::EmbeddedServer;

const PASSWORD: &str = "a canary: pass:word";

fn secret(path: &Path, text: &str, mode: u32) -> String {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_and_tokens_come_from_files_that_only_their_owner_may_read() {
    let server = EmbeddedServer::builder().with_account("ann", PASSWORD).start().await.unwrap();
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
    assert!(shown.contains("help: give --user and --password-file, or --token-file"), "{shown}");
    assert!(run(&["--token-file", &wrong], 6).contains("Unauthenticated"));
    assert!(run(&[], 6).contains("help: give --user and --password-file"));

    let open = file("open", PASSWORD, 0o640);
    let shown = run(&["--user", "ann", "--password-file", &open], 2);
    assert!(shown.contains("(mode 0640): `chmod 600"), "{shown}");
    let shown = run(&["--token-file", &open], 2);
    assert!(shown.contains("(mode 0640)"), "{shown}");
    let empty = file("empty", "\ncanary", 0o600);
    assert!(run(&["--token-file", &empty], 2).contains("the first line of"));
    assert!(run(&["--token-file", "/no/such/file"], 2).contains("cannot be read"));
    server.shutdown().await;
}
