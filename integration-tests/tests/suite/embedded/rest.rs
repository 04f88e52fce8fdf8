//! The REST interface: its calls, who may make them, and clients that break its rules.

use std::time::Duration;

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_event_stream::codec::Raw;
use pravega_sdk_integration_tests::harness::{
    self, FAR, eventually,
    rest::{Rest, response},
};
use pravega_sdk_server::{EmbeddedServer, Presence, ServerBuilder};
use pravega_sdk_types::{ReaderGroupConfiguration, Scope, ScopedStream, Stream};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};
use uuid::Uuid;

/// Every call, by its method and a path; with a body if it takes one.
fn calls() -> Vec<(&'static str, &'static str, Option<Value>)> {
    let settings = json!({ "scalingPolicy": fixed(1) });
    let stream = json!({ "streamName": "new", "scalingPolicy": fixed(1) });
    vec![
        ("GET", "/v1/scopes", None),
        ("POST", "/v1/scopes", Some(json!({ "scopeName": "new" }))),
        ("GET", "/v1/scopes/s", None),
        ("DELETE", "/v1/scopes/s", None),
        ("GET", "/v1/scopes/s/streams", None),
        ("POST", "/v1/scopes/s/streams", Some(stream)),
        ("GET", "/v1/scopes/s/streams/t", None),
        ("PUT", "/v1/scopes/s/streams/t", Some(settings)),
        ("DELETE", "/v1/scopes/s/streams/t", None),
        ("PUT", "/v1/scopes/s/streams/t/state", Some(json!({ "streamState": "SEALED" }))),
        ("GET", "/v1/scopes/s/streams/t/scaling-events?from=0&to=1", None),
        ("GET", "/v1/scopes/s/readergroups", None),
        ("GET", "/v1/scopes/s/readergroups/g", None),
        ("DELETE", "/v1/scopes/s/readergroups/g", None),
        ("GET", "/v1/health/details", None),
        ("GET", "/metrics", None),
    ]
}

fn fixed(count: i32) -> Value {
    json!({ "type": "FIXED_NUM_SEGMENTS", "minSegments": count })
}

async fn start(builder: ServerBuilder) -> (EmbeddedServer, Rest) {
    let server = builder.with_rest_port(0).start().await.unwrap();
    let rest = Rest::at(&address(&server));
    (server, rest)
}

fn address(server: &EmbeddedServer) -> String {
    format!("127.0.0.1:{}", server.rest_port().unwrap())
}

async fn ask(rest: &Rest, call: &(&str, &str, Option<Value>)) -> u16 {
    let (method, path, body) = call;
    match body {
        None => rest.ask(method, path).await.status,
        Some(body) => rest.put(method, path, body).await.status,
    }
}

#[tokio::test]
async fn scopes_and_streams_are_created_changed_shown_and_deleted() {
    let (_server, rest) = start(harness::builder()).await;
    let scope = json!({ "scopeName": "s" });
    let created = rest.put("POST", "/v1/scopes", &scope).await;
    assert_eq!((created.status, created.json()), (201, scope.clone()));
    assert_eq!(rest.put("POST", "/v1/scopes", &scope).await.status, 409);
    let shown = rest.ask("GET", "/v1/scopes/s").await;
    assert_eq!((shown.status, shown.json()), (200, scope));

    let stream = json!({
        "streamName": "t",
        "scalingPolicy": fixed(2),
        "retentionPolicy": { "type": "LIMITED_SIZE_MB", "value": 5 },
        "streamTags": ["x", "y"],
        "timestampAggregationTimeout": 1000,
        "rolloverSizeBytes": 1024,
    });
    let property = json!({
        "scopeName": "s",
        "streamName": "t",
        "scalingPolicy": fixed(2),
        "retentionPolicy": { "type": "LIMITED_SIZE_MB", "value": 5 },
        "tags": ["x", "y"],
        "timestampAggregationTimeout": 1000,
        "rolloverSizeBytes": 1024,
    });
    let created = rest.put("POST", "/v1/scopes/s/streams", &stream).await;
    assert_eq!((created.status, created.json()), (201, property.clone()));
    assert_eq!(rest.put("POST", "/v1/scopes/s/streams", &stream).await.status, 409);
    assert_eq!(rest.ask("GET", "/v1/scopes/s/streams/t").await.json(), property);
    let listed = json!({ "streams": [property] });
    for path in ["", "/", "?filter_type=tag&filter_value=x", "?filter_type=none"] {
        let path = format!("/v1/scopes/s/streams{path}");
        assert_eq!(rest.ask("GET", &path).await.json(), listed, "{path}");
    }
    let tagged = rest.ask("GET", "/v1/scopes/s/streams?filter_type=tag&filter_value=z").await;
    assert_eq!(tagged.json(), json!({ "streams": [] }));
    let internal = rest.ask("GET", "/v1/scopes/s/streams?filter_type=showInternalStreams").await;
    assert_eq!(internal.json()["streams"][0]["streamName"], "_MARKt");

    let settings = json!({ "scalingPolicy": fixed(4) });
    let updated = rest.put("PUT", "/v1/scopes/s/streams/t", &settings).await;
    assert_eq!((updated.status, &updated.json()["scalingPolicy"]), (200, &fixed(4)));
    let events = rest.ask("GET", "/v1/scopes/s/streams/t/scaling-events?from=0&to=99999999999999");
    let events = events.await.json();
    let shape =
        |event: &Value| (event["segments"].as_array().unwrap().len(), event["splits"].clone());
    let events: Vec<_> = events.as_array().unwrap().iter().map(shape).collect();
    assert_eq!(events, [(2, json!(0)), (4, json!(2))]);

    assert_eq!(rest.ask("DELETE", "/v1/scopes/s").await.status, 412);
    assert_eq!(rest.ask("DELETE", "/v1/scopes/s/streams/t").await.status, 412);
    let sealed = json!({ "streamState": "SEALED" });
    for _ in 0..2 {
        let state = rest.put("PUT", "/v1/scopes/s/streams/t/state", &sealed).await;
        assert_eq!((state.status, state.json()), (200, sealed.clone()));
    }
    assert_eq!(rest.ask("DELETE", "/v1/scopes/s/streams/t").await.status, 204);
    assert_eq!(rest.ask("DELETE", "/v1/scopes/s").await.status, 204);
    assert_eq!(rest.ask("GET", "/v1/scopes/s").await.status, 404);
}

#[tokio::test]
async fn the_scope_of_pravega_itself_exists_and_stays() {
    let (server, rest) = start(harness::builder()).await;
    let scopes = json!({ "scopes": [{ "scopeName": "_system" }] });
    assert_eq!(rest.ask("GET", "/v1/scopes").await.json(), scopes);
    assert_eq!(rest.ask("DELETE", "/v1/scopes/_system").await.status, 412);
    let factory = ClientFactory::connect(&server.url()).await.unwrap();
    let system = Scope::internal("_system").unwrap();
    assert!(factory.controller().scope_exists(&system).await.unwrap());
    factory.controller().delete_scope_recursive(&system).await.unwrap_err();
    assert_eq!(rest.ask("GET", "/v1/scopes").await.json(), scopes);
}

/// The bytes of a group's state, as the Java client writes them.
fn state_of(readers: &[&str]) -> Vec<Vec<u8>> {
    let object = |kind: u8, body: &[u8]| {
        let len = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[0, kind, 0, 1, 0][..], &len[..], body].concat()
    };
    let added = readers.iter().map(|reader| {
        let name = [&[0, u8::try_from(reader.len()).unwrap()][..], reader.as_bytes()].concat();
        let update = object(2, &name);
        let len = u32::try_from(update.len()).unwrap().to_be_bytes();
        [&[0, 0, 0, 2][..], &len[..], &update[..]].concat()
    });
    let new = [&[0, 0, 0, 1][..], &object(0, &[])].concat();
    std::iter::once(new).chain(added).collect()
}

#[tokio::test]
async fn reader_groups_are_shown_with_their_streams_and_readers_and_deleted() {
    let (server, rest) = start(harness::builder()).await;
    rest.put("POST", "/v1/scopes", &json!({ "scopeName": "s" })).await;
    assert_eq!(rest.ask("GET", "/v1/scopes/s/readergroups").await.json(), json!({}));
    for stream in ["t", "u"] {
        let stream = json!({ "streamName": stream, "scalingPolicy": fixed(1) });
        rest.put("POST", "/v1/scopes/s/streams", &stream).await;
    }
    let factory = ClientFactory::connect(&server.url()).await.unwrap();
    let scope = Scope::new("s").unwrap();
    let group = "s/g".parse().unwrap();
    let streams = ["s/t", "s/u"].map(|stream| stream.parse().unwrap());
    let configuration = ReaderGroupConfiguration::new(streams).unwrap();
    let configuration = configuration.with_identity(Uuid::from_u128(7), Some(0));
    factory.controller().create_reader_group(&group, &configuration).await.unwrap();
    let listed = rest.ask("GET", "/v1/scopes/s/readergroups").await;
    assert_eq!(listed.json(), json!({ "readerGroups": [{ "readerGroupName": "g" }] }));
    let shown = |readers: &[&str]| {
        json!({
            "scopeName": "s",
            "readerGroupName": "g",
            "onlineReaderIds": readers,
            "streamList": ["s/t", "s/u"],
        })
    };
    assert_eq!(rest.ask("GET", "/v1/scopes/s/readergroups/g").await.json(), shown(&[]));

    let state = ScopedStream::new(scope, Stream::internal("_RGg").unwrap());
    let writer = factory.event_writer(&state, Raw).await.unwrap();
    for event in state_of(&["reader1", "reader2"]) {
        writer.write("", event).await.unwrap();
    }
    let online = rest.ask("GET", "/v1/scopes/s/readergroups/g").await.json();
    assert_eq!(online, shown(&["reader1", "reader2"]));
    // Bytes that are no state hide the readers, nothing else.
    writer.write("", vec![9; 9]).await.unwrap();
    let unreadable = rest.ask("GET", "/v1/scopes/s/readergroups/g").await.json();
    assert_eq!(unreadable.get("onlineReaderIds"), None);
    assert_eq!(unreadable["streamList"], json!(["s/t", "s/u"]));

    assert_eq!(rest.ask("DELETE", "/v1/scopes/s/readergroups/g").await.status, 204);
    assert_eq!(rest.ask("DELETE", "/v1/scopes/s/readergroups/g").await.status, 404);
    assert_eq!(rest.ask("GET", "/v1/scopes/s/readergroups/g").await.status, 404);
}

#[tokio::test]
async fn the_readers_of_a_group_are_shown_after_a_restart_when_their_state_is_on_the_disk_only() {
    let folder = tempfile::tempdir().unwrap();
    let builder = || EmbeddedServer::builder().with_directory(folder.path());
    let (server, rest) = start(builder()).await;
    rest.put("POST", "/v1/scopes", &json!({ "scopeName": "s" })).await;
    let stream = json!({ "streamName": "t", "scalingPolicy": fixed(1) });
    rest.put("POST", "/v1/scopes/s/streams", &stream).await;
    let factory = ClientFactory::connect(&server.url()).await.unwrap();
    let configuration = ReaderGroupConfiguration::new(["s/t".parse().unwrap()]).unwrap();
    let configuration = configuration.with_identity(Uuid::from_u128(7), Some(0));
    let group = "s/g".parse().unwrap();
    factory.controller().create_reader_group(&group, &configuration).await.unwrap();
    let state = ScopedStream::new(Scope::new("s").unwrap(), Stream::internal("_RGg").unwrap());
    let writer = factory.event_writer(&state, Raw).await.unwrap();
    for event in state_of(&["reader1", "reader2"]) {
        writer.write("", event).await.unwrap();
    }
    server.shutdown().await;

    let (_server, rest) = start(builder()).await;
    let shown = rest.ask("GET", "/v1/scopes/s/readergroups/g").await.json();
    assert_eq!(shown["onlineReaderIds"], json!(["reader1", "reader2"]));
}

#[tokio::test]
async fn every_call_needs_an_account_before_anything_else_is_looked_at() {
    let builder = harness::builder().with_account("ann", "secret");
    let (_server, nobody) = start(builder).await;
    let wrong = nobody.clone().with("Authorization", "Basic YW5uOndyb25n");
    let ann = nobody.clone().with("Authorization", "Basic YW5uOnNlY3JldA==");
    for call in calls() {
        for refused in [&nobody, &wrong] {
            assert_eq!(ask(refused, &call).await, 401, "{call:?}");
        }
        assert_ne!(ask(&ann, &call).await, 401, "{call:?}");
    }
    let bad = nobody.send("POST", "/v1/scopes", "", "not even JSON").await;
    assert_eq!(bad.status, 401);
    assert_eq!(nobody.ask("GET", "/ping").await.status, 200);
    assert_eq!(nobody.ask("GET", "/v1/health/status").await.json(), "UP");
}

#[tokio::test]
async fn every_call_to_a_foreign_host_is_refused() {
    let (_server, rest) = start(harness::builder().with_rest_host("pravega.test")).await;
    let to = async |method: &str, path: &str, host: &str| {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        rest.raw(request.as_bytes()).await.status
    };
    for (method, path, _) in calls() {
        assert_eq!(to(method, path, "evil.test").await, 421, "{method} {path}");
        assert_eq!(to(method, &format!("http://evil.test{path}"), "localhost").await, 421);
    }
    for own in ["localhost", "127.0.0.1:9091", "[::1]", "pravega.test:80", "PRAVEGA.TEST"] {
        assert_eq!(to("GET", "/v1/scopes", own).await, 200, "{own}");
    }
    for bad in ["", "user@localhost", "localhost\r\nHost: localhost"] {
        assert_eq!(to("GET", "/v1/scopes", bad).await, 400, "{bad}");
    }
}

#[tokio::test]
async fn requests_that_two_sides_would_read_differently_are_refused() {
    let (_server, rest) = start(harness::builder()).await;
    let scope = r#"{"scopeName":"s"}"#;
    let chunked = format!("{:x}\r\n{scope}\r\n0\r\n\r\n", scope.len());
    let json = "Content-Type: application/json\r\n";
    let (encoding, len) = ("Transfer-Encoding: chunked\r\n", "Content-Length: 4\r\n");
    for fields in [format!("{json}{encoding}{len}"), format!("{json}{len}{encoding}")] {
        let both = rest.send("POST", "/v1/scopes", &fields, &chunked).await;
        assert_eq!(both.status, 400, "{fields}");
    }
    // A second request on a connection is never answered.
    let one = "GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answers = rest.raw(format!("{one}{one}").as_bytes()).await;
    assert!(!answers.body.contains("HTTP/1.1"), "{answers:?}");
    let allowed = rest.send("POST", "/v1/scopes", &format!("{json}{encoding}"), &chunked).await;
    assert_eq!(allowed.status, 201);
}

#[tokio::test]
async fn a_body_that_is_not_the_json_of_the_call_is_refused_with_a_reason() {
    let (_server, rest) = start(harness::builder()).await;
    let json = "Content-Type: application/json\r\n";
    for (kind, body, status) in [
        (json, "", 400),
        (json, "{", 400),
        (json, "null", 400),
        (json, r#"["s"]"#, 400),
        (json, r#"{"scopeName":"a b"}"#, 400),
        (json, r#"{"scopeName":"_s"}"#, 400),
        // What a page of another site can send without asking.
        ("", r#"{"scopeName":"s"}"#, 415),
        ("Content-Type: text/plain\r\n", r#"{"scopeName":"s"}"#, 415),
        ("Content-Type: application/x-www-form-urlencoded\r\n", r#"{"scopeName":"s"}"#, 415),
        ("Content-Type: application/json; charset=utf-8\r\n", r#"{"scopeName":"s"}"#, 201),
    ] {
        let refused = rest.send("POST", "/v1/scopes", kind, body).await;
        assert_eq!(refused.status, status, "{kind}{body}");
        assert!(!refused.body.is_empty(), "{kind}{body}");
    }
    let long = format!(r#"{{"scopeName":"s","x":"{}"}}"#, "x".repeat(300_000));
    assert_eq!(rest.send("POST", "/v1/scopes", json, &long).await.status, 413);
    let chunked = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    let fields = format!("{json}Transfer-Encoding: chunked\r\n");
    assert_eq!(rest.send("POST", "/v1/scopes", &fields, &chunked).await.status, 413);
}

/// Streams with as many tags as there can be, whose list is about 10 MB.
async fn long_list(rest: &Rest) -> (usize, &'static str) {
    rest.put("POST", "/v1/scopes", &json!({ "scopeName": "long" })).await;
    let tags: Vec<String> = (0..127).map(|number| format!("{number:0>255}")).collect();
    for number in 0..300 {
        let stream = format!("t{number:03}");
        let stream = json!({ "streamName": stream, "scalingPolicy": fixed(1), "streamTags": tags });
        assert_eq!(rest.put("POST", "/v1/scopes/long/streams", &stream).await.status, 201);
    }
    (300, "/v1/scopes/long/streams")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_is_whole_and_clients_that_do_not_take_it_are_let_go() {
    let (_server, rest) = start(harness::builder()).await;
    let (count, path) = long_list(&rest).await;
    let listed = rest.ask("GET", path).await;
    assert!(listed.body.len() > 8 << 20, "{} bytes", listed.body.len());
    let names: Vec<String> = listed.json()["streams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stream| stream["streamName"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, (0..count).map(|number| format!("t{number:03}")).collect::<Vec<_>>());

    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut wait = Duration::from_secs(7);
    eventually("a client that takes nothing is let go", async || {
        let stuck = rest.begin(request.as_bytes()).await;
        tokio::time::sleep(wait).await;
        wait *= 2;
        response(stuck).await.is_none()
    })
    .await;
}

/// Asks until the server has a connection for it.
async fn ask_until_served(rest: &Rest) {
    let request = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n";
    eventually("the request is served", async || {
        response(rest.begin(request).await).await.is_some_and(|response| response.status == 200)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_are_silent_or_slow_are_let_go() {
    let (_server, rest) = start(harness::builder()).await;
    let head = "POST /v1/scopes HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/json\r\nContent-Length: 100\r\n\r\n";
    let begins = ["", "GET", "GET / HTTP/1.1\r\nHost: loc", head, &format!("{head}{{")];
    let mut ends = Vec::new();
    for number in 0..40 {
        let socket = rest.begin(begins[number % begins.len()].as_bytes()).await;
        ends.push(tokio::spawn(async move {
            // A client that sends a byte now and then is as slow as a silent one.
            let (mut reading, mut writing) = socket.into_split();
            let dripping = tokio::spawn(async move {
                while number % 2 == 0 && writing.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                std::future::pending::<()>().await;
            });
            let mut rest = Vec::new();
            reading.read_to_end(&mut rest).await.ok();
            dripping.abort();
        }));
    }
    ask_until_served(&rest).await;
    for end in ends {
        timeout(FAR, end).await.expect("the connection stays open").unwrap();
    }
}

#[tokio::test]
async fn health_is_that_of_the_controller() {
    let (server, rest) = start(harness::builder()).await;
    let health = |status, readiness| {
        json!({
            "name": "",
            "status": status,
            "readiness": readiness,
            "liveness": true,
            "details": {},
            "children": {},
        })
    };
    assert_eq!(rest.ask("GET", "/v1/health").await.json(), health("UP", true));
    assert_eq!(rest.ask("GET", "/v1/health/none").await.status, 404);
    server.faults().controller(Presence::Away);
    assert_eq!(rest.ask("GET", "/v1/health").await.json(), health("DOWN", false));
    assert_eq!(rest.ask("GET", "/v1/health/liveness").await.json(), true);
    assert_eq!(rest.ask("GET", "/v1/scopes").await.status, 503);
}

#[tokio::test]
async fn the_service_lists_its_paths_and_has_figures_of_the_server() {
    let (server, rest) = start(harness::builder()).await;
    let index = rest.ask("GET", "/").await;
    assert_eq!((index.status, index.body.contains("/v1/scopes/SCOPE/streams")), (200, true));
    let figure = async |name: &str| -> u64 {
        let body = rest.ask("GET", "/metrics").await.body;
        let line = body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name}: {body}")).parse().unwrap()
    };
    assert_eq!(figure("pravega_ready").await, 1);
    let before = figure("pravega_segments").await;
    let scope = json!({ "scopeName": "s" });
    assert_eq!(rest.put("POST", "/v1/scopes", &scope).await.status, 201);
    let stream = json!({ "streamName": "t", "scalingPolicy": fixed(3) });
    assert_eq!(rest.put("POST", "/v1/scopes/s/streams", &stream).await.status, 201);
    // Also that of the marks.
    assert!(figure("pravega_segments").await >= before + 3);
    let (held, limit) = ("pravega_memory_held_bytes", "pravega_memory_limit_bytes");
    assert!((1..figure(limit).await).contains(&figure(held).await));
    server.faults().controller(Presence::Away);
    assert_eq!(figure("pravega_ready").await, 0);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() {
    let (_server, rest) = start(harness::builder()).await;
    for path in ["/v1", "/v1/none", "/v2/scopes", "/v1/scopes/none", "/v1/scopes/%ff/streams"] {
        let status = rest.ask("GET", path).await.status;
        assert!([400, 404].contains(&status), "{path}: {status}");
    }
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        assert_eq!(rest.ask(method, "/v1/scopes").await.status, 405, "{method}");
    }
    let events = "/v1/scopes/s/streams/t/scaling-events";
    for (query, status) in [
        ("", 400),
        ("?from=0", 400),
        ("?from=1&to=0", 400),
        ("?from=-1&to=0", 400),
        ("?from=x&to=0", 404),
        ("?from=0&to=1", 404),
    ] {
        assert_eq!(rest.ask("GET", &format!("{events}{query}")).await.status, status, "{query}");
    }
}
