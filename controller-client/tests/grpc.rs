//! The client against a scripted controller: attempts, deadlines, fail-over, discovery, paging,
//! credentials.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::StreamExt as _;
use pravega_sdk_controller_client::{
    Authorization, Controller, ControllerClient, ControllerConfig, Creation, CredentialError,
    CredentialProvider, Credentials, listing,
};
use pravega_sdk_proto::{
    ContinuationToken, CreateScopeStatus, ExistsResponse, NodeUri, ScaleRequest, ScaleResponse,
    ScopeInfo, ScopesRequest, ScopesResponse, SegmentId, SegmentRange, SegmentRanges,
    ServerRequest, ServerResponse, StreamInfo, SuccessorResponse,
    controller_service_server::{ControllerService, ControllerServiceServer},
    successor_response::SegmentEntry,
};
use pravega_sdk_types::{ErrorKind, KeyRange, Outcome, RetryPolicy, Scope};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpSocket},
    time::Instant,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status};

/// Fails calls by its script, then serves them.
#[derive(Default)]
struct Script {
    failures: Mutex<VecDeque<Code>>,
    hangs: bool,
    status: i32,
    controllers: Mutex<Vec<NodeUri>>,
    /// It knows that the streams are sealed after a scale.
    knows_seal: bool,
    calls: AtomicU32,
    authorization: Mutex<Option<String>>,
}

impl Script {
    fn failing(codes: &[Code]) -> Self {
        Self { failures: Mutex::new(codes.iter().copied().collect()), ..Self::default() }
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }

    async fn act<M>(&self, request: &Request<M>) -> Result<(), Status> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let header =
            request.metadata().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        *self.authorization.lock().unwrap() = header;
        if self.hangs {
            std::future::pending::<()>().await;
        }
        let failure = self.failures.lock().unwrap().pop_front();
        match failure {
            Some(code) => Err(Status::new(code, "scripted")),
            None => Ok(()),
        }
    }
}

struct Server(Arc<Script>);

#[async_trait]
impl ControllerService for Server {
    async fn create_scope(
        &self,
        request: Request<ScopeInfo>,
    ) -> Result<Response<CreateScopeStatus>, Status> {
        self.0.act(&request).await?;
        Ok(Response::new(CreateScopeStatus { status: self.0.status }))
    }

    async fn check_scope_exists(
        &self,
        request: Request<ScopeInfo>,
    ) -> Result<Response<ExistsResponse>, Status> {
        self.0.act(&request).await?;
        Ok(Response::new(ExistsResponse { exists: true }))
    }

    async fn scale(
        &self,
        request: Request<ScaleRequest>,
    ) -> Result<Response<ScaleResponse>, Status> {
        self.0.act(&request).await?;
        Ok(Response::new(ScaleResponse::default()))
    }

    async fn get_controller_server_list(
        &self,
        _: Request<ServerRequest>,
    ) -> Result<Response<ServerResponse>, Status> {
        let node_uri = self.0.controllers.lock().unwrap().clone();
        if node_uri.is_empty() {
            Err(Status::unknown("no cluster"))
        } else {
            Ok(Response::new(ServerResponse { node_uri }))
        }
    }

    async fn get_current_segments(
        &self,
        request: Request<StreamInfo>,
    ) -> Result<Response<SegmentRanges>, Status> {
        self.0.act(&request).await?;
        let segment_ranges = if self.0.knows_seal { Vec::new() } else { vec![whole(0)] };
        Ok(Response::new(SegmentRanges { segment_ranges, ..SegmentRanges::default() }))
    }

    async fn get_segments_immediately_following(
        &self,
        request: Request<SegmentId>,
    ) -> Result<Response<SuccessorResponse>, Status> {
        self.0.act(&request).await?;
        let next = SegmentEntry { segment: Some(whole((1 << 32) | 1)), value: vec![0] };
        let segments = if self.0.knows_seal { vec![next] } else { Vec::new() };
        Ok(Response::new(SuccessorResponse { segments, ..SuccessorResponse::default() }))
    }

    /// Returns three pages; the token of the last one is repeated with an empty page, as on the
    /// real server.
    async fn list_scopes(
        &self,
        request: Request<ScopesRequest>,
    ) -> Result<Response<ScopesResponse>, Status> {
        self.0.act(&request).await?;
        let token = request.into_inner().continuation_token.unwrap_or_default().token;
        let start: usize = token.parse().unwrap_or(0);
        let scopes: Vec<String> =
            (start..5).take(2).map(|number| format!("scope-{number}")).collect();
        let token = (start + scopes.len()).to_string();
        Ok(Response::new(ScopesResponse {
            scopes,
            continuation_token: Some(ContinuationToken { token }),
        }))
    }
}

/// A segment with the whole key space.
fn whole(segment_id: i64) -> SegmentRange {
    let stream_info =
        StreamInfo { scope: "shop".into(), stream: "orders".into(), ..StreamInfo::default() };
    let segment_id = Some(SegmentId { stream_info: Some(stream_info), segment_id });
    SegmentRange { segment_id, min_key: 0.0, max_key: 1.0 }
}

async fn serve(script: Script) -> (SocketAddr, Arc<Script>) {
    serve_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), script)
}

/// A socket that is bound and does not listen: its port refuses connections, and no other test uses
/// it.
fn refusing() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn serve_on(listener: TcpListener, script: Script) -> (SocketAddr, Arc<Script>) {
    let script = Arc::new(script);
    let address = listener.local_addr().unwrap();
    let service = ControllerServiceServer::new(Server(Arc::clone(&script)));
    let incoming = TcpListenerStream::new(listener);
    tokio::spawn(
        tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming),
    );
    (address, script)
}

fn config(url: &str) -> ControllerConfig {
    let retry =
        RetryPolicy::new(Duration::from_millis(1), 2, Duration::from_millis(20), 4).unwrap();
    ControllerConfig::new(url.parse().unwrap()).with_retry(retry)
}

fn client(url: &str) -> ControllerClient {
    ControllerClient::new(config(url)).unwrap()
}

fn scope() -> Scope {
    Scope::new("shop").unwrap()
}

#[tokio::test]
async fn transient_failures_are_retried_and_others_are_not() {
    let (address, script) = serve(Script::failing(&[Code::Unavailable, Code::Internal])).await;
    let created = client(&format!("tcp://{address}")).create_scope(&scope()).await.unwrap();
    assert_eq!((created, script.calls()), (Creation::Created, 3));

    for (code, kind) in [
        (Code::NotFound, ErrorKind::NotFound),
        (Code::PermissionDenied, ErrorKind::PermissionDenied),
        (Code::Unauthenticated, ErrorKind::Unauthenticated),
        (Code::Unimplemented, ErrorKind::Unsupported),
    ] {
        let (address, script) = serve(Script::failing(&[code; 9])).await;
        let error = client(&format!("tcp://{address}")).create_scope(&scope()).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome(), script.calls()), (kind, Outcome::NotApplied, 1));
    }
}

#[tokio::test]
async fn the_last_failure_is_the_error_after_all_attempts() {
    let (address, script) = serve(Script::failing(&[Code::Unknown; 9])).await;
    let error = client(&format!("tcp://{address}")).create_scope(&scope()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts(), script.calls()), (ErrorKind::ServerFailure, 4, 4));
    assert_eq!(error.outcome(), Outcome::Unknown);
    let shown = error.to_string();
    assert!(
        shown.starts_with("createScope of shop at 127.0.0.1:") && shown.contains("(4 attempts)"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_call_that_is_not_safe_to_repeat_is_sent_once() {
    let (address, script) = serve(Script::failing(&[Code::Unknown; 9])).await;
    let stream = "shop/orders".parse().unwrap();
    let error = client(&format!("tcp://{address}"))
        .scale(&stream, &[0.into()], &[KeyRange::FULL])
        .await
        .unwrap_err();
    assert_eq!((error.outcome(), script.calls()), (Outcome::Unknown, 1));
}

#[tokio::test]
async fn a_call_that_is_not_safe_to_repeat_is_retried_if_it_was_never_sent() {
    let (_socket, dead) = refusing();
    let (address, script) = serve(Script::default()).await;
    let stream = "shop/orders".parse().unwrap();
    client(&format!("tcp://{dead},{address}"))
        .scale(&stream, &[0.into()], &[KeyRange::FULL])
        .await
        .unwrap();
    assert_eq!(script.calls(), 1);
}

#[tokio::test]
async fn a_call_made_before_the_server_is_up_waits_for_it() {
    let (socket, address) = refusing();
    let retry =
        RetryPolicy::new(Duration::from_millis(20), 2, Duration::from_millis(200), 60).unwrap();
    let config = config(&format!("tcp://{address}")).with_retry(retry);
    let (created, (_, script)) = tokio::join!(
        async { ControllerClient::new(config).unwrap().create_scope(&scope()).await },
        async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            serve_on(socket.listen(128).unwrap(), Script::default())
        }
    );
    assert_eq!((created.unwrap(), script.calls()), (Creation::Created, 1));
}

#[tokio::test]
async fn a_controller_that_never_answers_ends_the_call_at_its_deadline() {
    let (address, script) = serve(Script { hangs: true, ..Script::default() }).await;
    let config = config(&format!("tcp://{address}"))
        .with_attempt_timeout(Duration::from_secs(1))
        .with_call_timeout(Duration::from_millis(3500));
    let started = Instant::now();
    let error = ControllerClient::new(config).unwrap().create_scope(&scope()).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::Unknown));
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert!(script.calls() >= 2, "each attempt has a deadline");
}

#[tokio::test]
async fn an_outage_is_not_multiplied_by_retries() {
    let (address, script) = serve(Script::failing(&[Code::Unavailable; 10_000])).await;
    let client = client(&format!("tcp://{address}"));
    let started = Instant::now();
    for _ in 0..300 {
        assert!(client.scope_exists(&scope()).await.is_err());
    }
    // Without a budget there would be 300 calls with 4 attempts each. The budget has 100 at the
    // start, 10 per second, and a fifth of the calls.
    let allowed = 300.0 + 100.0 + 10.0 * started.elapsed().as_secs_f64() + 0.2 * 300.0;
    assert!(
        f64::from(script.calls()) <= allowed + 1.0,
        "{} attempts, {allowed} are allowed",
        script.calls()
    );
}

#[tokio::test]
async fn a_deadline_of_zero_fails_without_a_request() {
    let (address, script) = serve(Script::default()).await;
    let config = config(&format!("tcp://{address}")).with_call_timeout(Duration::ZERO);
    let error = ControllerClient::new(config).unwrap().create_scope(&scope()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome(), script.calls()),
        (ErrorKind::Timeout, Outcome::NotApplied, 0)
    );
}

#[tokio::test]
async fn an_unknown_status_is_a_protocol_error_that_shows_it() {
    let (address, script) = serve(Script { status: 42, ..Script::default() }).await;
    let error = client(&format!("tcp://{address}")).create_scope(&scope()).await.unwrap_err();
    assert_eq!((error.kind(), script.calls()), (ErrorKind::Protocol, 1));
    assert!(error.to_string().contains("42"), "{error}");
}

#[tokio::test]
async fn garbage_from_the_peer_is_an_error_before_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            socket.write_all(b"220 mail.example.test ESMTP\r\n").await.ok();
        }
    });
    let started = Instant::now();
    let error = client(&format!("tcp://{address}")).create_scope(&scope()).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn credentials_are_sent_with_every_call() {
    let (address, script) = serve(Script::default()).await;
    let config = config(&format!("tcp://{address}"))
        .with_credentials(Credentials::basic("admin", "1111_aaaa").unwrap());
    ControllerClient::new(config).unwrap().create_scope(&scope()).await.unwrap();
    assert_eq!(script.authorization.lock().unwrap().as_deref(), Some("Basic YWRtaW46MTExMV9hYWFh"));
}

/// Bearer tokens with an expiry, from a function that counts its calls; after `last` it returns the
/// same one.
fn numbered(last: u32) -> (Credentials, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    let credentials = Credentials::bearer_from(move || {
        let number = (counter.fetch_add(1, Ordering::SeqCst) + 1).min(last);
        // It expires in the year 2200.
        let body = URL_SAFE_NO_PAD.encode(format!("{{\"n\":{number},\"exp\":7258118400}}"));
        async move { Ok::<_, std::io::Error>(format!("{number}.{body}.s")) }
    });
    (credentials, calls)
}

#[tokio::test]
async fn a_call_whose_token_is_refused_is_made_once_more_with_the_next_one() {
    let (address, script) = serve(Script::default()).await;
    let (credentials, calls) = numbered(2);
    let config = config(&format!("tcp://{address}")).with_credentials(credentials);
    let client = ControllerClient::new(config).unwrap();
    let refuse = || script.failures.lock().unwrap().push_back(Code::Unauthenticated);
    let later = async || {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(2)).await;
        tokio::time::resume();
    };
    assert!(client.scope_exists(&scope()).await.unwrap());
    later().await;
    refuse();
    assert!(client.scope_exists(&scope()).await.unwrap());
    let sent = script.authorization.lock().unwrap().clone().unwrap();
    assert!(sent.starts_with("Bearer 2."), "{sent}");
    assert_eq!((script.calls(), calls.load(Ordering::SeqCst)), (3, 2));
    // A token that has just come is not asked for again.
    refuse();
    let refused = client.scope_exists(&scope()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unauthenticated);
    assert_eq!((script.calls(), calls.load(Ordering::SeqCst)), (4, 2));
    // One that comes again is not sent again.
    later().await;
    refuse();
    let refused = client.scope_exists(&scope()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unauthenticated);
    assert_eq!((script.calls(), calls.load(Ordering::SeqCst)), (5, 3));
}

/// A provider whose token server does not answer. It serves one call at a time, as a provider with
/// a cache does.
#[derive(Debug, Default)]
struct Stuck {
    lock: tokio::sync::Mutex<()>,
    calls: AtomicU32,
    /// The first call is answered after this long; later ones at once.
    first_takes: Option<Duration>,
}

#[async_trait]
impl CredentialProvider for Stuck {
    async fn authorization(&self) -> Result<Authorization, CredentialError> {
        let _one_at_a_time = self.lock.lock().await;
        if self.calls.fetch_add(1, Ordering::SeqCst) == 0 {
            match self.first_takes {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        }
        Authorization::new("Bearer", "token")
    }
}

#[tokio::test(start_paused = true)]
async fn a_credential_provider_that_hangs_ends_the_call_at_its_deadline() {
    let (address, script) = serve(Script::default()).await;
    for scheme in ["tcp", "pravega"] {
        let config = config(&format!("{scheme}://{address}"))
            .with_credentials(Credentials::provider(Arc::new(Stuck::default())))
            .with_connect_timeout(Duration::from_secs(5))
            .with_call_timeout(Duration::from_secs(2));
        let started = Instant::now();
        let client = ControllerClient::new(config).unwrap();
        let error = client.create_scope(&scope()).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::NotApplied));
        let ended = started.elapsed();
        assert!(ended <= Duration::from_secs(3), "{scheme}: {ended:?}");
    }
    assert_eq!(script.calls(), 0, "nothing was sent");
}

/// The lock of the provider belongs to a task, not to a call that its owner no longer polls.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_polled_keeps_the_credentials_from_no_other() {
    let (address, script) = serve(Script::default()).await;
    let first_takes = Some(Duration::from_millis(100));
    let provider = Stuck { first_takes, ..Stuck::default() };
    let config = config(&format!("tcp://{address}"))
        .with_credentials(Credentials::provider(Arc::new(provider)));
    let client = ControllerClient::new(config).unwrap();
    let scope = scope();
    let mut stalled = Box::pin(client.create_scope(&scope));
    assert!(futures_util::FutureExt::now_or_never(stalled.as_mut()).is_none());
    assert!(client.scope_exists(&scope).await.unwrap());
    assert_eq!(stalled.await.unwrap(), Creation::Created);
    assert_eq!(script.calls(), 2);
}

/// The controllers of the address accept connections and say nothing. The discovery takes half of
/// the time, and what is left is enough to send the request.
#[tokio::test(start_paused = true)]
async fn a_discovery_that_is_not_answered_is_covered_by_the_deadline_of_the_call() {
    let one = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let two = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addresses = (one.local_addr().unwrap(), two.local_addr().unwrap());
    let config = config(&format!("pravega://{},{}", addresses.0, addresses.1))
        .with_connect_timeout(Duration::from_secs(5))
        .with_call_timeout(Duration::from_secs(2));
    let started = Instant::now();
    let client = ControllerClient::new(config).unwrap();
    let error = client.create_scope(&scope()).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::Unknown));
    let ended = started.elapsed();
    assert!(ended <= Duration::from_secs(3), "{ended:?}");
}

#[tokio::test]
async fn limits_may_be_as_long_as_a_duration_can_be() {
    let (address, _script) = serve(Script::default()).await;
    let config = config(&format!("tcp://{address}"))
        .with_connect_timeout(Duration::MAX)
        .with_attempt_timeout(Duration::MAX)
        .with_call_timeout(Duration::MAX);
    ControllerClient::new(config).unwrap().create_scope(&scope()).await.unwrap();
}

#[tokio::test]
async fn discovered_controllers_replace_those_of_the_address() {
    let (other, other_script) = serve(Script::default()).await;
    let (first, first_script) = serve(Script::default()).await;
    let uri = NodeUri { endpoint: other.ip().to_string(), port: i32::from(other.port()) };
    first_script.controllers.lock().unwrap().push(uri);
    let client = client(&format!("pravega://{first}"));
    for _ in 0..3 {
        assert!(client.scope_exists(&scope()).await.unwrap());
    }
    assert_eq!((first_script.calls(), other_script.calls()), (0, 3));
    assert_eq!(client.endpoints()[0].port(), other.port());
}

#[tokio::test]
async fn the_controllers_of_the_address_are_tried_if_discovery_names_others_that_are_dead() {
    let (_socket, dead) = refusing();
    let (first, script) = serve(Script::default()).await;
    let uri = NodeUri { endpoint: dead.ip().to_string(), port: i32::from(dead.port()) };
    script.controllers.lock().unwrap().push(uri);
    let client = client(&format!("pravega://{first}"));
    for calls in 1..=3 {
        assert!(client.scope_exists(&scope()).await.unwrap());
        assert_eq!(script.calls(), calls);
    }
    assert_eq!(client.endpoints()[0].port(), dead.port(), "the list is believed");
}

/// Of two instances one knows that the stream is sealed after a scale; the other knows neither.
#[tokio::test]
async fn one_instance_says_that_a_stream_is_sealed_and_what_follows_a_segment() {
    let (knows, _) = serve(Script { knows_seal: true, ..Script::default() }).await;
    let (lags, _) = serve(Script::default()).await;
    let client = client(&format!("tcp://{lags},{knows}"));
    let segment = "shop/orders/0".parse().unwrap();
    let mut answers = Vec::new();
    for _ in 0..6 {
        let found = client.final_successors(&segment).await.unwrap();
        answers.push(found.map(|successors| successors.len()));
        // The next call goes to the other one.
        client.scope_exists(&scope()).await.unwrap();
        client.scope_exists(&scope()).await.unwrap();
    }
    assert!(answers.contains(&None) && answers.contains(&Some(1)), "{answers:?}");
    assert!(!answers.contains(&Some(0)), "{answers:?}");
}

#[tokio::test]
async fn calls_are_spread_over_the_controllers() {
    let (one, one_script) = serve(Script::default()).await;
    let (two, two_script) = serve(Script::default()).await;
    let client = client(&format!("tcp://{one},{two}"));
    for _ in 0..10 {
        client.scope_exists(&scope()).await.unwrap();
    }
    assert_eq!((one_script.calls(), two_script.calls()), (5, 5));
}

#[tokio::test]
async fn a_listing_goes_through_all_pages_and_an_error_is_its_last_item() {
    let (address, script) = serve(Script::default()).await;
    let controller: Arc<dyn Controller> = Arc::new(client(&format!("tcp://{address}")));
    let names: Vec<String> = listing::scopes(Arc::clone(&controller))
        .map(|scope| scope.unwrap().to_string())
        .collect()
        .await;
    assert_eq!(names, ["scope-0", "scope-1", "scope-2", "scope-3", "scope-4"]);
    assert_eq!(script.calls(), 4, "the page without items is the end");
    *script.failures.lock().unwrap() = [Code::PermissionDenied].into();
    let mut failing = listing::scopes(controller);
    assert_eq!(failing.next().await.unwrap().unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert!(failing.next().await.is_none());
}

/// Drops the call after every number of polls up to its end: the next one must succeed.
#[tokio::test]
async fn a_call_dropped_at_any_poll_does_not_affect_the_next() {
    let (address, _script) = serve(Script::default()).await;
    let client = client(&format!("tcp://{address}"));
    for polls in 0..8 {
        {
            let mut call = Box::pin(client.scope_exists(scope_static()));
            for _ in 0..polls {
                let done = std::future::poll_fn(|context| {
                    std::task::Poll::Ready(call.as_mut().poll(context).is_ready())
                });
                if done.await {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        assert!(client.scope_exists(&scope()).await.unwrap());
    }
}

fn scope_static() -> &'static Scope {
    static SCOPE: std::sync::OnceLock<Scope> = std::sync::OnceLock::new();
    SCOPE.get_or_init(scope)
}
