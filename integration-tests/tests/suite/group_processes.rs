//! Readers of groups as processes of their own, which are killed and paused.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::codec::Utf8;
use pravega_sdk_integration_tests::harness::{
    eventually, factory, new_stream,
    tool::{self, command, fails},
    unique,
};
use pravega_sdk_types::{ReaderGroupConfiguration, ScopedReaderGroup, ScopedStream};
use tokio::sync::watch;

/// How many readers are killed.
const KILLS: usize = 40;
/// How many readers are in the group at a time.
const READERS: usize = 3;
const LEASE: Duration = Duration::from_secs(1);
/// At most so many events are in the hands of the tool at once, and in a pipe of 64 KiB.
const IN_HAND: usize = 4096 + 700;

/// A reader in a process of its own, whose output and notes are in one file, in order.
struct Member {
    process: Child,
    log: PathBuf,
}

impl Member {
    fn start(folder: &Path, name: &str, stream: &ScopedStream, group: &ScopedReaderGroup) -> Self {
        let log = folder.join(name);
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let mut command = reading(name, stream, group);
        command.args(["--show-checkpoints"]).stdout(file.try_clone().unwrap()).stderr(file);
        Self { process: command.spawn().unwrap(), log }
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).unwrap();
        // The last line may be cut off by the kill; then it was not handed out.
        text.split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n'))
            .map(Into::into)
            .collect()
    }

    /// The numbers of the events that it printed.
    fn events(&self) -> Vec<u32> {
        self.lines().iter().filter_map(|line| line.parse().ok()).collect()
    }

    /// The events that it printed before the checkpoint that was complete at least.
    ///
    /// One checkpoint waits for the readers at a time, so all before the last that it printed were
    /// complete.
    fn settled(&self) -> BTreeSet<u32> {
        let lines = self.lines();
        let checkpoints =
            lines.iter().enumerate().filter(|(_, line)| line.starts_with("checkpoint "));
        let places: Vec<usize> = checkpoints.map(|(place, _)| place).collect();
        let end = places.iter().rev().nth(1).copied().unwrap_or(0);
        lines[..end].iter().filter_map(|line| line.parse().ok()).collect()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The tool as a reader of a group, which prints the events.
fn reading(name: &str, stream: &ScopedStream, group: &ScopedReaderGroup) -> Command {
    let (stream, group) = (stream.to_string(), group.to_string());
    let lease = format!("{}ms", LEASE.as_millis());
    command(&["read", &stream, "--group", &group, "--reader", name, "--lease", &lease])
}

fn signal(process: &Child, signal: &str) {
    let pid = process.id().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
}

async fn new_group(factory: &ClientFactory, stream: &ScopedStream) -> ScopedReaderGroup {
    let group = ScopedReaderGroup::new(stream.scope().clone(), unique("group").parse().unwrap());
    let configuration = ReaderGroupConfiguration::new([stream.clone()])
        .unwrap()
        .with_refresh_interval(Duration::from_millis(100))
        .with_automatic_checkpoint_interval(Some(Duration::from_millis(200)))
        .with_max_outstanding_checkpoints(1.try_into().unwrap());
    factory.create_reader_group(&group, &configuration).await.unwrap();
    group
}

/// Writes rising numbers until `stop` is set; returns how many.
async fn write(
    factory: Arc<ClientFactory>,
    stream: ScopedStream,
    stop: watch::Receiver<bool>,
) -> u32 {
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    let mut count = 0;
    while !*stop.borrow() {
        let acks = (count..count + 5).map(|number| {
            let key = format!("key-{}", number % 61);
            let writer = &writer;
            async move { writer.write(&key, number.to_string()).await }
        });
        for ack in futures_util::future::join_all(acks).await {
            ack.unwrap();
        }
        count += 5;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_are_killed_lose_no_event_and_others_repeat_only_what_was_not_settled() {
    let factory = Arc::new(factory().await);
    let folder = tempfile::tempdir().unwrap();
    let stream = new_stream(factory.controller(), 8).await;
    let group = new_group(&factory, &stream).await;
    let (stop, stopped) = watch::channel(false);
    let writing = tokio::spawn(write(factory.clone(), stream.clone(), stopped));
    let start =
        |number: usize| Member::start(folder.path(), &format!("r{number}"), &stream, &group);
    // All members in the order of their starts, and when each was killed.
    let mut members: Vec<Member> = (0..READERS).map(start).collect();
    let mut live: Vec<usize> = (0..READERS).collect();
    let mut killed = BTreeMap::new();
    for round in 0..KILLS {
        let number = live.swap_remove(fastrand::usize(..live.len()));
        let member = &mut members[number];
        // Some are killed before their first event, others long after it.
        eventually("it has joined", async || !member.lines().is_empty()).await;
        if round % 8 == 0 {
            // Readers that died before hold checkpoints up, for as long as their leases.
            eventually("a checkpoint of it is complete", async || !member.settled().is_empty())
                .await;
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..600))).await;
        member.process.kill().unwrap();
        member.process.wait().unwrap();
        killed.insert(number, members.len());
        live.push(members.len());
        members.push(start(members.len()));
    }
    stop.send_replace(true);
    let wanted: BTreeSet<u32> = (0..writing.await.unwrap()).collect();
    eventually("every event is read", async || {
        members.iter().flat_map(Member::events).collect::<BTreeSet<u32>>() == wanted
    })
    .await;
    for number in live {
        signal(&members[number].process, "-TERM");
        assert_eq!(members[number].process.wait().unwrap().code(), Some(143));
    }
    let mut all_settled = BTreeSet::new();
    for (number, next) in killed {
        let settled = members[number].settled();
        let later: BTreeSet<u32> = members[next..].iter().flat_map(Member::events).collect();
        let again: Vec<&u32> = settled.intersection(&later).collect();
        assert!(again.is_empty(), "repeated though settled before r{number} was killed: {again:?}");
        for event in settled {
            assert!(all_settled.insert(event), "{event} was settled twice");
        }
    }
    assert!(!all_settled.is_empty());
    let printed: usize = members.iter().map(|member| member.events().len()).sum();
    assert!(printed > wanted.len(), "kills between checkpoints repeat events");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_was_paused_beyond_its_lease_hands_out_nothing_after_it() {
    const EVENTS: usize = 30_000;
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 2).await;
    let group = new_group(&factory, &stream).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    for number in 0..EVENTS {
        drop(
            writer
                .enqueue(&format!("key-{}", number % 61), format!("{number:0100}"))
                .await
                .unwrap(),
        );
    }
    writer.flush().await.unwrap();
    let mut paused = reading("paused", &stream, &group);
    let mut paused = paused.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It fills the pipe with a part of its first events, and waits in the middle of them.
    let mut output = BufReader::new(paused.stdout.take().unwrap());
    let mut first = String::new();
    output.read_line(&mut first).unwrap();
    signal(&paused, "-STOP");
    tokio::time::sleep(2 * LEASE).await;

    let folder = tempfile::tempdir().unwrap();
    let other = Member::start(folder.path(), "other", &stream, &group);
    eventually("the other reader reads all events", async || {
        other.events().into_iter().collect::<BTreeSet<u32>>().len() == EVENTS
    })
    .await;
    signal(&paused, "-CONT");
    let rest: Vec<String> = output.lines().map(Result::unwrap).collect();
    let printed = 1 + rest.len();
    assert!(printed <= IN_HAND, "{printed} events: more than it had in hand when it was paused");
    let ended = paused.wait_with_output().unwrap();
    let told = tool::stderr(&ended);
    assert_eq!(ended.status.code(), Some(4), "{told}");
    assert!(told.contains("found it dead"), "{told}");
    assert_eq!(other.events().len(), EVENTS, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_share_the_events_of_a_group_that_the_first_creates() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    for number in 0..10 {
        writer.write("key", number.to_string()).await.unwrap();
    }
    let (path, name) = (stream.to_string(), unique("group"));
    let read = |count: &str| tool::pravega(&["read", &path, "--group", &name, "--count", count]);
    let (first, second) = (read("4"), read("6"));
    assert_eq!(tool::stdout(&first), "0\n1\n2\n3\n");
    assert_eq!(tool::stdout(&second), "4\n5\n6\n7\n8\n9\n", "it goes on where the first left");
    let group = format!("{}/{name}", stream.scope());
    let told = tool::stderr(&first);
    assert!(told.starts_with(&format!("created group {group}\nreader reader-")), "{told}");
    assert!(!tool::stderr(&second).contains("created"));

    let json = ["-o", "json", "read", &path, "--group", &name, "--count", "1", "--reader", "mine"];
    writer.write("key", "10".to_owned()).await.unwrap();
    let event: serde_json::Value = serde_json::from_str(&tool::good(&json)).unwrap();
    assert_eq!((&event["event"], &event["stream"]), (&"10".into(), &path.clone().into()));

    let other = new_stream(factory.controller(), 1).await.to_string();
    let refused = fails(2, &["read", &other, "--group", &group]);
    assert!(refused.contains(&format!("does not read {other}")), "{refused}");
    assert!(refused.contains(&format!("it reads {path}")), "{refused}");

    factory.controller().seal_stream(&stream).await.unwrap();
    assert_eq!(tool::good(&["read", &path, "--group", &group]), "", "the data has ended");
}
