//! A standalone server: one process that keeps everything in memory.

use std::{
    env, fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{
    java::{LOG_CONFIG, START_LIMIT},
    readiness::{self, Tool},
};
use crate::command::run;

/// For the secured server only.
const PASSWORD: &str = "1111_aaaa";

/// The memory of a standalone server. It keeps all data in memory, and delays writers for seconds
/// when its cache is full, so benchmarks need far more than tests.
enum Memory {
    ForTests,
    ForBenchmarks,
}

impl Memory {
    fn wanted() -> Self {
        match std::env::var_os("PRAVEGA_BENCH") {
            Some(_) => Self::ForBenchmarks,
            None => Self::ForTests,
        }
    }

    fn options(&self) -> &'static [&'static str] {
        match self {
            Self::ForTests => &["-Xmx3g", "-XX:MaxDirectMemorySize=4g"],
            Self::ForBenchmarks => &[
                "-Xmx9g",
                "-XX:MaxDirectMemorySize=9g",
                "-Dpravegaservice.cache.size.max=8589934592",
            ],
        }
    }
}

pub(super) struct Ports {
    pub(super) controller: u16,
    rest: u16,
    segment_store: u16,
    zookeeper: u16,
    admin: u16,
    health: u16,
}

impl Ports {
    pub(super) const USUAL: Self = Self {
        controller: 9090,
        rest: 9091,
        segment_store: 6000,
        zookeeper: 4000,
        admin: 9999,
        health: 6061,
    };

    fn free() -> Result<Self> {
        let mut free = free_ports();
        let mut next = || free.next().context("no port is free");
        Ok(Self {
            controller: next()?,
            rest: next()?,
            segment_store: next()?,
            zookeeper: next()?,
            admin: next()?,
            health: next()?,
        })
    }
}

/// Returns free ports below those of outgoing connections on Linux, so that they are still free
/// when a server binds them.
pub(super) fn free_ports() -> impl Iterator<Item = u16> {
    const FIRST: u16 = 21_000;
    const CANDIDATES: u16 = 10_000;
    // Concurrent runs begin at different candidates.
    let start = (std::process::id() % u32::from(CANDIDATES)) as u16;
    (0..CANDIDATES)
        .map(move |next| FIRST + (start + next) % CANDIDATES)
        .filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
}

/// Whether a server has TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tls {
    Off,
    On,
}

/// Whether a server has accounts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Accounts {
    Off,
    On,
}

/// What a server demands of its clients.
#[derive(Clone)]
pub(super) struct Security {
    /// The folder with the key, the certificate, the accounts and an expired token.
    folder: PathBuf,
    accounts: Accounts,
    tls: Tls,
}

impl Security {
    pub(super) fn prepare(
        root: &Path,
        lib: &Path,
        folder: &Path,
        (accounts, tls): (Accounts, Tls),
    ) -> Result<Self> {
        let secrets = folder.join("secrets");
        fs::create_dir_all(&secrets)?;
        // The server's classes log to the folder in which they run.
        run(Command::new("java")
            .current_dir(&secrets)
            .arg("-cp")
            .arg(format!("{}/*", lib.display()))
            .arg(root.join("integration-tests/java/SecureFiles.java"))
            .arg(&secrets)
            .arg(PASSWORD))?;
        Ok(Self { folder: secrets, accounts, tls })
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn properties(&self) -> Vec<(&'static str, String)> {
        vec![
            ("security.auth.enable", (self.accounts == Accounts::On).to_string()),
            ("security.auth.credentials.username", "admin".to_owned()),
            ("security.auth.credentials.pwd", PASSWORD.to_owned()),
            ("security.auth.pwdAuthHandler.accountsDb.location", self.file("accounts")),
            ("security.tls.enable", (self.tls == Tls::On).to_string()),
            ("security.tls.privateKey.location", self.file("server.pk8")),
            ("security.tls.certificate.location", self.file("server.crt")),
            ("security.tls.keyStore.location", self.file("server.jks")),
            ("security.tls.keyStore.pwd.location", self.file("store-password")),
            ("security.tls.trustStore.location", self.file("trust.jks")),
        ]
    }
}

/// A server in one process, which ends when this value is dropped unless it is detached.
pub(super) struct Standalone {
    process: Option<Child>,
    folder: PathBuf,
    ports: Ports,
    security: Option<Security>,
}

impl Standalone {
    pub(super) fn start(lib: &Path, folder: &Path, security: Option<&Security>) -> Result<Self> {
        Self::start_on(lib, folder, security, Ports::free)
    }

    /// Starts a server, a second time if the first one does not answer all calls.
    pub(super) fn start_on(
        lib: &Path,
        folder: &Path,
        security: Option<&Security>,
        ports: impl Fn() -> Result<Ports>,
    ) -> Result<Self> {
        readiness::second_start(
            || Self::launch(lib, folder, security, ports()?),
            |server| readiness::wait(&Tool::new(server.tool_variables())?),
            |mut server| {
                server.end_process();
                // The second server writes a log of its own.
                fs::rename(folder.join("log"), folder.join("log-of-first-start")).ok();
            },
        )
    }

    /// Starts a process and waits until its ports are open.
    fn launch(
        lib: &Path,
        folder: &Path,
        security: Option<&Security>,
        ports: Ports,
    ) -> Result<Self> {
        fs::create_dir_all(folder.join("pids"))?;
        fs::write(folder.join("logback.xml"), LOG_CONFIG)?;
        let mut properties = vec![
            ("controller.rpc.port", ports.controller.to_string()),
            ("controller.rest.port", ports.rest.to_string()),
            ("segmentStore.port", ports.segment_store.to_string()),
            ("zk.port", ports.zookeeper.to_string()),
            ("admin.gateway.enable", "true".to_owned()),
            ("admin.gateway.port", ports.admin.to_string()),
        ];
        properties.extend(security.iter().flat_map(|security| security.properties()));
        let text: String =
            properties.iter().map(|(name, value)| format!("singlenode.{name}={value}\n")).collect();
        fs::write(folder.join("standalone.properties"), text)?;
        let log = fs::File::create(folder.join("log"))?;
        let process = Command::new("java")
            .current_dir(folder)
            .args(Memory::wanted().options())
            .arg(format!("-Dlogback.configurationFile={}", folder.join("logback.xml").display()))
            .arg(format!(
                "-Dsinglenode.configurationFile={}",
                folder.join("standalone.properties").display()
            ))
            .arg(format!("-Dpravegaservice.rest.listener.port={}", ports.health))
            .arg("-cp")
            .arg(format!("{}/*", lib.display()))
            .arg("io.pravega.local.LocalPravegaEmulator")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start java")?;
        let (folder, security) = (folder.to_path_buf(), security.cloned());
        let mut server = Self { process: Some(process), folder, ports, security };
        println!("waiting for Pravega on port {}", server.ports.controller);
        server.wait()?;
        Ok(server)
    }

    fn wait(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        for port in [self.ports.controller, self.ports.segment_store] {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                let ended = self
                    .process
                    .as_mut()
                    .is_some_and(|process| matches!(process.try_wait(), Ok(Some(_))));
                if ended || Instant::now() > deadline {
                    let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                    let tail: Vec<&str> = log.lines().rev().take(20).collect();
                    let tail: Vec<&str> = tail.into_iter().rev().collect();
                    bail!("Pravega did not start; its log ends with\n{}", tail.join("\n"));
                }
                thread::sleep(Duration::from_millis(200));
            }
        }
        Ok(())
    }

    /// Returns the environment of the tests.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("PRAVEGA_TEST_CONTROLLER", self.url()),
            ("PRAVEGA_TEST_ADMIN", format!("127.0.0.1:{}", self.ports.admin)),
            ("PRAVEGA_TEST_REST", format!("127.0.0.1:{}", self.ports.rest)),
        ];
        let Some(security) = &self.security else { return variables };
        if security.tls == Tls::On {
            variables.push(("PRAVEGA_TEST_TRUST_STORE", security.file("server.crt")));
        }
        if security.accounts == Accounts::On {
            variables.push(("PRAVEGA_TEST_ACCOUNTS", security.file("accounts")));
            variables.push(("PRAVEGA_TEST_EXPIRED_TOKEN", security.file("expired-token")));
            variables.push(("PRAVEGA_TEST_PASSWORD", PASSWORD.to_owned()));
        }
        variables
    }

    /// Returns the environment of the `pravega` tool.
    fn tool_variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![("PRAVEGA_CONTROLLER_URI", self.url())];
        let Some(security) = &self.security else { return variables };
        if security.accounts == Accounts::On {
            variables.push(("PRAVEGA_USER", "admin".to_owned()));
            variables.push(("PRAVEGA_PASSWORD", PASSWORD.to_owned()));
        }
        if security.tls == Tls::On {
            variables.push(("PRAVEGA_TRUST_STORE", security.file("server.crt")));
        }
        variables
    }

    fn url(&self) -> String {
        let has_tls = self.security.as_ref().is_some_and(|security| security.tls == Tls::On);
        let scheme = if has_tls { "tls" } else { "tcp" };
        format!("{scheme}://localhost:{}", self.ports.controller)
    }

    /// Leaves the process running after this program ends.
    pub(super) fn keep(&mut self) {
        if let Some(process) = self.process.take() {
            fs::write(self.folder.join("pids/standalone"), process.id().to_string()).ok();
        }
    }

    pub(super) fn stop(&mut self) {
        if self.end_process() && env::var_os("PRAVEGA_TEST_KEEP").is_none() {
            fs::remove_dir_all(&self.folder).ok();
        }
    }

    /// Ends the process, and returns true if this value still had one.
    fn end_process(&mut self) -> bool {
        let Some(mut process) = self.process.take() else { return false };
        process.kill().ok();
        process.wait().ok();
        true
    }
}

impl Drop for Standalone {
    fn drop(&mut self) {
        self.stop();
    }
}
