//! A server on a real file system that is small, that fills, that cannot be written, and that fails
//! while the server runs.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::fs::MetadataExt as _,
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

/// A file system in memory, of 48 MiB, which any user may mount where name spaces of users are
/// allowed.
const IN_MEMORY: Kind = Kind {
    unshare: &["--user", "--map-root-user", "--mount"],
    enter: &["--user", "--preserve-credentials", "--mount"],
    script: "mkdir \"$0/disk\" && mount -t tmpfs -o size=48m tmpfs \"$0/disk\"",
};

/// A file system of 96 MiB in a file, which can fail. Only root may mount it.
const IN_A_FILE: Kind = Kind {
    unshare: &["--mount"],
    enter: &["--mount"],
    script: "truncate -s 96M \"$0/image\" && mkfs.ext4 -q -F -m 0 \"$0/image\" && \
             mkdir \"$0/disk\" && mount -o loop \"$0/image\" \"$0/disk\"",
};

/// A kind of file system, and how its name space is created and entered.
struct Kind {
    unshare: &'static [&'static str],
    enter: &'static [&'static str],
    script: &'static str,
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Returns true if a test that needs a file system may be left out because none can be mounted.
fn may_be_left_out(ci: Option<&OsStr>, is_root: bool, why: &str) -> bool {
    const PERMISSION: [&str; 3] =
        ["Operation not permitted", "Permission denied", "must be superuser"];
    let is_of_permission = PERMISSION.iter().any(|text| why.contains(text));
    ci != Some(OsStr::new("true")) && (!is_root || is_of_permission)
}

/// Says why a test is not carried out, also if the output of tests is not shown.
#[expect(clippy::explicit_write, reason = "libtest keeps what `eprintln` writes to itself")]
fn leave_out(why: &str) {
    writeln!(std::io::stderr(), "not shown: no file system can be mounted: {why}").unwrap();
}

/// A file system that only processes of its name space see, and that ends with them.
struct SmallDisk {
    kind: &'static Kind,
    holder: Child,
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// Mounts one; `None` if that is not possible, and the test may be left out.
    fn mount(kind: &'static Kind) -> Option<Self> {
        match Self::try_mount(kind) {
            Ok(disk) => Some(disk),
            Err(why) => {
                let ci = std::env::var_os("CI");
                assert!(may_be_left_out(ci.as_deref(), is_root(), &why), "cannot mount: {why}");
                leave_out(&why);
                None
            }
        }
    }

    fn try_mount(kind: &'static Kind) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let script = format!("{} && echo mounted && exec sleep 3600", kind.script);
        let mut holder = Command::new("unshare")
            .env("LC_ALL", "C")
            .args(kind.unshare)
            .args(["sh", "-c", &script])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| format!("unshare: {error}"))?;
        let (mut stdout, mut stderr) = (holder.stdout.take(), holder.stderr.take());
        let disk = Self { kind, holder, folder };
        let mut said = [0; 8];
        if stdout.as_mut().unwrap().read_exact(&mut said).is_ok() {
            return Ok(disk);
        }
        let mut why = String::new();
        stderr.as_mut().unwrap().read_to_string(&mut why).ok();
        Err(why)
    }

    /// A command that sees the file system.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string()]).args(self.kind.enter);
        command.arg(program);
        command
    }

    fn remount(&self, option: &str) {
        let mut command = self.command("mount");
        command.arg("-o").arg(format!("remount,{option}")).arg(self.mounted());
        assert!(command.status().unwrap().success());
    }

    /// Has the file system of a file fail: from now on it is only read.
    fn fail(&self) {
        self.remount("abort");
    }

    /// Mounts the file system of a file again, after no process uses it.
    fn mount_again(&self) {
        let script = "umount \"$0/disk\" && mount -o loop \"$0/image\" \"$0/disk\"";
        let mut command = self.command("sh");
        command.args(["-c", script]).arg(self.folder.path());
        assert!(command.status().unwrap().success());
    }

    fn mounted(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// Has another file take so many bytes.
    fn take(&self, bytes: u64) {
        let mut command = self.command("sh");
        command.args(["-c", "head -c \"$0\" /dev/zero > \"$1/other\""]);
        command.arg(bytes.to_string()).arg(self.mounted());
        assert!(command.status().unwrap().success());
    }

    fn data(&self) -> PathBuf {
        self.mounted().join("data")
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
    let Some(disk) = SmallDisk::mount(&IN_MEMORY) else { return };
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

#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_that_fails_and_is_only_read_from_then_on_loses_nothing() {
    if !is_root() {
        // Also where the environment is that of CI: its user is another one.
        return leave_out("it has a device, and this user is not root");
    }
    let Some(disk) = SmallDisk::mount(&IN_A_FILE) else { return };
    let logs = tempfile::tempdir().unwrap();
    let stderr = logs.path().join("stderr");
    let process = disk.start(&stderr);
    let factory = ClientFactory::connect(&process.url).await.unwrap();
    let stream = new_stream(factory.controller(), 1).await;
    let config = WriterConfig::default().with_delivery_timeout(Duration::from_secs(5));
    let writer = factory.event_writer_with(&stream, Utf8, config).await.unwrap();
    let mut stored = 0;
    while stored < 50 {
        timeout(FAR, writer.write("key", event(stored))).await.unwrap().unwrap();
        stored += 1;
    }
    let told = |of: &str| fs::read_to_string(&stderr).unwrap().contains(of);
    assert!(!told("ERROR"), "nothing has failed");

    disk.fail();
    let mut refused = 0;
    while refused < 3 {
        // What the system takes before it notices is stored.
        match timeout(FAR, writer.write("key", event(stored))).await.unwrap() {
            Ok(_) => stored += 1,
            Err(_) => refused += 1,
        }
    }
    eventually("a line on stderr", async || told("no more changes are taken")).await;
    assert!(told("cannot write the log: "));
    check(&factory, &stream, stored).await;
    // Only a new start knows what is on the disk.
    drop((writer, process, factory));
    disk.mount_again();
    let process = disk.start(&stderr);
    let factory = ClientFactory::connect(&process.url).await.unwrap();
    check(&factory, &stream, stored).await;
    factory.event_writer(&stream, Utf8).await.unwrap().write("key", event(0)).await.unwrap();
}

#[test]
fn a_test_without_its_file_system_passes_only_where_mounting_is_not_allowed() {
    let ci = Some(OsStr::new("true"));
    let (forbidden, missing) = ("mount: Operation not permitted", "mkfs.ext4: not found");
    let cases = [
        (None, false, forbidden, true),
        (None, false, missing, true),
        (None, true, forbidden, true),
        (None, true, missing, false),
        (ci, false, forbidden, false),
        (ci, true, forbidden, false),
        (ci, true, missing, false),
    ];
    for (ci, is_root, why, may) in cases {
        assert_eq!(may_be_left_out(ci, is_root, why), may, "{ci:?} {is_root} {why}");
    }
}
