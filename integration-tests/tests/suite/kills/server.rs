//! A durable server that is killed, and how long it takes to be there again.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_integration_tests::harness::{FAR, port, tool::binary, unique};
use pravega_sdk_types::Scope;
use tokio::time::timeout;

/// A server in a process of its own, which is killed when this value is dropped.
pub(super) struct Server {
    child: Child,
    started: Instant,
}

impl Server {
    /// Starts a server with more arguments.
    pub(super) fn start(port: u16, folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.args(["dev", "--port", &port.to_string(), "--rest-port", "0", "--dir"]).arg(folder);
        command.args(arguments);
        Self::spawn(&mut command)
    }

    /// Starts a server whose files cannot grow beyond 16 MiB, as on a full disk.
    pub(super) fn start_on_a_full_disk(port: u16, folder: &Path) -> Self {
        // A write beyond the limit fails in a process that ignores the signal.
        let script = "trap '' XFSZ; ulimit -f 32768; exec \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(binary());
        command.args(["dev", "--port", &port.to_string(), "--rest-port", "0", "--dir"]).arg(folder);
        Self::spawn(&mut command)
    }

    fn spawn(command: &mut Command) -> Self {
        let started = Instant::now();
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self { child: child.expect("the tool was not built"), started }
    }

    /// Kills the server with SIGKILL.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A server that is killed repeatedly, on one port and one folder.
pub(super) struct Mortal {
    server: Option<Server>,
    pub(super) port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
    /// It asks for the first answer of each server.
    client: ClientFactory,
    /// How long servers took from the start of their process to the first answer to a change, which
    /// is durable by then.
    starts: Vec<Duration>,
    /// How many were killed before one.
    unanswered: usize,
}

impl Mortal {
    pub(super) fn start(folder: &Path, arguments: &[&str]) -> Self {
        let port = port::lasting();
        let config = ClientConfig::from_url(&format!("tcp://127.0.0.1:{port}")).unwrap();
        // It notices soon that a server is there.
        let config =
            config.with_default_retry(u32::MAX, Duration::from_millis(1), Duration::from_millis(5));
        let mut mortal = Self {
            server: None,
            port,
            folder: folder.to_owned(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            client: ClientFactory::new(config).unwrap(),
            starts: Vec::new(),
            unanswered: 0,
        };
        mortal.restart();
        mortal
    }

    fn restart(&mut self) {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        self.server = Some(Server::start(self.port, &self.folder, &arguments));
    }

    /// Waits for the first answer of the server, at most for a time.
    pub(super) async fn answer_within(&mut self, patience: Duration) {
        let started = self.server.as_ref().unwrap().started;
        let scope = Scope::new(unique("probe")).unwrap();
        match timeout(patience, self.client.controller().create_scope(&scope)).await {
            Ok(created) => {
                created.unwrap();
                self.starts.push(started.elapsed());
            }
            Err(_) => self.unanswered += 1,
        }
    }

    /// Kills the server, and starts it again.
    pub(super) fn kill(&mut self) {
        self.server.take().unwrap().kill();
        self.restart();
    }

    /// Kills the server, starts it again, and waits for its first answer.
    pub(super) async fn kill_and_wait(&mut self) {
        self.kill();
        self.answer_within(FAR).await;
    }

    /// Prints how long the starts took.
    pub(super) fn report(&self) {
        let mut starts = self.starts.clone();
        starts.sort_unstable();
        let (Some(most), Some(median)) = (starts.last(), starts.get(starts.len() / 2)) else {
            return;
        };
        println!(
            "{} starts: the first answer to a change after {median:?}, at most {most:?}; {} were \
             killed before it",
            starts.len(),
            self.unanswered
        );
    }
}
