//! The largest requests of REST: none costs more than n log n of what it carries, and of what it
//! lists.
//!
//! The server and its client have one thread, whose time counts; each call is made with bodies,
//! paths, streams and lists of one size and of eight times that size.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc, thread, time::Duration};

use futures_util::{StreamExt as _, stream};
use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_controller_client::Controller;
use pravega_sdk_integration_tests::harness::rest::{Response, Rest};
use pravega_sdk_server::EmbeddedServer;
use pravega_sdk_types::{
    ReaderGroupConfiguration, ScalingPolicy, Scope, ScopedReaderGroup, ScopedStream,
    StreamConfiguration,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// The larger size, and the smaller one.
const LARGE: usize = 800;
const SMALL: usize = LARGE / 8;
/// The larger call may take this many times the time of the smaller one: three times its share.
const TIMES: u32 = 24;
/// Shorter times are not compared.
const SHORT: Duration = Duration::from_millis(2);

/// A call with a body and a path of some size.
pub(super) struct Call {
    pub(super) method: &'static str,
    /// The path, as the routes of the service have it.
    pub(super) template: &'static str,
    path: String,
    body: Option<Value>,
}

impl Call {
    pub(super) async fn ask(&self, rest: &Rest) -> Response {
        match &self.body {
            None => rest.ask(self.method, &self.path).await,
            Some(body) => rest.put(self.method, &self.path, body).await,
        }
    }
}

/// Every call, in an order in which most of them have something to do. At a size of 1000, bodies
/// and paths are nearly as long as they may be.
pub(super) fn calls(size: usize) -> Vec<Call> {
    let name = "x".repeat(14 * size);
    let long = "x".repeat(240 * size);
    let tags: Vec<String> = (0..20 * size).map(|number| format!("{number:08}")).collect();
    let fixed = json!({ "type": "FIXED_NUM_SEGMENTS", "minSegments": 1 });
    let mut all = Vec::new();
    let mut add = |method, template, path: String, body: Option<Value>| {
        all.push(Call { method, template, path, body });
    };
    let scopes = "/v1/scopes";
    let scope = "/v1/scopes/{scope}";
    let streams = "/v1/scopes/{scope}/streams";
    let stream = "/v1/scopes/{scope}/streams/{stream}";
    add("GET", scopes, scopes.to_owned(), None);
    add("POST", scopes, scopes.to_owned(), Some(json!({ "scopeName": long })));
    add("GET", scope, "/v1/scopes/s".to_owned(), None);
    add("GET", scope, format!("/v1/scopes/{name}"), None);
    add("DELETE", scope, "/v1/scopes/s".to_owned(), None);
    add("DELETE", scope, format!("/v1/scopes/{name}"), None);
    add("GET", streams, "/v1/scopes/s/streams".to_owned(), None);
    let tagged = "/v1/scopes/s/streams?filter_type=tag&filter_value=";
    add("GET", streams, format!("{tagged}{name}"), None);
    add("GET", streams, format!("{tagged}even"), None);
    let new = |name: &str, tags: &[String]| {
        let policy = &fixed;
        json!({ "streamName": name, "scalingPolicy": policy, "streamTags": tags })
    };
    add("POST", streams, "/v1/scopes/s/streams".to_owned(), Some(new("new", &tags)));
    add("POST", streams, "/v1/scopes/s/streams".to_owned(), Some(new(&long, &[])));
    add("GET", stream, "/v1/scopes/s/streams/wide".to_owned(), None);
    add("GET", stream, format!("/v1/scopes/s/streams/{name}"), None);
    let settings = json!({ "scalingPolicy": fixed, "streamTags": tags });
    add("PUT", stream, "/v1/scopes/s/streams/wide".to_owned(), Some(settings));
    let events = "/v1/scopes/{scope}/streams/{stream}/scaling-events";
    let path = "/v1/scopes/s/streams/wide/scaling-events?from=0&to=99999999999999";
    add("GET", events, path.to_owned(), None);
    let state = "/v1/scopes/{scope}/streams/{stream}/state";
    let path = "/v1/scopes/s/streams/wide/state";
    add("PUT", state, path.to_owned(), Some(json!({ "streamState": long })));
    add("PUT", state, path.to_owned(), Some(json!({ "streamState": "SEALED" })));
    add("DELETE", stream, "/v1/scopes/s/streams/wide".to_owned(), None);
    add("DELETE", stream, format!("/v1/scopes/s/streams/{name}"), None);
    let groups = "/v1/scopes/{scope}/readergroups";
    add("GET", groups, "/v1/scopes/s/readergroups".to_owned(), None);
    let group = "/v1/scopes/{scope}/readergroups/{group}";
    for method in ["GET", "DELETE"] {
        add(method, group, "/v1/scopes/s/readergroups/g".to_owned(), None);
        add(method, group, format!("/v1/scopes/s/readergroups/{name}"), None);
    }
    for path in [
        "/",
        "/metrics",
        "/ping",
        "/v1/health",
        "/v1/health/status",
        "/v1/health/readiness",
        "/v1/health/liveness",
        "/v1/health/details",
    ] {
        add("GET", path, path.to_owned(), None);
    }
    for template in [
        "/v1/health/{part}",
        "/v1/health/status/{part}",
        "/v1/health/readiness/{part}",
        "/v1/health/liveness/{part}",
        "/v1/health/details/{part}",
    ] {
        add("GET", template, template.replace("{part}", &name), None);
    }
    all
}

/// The methods and paths of the service, as its source has them.
fn routes() -> BTreeSet<(String, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/src/rest/routes.rs");
    let source = fs::read_to_string(source).unwrap();
    let mut routes = BTreeSet::new();
    for route in source.split(".route(").skip(1) {
        let path = route.split('"').nth(1).unwrap();
        for method in ["get", "post", "put", "delete"] {
            if route.contains(&format!("{method}(")) {
                routes.insert((method.to_uppercase(), path.to_owned()));
            }
        }
    }
    routes
}

/// The processor time of this thread.
fn cpu_time() -> Duration {
    // The scheduler counts the time when the thread leaves the processor.
    thread::yield_now();
    let times = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(times.split(' ').next().unwrap_or_default().parse().unwrap_or_default())
}

/// Streams with tags, a stream of many segments that was scaled, and groups.
async fn prepare(controller: &Arc<dyn Controller>, size: usize) {
    let scope = Scope::new("s").unwrap();
    controller.create_scope(&scope).await.unwrap();
    let named = |name: String| ScopedStream::new(scope.clone(), name.parse().unwrap());
    let names: Vec<ScopedStream> =
        (0..size).map(|number| named(format!("stream-{number}"))).collect();
    let tags = ["even".parse().unwrap(), "small".parse().unwrap()];
    let tagged = &StreamConfiguration::default().with_tags(tags).unwrap();
    stream::iter(&names)
        .for_each_concurrent(20, |name| async move {
            controller.create_stream(name, tagged).await.unwrap();
        })
        .await;
    let wide = named("wide".to_owned());
    let fixed = |count: usize| {
        let count = u32::try_from(count).unwrap();
        StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(count))
    };
    controller.create_stream(&wide, &fixed(8 * size)).await.unwrap();
    controller.update_stream(&wide, &fixed(8 * size - 1)).await.unwrap();
    let all = ReaderGroupConfiguration::new(names.iter().cloned()).unwrap();
    let one = ReaderGroupConfiguration::new(names[..1].to_vec()).unwrap();
    for number in 0..size / 4 {
        let name = if number == 0 { "g".to_owned() } else { format!("group-{number}") };
        let group = ScopedReaderGroup::new(scope.clone(), name.parse().unwrap());
        let configuration = if number == 0 { &all } else { &one };
        let configuration =
            configuration.clone().with_identity(Uuid::from_u128(1 + number as u128), Some(0));
        controller.create_reader_group(&group, &configuration).await.unwrap();
        let scope = Scope::new(format!("scope-{number}")).unwrap();
        controller.create_scope(&scope).await.unwrap();
    }
}

/// The time of each call at a size.
async fn times(size: usize) -> Vec<(Call, Duration)> {
    let server = EmbeddedServer::builder().with_rest_port(0).start().await.unwrap();
    let factory = ClientFactory::connect(&server.url()).await.unwrap();
    prepare(factory.controller(), size).await;
    let rest = Rest::at(&format!("127.0.0.1:{}", server.rest_port().unwrap()));
    let mut times = Vec::new();
    let mut succeeded = 0;
    for call in calls(size) {
        let begun = cpu_time();
        let response = call.ask(&rest).await;
        times.push((call, cpu_time().saturating_sub(begun)));
        succeeded += usize::from(response.status < 300);
    }
    assert!(succeeded >= 15, "{succeeded} calls succeeded");
    times
}

#[tokio::test]
async fn no_request_costs_more_than_its_share_of_the_largest_one() {
    let named: BTreeSet<(String, String)> =
        calls(1).iter().map(|call| (call.method.to_owned(), call.template.to_owned())).collect();
    assert_eq!(named, routes());
    let mut small = times(SMALL).await;
    for ((_, least), (_, again)) in small.iter_mut().zip(times(SMALL).await) {
        *least = again.min(*least);
    }
    let mut slow = BTreeSet::new();
    for attempt in 0..3 {
        // A cache that others use makes single runs slower.
        let large = times(LARGE).await;
        let found = small.iter().zip(&large).filter_map(|((_, small), (call, large))| {
            let is_slow = *large > (*small).max(SHORT) * TIMES;
            is_slow.then(|| format!("{} {}: {large:?} for {small:?}", call.method, call.template))
        });
        slow = found.collect();
        if slow.is_empty() {
            return;
        }
        println!("attempt {attempt}: {slow:?}");
    }
    panic!("more than their share: {slow:?}");
}
