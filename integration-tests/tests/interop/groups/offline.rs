//! Dead readers of one client, which the other takes out of the group.

use std::{
    collections::BTreeSet,
    fs::File,
    path::PathBuf,
    process::{Child, Stdio},
    slice,
    time::Duration,
};

use pravega_sdk_event_stream::group::GroupDescription;
use pravega_sdk_integration_tests::harness::{eventually, tool};

use super::{
    log::{Ending, each_once},
    member::{Client, Member},
    mixed::Mixed,
};

/// The lease of this client's reader. Those of Java have none.
const LEASE: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn this_client_takes_dead_readers_of_java_out_and_reads_on_where_they_were() {
    let mixed = Mixed::new(4, None).await.with_lease(LEASE);
    let survivor = mixed.join(Client::Rust, "survivor").await;
    let mut settled = BTreeSet::new();
    reads_on_at_a_position(&mixed, &survivor, Client::Java, &mut settled).await;

    let killed = mixed.join(Client::Java, "killed").await;
    let logs = [survivor.log.clone(), killed.log.clone()];
    mixed.share(4).await;
    mixed.write(50).await;
    mixed.all_are_read(&logs, &settled).await;
    mixed.checkpoint(Client::Rust, "last").await;
    mixed.write(50).await;
    mixed.all_are_read(&logs, &settled).await;
    mixed.java.kill().await;
    mixed.group.initiate_checkpoint("held-up").await.unwrap();
    waits_only_for(&mixed, "held-up", "killed").await;
    // A reader of Java has no lease, so no reader finds it dead.
    tokio::time::sleep(2 * LEASE).await;
    waits_only_for(&mixed, "held-up", "killed").await;
    mixed.offline(Client::Rust, "killed", None).await;
    settled.extend(each_once(&killed.log.around("last").0));
    mixed.all_are_read(slice::from_ref(&survivor.log), &settled).await;
    mixed.checkpoint(Client::Rust, "held-up").await;
    survivor.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn java_takes_dead_readers_of_this_client_out_and_reads_on_where_they_were() {
    let mixed = Mixed::new(4, None).await;
    let survivor = mixed.join(Client::Java, "survivor").await;
    let mut settled = BTreeSet::new();
    reads_on_at_a_position(&mixed, &survivor, Client::Rust, &mut settled).await;

    let mut killed = Process::start(&mixed, "killed");
    mixed.share(4).await;
    let all_are_read = async || {
        eventually("all events are read", async || {
            let read = survivor.log.events().len() + killed.events().len();
            read == mixed.written().len() - settled.len()
        })
        .await;
    };
    mixed.write(50).await;
    all_are_read().await;
    mixed.checkpoint(Client::Java, "last").await;
    mixed.write(50).await;
    all_are_read().await;
    killed.kill();
    mixed.group.initiate_checkpoint("held-up").await.unwrap();
    waits_only_for(&mixed, "held-up", "killed").await;
    mixed.offline(Client::Java, "killed", None).await;
    settled.extend(killed.events_before("last"));
    mixed.all_are_read(slice::from_ref(&survivor.log), &settled).await;
    mixed.checkpoint(Client::Rust, "held-up").await;
    survivor.close().await;
}

/// A reader of a client vanishes, and the other client takes it out at a position before the end of
/// what it has read. The events before that are settled, and the others are read again.
async fn reads_on_at_a_position(
    mixed: &Mixed,
    survivor: &Member,
    client: Client,
    settled: &mut BTreeSet<u32>,
) {
    // One that is alive learns that it was taken out.
    let alive = mixed.join(client, "alive").await;
    mixed.offline(client.other(), "alive", None).await;
    let is_out = async || alive.log.ending() == Some(Ending::Removed);
    eventually("the reader is out of the group", is_out).await;
    assert!(alive.log.events().is_empty(), "it had no segment");

    let dead = mixed.join(client, "dead").await;
    let logs = [survivor.log.clone(), dead.log.clone()];
    mixed.write(50).await;
    mixed.share(4).await;
    mixed.checkpoint(client.other(), "before").await;
    mixed.write(100).await;
    mixed.all_are_read(&logs, settled).await;
    let dead = dead.vanish().await;
    let (before, after) = dead.around("before");
    let (kept, lost) = after.split_at(after.len() / 2);
    assert!(!kept.is_empty() && !lost.is_empty());
    mixed.offline(client.other(), "dead", Some(&kept.last().unwrap().position)).await;
    settled.extend(each_once(before.iter().chain(kept)));
    mixed.all_are_read(slice::from_ref(&survivor.log), settled).await;
}

/// Waits until a checkpoint waits for one reader only.
async fn waits_only_for(mixed: &Mixed, checkpoint: &str, reader: &str) {
    let is_held_up = |described: &GroupDescription| {
        let known = described.checkpoints.iter().find(|known| known.name == checkpoint);
        known.is_some_and(|known| known.waiting_for == [reader])
    };
    let looks = async || is_held_up(&mixed.group.describe().await.unwrap());
    eventually("the checkpoint waits for the dead reader", looks).await;
}

/// A reader of this client in a process of its own, whose output and notes are in one file.
struct Process {
    process: Child,
    log: PathBuf,
    _folder: tempfile::TempDir,
}

impl Process {
    fn start(mixed: &Mixed, id: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let (stream, group) = (mixed.stream.to_string(), mixed.group.group().to_string());
        let arguments = ["read", &stream, "--group", &group, "--reader", id, "--show-checkpoints"];
        let mut command = tool::command(&arguments);
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Self { process: command.spawn().unwrap(), log, _folder: folder }
    }

    fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(&self.log).unwrap().lines().map(ToOwned::to_owned).collect()
    }

    fn events(&self) -> BTreeSet<u32> {
        self.lines().iter().filter_map(|line| line.parse().ok()).collect()
    }

    fn events_before(&self, checkpoint: &str) -> BTreeSet<u32> {
        let lines = self.lines();
        let end = lines.iter().position(|line| *line == format!("checkpoint {checkpoint}"));
        lines[..end.unwrap()].iter().filter_map(|line| line.parse().ok()).collect()
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
