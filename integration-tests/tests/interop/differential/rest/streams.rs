//! Requests about streams.

use pravega_sdk_integration_tests::harness::eventually;
use serde_json::{Value, json};

use super::both::Both;

fn fixed(count: i32) -> Value {
    json!({ "type": "FIXED_NUM_SEGMENTS", "minSegments": count })
}

/// A request to create a stream, with one part replaced.
fn stream(name: &str, part: &str, value: Value) -> Value {
    let mut stream = json!({ "streamName": name, "scalingPolicy": fixed(2) });
    stream[part] = value;
    stream
}

/// Creation: good, bad, there already, in a missing scope.
pub(super) async fn creations(both: &mut Both) {
    let path = both.path("/streams");
    let whole = json!({
        "streamName": "stream",
        "scalingPolicy": fixed(2),
        "retentionPolicy": { "type": "LIMITED_DAYS", "value": 123 },
        "streamTags": ["b", "a", "b"],
        "timestampAggregationTimeout": 1000,
        "rolloverSizeBytes": 1024,
    });
    both.put("a stream", "POST", &path, &whole).await;
    both.put("a stream: again", "POST", &path, &whole).await;
    let elsewhere = "/v1/scopes/none-of-this-name/streams";
    both.put("a stream: in a missing scope", "POST", elsewhere, &whole).await;
    for (case, name) in [
        ("a stream: a bad name", json!("a b")),
        ("a stream: an internal name", json!("_a")),
        ("a stream: an empty name", json!("")),
        ("a stream: a long name", json!("x".repeat(251))),
        ("a stream: no name", json!(null)),
    ] {
        both.put(case, "POST", &path, &stream("", "streamName", name)).await;
    }
    both.put("a stream: the longest name", "POST", &path, &stream(&"x".repeat(250), "a", json!(1)))
        .await;
    let tags = |count: usize, len: usize| {
        json!((0..count).map(|tag| format!("{tag:0>len$}")).collect::<Vec<_>>())
    };
    for (case, name, part, value) in [
        ("a stream: a negative rollover size", "t1", "rolloverSizeBytes", json!(-1)),
        ("a stream: a negative timeout", "t2", "timestampAggregationTimeout", json!(-1)),
        ("a stream: a long tag", "t3", "streamTags", tags(1, 256)),
        ("a stream: the longest tag", "t4", "streamTags", tags(1, 255)),
        ("a stream: too many tags", "t5", "streamTags", tags(128, 5)),
        ("a stream: as many tags as there can be", "t6", "streamTags", tags(127, 5)),
        ("a stream: an empty tag", "t7", "streamTags", json!([""])),
    ] {
        both.put(case, "POST", &path, &stream(name, part, value)).await;
    }
}

/// Scaling policies: good and bad.
pub(super) async fn scaling_policies(both: &mut Both) {
    let path = both.path("/streams");
    let by = |kind: &str, rate: i32| {
        let mut policy = json!({ "type": kind, "scaleFactor": 2, "minSegments": 1 });
        policy["targetRate"] = json!(rate);
        policy
    };
    let kind = |kind: &str| json!({ "type": kind, "minSegments": 1 });
    for (case, name, policy) in [
        ("a stream: by bytes", "s1", by("BY_RATE_IN_KBYTES_PER_SEC", 3)),
        ("a stream: by events", "s2", by("BY_RATE_IN_EVENTS_PER_SEC", 3)),
        ("a stream: a rate of 0", "s4", by("BY_RATE_IN_EVENTS_PER_SEC", 0)),
        ("a stream: no rate", "s5", kind("BY_RATE_IN_EVENTS_PER_SEC")),
        ("a stream: no scaling policy", "s6", json!(null)),
        ("a stream: no scaling type", "s7", json!({ "minSegments": 1 })),
        ("a stream: no segments", "s8", fixed(0)),
        ("a stream: no number of segments", "s9", json!({ "type": "FIXED_NUM_SEGMENTS" })),
        ("a stream: a number for a policy", "s10", json!(5)),
    ] {
        both.put(case, "POST", &path, &stream(name, "scalingPolicy", policy)).await;
    }
    // In a scope of their own: the Java server creates them.
    let odd = format!("{}-odd", both.scope);
    both.put("a scope for odd streams", "POST", "/v1/scopes", &json!({ "scopeName": odd })).await;
    let odd = format!("/v1/scopes/{odd}/streams");
    let fixed = |count: Value| json!({ "type": "FIXED_NUM_SEGMENTS", "minSegments": count });
    for (case, name, policy) in [
        ("a stream: an unknown scaling type", "o1", by("NONE_OF_THESE", 3)),
        ("a stream: a number as text", "o2", fixed(json!("2"))),
        ("a stream: a fraction for a number", "o3", fixed(json!(2.5))),
    ] {
        both.put(case, "POST", &odd, &stream(name, "scalingPolicy", policy)).await;
    }
}

/// Retention policies: good and bad.
pub(super) async fn retention_policies(both: &mut Both) {
    let path = both.path("/streams");
    let period = json!({ "days": 1, "hours": 2, "minutes": 3 });
    for (case, name, policy) in [
        ("a stream: a size", "r1", json!({ "type": "LIMITED_SIZE_MB", "value": 5 })),
        (
            "a stream: two sizes",
            "r2",
            json!({ "type": "LIMITED_SIZE_MB", "value": 5, "maxValue": 9 }),
        ),
        ("a stream: a size without a value", "r3", json!({ "type": "LIMITED_SIZE_MB" })),
        ("a stream: no retention type", "r4", json!({ "value": 5 })),
        (
            "a stream: a period",
            "r5",
            json!({ "type": "LIMITED_DAYS", "value": 0, "timeBasedRetention": period }),
        ),
        (
            "a stream: days and a period",
            "r6",
            json!({ "type": "LIMITED_DAYS", "value": 2, "timeBasedRetention": period }),
        ),
        (
            "a stream: days without a value",
            "r7",
            json!({ "type": "LIMITED_DAYS", "timeBasedRetention": period }),
        ),
        (
            "a stream: half a period",
            "r8",
            json!({ "type": "LIMITED_DAYS", "value": 0, "timeBasedRetention": { "days": 1 } }),
        ),
        (
            "a stream: days and a limit",
            "r9",
            json!({ "type": "LIMITED_DAYS", "value": 1, "maxValue": 3 }),
        ),
        (
            "a stream: days and a period as a limit",
            "r10",
            json!({ "type": "LIMITED_DAYS", "value": 1, "maxTimeBasedRetention": period }),
        ),
        ("a stream: negative days", "r11", json!({ "type": "LIMITED_DAYS", "value": -1 })),
        ("a stream: no days", "r12", json!({ "type": "LIMITED_DAYS", "value": 0 })),
        ("a stream: no retention", "r13", json!(null)),
    ] {
        both.put(case, "POST", &path, &stream(name, "retentionPolicy", policy)).await;
        let shown = both.path(&format!("/streams/{name}"));
        both.ask(&format!("{case}, shown"), "GET", &shown).await;
    }
}

/// Lists by each filter.
pub(super) async fn lists(both: &mut Both) {
    for (case, question) in [
        ("streams: own", ""),
        ("streams: a slash", "/"),
        ("streams: internal", "?filter_type=showInternalStreams"),
        ("streams: with a tag", "?filter_type=tag&filter_value=a"),
        ("streams: with a tag of none", "?filter_type=tag&filter_value=none"),
        ("streams: no tag", "?filter_type=tag"),
        ("streams: an empty tag", "?filter_type=tag&filter_value="),
        ("streams: an unknown filter", "?filter_type=none&filter_value=a"),
        ("streams: a tag without a filter", "?filter_value=a"),
    ] {
        both.ask(case, "GET", &both.path(&format!("/streams{question}"))).await;
    }
    let elsewhere = "/v1/scopes/none-of-this-name/streams";
    both.ask("streams of a missing scope", "GET", elsewhere).await;
    let tagged = format!("{elsewhere}?filter_type=tag&filter_value=a");
    both.ask("streams with a tag of a missing scope", "GET", &tagged).await;
    both.ask("a stream, shown", "GET", &both.path("/streams/stream")).await;
    both.ask("a mark stream", "GET", &both.path("/streams/_MARKstream")).await;
    both.ask("a missing stream", "GET", &both.path("/streams/none")).await;
    both.ask("a stream of a missing scope", "GET", &format!("{elsewhere}/stream")).await;
}

/// Updates: good, bad, of missing ones.
pub(super) async fn updates(both: &mut Both) {
    let path = both.path("/streams/stream");
    let settings = json!({
        "scalingPolicy": fixed(4),
        "streamTags": ["c"],
        "timestampAggregationTimeout": 2000,
    });
    both.put("an update", "PUT", &path, &settings).await;
    both.ask("the stream after it", "GET", &path).await;
    both.put("an update: the same", "PUT", &path, &settings).await;
    both.put("an update: nothing", "PUT", &path, &json!({})).await;
    both.put("an update: no segments", "PUT", &path, &json!({ "scalingPolicy": fixed(0) })).await;
    let missing = both.path("/streams/none");
    both.put("an update of a missing stream", "PUT", &missing, &settings).await;
    let elsewhere = "/v1/scopes/none-of-this-name/streams/stream";
    both.put("an update in a missing scope", "PUT", elsewhere, &settings).await;
    both.send("an update: no type", "PUT", &path, "", &settings.to_string()).await;
}

/// Scaling events, with good and bad times.
pub(super) async fn scaling(both: &mut Both) {
    let path = both.path("/streams/stream/scaling-events");
    let ever = format!("{path}?from=0&to=99999999999999");
    // The Java server scales a moment after it answers an update.
    let real = both.real.clone();
    eventually("the update has scaled the stream", async || {
        real.ask("GET", &ever).await.json().as_array().is_some_and(|events| events.len() == 2)
    })
    .await;
    both.ask("scaling events", "GET", &ever).await;
    for (case, question) in [
        ("scaling events: no times", ""),
        ("scaling events: one time", "?from=0"),
        ("scaling events: an empty time", "?from=&to=1"),
        ("scaling events: text for a time", "?from=x&to=1"),
        ("scaling events: a large time", "?from=0&to=99999999999999999999"),
        ("scaling events: a negative time", "?from=-1&to=1"),
        ("scaling events: the end first", "?from=5&to=1"),
        ("scaling events: before the stream", "?from=0&to=1"),
        ("scaling events: after all", "?from=99999999999998&to=99999999999999"),
    ] {
        both.ask(case, "GET", &format!("{path}{question}")).await;
    }
    let missing = both.path("/streams/none/scaling-events?from=0&to=1");
    both.ask("scaling events of a missing stream", "GET", &missing).await;
    let elsewhere = "/v1/scopes/none-of-this-name/streams/stream/scaling-events?from=0&to=1";
    both.ask("scaling events of a missing scope", "GET", elsewhere).await;
}

/// Sealed and deleted streams, and a scope that is not empty.
pub(super) async fn ends(both: &mut Both) {
    let path = both.path("/streams/stream");
    let (state, sealed) = (format!("{path}/state"), json!({ "streamState": "SEALED" }));
    both.ask("deletion of an unsealed stream", "DELETE", &path).await;
    both.ask("deletion of a full scope", "DELETE", &both.path("")).await;
    both.put("another state", "PUT", &state, &json!({ "streamState": "OPEN" })).await;
    both.put("no state", "PUT", &state, &json!({})).await;
    let missing = both.path("/streams/none/state");
    both.put("sealing a missing stream", "PUT", &missing, &sealed).await;
    both.put("sealing", "PUT", &state, &sealed).await;
    both.put("sealing again", "PUT", &state, &sealed).await;
    let settings = json!({ "scalingPolicy": fixed(2) });
    both.put("an update of a sealed stream", "PUT", &path, &settings).await;
    both.ask("a sealed stream", "GET", &path).await;
    both.ask("deletion", "DELETE", &path).await;
    both.ask("deletion of a deleted stream", "DELETE", &path).await;
    both.ask("deletion of a missing stream", "DELETE", &both.path("/streams/none")).await;
    let elsewhere = "/v1/scopes/none-of-this-name/streams/stream";
    both.ask("deletion in a missing scope", "DELETE", elsewhere).await;
}
