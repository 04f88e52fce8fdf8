//! A Keycloak, for the tests of its clients: one process that keeps everything in memory.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{java::START_LIMIT, standalone::free_ports};
use crate::command::run;

/// For this server only.
const PASSWORD: &str = "1111_aaaa";
const ARTIFACT: &str = "org.keycloak:keycloak-quarkus-dist:26.0.0:zip";
const FOLDER: &str = "keycloak-26.0.0";
/// The version matters: a later one may have other options.
const UNPACK: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack";
/// Time for one answer, before it is known that there is a server.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// A server, which ends when this value is dropped.
pub(super) struct Keycloak {
    process: Option<Child>,
    folder: PathBuf,
    port: u16,
}

impl Keycloak {
    /// Starts a server, which answers half a minute later on two idle cores.
    pub(super) fn launch(root: &Path, folder: &Path) -> Result<Self> {
        let home = distribution(root)?;
        fs::create_dir_all(folder)?;
        let port = free_ports().next().context("no port is free")?;
        let log = fs::File::create(folder.join("log"))?;
        // The script becomes the server, so that the id of its process is that of the server.
        let process = Command::new("sh")
            .current_dir(folder)
            .arg(home.join("bin/kc.sh"))
            .args(["start-dev", "--db=dev-mem", "--http-host=127.0.0.1"])
            .arg(format!("--http-port={port}"))
            .env("KC_BOOTSTRAP_ADMIN_USERNAME", "admin")
            .env("KC_BOOTSTRAP_ADMIN_PASSWORD", PASSWORD)
            .env("JAVA_OPTS_KC_HEAP", "-Xms64m -Xmx512m")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start Keycloak")?;
        Ok(Self { process: Some(process), folder: folder.to_path_buf(), port })
    }

    /// Waits until it answers.
    pub(super) fn wait(&mut self) -> Result<()> {
        println!("waiting for Keycloak on port {}", self.port);
        let deadline = Instant::now() + START_LIMIT;
        while !answers(self.port) {
            let ended = self
                .process
                .as_mut()
                .is_some_and(|process| matches!(process.try_wait(), Ok(Some(_))));
            if ended || Instant::now() > deadline {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(20).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                bail!("Keycloak did not start; its log ends with\n{}", tail.join("\n"));
            }
            thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Returns the environment of the tests.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("PRAVEGA_TEST_KEYCLOAK", format!("127.0.0.1:{}", self.port)),
            ("PRAVEGA_TEST_PASSWORD", PASSWORD.to_owned()),
        ]
    }

    pub(super) fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        process.kill().ok();
        process.wait().ok();
        if env::var_os("PRAVEGA_TEST_KEEP").is_none() {
            fs::remove_dir_all(&self.folder).ok();
        }
    }
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Returns the folder of the server's files, which are downloaded once.
fn distribution(root: &Path) -> Result<PathBuf> {
    let whole = root.join("target/pravega/keycloak");
    let home = whole.join(FOLDER);
    if !home.exists() {
        // To a separate folder first, so that an incomplete copy is not used.
        let partial = root.join("target/pravega/keycloak.partial");
        let mut last = Ok(());
        for _ in 0..3 {
            fs::remove_dir_all(&partial).ok();
            // The plugin notes what it unpacks in the folder in which it runs.
            fs::create_dir_all(&partial)?;
            last = run(Command::new("mvn")
                .current_dir(&partial)
                .args(["-q", "-B", UNPACK])
                .arg(format!("-Dartifact={ARTIFACT}"))
                .arg(format!("-DoutputDirectory={}", partial.display())));
            if last.is_ok() {
                break;
            }
        }
        last?;
        fs::remove_dir_all(&whole).ok();
        fs::rename(&partial, &whole)?;
    }
    Ok(home)
}

/// Returns true if the server shows the realm of its administrators.
fn answers(port: u16) -> bool {
    let ask = || {
        let mut socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(PROBE_LIMIT))?;
        // Without a host it cannot tell its own address, and fails.
        let request = "GET /realms/master HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n";
        socket.write_all(request.as_bytes())?;
        let mut answer = String::new();
        socket.take(64).read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    ask().is_ok_and(|answer| answer.split(' ').nth(1) == Some("200"))
}
