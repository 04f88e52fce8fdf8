//! `pravega group`, against a real server.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use pravega_sdk_event_stream::group::{GroupStore, GroupUpdate};
use pravega_sdk_integration_tests::harness::{
    factory,
    tool::{command, fails, good, json, pravega, stderr, stdout},
    unique,
};
use pravega_sdk_table_synchronizer::StateConfig;
use pravega_sdk_types::ScopedReaderGroup;
use serde_json::Value;

/// Creates a scope with a stream of two segments, and the name of a group.
fn place() -> (String, String) {
    let scope = unique("cli");
    let stream = format!("{scope}/orders");
    good(&["scope", "create", &scope]);
    good(&["stream", "create", &stream, "--segments", "2"]);
    (stream, format!("{scope}/billing"))
}

/// Changes the state of a group as its readers do.
async fn apply(group: &str, updates: &[GroupUpdate]) {
    let factory = factory().await;
    let group: ScopedReaderGroup = group.parse().unwrap();
    let config = StateConfig::default();
    let mut store = GroupStore::open(factory.segment_context(), &group, config).await.unwrap();
    store.fetch().await.unwrap();
    store.change(|_, made| made.extend(updates.iter().cloned())).await.unwrap();
}

/// A reader joins with the first segment.
async fn join(group: &str, stream: &str, reader: &str) {
    let segment = format!("{stream}/0.#epoch.0").parse().unwrap();
    let (joining, reader) = (reader.into(), reader.into());
    apply(
        group,
        &[
            GroupUpdate::AddReader { reader: joining },
            GroupUpdate::AcquireSegment { reader, segment },
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_created_described_and_deleted_at_the_terminal() {
    let (stream, group) = place();
    let scope = stream.split('/').next().unwrap();
    let created = pravega(&["group", "create", &group, "--stream", &stream]);
    assert_eq!(stderr(&created), format!("created group {group}\n"));
    let again = pravega(&["group", "create", &group, "--stream", &stream]);
    assert_eq!(stderr(&again), format!("group {group} already exists\n"));
    let other = ["group", "create", &group, "--stream", &stream, "--refresh-interval", "1s"];
    let refused = fails(4, &other);
    assert!(refused.contains("differs in: refresh interval"), "{refused}");
    assert_eq!(json(&["group", "list", scope])[0]["group"], group);

    join(&group, &stream, "r1").await;
    let described = &json(&["group", "describe", &group])[0];
    assert_eq!((&described["generation"], &described["readers"][0]), (&0.into(), &"r1".into()));
    assert_eq!((&described["unread_bytes"], &described["streams"][0]), (&0.into(), &stream.into()));
    let holders: Vec<&Value> =
        described["segments"].as_array().unwrap().iter().map(|it| &it["reader"]).collect();
    assert_eq!(holders, ["r1", "(unassigned)"]);
    let text = good(&["group", "describe", &group]);
    assert!(text.lines().any(|line| line.starts_with("r1\t")), "{text}");
    assert!(good(&["-o", "table", "group", "describe", &group]).contains("(unassigned)"));

    good(&["group", "delete", &group]);
    for command in ["delete", "describe", "checkpoint", "cuts", "watch"] {
        let missing = fails(3, &["group", command, &group]);
        assert!(missing.contains(&group), "{command}: {missing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_in_a_table_is_created_described_and_deleted_at_the_terminal() {
    let (stream, group) = place();
    let create = ["group", "create", &group, "--stream", &stream, "--store", "table"];
    assert_eq!(stderr(&pravega(&create)), format!("created group {group}\n"));
    assert_eq!(stderr(&pravega(&create)), format!("group {group} already exists\n"));
    let refused = fails(4, &["group", "create", &group, "--stream", &stream]);
    assert!(refused.contains("differs in: the storage"), "{refused}");
    join(&group, &stream, "r1").await;
    let described = &json(&["group", "describe", &group])[0];
    assert_eq!((&described["store"], &described["readers"][0]), (&"table".into(), &"r1".into()));
    let other = format!("{group}-other");
    good(&["group", "create", &other, "--stream", &stream]);
    assert_eq!(json(&["group", "describe", &other])[0]["store"], "stream");
    good(&["group", "offline", &group, "r1"]);
    good(&["group", "reset", &group, "--from", "tail"]);
    good(&["group", "delete", &group]);
    assert!(fails(3, &["group", "describe", &group]).contains(&group));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_names_the_readers_that_hold_it_up_until_they_are_taken_offline() {
    let (stream, group) = place();
    good(&["group", "create", &group, "--stream", &stream, "--checkpoint-interval", "never"]);
    join(&group, &stream, "r1").await;
    let taking = ["group", "checkpoint", &group, "--name", "nightly", "--wait", "300ms"];
    let late = fails(5, &taking);
    assert!(late.contains("it waits for the readers r1"), "{late}");
    assert!(late.contains(&format!("pravega group offline {group} r1")), "{late}");
    let unknown = fails(3, &["group", "offline", &group, "r2"]);
    assert!(unknown.contains("its readers are r1"), "{unknown}");
    let elsewhere = format!("{stream}/7.#epoch.0=0");
    let refused = fails(2, &["group", "offline", &group, "r1", "--at", &elsewhere]);
    assert!(refused.contains(&format!("r1 does not have {stream}/7.#epoch.0")), "{refused}");
    let place = format!("{stream}/0.#epoch.0=0");
    good(&["group", "offline", &group, "r1", "--at", &place]);
    let checkpoint = good(&taking).trim().to_owned();
    let other = format!("{group}-again");
    good(&["group", "create", &other, "--from-checkpoint", &checkpoint]);
    let (cuts, others) = (good(&["group", "cuts", &group]), json(&["group", "cuts", &other]));
    assert_eq!(cuts.trim().split('\t').next().unwrap(), others[0]["stream"]);

    let named = json(&["group", "checkpoint", &group, "--no-wait", "--name", "pending"]);
    assert_eq!(named[0]["name"], "pending");
    join(&group, &stream, "r1").await;
    good(&["group", "checkpoint", &group, "--no-wait", "--name", "held"]);
    assert_eq!(good(&["group", "checkpoint", &group, "--cancel"]), "held\n");
    let asked = fails(5, &["group", "cuts", &group, "--ask", "300ms"]);
    assert!(asked.contains("r1"), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_reset_to_places_settings_and_checkpoints() {
    let (stream, group) = place();
    let create = ["group", "create", &group, "--stream", &stream, "--from", "tail"];
    good(&create);
    let early = fails(4, &["group", "reset", &group, "--to-last-checkpoint"]);
    assert!(early.contains("no complete checkpoint"), "{early}");
    let reset = pravega(&["group", "reset", &group, "--from", "head", "--refresh-interval", "1s"]);
    assert_eq!(stderr(&reset), format!("reset group {group}: generation 1\n"));
    let described = &json(&["group", "describe", &group])[0];
    assert_eq!(described["refresh_interval"], "1s");
    assert_eq!(described["streams"][0], stream);
    let checkpoint = good(&["group", "checkpoint", &group]).trim().to_owned();
    good(&["group", "reset", &group, "--to-checkpoint", &checkpoint]);
    let described = &json(&["group", "describe", &group])[0];
    assert_eq!(
        (&described["generation"], &described["refresh_interval"]),
        (&2.into(), &"1s".into())
    );

    let both = ["group", "reset", &group, "--to-last-checkpoint", "--from", "head"];
    assert!(fails(2, &both).contains("cannot be used with"));
    let damaged = fails(2, &["group", "reset", &group, "--to-checkpoint", "H4sI"]);
    assert!(damaged.contains("as `pravega group checkpoint` prints it"), "{damaged}");
    let foreign = format!("{}/other", stream.split('/').next().unwrap());
    good(&["stream", "create", &foreign]);
    let cut = good(&["cut", "show", &foreign, "--at", "head"]).trim().to_owned();
    let refused = fails(2, &["group", "reset", &group, "--from", &cut]);
    assert!(refused.contains("which is not read"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_prints_what_happens_to_a_group() {
    let (stream, group) = place();
    let quick = ["--refresh-interval", "50ms"];
    good(&[&["group", "create", &group, "--stream", &stream][..], &quick[..]].concat());
    let mut watch = command(&["-o", "json", "group", "watch", &group, "-n", "3"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let first = next();
    assert_eq!((&first["notice"], &first["segments"]), (&"sizes".into(), &2.into()));
    join(&group, &stream, "r1").await;
    assert_eq!(
        (next()["notice"].clone(), next()["readers"].clone()),
        ("reader-joined".into(), 1.into())
    );
    assert!(watch.wait().unwrap().success());
    let text = stdout(&pravega(&["group", "watch", &group, "-n", "1"]));
    assert_eq!(text, "sizes\tsegments=2\tunassigned=1\treaders=1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readers_whose_leases_have_run_out_are_taken_offline_without_their_names() {
    let (stream, group) = place();
    good(&["group", "create", &group, "--stream", &stream]);
    join(&group, &stream, "without-lease").await;
    let reading = ["read", &stream, "--group", &group, "--reader", "r1", "--lease", "1s"];
    let mut reader = command(&reading).stderr(Stdio::piped()).spawn().unwrap();
    let mut notes = BufReader::new(reader.stderr.take().unwrap()).lines();
    assert!(notes.any(|line| line.unwrap().contains("is in group")), "it does not join");
    let described = &json(&["group", "describe", &group])[0];
    let lease = &described["leases"][0];
    assert_eq!((&lease["reader"], &lease["length"]), (&"r1".into(), &"1s".into()));
    assert!(good(&["group", "describe", &group]).contains("r1 (1s)"));
    let alive = json(&["group", "offline", &group, "--dead", "--wait", "1m"]);
    assert!(alive.is_empty(), "{alive:?}");
    reader.kill().unwrap();
    reader.wait().unwrap();
    let dead = json(&["group", "offline", &group, "--dead"]);
    assert_eq!((dead.len(), &dead[0]["reader"]), (1, &"r1".into()));
    let left = &json(&["group", "describe", &group])[0]["readers"];
    assert_eq!(left.as_array().unwrap(), &["without-lease"]);
    for wrong in [&["r1", "--dead"][..], &[], &["r1", "--wait", "5s"]] {
        fails(2, &[&["group", "offline", &group], wrong].concat());
    }
}
