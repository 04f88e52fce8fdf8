//! Tables, revisioned streams and states shared with the Java client: each client reads and changes
//! the data of the other, and versions and revisions are exchanged as text.

use std::{collections::BTreeMap, time::Duration};

use futures_util::TryStreamExt as _;
use pravega_sdk_controller_client::KeyValueTableConfiguration;
use pravega_sdk_integration_tests::harness::{
    factory,
    log::{append, lines_of, open_log},
    new_scope, new_stream, unique,
};
use pravega_sdk_table_synchronizer::{
    Key, KeyCondition, KeyPut, KeyValueTable, Keys, Revision, RevisionedStream,
};
use pravega_sdk_types::{ErrorKind, Outcome, ScopedKeyValueTable, ScopedStream};

use crate::program::{self, File};

async fn java(stream: &ScopedStream, arguments: &[&str]) -> String {
    let place = [stream.scope().as_str(), stream.stream().as_str()];
    program::java("Shared", place, arguments).await
}

async fn java_table(table: &ScopedKeyValueTable, arguments: &[&str]) -> String {
    let place = [table.scope().as_str(), table.table().as_str()];
    program::java("Shared", place, arguments).await
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn states_of_both_clients_are_one_history_while_both_change_and_compact_it() {
    const UPDATES: usize = 1000;
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let mut ours = open_log(&factory, &stream).await;
    ours.initialize(vec![]).await.unwrap();
    let theirs = {
        let stream = stream.clone();
        tokio::spawn(async move {
            java(&stream, &["append", "java", &UPDATES.to_string(), "100"]).await
        })
    };
    // Updates from before the JVM starts until after it ends, whatever the speed of each: while it
    // starts, and after the last that is asked for, at a pace that leaves the history short.
    let mut updates = 0;
    while updates < UPDATES || !theirs.is_finished() {
        append(&mut ours, &format!("rust:{updates}")).await;
        if updates % 70 == 0 {
            ours.compact(|log| Some(log.0.clone())).await.unwrap();
        }
        updates += 1;
        let started = lines_of(&ours).iter().any(|line| line.starts_with("java:"));
        if !started || updates >= UPDATES {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    append(&mut ours, &format!("rust:{updates}")).await;
    let updates = updates + 1;
    let theirs = theirs.await.unwrap();
    ours.fetch().await.unwrap();
    let all = lines_of(&ours).to_vec();
    for (client, updates) in [("java", UPDATES), ("rust", updates)] {
        let prefix = format!("{client}:");
        let own: Vec<_> = all.iter().filter(|line| line.starts_with(&prefix)).cloned().collect();
        let expected: Vec<_> = (0..updates).map(|number| format!("{client}:{number}")).collect();
        assert!(own == expected, "the updates of {client} are not once and in order: {own:?}");
    }
    assert_eq!(all.len(), UPDATES + updates);
    // Its last state is a beginning of the history, and a new client of each kind has all of it.
    let theirs = lines(&theirs);
    assert!(all.iter().map(String::as_str).take(theirs.len()).eq(theirs.iter().copied()));
    assert!(lines(&java(&stream, &["state"]).await) == all);
    let mut later = open_log(&factory, &stream).await;
    later.fetch().await.unwrap();
    assert!(lines_of(&later) == all);
    let java = |line: &String| line.starts_with("java");
    let (first, last) = (all.iter().position(java).unwrap(), all.iter().rposition(java).unwrap());
    assert!(0 < first && last + 1 < all.len(), "an update of ours is before and after Java's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_java_began_and_compacted_goes_on_here() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let theirs = java(&stream, &["append", "größe", "12", "6"]).await;
    let mut ours = open_log(&factory, &stream).await;
    let created = ours.initialize(vec!["not used".to_owned()]).await.unwrap();
    assert_eq!(created, pravega_sdk_controller_client::Creation::AlreadyExisted);
    assert_eq!(lines_of(&ours), lines(&theirs));
    append(&mut ours, "rust 🦀").await;
    assert_eq!(lines(&java(&stream, &["state"]).await), lines_of(&ours));
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_and_the_mark_are_exchanged_in_both_directions() {
    let factory = factory().await;
    let name = new_stream(factory.controller(), 1).await;
    let stream: RevisionedStream = factory.revisioned_stream(&name).await.unwrap();
    let oldest = stream.oldest_revision().await.unwrap();
    let first = stream.write_at(&oldest, "rust").await.unwrap();
    // Java continues at our revision, and is refused at an older one.
    let refused = java(&name, &["write", &oldest.to_string(), "late"]).await;
    assert_eq!(refused.trim(), "refused");
    let second = java(&name, &["write", &first.to_string(), "java größe"]).await;
    let second: Revision = second.trim().parse().unwrap();
    assert_eq!(stream.latest_revision().await.unwrap(), second);
    let late = stream.write_at(&first, "late").await.unwrap_err();
    assert_eq!((late.kind(), late.outcome()), (ErrorKind::ConditionFailed, Outcome::NotApplied));
    stream.write_at(&second, "rust again").await.unwrap();
    stream.write("rust 🦀").await.unwrap();
    let found: Vec<String> = stream
        .entries(&oldest)
        .await
        .unwrap()
        .map_ok(|entry| format!("{}\t{}", entry.revision, String::from_utf8_lossy(&entry.value)))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(lines(&java(&name, &["entries", &oldest.to_string()]).await), found);
    assert_eq!(lines(&java(&name, &["entries", &second.to_string()]).await), found[2..]);

    let marked = java(&name, &["mark", "none", &first.to_string()]).await;
    assert_eq!(lines(&marked), ["none", "set"]);
    assert_eq!(stream.mark().await.unwrap(), Some(first.clone()));
    stream.set_mark(Some(&first), Some(&second)).await.unwrap();
    let marked = java(&name, &["mark", &first.to_string(), "none"]).await;
    assert_eq!(lines(&marked), [second.to_string().as_str(), "refused"]);
    let marked = java(&name, &["mark", &second.to_string(), "none"]).await;
    assert_eq!(lines(&marked), [second.to_string().as_str(), "set"]);
    assert_eq!(stream.mark().await.unwrap(), None);
}

/// All entries of a table: keys, and the value with the text of the version.
async fn entries(table: &KeyValueTable) -> BTreeMap<(String, String), (String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    table
        .entries(&Keys::all())
        .unwrap()
        .map_ok(|entry| {
            let key = (text(entry.key.primary()), text(entry.key.secondary()));
            (key, (text(&entry.value), KeyCondition::from(entry.version).to_string()))
        })
        .try_collect()
        .await
        .unwrap()
}

fn parsed(table: &str) -> BTreeMap<(String, String), (String, String)> {
    let entry = |line: &str| {
        let parts: Vec<String> = line.split('\t').map(str::to_owned).collect();
        let [primary, secondary, value, version] = parts.try_into().unwrap();
        ((primary, secondary), (value, version))
    };
    table.lines().map(entry).collect()
}

/// Lines of keys, values and versions, as Java's program puts them.
fn puts<'a>(lines: impl IntoIterator<Item = (u32, &'a str, &'a str)>) -> File {
    let line = |(number, value, version)| {
        format!("p{:03}\t{:02}\t{value}\t{version}\n", number % 20, number / 20)
    };
    let lines: String = lines.into_iter().map(line).collect();
    File::of(lines.as_bytes())
}

fn key(number: u32) -> Key {
    Key::new(format!("p{:03}", number % 20)).with_secondary(format!("{:02}", number / 20))
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_versions_are_exchanged_in_both_directions() {
    let factory = factory().await;
    for is_javas in [true, false] {
        let scope = new_scope(factory.controller()).await;
        let name = ScopedKeyValueTable::new(scope, unique("table").parse().unwrap());
        if is_javas {
            assert_eq!(java_table(&name, &["create-table", "3"]).await.trim(), "true");
        } else {
            let configuration = KeyValueTableConfiguration::new(3, 4).with_secondary_key_length(2);
            factory.controller().create_key_value_table(&name, &configuration).await.unwrap();
        }
        let table = factory.key_value_table(&name).await.unwrap();
        let (any, absent) = (KeyCondition::Any.to_string(), KeyCondition::Absent.to_string());
        // Java's entries are read here, with their versions.
        let file = puts((0..60).map(|number| (number, "java größe", absent.as_str())));
        let versions = java_table(&name, &["put", file.text()]).await;
        let versions = lines(&versions);
        let found = entries(&table).await;
        assert_eq!(found.len(), 60);
        for (number, version) in (0..).zip(&versions) {
            let entry = table.get(key(number)).await.unwrap().unwrap();
            assert_eq!(
                (&entry.value[..], entry.version.to_string()),
                ("java größe".as_bytes(), (*version).to_owned())
            );
        }
        assert_eq!(parsed(&java_table(&name, &["table"]).await), found);
        // Versions of Java are conditions here.
        let mut ours = Vec::new();
        for (number, version) in (0..20).zip(&versions) {
            let condition: KeyCondition = version.parse().unwrap();
            let put = KeyPut::new(key(number), "rust 🦀").when(condition);
            ours.push(table.put_all([put.clone()]).await.unwrap().remove(0).to_string());
            let stale = table.put_all([put]).await.unwrap_err();
            assert_eq!(stale.kind(), ErrorKind::ConditionFailed, "{stale}");
        }
        table.insert(key(19).with_secondary("99"), "new").await.unwrap();
        assert_eq!(parsed(&java_table(&name, &["table"]).await), entries(&table).await);
        // Versions of this client are conditions in Java, and old ones are refused there.
        let file = puts([
            (0, "second", ours[0].as_str()),
            (1, "stale", versions[1]),
            (2, "exists", absent.as_str()),
            (3, "any", any.as_str()),
            (59, "untouched", versions[59]),
        ]);
        let answers = java_table(&name, &["put", file.text()]).await;
        let answers = lines(&answers);
        let refused: Vec<bool> = answers.iter().map(|answer| *answer == "refused").collect();
        assert_eq!(refused, [false, true, true, false, false]);
        for (number, value, answer) in
            [(0, "second", answers[0]), (3, "any", answers[3]), (59, "untouched", answers[4])]
        {
            let entry = table.get(key(number)).await.unwrap().unwrap();
            assert_eq!(
                (&entry.value[..], entry.version.to_string()),
                (value.as_bytes(), answer.to_owned())
            );
        }
    }
}
