//! Processes of a comparison: servers that end with the value, and clients that speak by lines.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// How long a server may take until it accepts connections.
const START: Duration = Duration::from_secs(60);
/// How long a client may take for one part of its work: more than reading all back takes.
const WORK: Duration = Duration::from_secs(3600);
const POLL: Duration = Duration::from_millis(20);

/// Runs a command to its end.
pub(super) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?} cannot be started"))?;
    if !status.success() {
        bail!("{command:?} failed");
    }
    Ok(())
}

/// A port of this machine that was free a moment ago.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A process that is killed when the value is dropped.
#[derive(Debug)]
pub(super) struct Server(Child);

impl Server {
    /// Starts a server whose output goes to a file, and waits until its port accepts connections.
    pub(super) fn start(command: &mut Command, log: &Path, port: u16) -> Result<Self> {
        let output = File::create(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| format!("{command:?} cannot be started"))?;
        let mut server = Self(child);
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = server.0.try_wait()? {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                let last = said.lines().rev().take(5).collect::<Vec<_>>();
                bail!("the server ended with {status}: {}", last.join(" / "));
            }
            if began.elapsed() > START {
                bail!("the server does not accept connections");
            }
            pause();
        }
        Ok(server)
    }

    /// The number of the process.
    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[expect(clippy::disallowed_methods, reason = "no runtime is here")]
fn pause() {
    std::thread::sleep(POLL);
}

/// A client that works after a line of this program, and prints a line when it is done.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    lines: mpsc::Receiver<io::Result<String>>,
}

impl Worker {
    /// Starts a client.
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child =
            command.spawn().with_context(|| format!("{command:?} cannot be started"))?;
        let stdout = child.stdout.take().context("no stdout")?;
        let (sender, lines) = mpsc::channel();
        // Ends with the client.
        std::thread::spawn(move || {
            BufReader::new(stdout).lines().try_for_each(|line| sender.send(line))
        });
        Ok(Self { child, lines })
    }

    /// Returns the next line of the client.
    pub(super) fn line(&mut self) -> Result<String> {
        let line = self.lines.recv_timeout(WORK);
        line.context("the client ended early, or takes too long")?.context("no line")
    }

    /// Lets the client go on.
    pub(super) fn go_on(&mut self) -> Result<()> {
        let stdin = self.child.stdin.as_mut().context("no stdin")?;
        stdin.write_all(b"\n").context("the client does not listen")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_client_goes_on_after_each_line_and_one_that_ends_is_an_error() {
        let mut worker = Worker::start(&mut shell("echo one; read go; echo two")).unwrap();
        assert_eq!(worker.line().unwrap(), "one");
        worker.go_on().unwrap();
        assert_eq!(worker.line().unwrap(), "two");
        assert!(worker.line().is_err());
    }

    #[test]
    fn a_server_that_ends_before_it_serves_is_an_error_with_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port().unwrap();
        let mut command = shell("echo no such folder >&2; exit 3");
        let error = Server::start(&mut command, &folder.path().join("log"), port).unwrap_err();
        assert!(error.to_string().contains("no such folder"), "{error}");
    }
}
