//! A server with little memory, of a few MiB: what clients store beside events is within it.
//!
//! The process takes at most its limit and 64 MiB, which is what the system counts, whatever the
//! server counts.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_integration_tests::harness::FAR;
use pravega_sdk_proto::{
    ReaderGroupConfiguration, ScaleRequest, ScalingPolicy, ScopeInfo, StreamConfig, StreamCut,
    StreamInfo, Tags, TimestampFromWriter, controller_service_client::ControllerServiceClient,
    scale_request::KeyRangeEntry, scale_response::ScaleStreamStatus,
};
use pravega_sdk_wire_protocol::{Command as _, VersionRange, commands::*};
use rustls::{RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;
use tonic::transport::Channel;
use uuid::Uuid;

use super::{
    bounds::{connect, frames, store_port, store_port_of},
    process::Process,
    support::create,
};

/// The memory limits, in MiB.
const LIMITS: [u64; 2] = [4, 16];
/// What the process may take besides, in MiB.
const BESIDES: u64 = 64;

type Client = ControllerServiceClient<Channel>;

/// A server with a limit in MiB, and a client of it, with a scope `s` that has a stream `t`.
async fn start(limit: u64, segments: i32) -> (Process, Client) {
    let process = Process::start_with_one_arena(&["--memory", &format!("{limit}M")]);
    let url = format!("http://127.0.0.1:{}", process.port());
    let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
    let mut client = ControllerServiceClient::new(channel).max_decoding_message_size(64 << 20);
    client.create_scope(ScopeInfo { scope: "s".to_owned() }).await.unwrap();
    client.create_stream(config("t", segments)).await.unwrap();
    (process, client)
}

fn info(stream: &str) -> Option<StreamInfo> {
    Some(StreamInfo { scope: "s".to_owned(), stream: stream.to_owned(), access_operation: 0 })
}

fn config(stream: &str, segments: i32) -> StreamConfig {
    let scaling_policy = ScalingPolicy { min_num_segments: segments, ..Default::default() };
    StreamConfig {
        stream_info: info(stream),
        scaling_policy: Some(scaling_policy),
        ..Default::default()
    }
}

/// Checks the most that the process ever took, and that it still answers.
async fn check(what: &str, limit: u64, process: &Process, mut client: Client) {
    let peak = process.peak_kib();
    assert!(peak <= (limit + BESIDES) << 10, "{what} at {limit} MiB: {peak} KiB were resident");
    let info = info("t").unwrap();
    let asked = timeout(FAR, client.get_current_segments(info)).await.unwrap();
    assert!(!asked.unwrap().into_inner().segment_ranges.is_empty(), "{what}");
}

/// Makes calls until some were refused for want of memory: more than a few that were are no longer
/// about what is stored.
async fn until_full<F>(what: &str, most: usize, mut call: impl FnMut(usize) -> F)
where
    F: Future<Output = Result<(), tonic::Status>>,
{
    let mut refused = 0;
    for number in 0..most {
        match timeout(FAR, call(number)).await.unwrap() {
            Ok(()) => {}
            Err(status) if status.code() == tonic::Code::ResourceExhausted => refused += 1,
            Err(status) => panic!("{what}: {status}"),
        }
        if refused == 5 {
            return;
        }
    }
    panic!("{what}: {most} calls do not fill the memory");
}

#[tokio::test]
async fn reader_groups_with_many_streams_are_within_a_small_limit() {
    for limit in LIMITS {
        let (process, client) = start(limit, 1).await;
        let cut = |number: usize| StreamCut {
            stream_info: info(&format!("stream-{number:06}")),
            ..StreamCut::default()
        };
        until_full("groups", 3000, |number| {
            let config = ReaderGroupConfiguration {
                scope: "s".to_owned(),
                reader_group_name: format!("group-{number}"),
                reader_group_id: Uuid::from_u128(number as u128).to_string(),
                starting_stream_cuts: (0..2000).map(cut).collect(),
                ..Default::default()
            };
            let mut client = client.clone();
            async move { client.create_reader_group(config).await.map(drop) }
        })
        .await;
        check("groups", limit, &process, client).await;
    }
}

#[tokio::test]
async fn the_times_of_writers_with_long_names_are_within_a_small_limit() {
    for limit in LIMITS {
        let (process, client) = start(limit, 400).await;
        until_full("writers", 20_000, |number| {
            let cut: BTreeMap<i64, i64> = (0..400).map(|id| (id, 0)).collect();
            let noted = TimestampFromWriter {
                writer: format!("{number:0255}"),
                position: Some(StreamCut { stream_info: info("t"), cut }),
                timestamp: 5,
            };
            let mut client = client.clone();
            async move { client.note_timestamp_from_writer(noted).await.map(drop) }
        })
        .await;
        check("writers", limit, &process, client).await;
    }
}

#[tokio::test]
async fn the_epochs_of_a_stream_are_within_a_small_limit() {
    const SEGMENTS: i64 = 500;
    let ranges: Vec<KeyRangeEntry> = (0..SEGMENTS)
        .map(|number| {
            let at = |number| number as f64 / SEGMENTS as f64;
            KeyRangeEntry { start: at(number), end: at(number + 1) }
        })
        .collect();
    for limit in LIMITS {
        let (process, client) = start(limit, SEGMENTS as i32).await;
        until_full("epochs", 1000, |epoch| {
            let first = (epoch as i64 * SEGMENTS) | ((epoch as i64) << 32);
            let scale = ScaleRequest {
                stream_info: info("t"),
                sealed_segments: (first..first + SEGMENTS).collect(),
                new_key_ranges: ranges.clone(),
                scale_timestamp: 1,
            };
            let mut client = client.clone();
            async move {
                let scaled = client.scale(scale).await?.into_inner();
                // After one that was refused the epoch is not the next one.
                let has_failed = scaled.status() == ScaleStreamStatus::PreconditionFailed;
                assert!(has_failed || scaled.status() == ScaleStreamStatus::Started, "{scaled:?}");
                if has_failed { Err(tonic::Status::resource_exhausted("")) } else { Ok(()) }
            }
        })
        .await;
        check("epochs", limit, &process, client).await;
    }
}

#[tokio::test]
async fn the_tags_of_streams_are_within_a_small_limit() {
    for limit in LIMITS {
        let (process, client) = start(limit, 1).await;
        until_full("tags", 5000, |number| {
            let tag = (0..100).map(|tag| format!("{number}-{tag:0200}")).collect();
            let stream = format!("stream-{number}");
            let config = StreamConfig { tags: Some(Tags { tag }), ..config(&stream, 1) };
            let mut client = client.clone();
            async move { client.create_stream(config).await.map(drop) }
        })
        .await;
        check("tags", limit, &process, client).await;
    }
}

#[tokio::test]
async fn the_attributes_of_a_segment_are_within_a_small_limit() {
    for limit in LIMITS {
        let (process, client) = start(limit, 1).await;
        let mut socket = connect(store_port(&process).await).await;
        socket.write_all(&frames([create("a/b/0.#epoch.0").into()])).await.unwrap();
        let update = |number: u32| UpdateSegmentAttribute {
            request_id: number.into(),
            segment_name: "a/b/0.#epoch.0".into(),
            attribute_id: Uuid::from_u128(u128::from(number) + 100),
            new_value: 1,
            expected_value: i64::MIN,
            delegation_token: "".into(),
        };
        let (mut sent, mut refused) = (0, 0);
        // Until more than a few are refused; the creation is answered, too.
        let mut answers = 1;
        while refused < 2000 {
            assert!(sent < 100_000 * limit as u32, "{sent} attributes do not fill the memory");
            let part = frames((sent..sent + 1000).map(|number| update(number).into()));
            socket.write_all(&part).await.unwrap();
            sent += 1000;
            answers += 1000;
            for _ in 0..std::mem::take(&mut answers) {
                let code = timeout(FAR, next_code(&mut socket)).await.unwrap();
                refused += u32::from(code == ErrorMessage::CODE);
            }
        }
        assert!(refused < sent, "all were refused");
        check("attributes", limit, &process, client).await;
    }
}

/// Reads a reply, and returns its type.
async fn next_code(socket: &mut (impl AsyncRead + Unpin)) -> i32 {
    let mut head = [0; 8];
    socket.read_exact(&mut head).await.unwrap();
    let [code, len] =
        [&head[..4], &head[4..]].map(|part| i32::from_be_bytes(part.try_into().unwrap()));
    let mut rest = vec![0; len as usize];
    socket.read_exact(&mut rest).await.unwrap();
    code
}

/// Connects with TLS to a server with a certificate of its own.
async fn connect_tls(port: u16, certificate: &str) -> impl AsyncRead + AsyncWrite + Unpin + use<> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, connect(port).await).await.unwrap()
}

#[tokio::test]
async fn unread_reads_of_many_connections_with_tls_are_within_a_small_limit() {
    for limit in LIMITS {
        read_nothing_with_tls(limit).await;
    }
}

async fn read_nothing_with_tls(limit: u64) {
    const CONNECTIONS: usize = 100;
    let folder = tempfile::tempdir().unwrap();
    let tls = folder.path().join("tls");
    let memory = format!("{limit}M");
    let arguments = ["--memory", &memory, "--tls", tls.to_str().unwrap()];
    let process = Process::start_with_one_arena(&arguments);
    let certificate = std::fs::read_to_string(tls.join("server.crt")).unwrap();
    let config = ClientConfig::from_url(&process.url).unwrap();
    let config = config.with_trust_store(tls.join("server.crt"));
    let store = store_port_of(&ClientFactory::new(config).unwrap()).await;
    let writer_id = Uuid::from_u128(1);
    let (segment, token) = ("a/b/0.#epoch.0", "");
    let setup = SetupAppend {
        request_id: 2,
        writer_id,
        segment: segment.into(),
        delegation_token: token.into(),
    };
    let append = AppendBlockEnd {
        writer_id,
        size_of_whole_events: 0,
        data: Bytes::from(vec![7; 250_000]),
        num_events: 1,
        last_event_number: 1,
        request_id: 3,
    };
    let mut first = connect_tls(store, &certificate).await;
    let hello = VersionRange::SUPPORTED.hello();
    let commands = [hello.clone().into(), create(segment).into(), setup.into(), append.into()];
    let replies = commands.len();
    first.write_all(&frames(commands)).await.unwrap();
    first.flush().await.unwrap();
    for _ in 0..replies {
        timeout(FAR, next_code(&mut first)).await.unwrap();
    }
    let read = ReadSegment {
        request_id: 1,
        segment: segment.into(),
        offset: 0,
        suggested_length: 1 << 20,
        delegation_token: token.into(),
    };
    let requests = frames(vec![read.into(); 100]);
    let mut sockets = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut socket = connect_tls(store, &certificate).await;
        socket.write_all(&requests).await.unwrap();
        socket.flush().await.unwrap();
        sockets.push(socket);
    }
    sleep(Duration::from_millis(500)).await;
    let (most, peak) = ((limit + BESIDES) << 10, process.peak_kib());
    assert!(peak <= most, "{peak} of {most} KiB were resident");
    first.write_all(&frames([hello.into()])).await.unwrap();
    first.flush().await.unwrap();
    timeout(FAR, next_code(&mut first)).await.expect("no answer beside them");
    drop(sockets);
}
