//! Servers that do not answer, or answer without end: every command ends, and says why.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    process::{Output, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use pravega_sdk_integration_tests::harness::{
    FAR,
    tool::{binary, stderr, stdout},
};
use pravega_sdk_proto::{
    self as proto,
    controller_service_server::{ControllerService, ControllerServiceServer},
};
use tokio::{net::TcpListener, process::Command, task::JoinSet};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

type Answer<T> = Result<Response<T>, Status>;

/// Takes connections, reads what is sent, and never sends a byte.
async fn silent_server(tasks: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut connection, _)) = listener.accept().await {
            connections.spawn(async move {
                tokio::io::copy(&mut connection, &mut tokio::io::sink()).await.ok();
                // The client's end, which is not answered either.
                std::future::pending::<()>().await;
            });
        }
    });
    address
}

async fn serve(tasks: &mut JoinSet<()>, service: impl ControllerService) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server =
        tonic::transport::Server::builder().add_service(ControllerServiceServer::new(service));
    tasks.spawn(async move {
        server.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap();
    });
    address
}

/// The input of every command: an event, and a line of a script.
const INPUT: &[u8] =
    b"{\"name\": \"GetStreamSegmentInfo\", \"fields\": {\"segmentName\": \"s/t/0.#epoch.0\"}}\n";

/// Runs the tool, and waits for its end.
async fn run(controller: SocketAddr, arguments: &[&str]) -> Output {
    let mut process = Command::new(binary())
        .args(["--controller", &format!("tcp://{controller}")])
        .args(arguments)
        .env("PRAVEGA_CONFIG", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = process.stdin.take().unwrap();
    // A command that reads no input closes it.
    tokio::io::AsyncWriteExt::write_all(&mut input, INPUT).await.ok();
    drop(input);
    let ended = tokio::time::timeout(FAR, process.wait_with_output()).await;
    ended.unwrap_or_else(|_| panic!("{arguments:?} does not end")).unwrap()
}

/// Checks that each command ends and reports that a server did not answer.
async fn all_time_out(controller: SocketAddr, commands: &[&str]) {
    let mut running = JoinSet::new();
    for command in commands {
        // Two cores need not start them all at once.
        while running.len() >= 8 {
            running.join_next().await.unwrap().unwrap();
        }
        let arguments: Vec<String> = command.split(' ').map(str::to_owned).collect();
        running.spawn(async move {
            let mut all = vec!["--timeout", "1s"];
            all.extend(arguments.iter().map(String::as_str));
            let output = run(controller, &all).await;
            let error = stderr(&output);
            assert_eq!(output.status.code(), Some(5), "{arguments:?}: {error}");
            let is_told = error.lines().any(|line| line.starts_with("error: "));
            assert!(is_told, "{arguments:?}: {error}");
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
}

const ID: &str = "00000000-0000-0000-0000-000000000001";

/// Commands that ask a controller first; each with the least that it takes.
const ASK_CONTROLLER: &[&str] = &[
    "scope create s",
    "scope list",
    "scope describe s",
    "scope delete s",
    "scope delete s --recursive --yes",
    "stream create s/t",
    "stream list s",
    "stream list s --tag tag",
    "stream describe s/t",
    "stream update s/t --segments 2",
    "stream scale s/t --to 2",
    "stream scaling-state s/t",
    "stream truncate s/t --before tail",
    "stream seal s/t",
    "stream delete s/t",
    "stream segments s/t",
    "stream segments s/t --epoch 0",
    "stream segments s/t --head",
    "stream epochs s/t",
    "stream subscribers s/t",
    "write s/t",
    "write s/t --create",
    "write s/t --transaction",
    "read s/t",
    "read s/t --follow",
    "bytes put s/t",
    "bytes get s/t",
    "bytes tail s/t",
    "bytes truncate s/t 0",
    "bytes show s/t",
    "cut show s/t --at head",
    "cut show s/t --at tail",
    "segment list s/t",
    "segment describe s/t/0.#epoch.0",
    "segment locate s/t/0.#epoch.0",
    "segment successors s/t/0.#epoch.0",
    "group create s/g --stream s/t",
    "group list s",
    "group describe s/g",
    "group checkpoint s/g",
    "group checkpoint s/g --cancel",
    "group reset s/g",
    "group reset s/g --to-last-checkpoint",
    "group offline s/g r",
    "group cuts s/g",
    "group watch s/g",
    "group delete s/g",
    "table create s/k --primary-key-length 4",
    "table list s",
    "table describe s/k",
    "table segments s/k",
    "table delete s/k",
    "table get s/k pear",
    "table put s/k pear 1",
    "table put-if s/k pear 1 --absent",
    "table insert s/k pear 1",
    "table remove s/k pear",
    "table scan s/k",
    "table watch s/k",
    "table export s/k",
    "table import s/k",
    "txn begin s/t",
    "txn ping s/t ID",
    "txn write s/t ID",
    "txn status s/t ID",
    "txn commit s/t ID",
    "txn abort s/t ID",
    "txn list s/t",
    "wire send GetStreamSegmentInfo segmentName=s/t/0.#epoch.0",
    "auth login --user ann --password-stdin --store-password",
    "auth status",
];

/// Commands that need an answer of a segment store.
const ASK_STORE: &[&str] = &[
    "stream truncate s/t --before tail",
    "stream truncate s/t --at 0.#epoch.0=9",
    "write s/t",
    "write s/t --transaction",
    "read s/t",
    "read s/t --follow",
    "read s/t --from tail --follow",
    "bytes put s/t",
    "bytes get s/t",
    "bytes tail s/t",
    "bytes truncate s/t 0",
    "bytes show s/t",
    "cut show s/t --at tail",
    "cut next CUT 9",
    "cut distance CUT UNBOUNDED",
    "cut ranges CUT UNBOUNDED",
    "segment describe s/t/0.#epoch.0",
    "group describe s/g",
    "group checkpoint s/g",
    "group reset s/g",
    "group offline s/g r",
    "group cuts s/g",
    "group watch s/g",
    "table get s/k pear",
    "table put s/k pear 1",
    "table put-if s/k pear 1 --version 0:7",
    "table insert s/k pear 1",
    "table remove s/k pear",
    "table remove s/k pear --version 0:7",
    "table scan s/k",
    "table scan s/k --keys-only",
    "table watch s/k",
    "table watch s/k --from start",
    "table export s/k",
    "txn write s/t ID",
    "wire send GetStreamSegmentInfo segmentName=s/t/0.#epoch.0",
    "wire script",
];

/// Commands that wait for no server, and those with an exit code and limits of their own.
const ELSEWHERE: &[&str] = &[
    "backup",
    "completions",
    "demo",
    "dev",
    "doctor",
    "man",
    "wire list",
    "cut show",
    "auth logout",
    "context list",
    "context describe",
    "context use",
    "context set",
    "context delete",
];

fn with_values(commands: &[&str]) -> Vec<String> {
    let stream = "s/t".parse().unwrap();
    let head = (0.into(), pravega_sdk_types::SegmentOffset::At(pravega_sdk_types::Offset(0)));
    let cut = pravega_sdk_types::BoundedCut::new(stream, [head]).unwrap();
    let cut = pravega_sdk_types::StreamCut::from(cut).to_text();
    commands.iter().map(|text| text.replace("ID", ID).replace("CUT", &cut)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_ends_if_the_controller_is_silent() {
    let mut tasks = JoinSet::new();
    let controller = silent_server(&mut tasks).await;
    let commands = with_values(ASK_CONTROLLER);
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    all_time_out(controller, &commands).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_ends_if_the_segment_stores_are_silent() {
    let mut tasks = JoinSet::new();
    let store = silent_server(&mut tasks).await;
    let controller = serve(&mut tasks, OneSegment { store }).await;
    let commands = with_values(ASK_STORE);
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    all_time_out(controller, &commands).await;
}

/// The commands that a help text lists.
async fn subcommands(of: &[&str]) -> Vec<String> {
    let output =
        Command::new(binary()).args(of).arg("--help").env("COLUMNS", "100").output().await.unwrap();
    let help = stdout(&output);
    let Some((_, listed)) = help.split_once("Commands:\n") else { return Vec::new() };
    let lines = listed.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[tokio::test]
async fn no_command_is_missing_from_the_lists() {
    let made: BTreeSet<&str> =
        [ASK_CONTROLLER, ASK_STORE, ELSEWHERE].concat().into_iter().collect();
    let mut count = 0;
    for command in subcommands(&[]).await {
        let below = subcommands(&[&command]).await;
        let names: Vec<String> = if below.is_empty() {
            vec![command]
        } else {
            below.iter().map(|name| format!("{command} {name}")).collect()
        };
        for name in names {
            count += 1;
            let starts = |made: &&str| **made == name || made.starts_with(&format!("{name} "));
            assert!(made.iter().any(starts), "{name} is in no list");
        }
    }
    assert!(count > 40, "{count} commands");
}

/// A controller with a stream and a table of one segment each, whose store is at an address.
struct OneSegment {
    store: SocketAddr,
}

impl OneSegment {
    fn segment() -> proto::SegmentId {
        let stream_info =
            Some(proto::StreamInfo { scope: "s".into(), stream: "t".into(), ..Default::default() });
        proto::SegmentId { stream_info, segment_id: 0 }
    }

    fn range() -> proto::SegmentRange {
        proto::SegmentRange { segment_id: Some(Self::segment()), min_key: 0.0, max_key: 1.0 }
    }
}

#[tonic::async_trait]
impl ControllerService for OneSegment {
    async fn get_current_segments(
        &self,
        _: Request<proto::StreamInfo>,
    ) -> Answer<proto::SegmentRanges> {
        Ok(Response::new(proto::SegmentRanges {
            segment_ranges: vec![Self::range()],
            ..Default::default()
        }))
    }

    async fn get_key_value_table_configuration(
        &self,
        _: Request<proto::KeyValueTableInfo>,
    ) -> Answer<proto::KeyValueTableConfigResponse> {
        let config = proto::KeyValueTableConfig {
            scope: "s".into(),
            kvt_name: "k".into(),
            partition_count: 1,
            primary_key_length: 4,
            ..Default::default()
        };
        let config = Some(config);
        Ok(Response::new(proto::KeyValueTableConfigResponse { config, ..Default::default() }))
    }

    async fn get_current_segments_key_value_table(
        &self,
        _: Request<proto::KeyValueTableInfo>,
    ) -> Answer<proto::SegmentRanges> {
        self.get_current_segments(Request::new(proto::StreamInfo::default())).await
    }

    async fn get_epoch_segments(
        &self,
        _: Request<proto::GetEpochSegmentsRequest>,
    ) -> Answer<proto::SegmentRanges> {
        self.get_current_segments(Request::new(proto::StreamInfo::default())).await
    }

    async fn get_segments(
        &self,
        _: Request<proto::GetSegmentsRequest>,
    ) -> Answer<proto::SegmentsAtTime> {
        let location = proto::segments_at_time::SegmentLocation {
            segment_id: Some(Self::segment()),
            offset: 0,
        };
        Ok(Response::new(proto::SegmentsAtTime { segments: vec![location], ..Default::default() }))
    }

    async fn get_segments_between(
        &self,
        _: Request<proto::StreamCutRange>,
    ) -> Answer<proto::StreamCutRangeResponse> {
        let response =
            proto::StreamCutRangeResponse { segments: vec![Self::segment()], ..Default::default() };
        Ok(Response::new(response))
    }

    async fn get_uri(&self, _: Request<proto::SegmentId>) -> Answer<proto::NodeUri> {
        let (endpoint, port) = (self.store.ip().to_string(), i32::from(self.store.port()));
        Ok(Response::new(proto::NodeUri { endpoint, port }))
    }

    async fn is_segment_valid(
        &self,
        _: Request<proto::SegmentId>,
    ) -> Answer<proto::SegmentValidityResponse> {
        Ok(Response::new(proto::SegmentValidityResponse { response: true }))
    }

    async fn is_stream_cut_valid(
        &self,
        _: Request<proto::StreamCut>,
    ) -> Answer<proto::StreamCutValidityResponse> {
        Ok(Response::new(proto::StreamCutValidityResponse { response: true }))
    }

    async fn get_delegation_token(
        &self,
        _: Request<proto::StreamInfo>,
    ) -> Answer<proto::DelegationToken> {
        Ok(Response::new(proto::DelegationToken::default()))
    }

    async fn create_transaction(
        &self,
        _: Request<proto::CreateTxnRequest>,
    ) -> Answer<proto::CreateTxnResponse> {
        let response = proto::CreateTxnResponse {
            txn_id: Some(proto::TxnId { high_bits: 0, low_bits: 1 }),
            active_segments: vec![Self::range()],
            ..Default::default()
        };
        Ok(Response::new(response))
    }

    async fn check_transaction_state(
        &self,
        _: Request<proto::TxnRequest>,
    ) -> Answer<proto::TxnState> {
        Ok(Response::new(proto::TxnState { state: proto::txn_state::State::Open.into() }))
    }

    async fn ping_transaction(
        &self,
        _: Request<proto::PingTxnRequest>,
    ) -> Answer<proto::PingTxnStatus> {
        Ok(Response::new(proto::PingTxnStatus {
            status: proto::ping_txn_status::Status::Ok.into(),
        }))
    }

    async fn abort_transaction(&self, _: Request<proto::TxnRequest>) -> Answer<proto::TxnStatus> {
        let status = proto::txn_status::Status::Success.into();
        Ok(Response::new(proto::TxnStatus { status }))
    }
}

/// A controller whose list of scopes has no end.
struct Endless {
    /// The items and the token of a page.
    page: fn(usize) -> (Vec<String>, String),
    pages: AtomicUsize,
}

#[tonic::async_trait]
impl ControllerService for Endless {
    async fn list_scopes(&self, _: Request<proto::ScopesRequest>) -> Answer<proto::ScopesResponse> {
        let (scopes, token) = (self.page)(self.pages.fetch_add(1, Ordering::Relaxed));
        let continuation_token = Some(proto::ContinuationToken { token });
        Ok(Response::new(proto::ScopesResponse { scopes, continuation_token }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_repeats_its_token_prints_its_pages_and_fails() {
    let mut tasks = JoinSet::new();
    let page = |page: usize| (vec![format!("scope-{page}")], "the same".to_owned());
    let controller = serve(&mut tasks, Endless { page, pages: AtomicUsize::new(0) }).await;
    let output = run(controller, &["scope", "list"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("continuation token"), "{}", stderr(&output));
    assert_eq!(stdout(&output), "scope-0\nscope-1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_without_end_is_printed_as_its_pages_arrive() {
    let mut tasks = JoinSet::new();
    let page = |page: usize| (vec![format!("scope-{page}")], page.to_string());
    let controller = serve(&mut tasks, Endless { page, pages: AtomicUsize::new(0) }).await;
    let mut process = Command::new(binary())
        .args(["--controller", &format!("tcp://{controller}"), "scope", "list"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut first = vec![0; "scope-0\nscope-1\n".len()];
    let stdout = process.stdout.as_mut().unwrap();
    let reading = tokio::io::AsyncReadExt::read_exact(stdout, &mut first);
    tokio::time::timeout(FAR, reading).await.expect("the first pages").unwrap();
    assert_eq!(first, b"scope-0\nscope-1\n");
}
