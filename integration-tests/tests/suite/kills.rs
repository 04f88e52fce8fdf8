//! A durable server is killed repeatedly under load; all acknowledged data must be stored, once and
//! in order.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_controller_client::TransactionState;
use pravega_sdk_event_stream::{TransactionConfig, WriterConfig, codec::Utf8};
use pravega_sdk_integration_tests::harness::{self, port, read_all, tool::binary};
use pravega_sdk_types::{ScalingPolicy, Scope, ScopedStream, StreamConfiguration};
use tokio::sync::watch;

/// Returns the number of kills; `PRAVEGA_TEST_KILLS` sets it.
fn kills() -> u32 {
    std::env::var("PRAVEGA_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(100)
}

/// A server in a process of its own, which is killed when this value is dropped.
struct Server(Child);

impl Server {
    fn start(port: u16, folder: &Path) -> Self {
        Self::start_with(port, folder, &[])
    }

    /// Starts a server with more arguments.
    fn start_with(port: u16, folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.args(["dev", "--port", &port.to_string(), "--rest-port", "0", "--dir"]).arg(folder);
        command.args(arguments);
        Self(
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the tool was not built"),
        )
    }

    /// Starts a server whose files cannot grow beyond 16 MiB, as on a full disk.
    fn start_on_a_full_disk(port: u16, folder: &Path) -> Self {
        // A write beyond the limit fails in a process that ignores the signal.
        let script = "trap '' XFSZ; ulimit -f 32768; exec \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(binary());
        command.args(["dev", "--port", &port.to_string(), "--rest-port", "0", "--dir"]).arg(folder);
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Kills the server with SIGKILL.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Writes events with rising numbers until `stop` is set and returns how many were acknowledged.
async fn write(
    factory: Arc<ClientFactory>,
    stream: ScopedStream,
    key: String,
    acknowledged: Arc<AtomicU32>,
    stop: watch::Receiver<bool>,
) -> u32 {
    write_long(factory, stream, key, acknowledged, stop, "").await
}

/// Writes events with more text after the number.
async fn write_long(
    factory: Arc<ClientFactory>,
    stream: ScopedStream,
    key: String,
    acknowledged: Arc<AtomicU32>,
    stop: watch::Receiver<bool>,
    more: &str,
) -> u32 {
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    let mut number = 0;
    while !*stop.borrow() {
        let mut acks = Vec::new();
        for _ in 0..10 {
            acks.push(writer.enqueue(&key, format!("{key}:{number}{more}")).await.unwrap());
            number += 1;
        }
        for ack in acks {
            ack.await.unwrap();
        }
        acknowledged.store(number, Ordering::Relaxed);
    }
    number
}

/// Commits transactions of three events until `stop` is set, and at least one; returns the numbers
/// of the committed ones, and of the others.
async fn transact(
    factory: Arc<ClientFactory>,
    stream: ScopedStream,
    stop: watch::Receiver<bool>,
) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let config = TransactionConfig::default();
    let writer = factory.transactional_writer_with(&stream, Utf8, config).await.unwrap();
    let (mut committed, mut not) = (BTreeSet::new(), BTreeSet::new());
    let mut number = 0;
    while !*stop.borrow() || committed.is_empty() {
        number += 1;
        let Ok(mut transaction) = writer.begin().await else { continue };
        let id = transaction.id();
        let mut written = true;
        for event in 0..3 {
            written &= transaction
                .write("transactions", format!("transactions-{number}:{event}"))
                .await
                .is_ok();
        }
        if written {
            transaction.commit().await.ok();
        }
        // The controller knows the outcome, also if a reply was lost.
        loop {
            match writer.status(id).await {
                Ok(TransactionState::Committed) => {
                    committed.insert(number);
                    break;
                }
                Ok(TransactionState::Committing | TransactionState::Aborting) | Err(_) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Ok(_) => {
                    not.insert(number);
                    break;
                }
            }
        }
    }
    (committed, not)
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_data_of_a_durable_server_survives_a_hundred_kills() {
    let folder = tempfile::tempdir().unwrap();
    let port = port::lasting();
    let mut server = Server::start(port, folder.path());
    let (factory, stream) = connect(port, "kills").await;

    let (stop, stopped) = watch::channel(false);
    let acknowledged: [Arc<AtomicU32>; 4] = Default::default();
    let writers: Vec<_> = acknowledged
        .iter()
        .enumerate()
        .map(|(at, acknowledged)| {
            tokio::spawn(write(
                Arc::clone(&factory),
                stream.clone(),
                format!("key-{at}"),
                Arc::clone(acknowledged),
                stopped.clone(),
            ))
        })
        .collect();
    let counts = || acknowledged.each_ref().map(|count| count.load(Ordering::Relaxed));
    // Waits until each writer has got acknowledgements since `before`.
    let all_progress = async |before: [u32; 4]| {
        harness::eventually("every writer makes progress", async || {
            counts().iter().zip(before).all(|(now, before)| *now > before)
        })
        .await;
    };
    let transacting = tokio::spawn(transact(Arc::clone(&factory), stream.clone(), stopped.clone()));
    for round in 0..kills() {
        // Every other server is killed after a fixed time, maybe before its first answer; the ones
        // between are killed after the writers have made progress, on a machine of any speed.
        if round % 2 == 1 {
            all_progress(counts()).await;
        }
        tokio::time::sleep(Duration::from_millis(100 + u64::from(round * 37 % 150))).await;
        server.kill();
        server = Server::start(port, folder.path());
        if round % 10 == 5 {
            harness::scale_all(factory.controller(), &stream, 4 + round / 10 % 3).await;
        }
    }
    all_progress(counts()).await;
    stop.send(true).unwrap();
    let mut counts = BTreeMap::new();
    for (at, writer) in writers.into_iter().enumerate() {
        counts.insert(format!("key-{at}"), writer.await.unwrap());
    }
    let (committed, not) = transacting.await.unwrap();

    // Once more from the disk alone.
    server.kill();
    let _server = Server::start(port, folder.path());
    let mut found: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for event in read_all(&factory, &stream).await {
        let text = String::from_utf8(event.event().to_vec()).unwrap();
        let (key, number) = text.split_once(':').unwrap();
        found.entry(key.to_owned()).or_default().push(number.parse().unwrap());
    }
    println!("{counts:?} events, {} transactions committed, {} not", committed.len(), not.len());
    for (key, count) in counts {
        assert!(count > 100, "{key} was hardly written: {count}");
        assert_eq!(found.remove(&key).unwrap(), (0..count).collect::<Vec<_>>(), "{key}");
    }
    assert!(!committed.is_empty());
    for number in committed {
        assert_eq!(
            found.remove(&format!("transactions-{number}")).unwrap(),
            [0, 1, 2],
            "transaction {number}"
        );
    }
    assert!(found.is_empty(), "what was not committed is there: {:?}", found.keys());
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_data_survives_kills_while_files_are_given_up_and_moved() {
    let folder = tempfile::tempdir().unwrap();
    let port = port::lasting();
    // Short files, and most reads are from them.
    let start = || Server::start_with(port, folder.path(), &["--disk", "64M", "--memory", "8M"]);
    let mut server = start();
    let (factory, stream) = connect(port, "kills").await;
    let kept = ScopedStream::new(stream.scope().clone(), "kept".parse().unwrap());
    let configuration = StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(1));
    factory.controller().create_stream(&kept, &configuration).await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let acknowledged: [Arc<AtomicU32>; 4] = Default::default();
    let more = format!(":{}", "x".repeat(400));
    let writers: Vec<_> = acknowledged
        .iter()
        .enumerate()
        .map(|(at, acknowledged)| {
            let (factory, stopped) = (Arc::clone(&factory), stopped.clone());
            let (stream, acknowledged) = (stream.clone(), Arc::clone(acknowledged));
            let more = more.clone();
            tokio::spawn(async move {
                let key = format!("key-{at}");
                write_long(factory, stream, key, acknowledged, stopped, &more).await
            })
        })
        .collect();
    // A little of each file is read forever.
    let writer = factory.event_writer(&kept, Utf8).await.unwrap();
    let (mut few, mut files) = (0, BTreeSet::new());
    for round in 0..kills() {
        for _ in 0..20 {
            writer.write("kept", format!("{few}:{}", "y".repeat(2000))).await.unwrap();
            few += 1;
        }
        let names = std::fs::read_dir(folder.path()).unwrap();
        files.extend(names.map(|file| file.unwrap().file_name().into_string().unwrap()));
        if round % 2 == 1 {
            let tail = factory.batch_client(&stream).await.unwrap().tail_cut().await.unwrap();
            factory.controller().truncate_stream(&tail).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(u64::from(round * 37 % 150))).await;
        server.kill();
        server = start();
    }
    stop.send(true).unwrap();
    let mut counts = Vec::new();
    for writer in writers {
        counts.push(writer.await.unwrap());
    }
    server.kill();
    let _server = start();
    let number = |event: &[u8], at: usize| {
        std::str::from_utf8(event).unwrap().split(':').nth(at).unwrap().parse::<u32>().unwrap()
    };
    let all = read_all(&factory, &kept).await;
    let all: Vec<u32> = all.iter().map(|event| number(event.event(), 0)).collect();
    assert_eq!(all, (0..few).collect::<Vec<_>>());
    let mut found: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for event in read_all(&factory, &stream).await {
        let key = std::str::from_utf8(event.event()).unwrap().split(':').next().unwrap();
        found.entry(key.to_owned()).or_default().push(number(event.event(), 1));
    }
    for (at, count) in counts.into_iter().enumerate() {
        let found = found.remove(&format!("key-{at}")).unwrap_or_default();
        let first = found.first().copied().unwrap_or(count);
        assert_eq!(found, (first..count).collect::<Vec<_>>(), "key-{at}");
    }
    // With few kills too little is written for a file to be moved.
    for kind in ["checkpoint-", "index-", "log-00000002"] {
        assert!(files.iter().any(|name| name.starts_with(kind)), "no {kind} in {files:?}");
    }
    let moves = files.iter().filter(|name| name.starts_with("moved-")).count();
    assert!(moves > 0 || kills() < 50, "nothing was moved: {files:?}");
    println!("{few} events are kept, {} files were seen, {moves} were moved to", files.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_writes_fail_and_reads_continue() {
    let folder = tempfile::tempdir().unwrap();
    let port = port::lasting();
    let server = Server::start_on_a_full_disk(port, folder.path());
    let (factory, stream) = connect(port, "full").await;
    let config = WriterConfig::default().with_delivery_timeout(Duration::from_secs(20));
    let writer = factory.event_writer_with(&stream, Utf8, config).await.unwrap();
    let mut written = 0;
    let error = loop {
        match writer.write("key", format!("{written}:{}", "x".repeat(100_000))).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!((50..170).contains(&written), "{written} events were acknowledged: {error}");
    let read = async |factory: &ClientFactory| {
        let events = read_all(factory, &stream).await;
        let number = |text: &[u8]| {
            std::str::from_utf8(text).unwrap().split_once(':').unwrap().0.parse::<u32>().unwrap()
        };
        events.iter().map(|event| number(event.event())).collect::<Vec<_>>()
    };
    // All acknowledged events, and perhaps one whose acknowledgement was lost.
    let expected: Vec<u32> = (0..written).collect();
    assert!(read(&factory).await.starts_with(&expected), "reads do not continue");
    // What takes space is refused; the server goes on.
    let scope = Scope::new("more").unwrap();
    let refused = factory.controller().create_scope(&scope).await.unwrap_err();
    assert!(format!("{refused:?}").contains("space on the disk"), "{refused:?}");

    server.kill();
    let _server = Server::start(port, folder.path());
    assert!(read(&factory).await.starts_with(&expected));
    factory.event_writer(&stream, Utf8).await.unwrap().write("key", "1000000:more").await.unwrap();
}

/// Creates a client that tolerates restarts of the server, and a stream of four segments.
async fn connect(port: u16, scope: &str) -> (Arc<ClientFactory>, ScopedStream) {
    let config = ClientConfig::from_url(&format!("tcp://127.0.0.1:{port}"))
        .unwrap()
        .with_default_retry(200, Duration::from_millis(10), Duration::from_millis(100));
    let factory = Arc::new(ClientFactory::new(config).unwrap());
    let stream = ScopedStream::new(Scope::new(scope).unwrap(), "stream".parse().unwrap());
    factory.controller().create_scope(stream.scope()).await.unwrap();
    let configuration = StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(4));
    factory.controller().create_stream(&stream, &configuration).await.unwrap();
    (factory, stream)
}
