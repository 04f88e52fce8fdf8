//! Real Pravega 0.13.0 servers on this machine, for the tests that need one.
//!
//! The jars come from Maven Central once and stay below `target/pravega/lib`. A standalone server
//! keeps everything in memory: after a restart it is empty. The cluster is durable: ZooKeeper,
//! bookies, a controller and two segment stores.

use std::{
    env, fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::command::{cargo, run};

/// A standalone server answers about 8 s after its start on two idle cores.
const START_LIMIT: Duration = Duration::from_secs(180);
const STOP_LIMIT: Duration = Duration::from_secs(5);
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

const LOG_CONFIG: &str = "<configuration>\
<appender name=\"C\" class=\"ch.qos.logback.core.ConsoleAppender\"><encoder>\
<pattern>%d %-5level [%t] %logger{20}: %msg%n</pattern></encoder></appender>\
<root level=\"WARN\"><appender-ref ref=\"C\"/></root></configuration>\n";

/// A module of a test binary of `integration-tests`.
#[derive(Clone, Copy)]
struct Module {
    binary: &'static str,
    name: &'static str,
}

impl Module {
    const fn suite(name: &'static str) -> Self {
        Self { binary: "suite", name }
    }

    const fn interop(name: &'static str) -> Self {
        Self { binary: "interop", name }
    }
}

/// Whether the output of tests that pass is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Captured,
    Shown,
}

/// The modules that run against each standalone server, one after the other.
///
/// The wire module comes first: it makes the server write everything that other modules create to
/// storage. Modules that write much come last on a server: after tens of megabytes, scales, commits
/// and the creation of groups take up to half a minute for some time.
const SERVERS: [(&str, &[Module]); 3] = [
    (
        "plain",
        &[
            Module::suite("wire"),
            Module::suite("cli::administration"),
            Module::suite("client"),
            Module::suite("controller"),
            Module::interop("differential::segment_store"),
            Module::interop("differential::controller"),
        ],
    ),
    (
        "writers",
        &[
            Module::suite("event_writer"),
            Module::suite("exactly_once"),
            Module::suite("cli::events"),
            Module::suite("writer_faults"),
        ],
    ),
    (
        "readers",
        &[
            Module::interop("java"),
            Module::suite("reader"),
            Module::suite("transactions"),
            Module::suite("bytes"),
            Module::suite("cli::reading"),
            Module::suite("files"),
            Module::suite("index"),
        ],
    ),
];

/// Returns the required programs that are not installed.
pub(crate) fn missing_tools() -> Vec<&'static str> {
    let runs = |program: &str| {
        let probe = Command::new(program)
            .arg("-version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        probe.is_ok_and(|status| status.success())
    };
    ["java", "mvn"].into_iter().filter(|program| !runs(program)).collect()
}

/// Runs the tests that need a real server: against a plain one, then against one with accounts, and
/// one with TLS as well.
pub(crate) fn interop(root: &Path) -> Result<()> {
    let lib = jars(root)?;
    let build =
        ["test", "-p", "pravega-sdk-integration-tests", "--features", "interop", "--no-run"];
    run(cargo(root).args(build))?;
    // The tests of the tool run the binary.
    run(cargo(root).args(["build", "-p", "pravega-sdk-cli"]))?;
    run(cargo(root).args([
        "build",
        "--quiet",
        "--manifest-path",
        "integration-tests/rust-peer/Cargo.toml",
    ]))?;

    // The other clients on an embedded server, which the tests start themselves.
    for module in [Module::interop("java"), Module::interop("peers")] {
        test(root, Vec::new(), module, Output::Shown)?;
    }
    for (name, modules) in SERVERS {
        let mut server = Standalone::start(&lib, &work_folder(root, name), &Security::None)?;
        let tested = modules
            .iter()
            .try_for_each(|module| test(root, server.variables(), *module, Output::Captured));
        server.stop();
        tested?;
    }

    for (name, tls) in [("expired_tokens", Tls::Off), ("secured", Tls::On)] {
        let folder = work_folder(root, name);
        let security = Security::prepare(root, &lib, &folder, tls)?;
        let mut server = Standalone::start(&lib, &folder, &security)?;
        let tested = test(root, server.variables(), Module::interop(name), Output::Captured);
        server.stop();
        tested?;
    }
    Ok(())
}

/// Runs the tests that need several segment stores, against a durable cluster on separate ports.
pub(crate) fn interop_cluster(root: &Path) -> Result<()> {
    let lib = jars(root)?;
    let folder = root.join("target/pravega/cluster");
    refuse_second(&folder)?;
    Cluster { lib, folder: folder.clone() }.start()?;
    let stores: Vec<String> =
        CLUSTER_STORES.iter().map(|port| format!("localhost:{port}")).collect();
    let variables = vec![
        ("PRAVEGA_TEST_CONTROLLER", format!("tcp://localhost:{CLUSTER_CONTROLLER}")),
        ("PRAVEGA_TEST_STORES", stores.join(",")),
    ];
    // A store dies in the second suite.
    let pid = folder.join("pids").join(format!("store-{}", CLUSTER_STORES[0]));
    let failover =
        [variables.clone(), vec![("PRAVEGA_TEST_STORE_PID", fs::read_to_string(pid)?)]].concat();
    let tested = test(root, variables, Module::interop("cluster"), Output::Captured)
        .and_then(|()| test(root, failover, Module::interop("cluster_failover"), Output::Shown));
    stop(root)?;
    tested
}

/// Runs the tests of one module; fails if the module has no test.
fn test(
    root: &Path,
    variables: Vec<(&'static str, String)>,
    module: Module,
    output: Output,
) -> Result<()> {
    let filter = format!("{}::", module.name);
    let command = || {
        let mut command = cargo(root);
        command
            .args(["test", "-p", "pravega-sdk-integration-tests", "--features", "interop"])
            .args(["--test", module.binary, "--", &filter]);
        command
    };
    // A filter that matches no test passes, so a renamed module would go unnoticed.
    let listed = command().arg("--list").output().context("cannot start cargo")?;
    if !String::from_utf8_lossy(&listed.stdout).lines().any(|line| line.ends_with(": test")) {
        bail!("{} has no tests in a module {}", module.binary, module.name);
    }
    let mut command = command();
    if output == Output::Shown {
        command.arg("--nocapture");
    }
    // The Java client is among the server's jars.
    command.env("PRAVEGA_TEST_JARS", root.join("target/pravega/lib"));
    command.env(
        "PRAVEGA_TEST_RUST_PEER",
        root.join("integration-tests/rust-peer/target/debug/rust-peer"),
    );
    run(command.envs(variables))
}

/// Starts a standalone on the usual ports and leaves it running.
pub(crate) fn start_standalone(root: &Path) -> Result<()> {
    let lib = jars(root)?;
    let folder = root.join("target/pravega/standalone");
    refuse_second(&folder)?;
    let mut server = Standalone::start_on(&lib, &folder, &Security::None, Ports::USUAL)?;
    server.keep();
    println!(
        "ready: tcp://localhost:{} (in memory; stop it with `cargo xtask pravega stop`)",
        Ports::USUAL.controller
    );
    Ok(())
}

/// Starts a durable cluster of several processes and leaves it running.
pub(crate) fn start_cluster(root: &Path) -> Result<()> {
    let lib = jars(root)?;
    let folder = root.join("target/pravega/cluster");
    refuse_second(&folder)?;
    let cluster = Cluster { lib, folder };
    cluster.start()?;
    println!(
        "ready: tcp://localhost:{CLUSTER_CONTROLLER} \
         (durable; stop it with `cargo xtask pravega stop`)"
    );
    Ok(())
}

/// Ends every process that the two commands above started.
pub(crate) fn stop(root: &Path) -> Result<()> {
    let mut running = Vec::new();
    for name in ["standalone", "cluster"] {
        let pids = root.join("target/pravega").join(name).join("pids");
        for entry in fs::read_dir(&pids).into_iter().flatten() {
            let path = entry?.path();
            running.push((fs::read_to_string(&path)?.trim().to_owned(), path));
        }
    }
    for (pid, path) in &running {
        if is_ours(pid, path) {
            run(Command::new("kill").arg(pid))?;
        }
    }
    // A store that loses its ZooKeeper waits for it for minutes.
    let deadline = Instant::now() + STOP_LIMIT;
    while running.iter().any(|(pid, path)| is_ours(pid, path)) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(200));
    }
    for (pid, path) in &running {
        if is_ours(pid, path) {
            run(Command::new("kill").args(["-9", pid]))?;
        }
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Returns true if this program started the process: the id may belong to another process now.
fn is_ours(pid: &str, pid_file: &Path) -> bool {
    let folder =
        pid_file.parent().and_then(Path::parent).map(|folder| folder.display().to_string());
    let command = fs::read(Path::new("/proc").join(pid).join("cmdline")).unwrap_or_default();
    folder.is_some_and(|folder| String::from_utf8_lossy(&command).contains(&folder))
}

fn refuse_second(folder: &Path) -> Result<()> {
    let running = fs::read_dir(folder.join("pids")).is_ok_and(|mut pids| pids.next().is_some());
    if running {
        bail!("it is already running; end it with `cargo xtask pravega stop`");
    }
    fs::remove_dir_all(folder).ok();
    Ok(())
}

fn work_folder(root: &Path, name: &str) -> PathBuf {
    root.join("target/pravega").join(format!("{name}-{}", std::process::id()))
}

fn jars(root: &Path) -> Result<PathBuf> {
    let lib = root.join("target/pravega/lib");
    let marker = lib.join("pravega-standalone-0.13.0.jar");
    if !marker.exists() {
        let pom = root.join("integration-tests/java/pom.xml");
        // To a separate folder first, so that an incomplete copy is not used.
        let partial = root.join("target/pravega/lib.partial");
        fs::remove_dir_all(&partial).ok();
        let mut last = Ok(());
        for _ in 0..3 {
            last = run(Command::new("mvn")
                .args(["-q", "-B", "-f"])
                .arg(&pom)
                .arg("dependency:copy-dependencies")
                .arg(format!("-DoutputDirectory={}", partial.display())));
            if last.is_ok() {
                break;
            }
        }
        last?;
        fs::remove_dir_all(&lib).ok();
        fs::rename(&partial, &lib)?;
    }
    Ok(lib)
}

struct Ports {
    controller: u16,
    rest: u16,
    segment_store: u16,
    zookeeper: u16,
    admin: u16,
    health: u16,
}

impl Ports {
    const USUAL: Self = Self {
        controller: 9090,
        rest: 9091,
        segment_store: 6000,
        zookeeper: 4000,
        admin: 9999,
        health: 6061,
    };

    /// Returns six free ports below those of outgoing connections on Linux, so that they are still
    /// free when the server binds them.
    fn free() -> Result<Self> {
        const FIRST: u16 = 21_000;
        const CANDIDATES: u16 = 10_000;
        // Concurrent runs begin at different candidates.
        let start = (std::process::id() % u32::from(CANDIDATES)) as u16;
        let mut free = (0..CANDIDATES)
            .map(|next| FIRST + (start + next) % CANDIDATES)
            .filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
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

/// Whether a server has TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tls {
    Off,
    On,
}

enum Security {
    None,
    /// Holds the folder with the key, the certificate, the accounts and an expired token.
    Accounts(PathBuf, Tls),
}

impl Security {
    fn prepare(root: &Path, lib: &Path, folder: &Path, tls: Tls) -> Result<Self> {
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
        Ok(Self::Accounts(secrets, tls))
    }

    fn properties(&self) -> Vec<(&'static str, String)> {
        let Self::Accounts(folder, tls) = self else {
            return Vec::new();
        };
        let file = |name: &str| folder.join(name).display().to_string();
        vec![
            ("security.auth.enable", "true".to_owned()),
            ("security.auth.credentials.username", "admin".to_owned()),
            ("security.auth.credentials.pwd", PASSWORD.to_owned()),
            ("security.auth.pwdAuthHandler.accountsDb.location", file("accounts")),
            ("security.tls.enable", (*tls == Tls::On).to_string()),
            ("security.tls.privateKey.location", file("server.pk8")),
            ("security.tls.certificate.location", file("server.crt")),
            ("security.tls.keyStore.location", file("server.jks")),
            ("security.tls.keyStore.pwd.location", file("store-password")),
            ("security.tls.trustStore.location", file("trust.jks")),
        ]
    }
}

/// A server in one process, which ends when this value is dropped unless it is detached.
struct Standalone {
    process: Option<Child>,
    folder: PathBuf,
    ports: Ports,
    secrets: Option<(PathBuf, Tls)>,
}

impl Standalone {
    fn start(lib: &Path, folder: &Path, security: &Security) -> Result<Self> {
        Self::start_on(lib, folder, security, Ports::free()?)
    }

    fn start_on(lib: &Path, folder: &Path, security: &Security, ports: Ports) -> Result<Self> {
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
        properties.extend(security.properties());
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
        let secrets = match security {
            Security::None => None,
            Security::Accounts(folder, tls) => Some((folder.clone(), *tls)),
        };
        let mut server =
            Self { process: Some(process), folder: folder.to_path_buf(), ports, secrets };
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
        // The port opens before the service is ready.
        thread::sleep(Duration::from_secs(3));
        Ok(())
    }

    /// Returns the environment of the tests.
    fn variables(&self) -> Vec<(&'static str, String)> {
        let scheme = if let Some((_, Tls::On)) = self.secrets { "tls" } else { "tcp" };
        let mut variables = vec![
            ("PRAVEGA_TEST_CONTROLLER", format!("{scheme}://localhost:{}", self.ports.controller)),
            ("PRAVEGA_TEST_ADMIN", format!("127.0.0.1:{}", self.ports.admin)),
        ];
        if let Some((secrets, _)) = &self.secrets {
            let file = |name: &str| secrets.join(name).display().to_string();
            variables.push(("PRAVEGA_TEST_TRUST_STORE", file("server.crt")));
            variables.push(("PRAVEGA_TEST_EXPIRED_TOKEN", file("expired-token")));
            variables.push(("PRAVEGA_TEST_PASSWORD", PASSWORD.to_owned()));
        }
        variables
    }

    /// Leaves the process running after this program ends.
    fn keep(&mut self) {
        if let Some(process) = self.process.take() {
            fs::write(self.folder.join("pids/standalone"), process.id().to_string()).ok();
        }
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().ok();
            process.wait().ok();
            if env::var_os("PRAVEGA_TEST_KEEP").is_none() {
                fs::remove_dir_all(&self.folder).ok();
            }
        }
    }
}

impl Drop for Standalone {
    fn drop(&mut self) {
        self.stop();
    }
}

const CLUSTER_ZOOKEEPER: u16 = 12181;
const CLUSTER_BOOKIES: u16 = 13181;
const CLUSTER_CONTROLLER: u16 = 19090;
const CLUSTER_STORES: [u16; 2] = [16000, 16001];
const CLUSTER_CONTAINERS: u16 = 4;
const LEDGERS: &str = "/pravega/bookkeeper/ledgers";

/// A durable server of several processes, on separate ports.
struct Cluster {
    lib: PathBuf,
    folder: PathBuf,
}

impl Cluster {
    fn start(&self) -> Result<()> {
        for part in ["storage", "bookies", "log", "pids"] {
            fs::create_dir_all(self.folder.join(part))?;
        }
        fs::write(self.folder.join("logback.xml"), LOG_CONFIG)?;
        fs::write(self.folder.join("empty.properties"), "")?;
        let zookeeper = format!("localhost:{CLUSTER_ZOOKEEPER}");
        let bookkeeper = "io.pravega.segmentstore.storage.impl.bookkeeper";

        let options = [format!("zkPort={CLUSTER_ZOOKEEPER}")];
        self.spawn("zookeeper", &format!("{bookkeeper}.ZooKeeperServiceRunner"), "512m", &options)?;
        wait_for_port(CLUSTER_ZOOKEEPER)?;

        let options = [
            format!("basePort={CLUSTER_BOOKIES}"),
            "bookieCount=3".to_owned(),
            format!("zkPort={CLUSTER_ZOOKEEPER}"),
            format!("zkLedgersPath={LEDGERS}"),
            "startZk=false".to_owned(),
            format!("ledgersDir={}", self.folder.join("bookies").display()),
        ];
        self.spawn("bookies", &format!("{bookkeeper}.BookKeeperServiceRunner"), "1g", &options)?;
        wait_for_port(CLUSTER_BOOKIES)?;

        let options = [
            format!("controller.container.count={CLUSTER_CONTAINERS}"),
            format!("controller.zk.connect.uri={zookeeper}"),
            format!("controller.service.rpc.listener.port={CLUSTER_CONTROLLER}"),
            "controller.service.rpc.published.host.nameOrIp=localhost".to_owned(),
            format!("controller.service.rpc.published.port={CLUSTER_CONTROLLER}"),
            format!("controller.service.rest.listener.port={}", CLUSTER_CONTROLLER + 100),
            "controller.service.asyncTaskPool.size=10".to_owned(),
        ];
        self.spawn("controller", "io.pravega.controller.server.Main", "1g", &options)?;
        wait_for_port(CLUSTER_CONTROLLER)?;

        for port in CLUSTER_STORES {
            self.start_store(port, &zookeeper)?;
        }
        for port in CLUSTER_STORES {
            wait_for_port(port)?;
        }
        // The containers are spread over the stores some time after the ports open.
        thread::sleep(Duration::from_secs(20));
        Ok(())
    }

    fn start_store(&self, port: u16, zookeeper: &str) -> Result<()> {
        let options = [
            format!("pravega.configurationFile={}", self.folder.join("empty.properties").display()),
            format!("pravegaservice.container.count={CLUSTER_CONTAINERS}"),
            format!("pravegaservice.zk.connect.uri={zookeeper}"),
            format!("pravegaservice.service.listener.port={port}"),
            "pravegaservice.service.published.host.nameOrIp=localhost".to_owned(),
            format!("pravegaservice.service.published.port={port}"),
            "pravegaservice.storage.impl.name=FILESYSTEM".to_owned(),
            "pravegaservice.dataLog.impl.name=BOOKKEEPER".to_owned(),
            "pravegaservice.admin.gateway.enable=false".to_owned(),
            "pravegaservice.cache.size.max=805306368".to_owned(),
            format!("pravegaservice.rest.listener.port={}", port + 60),
            format!("bookkeeper.zk.connect.uri={zookeeper}"),
            format!("bookkeeper.ledger.path={LEDGERS}"),
            "bookkeeper.ensemble.size=3".to_owned(),
            "bookkeeper.write.quorum.size=3".to_owned(),
            "bookkeeper.ack.quorum.size=3".to_owned(),
            format!("filesystem.root={}", self.folder.join("storage").display()),
            format!("autoscale.controller.connect.uri=tcp://localhost:{CLUSTER_CONTROLLER}"),
            "metrics.statistics.enable=false".to_owned(),
        ];
        self.spawn(
            &format!("store-{port}"),
            "io.pravega.segmentstore.server.host.ServiceStarter",
            "2g",
            &options,
        )
    }

    fn spawn(&self, name: &str, class: &str, heap: &str, options: &[String]) -> Result<()> {
        let log = fs::File::create(self.folder.join("log").join(name))?;
        let process = Command::new("java")
            .arg(format!("-Xmx{heap}"))
            .arg("-XX:MaxDirectMemorySize=1g")
            .arg(format!(
                "-Dlogback.configurationFile={}",
                self.folder.join("logback.xml").display()
            ))
            .args(options.iter().map(|option| format!("-D{option}")))
            .arg("-cp")
            .arg(format!("{}/*", self.lib.display()))
            .arg(class)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        fs::write(self.folder.join("pids").join(name), process.id().to_string())?;
        Ok(())
    }
}

fn wait_for_port(port: u16) -> Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > deadline {
            bail!("no server listens on port {port} after {} s", START_LIMIT.as_secs());
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
