//! Bounds of the process: whatever clients leave unread, unsaid or waiting, the server stays within
//! its memory limit and 64 MiB, and answers others.

use std::time::Duration;

use bytes::Bytes;
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::codec::Utf8;
use pravega_sdk_integration_tests::harness::{self, FAR};
use pravega_sdk_types::{ScalingPolicy, Scope, ScopedStream, StreamConfiguration};
use pravega_sdk_wire_protocol::{
    IterationArgs, SendBuffer, TableEntry, TableKey, TableValue, WireCommand, commands::*,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

use super::{process::Process, support::create};

/// The memory limit of the servers, and what they may use in all.
const LIMIT: &str = "64M";
const MOST_KIB: u64 = (64 + 64) << 10;

/// The port of the store of a server.
pub(super) async fn store_port(process: &Process) -> u16 {
    store_port_of(&ClientFactory::connect(&process.url).await.unwrap()).await
}

/// The port of the store of the server that a client is for.
pub(super) async fn store_port_of(factory: &ClientFactory) -> u16 {
    let segment = "any/stream/0.#epoch.0".parse().unwrap();
    factory.controller().segment_endpoint(&segment).await.unwrap().port()
}

pub(super) fn frames(commands: impl IntoIterator<Item = WireCommand>) -> Vec<u8> {
    let mut out = SendBuffer::new();
    for command in commands {
        command.encode(&mut out).unwrap();
    }
    out.to_vec()
}

/// Sends commands, and reads nothing, for as long as the server takes them: at most for a while.
async fn flood(mut socket: TcpStream, frames: Vec<u8>) -> TcpStream {
    for _ in 0..100_000 {
        let sent = timeout(Duration::from_secs(1), socket.write_all(&frames)).await;
        if !matches!(sent, Ok(Ok(()))) {
            break;
        }
    }
    socket
}

/// Sends commands and reads as many bytes as their replies have at least.
pub(super) async fn ask(socket: &mut TcpStream, commands: Vec<WireCommand>) {
    for command in commands {
        socket.write_all(&frames([command])).await.unwrap();
        let mut head = [0; 8];
        timeout(FAR, socket.read_exact(&mut head)).await.unwrap().unwrap();
        let len = i32::from_be_bytes(head[4..].try_into().unwrap());
        let mut rest = vec![0; len as usize];
        timeout(FAR, socket.read_exact(&mut rest)).await.unwrap().unwrap();
    }
}

pub(super) async fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.unwrap()
}

/// Checks that a client that behaves is served, and that the server is within its memory.
async fn check_well(process: &Process) {
    check_within(process, MOST_KIB >> 10).await;
}

/// Checks the same for another number of MiB.
pub(super) async fn check_within(process: &Process, most: u64) {
    let resident = process.resident_kib();
    assert!(resident <= most << 10, "{resident} KiB are resident");
    let factory = ClientFactory::connect(&process.url).await.unwrap();
    let stream =
        ScopedStream::new(Scope::new(harness::unique("well")).unwrap(), "stream".parse().unwrap());
    let work = async {
        factory.controller().create_scope(stream.scope()).await.unwrap();
        factory.controller().create_stream(&stream, &StreamConfiguration::default()).await.unwrap();
        factory.event_writer(&stream, Utf8).await.unwrap().write("key", "event").await.unwrap();
        let mut reader = factory.event_reader(&stream, Utf8).await.unwrap();
        assert_eq!(reader.next().await.unwrap().unwrap().event(), "event");
    };
    timeout(FAR, work).await.expect("a client that behaves is not served");
}

pub(super) fn create_table(segment: &str) -> WireCommand {
    CreateTableSegment {
        request_id: 1,
        segment: segment.into(),
        delegation_token: "".into(),
        sorted_deprecated: false,
        key_length: 0,
        rollover_size_bytes: 0,
    }
    .into()
}

pub(super) fn put(segment: &str, entries: impl IntoIterator<Item = (Bytes, Bytes)>) -> WireCommand {
    let entry = |(key, value)| TableEntry {
        key: TableKey { data: key, key_version: TableKey::NO_VERSION },
        value: TableValue { data: value },
    };
    UpdateTableEntries {
        request_id: 1,
        segment: segment.into(),
        delegation_token: "".into(),
        table_entries: entries.into_iter().map(entry).collect(),
        table_segment_offset: -1,
    }
    .into()
}

/// Appends bytes to a new segment.
async fn fill(port: u16, segment: &str, len: usize) {
    let writer_id = Uuid::new_v4();
    let setup = SetupAppend {
        request_id: 2,
        writer_id,
        segment: segment.into(),
        delegation_token: "".into(),
    };
    let append = AppendBlockEnd {
        writer_id,
        size_of_whole_events: 0,
        data: vec![7; len].into(),
        num_events: 1,
        last_event_number: 1,
        request_id: 3,
    };
    ask(&mut connect(port).await, vec![create(segment).into(), setup.into(), append.into()]).await;
}

#[tokio::test]
async fn pages_of_a_table_that_no_client_takes_stay_within_the_memory_of_the_process() {
    let process = Process::start(&["--memory", LIMIT]);
    let port = store_port(&process).await;
    let mut socket = connect(port).await;
    ask(&mut socket, vec![create_table("a/b/0.#epoch.0")]).await;
    for part in 0..50_u32 {
        let key = |number: u32| Bytes::from((part * 2000 + number).to_be_bytes().to_vec());
        let entries = (0..2000).map(|number| (key(number), Bytes::new()));
        ask(&mut socket, vec![put("a/b/0.#epoch.0", entries)]).await;
    }
    let read = ReadTableKeys {
        request_id: 1,
        segment: "a/b/0.#epoch.0".into(),
        delegation_token: "".into(),
        suggested_key_count: 100_000,
        args: IterationArgs {
            prefix_filter: Bytes::new(),
            from_key: Bytes::new(),
            to_key: Bytes::new(),
            continuation_token: Bytes::new(),
        },
    };
    let requests = frames(vec![read.into(); 100]);
    let mut floods = Vec::new();
    for _ in 0..20 {
        floods.push(tokio::spawn(flood(connect(port).await, requests.clone())));
    }
    sleep(Duration::from_secs(3)).await;
    check_well(&process).await;
    let mut kept = Vec::new();
    for flood in floods {
        kept.push(flood.await.unwrap());
    }
    check_well(&process).await;
}

#[tokio::test]
async fn long_names_in_replies_that_no_client_takes_stay_within_the_memory_of_the_process() {
    let process = Process::start(&["--memory", LIMIT]);
    let port = store_port(&process).await;
    let info = GetStreamSegmentInfo {
        request_id: 1,
        segment_name: "x".repeat(65_000).into(),
        delegation_token: "".into(),
    };
    let requests = frames(vec![info.into(); 16]);
    let mut floods = Vec::new();
    for _ in 0..8 {
        floods.push(tokio::spawn(flood(connect(port).await, requests.clone())));
    }
    sleep(Duration::from_secs(3)).await;
    check_well(&process).await;
    for flood in floods {
        drop(flood.await.unwrap());
    }
}

#[tokio::test]
async fn unread_reads_of_many_connections_stay_within_the_memory_of_the_process() {
    let process = Process::start(&["--memory", LIMIT]);
    let port = store_port(&process).await;
    fill(port, "a/b/0.#epoch.0", 250_000).await;
    let read = ReadSegment {
        request_id: 1,
        segment: "a/b/0.#epoch.0".into(),
        offset: 0,
        suggested_length: 1 << 20,
        delegation_token: "".into(),
    };
    let requests = frames(vec![read.into(); 200]);
    let mut sockets = Vec::new();
    for _ in 0..60 {
        let mut socket = connect(port).await;
        socket.write_all(&requests).await.unwrap();
        sockets.push(socket);
    }
    sleep(Duration::from_secs(2)).await;
    check_well(&process).await;
    // One that takes its replies gets all of them, beside those that take none.
    let mut socket = connect(port).await;
    let read = |offset| -> WireCommand {
        let (segment, delegation_token) = ("a/b/0.#epoch.0".into(), "".into());
        let suggested_length = 100_000;
        ReadSegment { request_id: 1, segment, offset, suggested_length, delegation_token }.into()
    };
    ask(&mut socket, (0..50).map(|at| read(at * 1000)).collect()).await;
    drop(sockets);
}

#[tokio::test]
async fn changes_that_wait_for_the_disk_stay_within_the_memory_of_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("data");
    let process = Process::start(&["--memory", LIMIT, "--dir", folder.to_str().unwrap()]);
    let port = store_port(&process).await;
    ask(&mut connect(port).await, vec![create_table("a/b/0.#epoch.0")]).await;
    let entry = (Bytes::from_static(b"key"), Bytes::from(vec![1; 1_000_000]));
    let request = frames([put("a/b/0.#epoch.0", [entry])]);
    let mut floods = Vec::new();
    for _ in 0..4 {
        let mut socket = connect(port).await;
        let request = request.clone();
        floods.push(tokio::spawn(async move {
            for _ in 0..60 {
                socket.write_all(&request).await.unwrap();
            }
            socket
        }));
    }
    let mut most = 0;
    for _ in 0..20 {
        most = most.max(process.resident_kib());
        sleep(Duration::from_millis(100)).await;
    }
    assert!(most <= MOST_KIB, "{most} KiB are resident");
    check_well(&process).await;
    for flood in floods {
        drop(timeout(FAR, flood).await.unwrap().unwrap());
    }
}

/// Sends commands in rounds for a while, and takes their replies; returns the most that was
/// resident meanwhile, in KiB.
async fn rounds(
    process: &Process,
    port: u16,
    time: Duration,
    mut round: impl FnMut(u32) -> Vec<WireCommand>,
) -> u64 {
    let (mut taken, mut sent) = connect(port).await.into_split();
    let replies = tokio::spawn(async move {
        tokio::io::copy(&mut taken, &mut tokio::io::sink()).await.ok();
    });
    let (until, mut most) = (Instant::now() + time, 0);
    for number in 0.. {
        if Instant::now() > until {
            break;
        }
        timeout(FAR, sent.write_all(&frames(round(number)))).await.unwrap().unwrap();
        if number % 4 == 0 {
            most = most.max(process.resident_kib());
        }
    }
    drop(sent);
    timeout(FAR, replies).await.unwrap().unwrap();
    most
}

#[tokio::test]
async fn what_is_made_and_undone_again_and_again_stays_within_the_memory_of_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("data");
    let arguments = ["--memory", "16M", "--dir", folder.to_str().unwrap()];
    let process = Process::start_with_one_arena(&arguments);
    let port = store_port(&process).await;
    let segments = |number: u32| -> Vec<WireCommand> {
        let names = (0..100).map(|at| format!("a/made/{}.#epoch.0", 100 * number + at));
        let made = |name: String| -> [WireCommand; 2] {
            let delete = DeleteSegment {
                request_id: 1,
                segment: name.as_str().into(),
                delegation_token: "".into(),
            };
            [create(&name).into(), delete.into()]
        };
        names.flat_map(made).collect()
    };
    let made = rounds(&process, port, Duration::from_secs(1), segments).await;
    // Each entry of a table has a key that is new.
    ask(&mut connect(port).await, vec![create_table("a/b/0.#epoch.0")]).await;
    let entries = |number: u32| {
        let keys = (0..2000_u32).map(|at| Bytes::from([number, at].map(u32::to_be_bytes).concat()));
        let key = |data| TableKey { data, key_version: TableKey::NO_VERSION };
        let removed = RemoveTableKeys {
            request_id: 1,
            segment: "a/b/0.#epoch.0".into(),
            delegation_token: "".into(),
            keys: keys.clone().map(key).collect(),
            table_segment_offset: -1,
        };
        vec![put("a/b/0.#epoch.0", keys.map(|key| (key, Bytes::new()))), removed.into()]
    };
    let put = rounds(&process, port, Duration::from_secs(2), entries).await;
    assert!(made.max(put) <= (16 + 64) << 10, "{made} and {put} KiB are resident");
    check_within(&process, 16 + 64).await;
}

/// A frame of HTTP/2.
fn h2_frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Calls of `getCurrentSegments` by a client that opens no window for answers.
fn calls_without_a_window(scope: &str, stream: &str, count: u32) -> Vec<u8> {
    // The initial window of every stream is 0.
    let settings = h2_frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let mut all = [PREFACE, &settings].concat();
    let field = |name: &str, value: &str| {
        [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
    };
    let path = "/io.pravega.controller.stream.api.grpc.v1.ControllerService/getCurrentSegments";
    let path = [&[4, path.len() as u8], path.as_bytes()].concat();
    let headers = [
        // A POST over HTTP.
        vec![0x83, 0x86],
        path,
        field("content-type", "application/grpc"),
        field("te", "trailers"),
    ]
    .concat();
    let text = |tag: u8, text: &str| [&[tag, text.len() as u8], text.as_bytes()].concat();
    let message = [text(10, scope), text(18, stream)].concat();
    let message = [&[0, 0, 0, 0, message.len() as u8], &message[..]].concat();
    for call in 0..count {
        let stream = 2 * call + 1;
        all.extend(h2_frame(1, 4, stream, &headers));
        all.extend(h2_frame(0, 1, stream, &message));
    }
    all
}

/// Reads until the server closes the connection.
async fn closed(socket: &mut TcpStream) {
    let end = async {
        let mut bytes = [0; 4096];
        while !matches!(socket.read(&mut bytes).await, Ok(0) | Err(_)) {}
    };
    timeout(FAR, end).await.expect("the connection stays open");
}

#[tokio::test]
async fn answers_of_the_controller_that_no_client_takes_stay_within_the_memory_of_the_process() {
    let process = Process::start(&["--memory", LIMIT]);
    let factory = ClientFactory::connect(&process.url).await.unwrap();
    let stream = ScopedStream::new(Scope::new("scope").unwrap(), "stream".parse().unwrap());
    factory.controller().create_scope(stream.scope()).await.unwrap();
    let configuration = StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(10_000));
    factory.controller().create_stream(&stream, &configuration).await.unwrap();
    let calls = calls_without_a_window("scope", "stream", 200);
    let mut sockets = Vec::new();
    for _ in 0..10 {
        let mut socket = connect(process.port()).await;
        socket.write_all(&calls).await.unwrap();
        sockets.push(socket);
    }
    sleep(Duration::from_secs(3)).await;
    check_well(&process).await;
    for mut socket in sockets {
        closed(&mut socket).await;
    }
    check_well(&process).await;
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go_at_each_port() {
    let process = Process::start(&[]);
    let store = store_port(&process).await;
    let settings = h2_frame(4, 0, 0, &[]);
    let half: [(u16, &[u8]); 7] = [
        (store, b""),
        (store, &[0, 0, 0]),
        (store, &[0, 0, 0, 4, 0, 0, 1, 0, 7]),
        (process.port(), b""),
        (process.port(), &PREFACE[..10]),
        (process.port(), PREFACE),
        // The server's pings are not answered.
        (process.port(), &[PREFACE, &settings].concat()),
    ];
    let mut ends = Vec::new();
    for (port, bytes) in half {
        let mut socket = connect(port).await;
        socket.write_all(bytes).await.unwrap();
        ends.push(tokio::spawn(async move { closed(&mut socket).await }));
    }
    let mut known = connect(store).await;
    let hello = Hello { high_version: 17, low_version: 5 };
    ask(&mut known, vec![hello.clone().into()]).await;
    for end in ends {
        end.await.unwrap();
    }
    // A client that has said who it is may be silent.
    ask(&mut known, vec![hello.into()]).await;
}

#[tokio::test]
async fn idle_connections_leave_descriptors_for_new_clients() {
    let process = Process::start_with_descriptors(64);
    let store = store_port(&process).await;
    let settings = h2_frame(4, 0, 0, &[]);
    let mut sockets = Vec::new();
    for _ in 0..80 {
        let mut socket = connect(process.port()).await;
        socket.write_all(&[PREFACE, &settings].concat()).await.ok();
        sockets.push(socket);
        let mut socket = connect(store).await;
        let hello = Hello { high_version: 17, low_version: 5 };
        socket.write_all(&frames([hello.into()])).await.ok();
        sockets.push(socket);
    }
    // From then on the silent ones leave for new ones. Until then a client is refused, and one that
    // is unlucky with its pauses makes all its attempts before.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    check_well(&process).await;
    drop(sockets);
    check_well(&process).await;
}
