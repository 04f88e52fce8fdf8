//! Clients that break the rules of an embedded server: the server disconnects them, and other
//! clients are not affected.

use std::time::{Duration, Instant};

use bytes::Bytes;
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::codec::Utf8;
use pravega_sdk_integration_tests::harness::{self, FAR, raw::Client};
use pravega_sdk_proto::{
    ScopeInfo, controller_service_client::ControllerServiceClient, create_scope_status,
};
use pravega_sdk_server::EmbeddedServer;
use pravega_sdk_types::{Scope, ScopedStream, StreamConfiguration};
use pravega_sdk_wire_protocol::{WireCommand, commands::*};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tonic::{Code, Request, transport::Channel};
use uuid::Uuid;

use super::{process::Process, support::create};

fn setup(segment: &str, writer_id: Uuid) -> SetupAppend {
    SetupAppend { request_id: 2, writer_id, segment: segment.into(), delegation_token: "".into() }
}

fn append(writer_id: Uuid, number: i64) -> AppendBlockEnd {
    AppendBlockEnd {
        writer_id,
        size_of_whole_events: 0,
        data: Bytes::from_static(b"data"),
        num_events: 1,
        last_event_number: number,
        request_id: 3,
    }
}

/// Checks that the server still works: an event is written and read.
async fn check_well(server: &EmbeddedServer) {
    let factory = ClientFactory::connect(&server.url()).await.unwrap();
    let stream =
        ScopedStream::new(Scope::new(harness::unique("well")).unwrap(), "stream".parse().unwrap());
    factory.controller().create_scope(stream.scope()).await.unwrap();
    factory.controller().create_stream(&stream, &StreamConfiguration::default()).await.unwrap();
    factory.event_writer(&stream, Utf8).await.unwrap().write("key", "event").await.unwrap();
    let mut reader = factory.event_reader(&stream, Utf8).await.unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap().event(), "event");
}

#[tokio::test]
async fn a_client_that_breaks_the_rules_of_appending_is_disconnected_alone() {
    let server = harness::builder().start().await.unwrap();
    let port = server.store_ports()[0];
    let writer = Uuid::from_u128(1);
    let mut good = Client::to(port).await;
    // Before any hello, as the Java server allows.
    assert!(matches!(
        good.ask(create("a/b/0.#epoch.0")).await,
        Some(WireCommand::SegmentCreated(_))
    ));
    assert!(matches!(
        good.ask(setup("a/b/0.#epoch.0", writer)).await,
        Some(WireCommand::AppendSetup(_))
    ));
    let block = AppendBlock { writer_id: writer, data: Bytes::from_static(b"x") };
    let bad: [&[WireCommand]; 6] = [
        &[append(Uuid::from_u128(2), 1).into()],
        &[PartialEvent { data: Bytes::from_static(b"x") }.into()],
        &[setup("a/b/0.#epoch.0", Uuid::from_u128(3)).into(), block.clone().into()],
        &[SegmentSealed { request_id: 1, segment: "a".into() }.into()],
        &[
            setup("a/b/0.#epoch.0", Uuid::from_u128(4)).into(),
            append(Uuid::from_u128(4), -1).into(),
        ],
        &[block.into()],
    ];
    for commands in bad {
        let mut client = Client::to(port).await;
        for command in commands {
            client.send(command.clone()).await;
        }
        while let Some(reply) = client.next().await {
            assert!(matches!(reply, WireCommand::AppendSetup(_)), "{reply:?}");
        }
    }
    match good.ask(append(writer, 1)).await {
        Some(WireCommand::DataAppended(appended)) => {
            assert_eq!(appended.current_segment_write_offset, 4)
        }
        other => panic!("{other:?}"),
    }
    check_well(&server).await;
}

#[tokio::test]
async fn a_connection_takes_a_limited_number_of_writers() {
    let server = harness::builder().start().await.unwrap();
    let mut client = Client::to(server.store_ports()[0]).await;
    client.ask(create("a/b/0.#epoch.0")).await;
    let mut refused = None;
    for number in 0..10_000 {
        match client.ask(setup("a/b/0.#epoch.0", Uuid::from_u128(number))).await {
            Some(WireCommand::AppendSetup(_)) => {}
            other => {
                refused = Some((number, other));
                break;
            }
        }
    }
    match refused {
        Some((8192, Some(WireCommand::ErrorMessage(error)))) => {
            assert!(
                error.message.contains("8192 writers have set up appends on this connection"),
                "{error:?}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn names_with_paths_in_them_touch_no_file() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let server = EmbeddedServer::builder().with_directory(&folder).start().await.unwrap();
    let mut client = Client::to(server.store_ports()[0]).await;
    for name in [
        "../../escaped",
        "/escaped",
        "a/../../escaped",
        "nul\0byte",
        "C:\\escaped",
        &"x".repeat(60_000),
    ] {
        let writer = Uuid::new_v4();
        assert!(
            matches!(client.ask(create(name)).await, Some(WireCommand::SegmentCreated(_))),
            "{name:.20}"
        );
        assert!(matches!(client.ask(setup(name, writer)).await, Some(WireCommand::AppendSetup(_))));
        assert!(matches!(client.ask(append(writer, 1)).await, Some(WireCommand::DataAppended(_))));
    }
    let mut controller = controller(&server).await;
    for name in ["../escaped", "a/b", "a b", "ü", "a\0b", &"x".repeat(300)] {
        let answer = controller
            .create_scope(ScopeInfo { scope: name.to_owned() })
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.status(), create_scope_status::Status::InvalidScopeName, "{name:.20}");
    }
    let mut files: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["folder", "keeping", "lock", "log-00000001", "synced"]);
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1);
    server.shutdown().await;
}

async fn controller(server: &EmbeddedServer) -> ControllerServiceClient<Channel> {
    let url = server.url().replace("tcp://", "http://");
    ControllerServiceClient::new(Channel::from_shared(url).unwrap().connect().await.unwrap())
}

#[tokio::test]
async fn calls_that_are_too_long_are_refused_and_others_go_on() {
    let server = harness::builder().start().await.unwrap();
    let mut client = controller(&server).await;
    let long = client.create_scope(ScopeInfo { scope: "x".repeat(5 << 20) }).await.unwrap_err();
    assert!(matches!(long.code(), Code::OutOfRange | Code::ResourceExhausted), "{long:?}");
    let mut request = Request::new(ScopeInfo { scope: "scope".to_owned() });
    request.metadata_mut().insert("x-long", "y".repeat(64 << 10).parse().unwrap());
    assert!(client.create_scope(request).await.is_err());
    check_well(&server).await;
    // Calls that are cancelled as soon as they are begun.
    for _ in 0..2000 {
        let mut client = client.clone();
        let call = tokio::spawn(async move {
            client.create_scope(ScopeInfo { scope: "scope".to_owned() }).await
        });
        tokio::task::yield_now().await;
        call.abort();
    }
    check_well(&server).await;
}

#[tokio::test]
async fn random_bytes_end_their_connection_and_nothing_else() {
    let server = harness::builder().start().await.unwrap();
    let port = server.store_ports()[0];
    let mut random = fastrand::Rng::with_seed(11);
    let codes: Vec<i32> = (-200..200).filter(|code| WireCommand::is_known(*code)).collect();
    for round in 0..500 {
        let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut bytes: Vec<u8> = (0..random.usize(1..400)).map(|_| random.u8(..)).collect();
        if round % 2 == 0 {
            // An existing type and a valid length: only the fields are random.
            let code = *random.choice(&codes).unwrap();
            let payload = bytes.len() as i32;
            let head = [i32::to_be_bytes(code), payload.to_be_bytes()].concat();
            bytes.splice(0..0, head);
        }
        client.write_all(&bytes).await.ok();
        client.shutdown().await.ok();
        let mut rest = Vec::new();
        timeout(FAR, client.read_to_end(&mut rest)).await.expect("the connection stays open").ok();
    }
    check_well(&server).await;
    harness::eventually("all connections are gone but those of the last check", async || {
        server.connection_count() <= 4
    })
    .await;
}

/// Each connection announces 16 MiB and sends nothing, or sends half a header.
#[tokio::test]
async fn a_thousand_claims_of_sixteen_megabytes_cost_little_and_end() {
    let process = Process::start(&[]);
    let factory = ClientFactory::connect(&process.url).await.unwrap();
    let segment = "any/stream/0.#epoch.0".parse().unwrap();
    let store = factory.controller().segment_endpoint(&segment).await.unwrap();
    let before = process.resident_kib();
    let begun = Instant::now();
    let mut clients = Vec::new();
    for number in 0..1000 {
        let mut client = TcpStream::connect(("127.0.0.1", store.port())).await.unwrap();
        let claim = [4_i32.to_be_bytes(), 0x00FF_FF00_i32.to_be_bytes()].concat();
        client.write_all(&claim[..if number % 10 == 0 { 5 } else { 8 }]).await.unwrap();
        clients.push(client);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let grown = process.resident_kib().saturating_sub(before);
    assert!(grown <= 64 << 10, "{grown} KiB more are resident");
    for client in &mut clients {
        let mut rest = [0];
        let left = Duration::from_secs(60).saturating_sub(begun.elapsed());
        let ended = timeout(left, client.read(&mut rest)).await.expect("it is not cut off");
        assert!(matches!(ended, Ok(0) | Err(_)));
    }
}

/// Each connection sends nine kilobytes of a frame that claims sixteen megabytes.
#[tokio::test]
async fn claims_for_long_requests_delay_no_append_of_another_client() {
    let server = harness::builder().start().await.unwrap();
    let port = server.store_ports()[0];
    let claim = [4_i32.to_be_bytes(), 0x00FF_FF00_i32.to_be_bytes()].concat();
    let mut claims = Vec::new();
    for _ in 0..60 {
        let mut client = Client::to(port).await;
        client.ask(KeepAlive {}).await;
        client.send_bytes(&[claim.as_slice(), &[0; 9000]].concat()).await.unwrap();
        claims.push(client);
    }
    let (segment, writer) = ("a/b/0.#epoch.0", Uuid::from_u128(1));
    let mut good = Client::to(port).await;
    good.ask(create(segment)).await;
    good.ask(setup(segment, writer)).await;
    // It does not fit into what each connection has to itself.
    let long = AppendBlockEnd { data: vec![7; 50_000].into(), ..append(writer, 1) };
    assert!(matches!(good.ask(long).await, Some(WireCommand::DataAppended(_))));
}
