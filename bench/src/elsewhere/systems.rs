//! The systems that are compared: how each is had, started, and spoken to.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    case::Case,
    process::{Server, free_port, run},
};
use crate::tool_server::{Launch, ToolServer, status_of};

/// Where Debian's packages of Redis are unpacked if it is not installed: what it needs besides the
/// libraries of every machine.
const REDIS_PACKAGES: [&str; 6] =
    ["redis-tools", "libjemalloc2", "liblua5.1-0", "liblzf1", "lua-cjson", "lua-bitop"];

/// A system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum System {
    /// The same bytes, appended to a file and synced.
    Disk,
    /// This project.
    Own,
    Kafka,
    Redis,
}

impl System {
    pub(super) const ALL: [Self; 4] = [Self::Disk, Self::Own, Self::Kafka, Self::Redis];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Own => "pravega",
            Self::Kafka => "kafka",
            Self::Redis => "redis",
        }
    }
}

/// A system that can be started.
#[derive(Debug)]
pub(super) enum Ready {
    Own,
    Kafka { client: PathBuf, jars: PathBuf },
    Redis { client: PathBuf, server: PathBuf, libraries: Option<PathBuf> },
}

/// A running server.
pub(super) enum Running {
    Own(ToolServer),
    Other { uri: String, server: Server },
}

impl Running {
    pub(super) fn uri(&self) -> &str {
        match self {
            Self::Own(server) => server.url(),
            Self::Other { uri, .. } => uri,
        }
    }

    /// The peak of the resident memory, in MiB.
    pub(super) fn peak_mib(&self) -> Result<u64> {
        let id = match self {
            Self::Own(server) => server.id(),
            Self::Other { server, .. } => server.id(),
        };
        Ok(status_of(id, "VmHWM:")? >> 10)
    }
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// Builds the client of a system.
fn build(peer: &str) -> Result<PathBuf> {
    let folder = peers().join(peer);
    run(Command::new("cargo")
        .args(["build", "--release", "--quiet", "--locked"])
        .current_dir(&folder))?;
    Ok(folder.join("target/release").join(format!("{peer}-peer")))
}

impl Ready {
    /// Makes a system ready to be started; `None` for the disk, which is no server.
    pub(super) fn prepare(system: System) -> Result<Option<Self>> {
        Ok(Some(match system {
            System::Disk => return Ok(None),
            System::Own => Self::Own,
            System::Kafka => {
                let jars = peers().join("kafka/target/dependency");
                if !jars.exists() {
                    run(Command::new("mvn")
                        .args(["-q", "-B", "dependency:copy-dependencies"])
                        .current_dir(peers().join("kafka")))?;
                }
                Self::Kafka { client: build("kafka")?, jars }
            }
            System::Redis => {
                let (server, libraries) = redis_server()?;
                Self::Redis { client: build("redis")?, server, libraries }
            }
        }))
    }

    /// Starts the server on an empty folder.
    pub(super) fn start(&self, folder: &Path, case: &Case) -> Result<Running> {
        match self {
            Self::Own => {
                let launch = Launch {
                    memory: case.memory.to_owned(),
                    log: Some(folder.join("server.log")),
                    ..Launch::roomy(Some(&folder.join("data")))
                };
                Ok(Running::Own(ToolServer::start(&launch)?))
            }
            Self::Kafka { jars, .. } => start_kafka(jars, folder),
            Self::Redis { server, libraries, .. } => {
                let port = free_port()?;
                let mut command = Command::new(server);
                if let Some(libraries) = libraries {
                    command.env("LD_LIBRARY_PATH", libraries);
                }
                let port_text = port.to_string();
                command.args(["--bind", "127.0.0.1", "--port", &port_text, "--dir"]).arg(folder);
                command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
                let server = Server::start(&mut command, &folder.join("server.log"), port)?;
                Ok(Running::Other { uri: format!("redis://127.0.0.1:{port}"), server })
            }
        }
    }

    /// The command that starts a client.
    pub(super) fn client(&self) -> Result<Command> {
        Ok(match self {
            Self::Own => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("elsewhere-worker");
                command
            }
            Self::Kafka { client, .. } | Self::Redis { client, .. } => Command::new(client),
        })
    }
}

/// One broker that is its own controller, with the memory and the collector that Kafka's start
/// script sets, and a flush for each batch.
fn start_kafka(jars: &Path, folder: &Path) -> Result<Running> {
    let (port, controller) = (free_port()?, free_port()?);
    let properties = folder.join("server.properties");
    let data = folder.join("data");
    std::fs::write(
        &properties,
        format!(
            "process.roles=broker,controller\nnode.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             log.dirs={}\nlog.flush.interval.messages=1\nauto.create.topics.enable=false\n\
             offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\ngroup.initial.rebalance.delay.ms=0\n",
            data.display()
        ),
    )?;
    let java = || {
        let mut command = Command::new("java");
        command.args(["-Xms1G", "-Xmx1G", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"]);
        command.args(["-XX:InitiatingHeapOccupancyPercent=35", "-Djava.awt.headless=true", "-cp"]);
        command.arg(format!("{}/*", jars.display()));
        command
    };
    let formatted = java()
        .args(["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c"])
        .arg(&properties)
        .output()
        .context("java cannot be started")?;
    let said = String::from_utf8_lossy(&formatted.stderr);
    ensure!(formatted.status.success(), "Kafka's folder cannot be made: {said}");
    let mut command = java();
    command.arg("kafka.Kafka").arg(&properties);
    let server = Server::start(&mut command, &folder.join("server.log"), port)?;
    Ok(Running::Other { uri: format!("127.0.0.1:{port}"), server })
}

/// Returns the program of Redis, and the folder of its libraries if they are not installed: what
/// Debian's packages hold is unpacked beside the client.
fn redis_server() -> Result<(PathBuf, Option<PathBuf>)> {
    let installed = Command::new("redis-server").arg("--version").output();
    if installed.is_ok_and(|output| output.status.success()) {
        return Ok(("redis-server".into(), None));
    }
    let unpacked = peers().join("redis/target/debian");
    // `redis-server` is a link to this program.
    let (server, libraries) =
        (unpacked.join("usr/bin/redis-check-rdb"), unpacked.join("usr/lib/x86_64-linux-gnu"));
    let link = unpacked.join("redis-server");
    if !link.exists() {
        std::fs::create_dir_all(&unpacked)?;
        run(Command::new("apt-get")
            .args(["-qq", "download"])
            .args(REDIS_PACKAGES)
            .current_dir(&unpacked))?;
        for file in std::fs::read_dir(&unpacked)? {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "deb") {
                run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&unpacked))?;
            }
        }
        std::os::unix::fs::symlink(server, &link)?;
    }
    Ok((link, Some(libraries)))
}
