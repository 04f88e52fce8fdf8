//! A durable cluster of several processes.

use std::{
    fs,
    net::TcpStream,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::java::{LOG_CONFIG, START_LIMIT};

const ZOOKEEPER: u16 = 12181;
const BOOKIES: u16 = 13181;
pub(super) const CONTROLLER: u16 = 19090;
pub(super) const STORES: [u16; 2] = [16000, 16001];
const CONTAINERS: u16 = 4;
const LEDGERS: &str = "/pravega/bookkeeper/ledgers";

/// A durable server of several processes, on separate ports.
pub(super) struct Cluster {
    pub(super) lib: PathBuf,
    pub(super) folder: PathBuf,
}

impl Cluster {
    pub(super) fn start(&self) -> Result<()> {
        for part in ["storage", "bookies", "log", "pids"] {
            fs::create_dir_all(self.folder.join(part))?;
        }
        fs::write(self.folder.join("logback.xml"), LOG_CONFIG)?;
        fs::write(self.folder.join("empty.properties"), "")?;
        let zookeeper = format!("localhost:{ZOOKEEPER}");
        let bookkeeper = "io.pravega.segmentstore.storage.impl.bookkeeper";

        let options = [format!("zkPort={ZOOKEEPER}")];
        self.spawn("zookeeper", &format!("{bookkeeper}.ZooKeeperServiceRunner"), "512m", &options)?;
        wait_for_port(ZOOKEEPER)?;

        let options = [
            format!("basePort={BOOKIES}"),
            "bookieCount=3".to_owned(),
            format!("zkPort={ZOOKEEPER}"),
            format!("zkLedgersPath={LEDGERS}"),
            "startZk=false".to_owned(),
            format!("ledgersDir={}", self.folder.join("bookies").display()),
        ];
        self.spawn("bookies", &format!("{bookkeeper}.BookKeeperServiceRunner"), "1g", &options)?;
        wait_for_port(BOOKIES)?;

        let options = [
            format!("controller.container.count={CONTAINERS}"),
            format!("controller.zk.connect.uri={zookeeper}"),
            format!("controller.service.rpc.listener.port={CONTROLLER}"),
            "controller.service.rpc.published.host.nameOrIp=localhost".to_owned(),
            format!("controller.service.rpc.published.port={CONTROLLER}"),
            format!("controller.service.rest.listener.port={}", CONTROLLER + 100),
            "controller.service.asyncTaskPool.size=10".to_owned(),
        ];
        self.spawn("controller", "io.pravega.controller.server.Main", "1g", &options)?;
        wait_for_port(CONTROLLER)?;

        for port in STORES {
            self.start_store(port, &zookeeper)?;
        }
        for port in STORES {
            wait_for_port(port)?;
        }
        // The containers are spread over the stores some time after the ports open.
        thread::sleep(Duration::from_secs(20));
        Ok(())
    }

    fn start_store(&self, port: u16, zookeeper: &str) -> Result<()> {
        let options = [
            format!("pravega.configurationFile={}", self.folder.join("empty.properties").display()),
            format!("pravegaservice.container.count={CONTAINERS}"),
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
            format!("autoscale.controller.connect.uri=tcp://localhost:{CONTROLLER}"),
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
