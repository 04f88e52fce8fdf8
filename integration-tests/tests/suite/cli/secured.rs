//! `pravega dev` with TLS, accounts and tokens.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use pravega_sdk_integration_tests::harness::{
    jwt::{AUDIENCE, Signer, claims, key_set},
    tool::{binary, stderr, stdout},
};

/// A server, which ends with this.
struct Server {
    process: Child,
    url: String,
    /// The settings that it tells its user.
    settings: HashMap<String, String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Server {
    /// Starts a server that makes its files in a folder, or uses those that are there.
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(binary());
        command.args(["dev", "--port", "0", "--rest-port", "0", "--tls", "--auth"]);
        command.current_dir(folder).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let told: Vec<String> =
            lines.map(Result::unwrap).take_while(|line| !line.starts_with("try")).collect();
        let words = || told.iter().flat_map(|line| line.split_whitespace());
        let setting = |word: &str| {
            let (name, value) = word.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        let url = words().find(|word| word.starts_with("tls://")).unwrap().to_owned();
        assert!(words().any(|word| word.starts_with("https://")), "{told:?}");
        Self { process, url, settings: words().filter_map(setting).collect() }
    }

    /// A command of the tool for this server, with some of the settings.
    fn command(&self, folder: &Path, settings: &[&str]) -> Command {
        let mut command = Command::new(binary());
        let own = ["PRAVEGA_TRUST_STORE", "PRAVEGA_AUTH_METHOD", "PRAVEGA_AUTH_TOKEN"];
        for name in own {
            command.env_remove(name);
        }
        command.args(["--controller", &self.url, "--timeout", "20s"]).current_dir(folder);
        command.envs(settings.iter().map(|name| (*name, &self.settings[*name])));
        command
    }
}

#[test]
fn a_server_with_tls_and_accounts_tells_its_user_how_to_come_in() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = Server::start(folder);
    let all = ["PRAVEGA_TRUST_STORE", "PRAVEGA_AUTH_METHOD", "PRAVEGA_AUTH_TOKEN"];
    let run = |settings: &[&str], arguments: &[&str]| {
        server.command(folder, settings).args(arguments).output().unwrap()
    };
    let created = run(&all, &["scope", "create", "s"]);
    assert!(created.status.success(), "{}", stderr(&created));
    let refused = run(&["PRAVEGA_TRUST_STORE"], &["scope", "list"]);
    assert_eq!(refused.status.code(), Some(6), "{}", stderr(&refused));
    let untrusted = run(&["PRAVEGA_AUTH_METHOD", "PRAVEGA_AUTH_TOKEN"], &["scope", "list"]);
    assert!(!untrusted.status.success(), "{}", stdout(&untrusted));
    for (file, mode) in [("pravega-accounts", 0o600), ("pravega-tls/server.key", 0o600)] {
        let found = fs::metadata(folder.join(file)).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{file}");
    }

    let token = server.settings["PRAVEGA_AUTH_TOKEN"].clone();
    drop(server);
    let server = Server::start(folder);
    assert!(!server.settings.contains_key("PRAVEGA_AUTH_TOKEN"), "the password is not kept");
    let mut list = server.command(folder, &["PRAVEGA_TRUST_STORE"]);
    list.env("PRAVEGA_AUTH_METHOD", "Basic").env("PRAVEGA_AUTH_TOKEN", token);
    // Also for a shell in another folder.
    list.current_dir("/");
    let listed = list.args(["scope", "list"]).output().unwrap();
    assert!(listed.status.success(), "{}", stderr(&listed));
}

/// Starts a server with options; it ends with the result.
fn start_with(folder: &Path, options: &[&str]) -> Server {
    let mut command = Command::new(binary());
    command.args(["dev", "--port", "0", "--rest-port", "0", "--auth"]).args(options);
    command.current_dir(folder).stdout(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let told: Vec<String> =
        lines.map(Result::unwrap).take_while(|line| !line.starts_with("try")).collect();
    let url = told[0].split_whitespace().nth(1).unwrap().to_owned();
    assert!(told.iter().any(|line| line.starts_with("jwt    tokens")), "{told:?}");
    Server { process, url, settings: HashMap::new() }
}

#[test]
fn a_server_lets_in_users_with_a_token_by_the_keys_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let signer = Signer::new("one");
    fs::write(folder.join("keys.json"), key_set(&[&signer])).unwrap();
    fs::write(folder.join("pravega-accounts"), "ann:*:prn::/,READ_UPDATE\n").unwrap();
    let server = start_with(folder, &["--jwks", "keys.json", "--audience", AUDIENCE]);
    let create = |token: &str, scope: &str| {
        let file = folder.join("token");
        fs::write(&file, token).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let mut command = Command::new(binary());
        command.args(["--controller", &server.url, "--timeout", "20s", "--token-file"]);
        command.arg(file).args(["scope", "create", scope]).output().unwrap()
    };
    let created = create(&signer.sign(&claims("ann")), "s");
    assert!(created.status.success(), "{}", stderr(&created));
    for (token, kind) in [
        (signer.sign(&claims("bob")), "PermissionDenied"),
        (Signer::new("one").sign(&claims("ann")), "Unauthenticated"),
    ] {
        let refused = create(&token, "t");
        assert_eq!(refused.status.code(), Some(6), "{}", stderr(&refused));
        assert!(stderr(&refused).contains(kind), "{}", stderr(&refused));
    }
}
