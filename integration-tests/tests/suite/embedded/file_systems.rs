//! A server on a real file system that is small, that fills, and that cannot be written.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::{WriterConfig, codec::Utf8};
use pravega_sdk_integration_tests::harness::{FAR, eventually, new_stream, tool::binary};
use pravega_sdk_types::{ErrorKind, ScopedStream};
use tokio::time::timeout;

use super::{disk::used, process::Process};

const EVENT_LEN: usize = 60_000;

/// A file system of 48 MiB that only processes of its name space see, and that ends with them.
struct SmallDisk {
    holder: Child,
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// Mounts one; `None` if this user may not.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let script = "mount -t tmpfs -o size=48m tmpfs \"$0\" && echo mounted && exec sleep 3600";
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .ok()?;
        let mut said = [0; 8];
        let is_mounted = holder.stdout.take()?.read_exact(&mut said).is_ok();
        let disk = Self { holder, folder };
        is_mounted.then_some(disk)
    }

    /// A command that sees the file system.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        let target = self.holder.id().to_string();
        command.args(["--target", &target, "--user", "--preserve-credentials", "--mount"]);
        command.arg(program);
        command
    }

    fn remount(&self, option: &str) {
        let mut command = self.command("mount");
        command.arg("-o").arg(format!("remount,{option}")).arg(self.folder.path());
        assert!(command.status().unwrap().success());
    }

    /// Has another file take so many bytes.
    fn take(&self, bytes: u64) {
        let mut command = self.command("sh");
        command.args(["-c", "head -c \"$0\" /dev/zero > \"$1/other\""]);
        command.arg(bytes.to_string()).arg(self.folder.path());
        assert!(command.status().unwrap().success());
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The bytes of all files.
    fn used(&self) -> u64 {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        used(&root.join(self.data().strip_prefix("/").unwrap()))
    }

    fn server(&self) -> Command {
        let mut command = self.command(binary());
        command.args(["dev", "--port", "0", "--memory", "64M", "--dir"]).arg(self.data());
        command
    }

    fn start(&self, stderr: &Path) -> Process {
        let stderr = File::options().create(true).append(true).open(stderr).unwrap();
        Process::spawn_with(&mut self.server(), stderr.into())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.holder.kill().ok();
        self.holder.wait().ok();
    }
}

/// An event that has its number.
fn event(number: usize) -> String {
    format!("{number:<EVENT_LEN$}")
}

/// Writes numbered events until one is refused; returns the number of those that were stored.
async fn fill(factory: &ClientFactory, stream: &ScopedStream) -> usize {
    let config = WriterConfig::default().with_delivery_timeout(Duration::from_secs(5));
    let writer = factory.event_writer_with(stream, Utf8, config).await.unwrap();
    for number in 0.. {
        if let Err(error) = timeout(FAR, writer.write("key", event(number))).await.unwrap() {
            assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
            return number;
        }
    }
    unreachable!("the file system has an end")
}

/// Checks that the first events are stored, in their order.
async fn check(factory: &ClientFactory, stream: &ScopedStream, count: usize) {
    let mut reader = factory.event_reader(stream, Utf8).await.unwrap();
    for number in 0..count {
        let read = timeout(FAR, reader.next()).await.unwrap().unwrap().unwrap();
        assert!(*read.event() == event(number), "event {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_file_system_loses_nothing_and_is_written_again_once_it_has_room() {
    let Some(disk) = SmallDisk::mount() else {
        println!("not shown: this user may not mount a file system");
        return;
    };
    let logs = tempfile::tempdir().unwrap();
    let stderr = logs.path().join("stderr");
    let process = disk.start(&stderr);
    let factory = ClientFactory::connect(&process.url).await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(new_stream(factory.controller(), 1).await);
    }
    let [first, second, third] = &streams[..] else { unreachable!() };
    let warned = |of: &str| fs::read_to_string(&stderr).unwrap().contains(of);

    // Another program takes most of it.
    disk.take(30 << 20);
    let stored = fill(&factory, first).await;
    assert!(stored > 100, "{stored} events");
    check(&factory, first, stored).await;
    eventually("the operator is warned", async || warned("the disk has no space left")).await;
    drop((process, factory));
    let process = disk.start(&stderr);
    let factory = ClientFactory::connect(&process.url).await.unwrap();
    check(&factory, first, stored).await;

    // It gives it back, and the server takes all but the part for freeing space.
    disk.take(0);
    let mut more = 0;
    eventually("the server finds the room", async || {
        more = fill(&factory, second).await;
        more > 0
    })
    .await;
    assert!(more > 100, "{more} events");
    eventually("the operator is warned", async || warned("the folder is nearly full")).await;
    check(&factory, first, stored).await;
    check(&factory, second, more).await;
    for stream in [first, second] {
        let tail = factory.batch_client(stream).await.unwrap().tail_cut().await.unwrap();
        factory.controller().truncate_stream(&tail).await.unwrap();
    }
    eventually("files are removed", async || disk.used() < 24 << 20).await;
    let refilled = fill(&factory, third).await;
    assert!(refilled > 200, "{refilled} events");
    check(&factory, third, refilled).await;

    // A disk that cannot be written is refused at once, and loses nothing.
    drop((process, factory));
    disk.remount("ro");
    let refused = disk.server().stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && text.contains("Read-only file system"), "{text}");
    assert!(text.contains(disk.data().to_str().unwrap()), "{text}");
    disk.remount("rw");
    let process = disk.start(&stderr);
    let factory = ClientFactory::connect(&process.url).await.unwrap();
    check(&factory, third, refilled).await;
}
