//! State synchronizers: agreement, conflicts, compaction, truncation, bad entries.

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_controller_client::Creation;
use pravega_sdk_integration_tests::harness::{
    factory,
    log::{LogSynchronizer, append, lines_of, open_log},
    new_stream,
};
use pravega_sdk_table_synchronizer::StateEntry;
use pravega_sdk_types::{ErrorKind, Outcome, ScopedStream};

use super::revisioned;

async fn stream() -> (ClientFactory, ScopedStream) {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    (factory, stream)
}

/// Two clients of a log that is empty.
async fn two() -> (ClientFactory, ScopedStream, [LogSynchronizer; 2]) {
    let (factory, stream) = stream().await;
    let mut one = open_log(&factory, &stream).await;
    let mut other = open_log(&factory, &stream).await;
    assert_eq!(one.initialize(vec![]).await.unwrap(), Creation::Created);
    let unused = vec!["not".to_owned()];
    assert_eq!(other.initialize(unused).await.unwrap(), Creation::AlreadyExisted);
    (factory, stream, [one, other])
}

#[tokio::test]
async fn clients_agree_on_the_order_of_all_updates() {
    let (_, _, [mut one, mut other]) = two().await;
    assert_eq!(lines_of(&other), [""; 0]);
    append(&mut one, "a").await;
    // Its copy is old, so the update is made again of the new state.
    let seen = other
        .update(|log, lines| {
            lines.extend(["b", "c"].map(str::to_owned));
            log.0.len()
        })
        .await
        .unwrap();
    assert_eq!((seen, lines_of(&other)), (1, &["a", "b", "c"].map(str::to_owned)[..]));
    assert_eq!(lines_of(&one), ["a"], "nothing comes without a call");
    one.fetch().await.unwrap();
    assert_eq!((lines_of(&one), one.revision()), (lines_of(&other), other.revision()));
    assert_eq!(one.revision().unwrap().index(), 1, "the second update of the entry");
}

#[tokio::test]
async fn an_update_without_changes_writes_nothing_and_returns_its_result() {
    let (_, _, [mut one, _]) = two().await;
    let before = one.revision().cloned();
    assert_eq!(one.update(|log, _| log.0.len()).await.unwrap(), 0);
    one.update_unconditionally(vec![]).await.unwrap();
    one.fetch().await.unwrap();
    assert_eq!(one.revision().cloned(), before);
}

#[tokio::test]
async fn an_unconditional_update_counts_for_its_client_once_it_is_read() {
    let (_, _, [mut one, mut other]) = two().await;
    one.update_unconditionally(vec!["a".to_owned(), "b".to_owned()]).await.unwrap();
    assert_eq!(lines_of(&one), [""; 0]);
    append(&mut other, "c").await;
    append(&mut one, "d").await;
    assert_eq!(lines_of(&one), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn many_clients_at_once_make_one_history_in_which_each_finds_its_updates_in_order() {
    let (factory, stream, [mut first, _]) = two().await;
    let clients = (0..4).map(|client| {
        let (factory, stream) = (factory.clone(), stream.clone());
        tokio::spawn(async move {
            let mut log = open_log(&factory, &stream).await;
            for number in 0..25 {
                append(&mut log, &format!("{client}:{number}")).await;
                let own = format!("{client}:{number}");
                assert_eq!(
                    lines_of(&log).last(),
                    Some(&own),
                    "an update is made of the newest state"
                );
            }
            lines_of(&log).to_vec()
        })
    });
    let mut histories = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        histories.push(client.await.unwrap());
    }
    first.fetch().await.unwrap();
    let all = lines_of(&first);
    assert_eq!(all.len(), 100);
    for history in histories {
        assert!(all.starts_with(&history), "{history:?} is no beginning of {all:?}");
    }
    for client in 0..4 {
        let prefix = format!("{client}:");
        let own: Vec<_> = all.iter().filter(|line| line.starts_with(&prefix)).collect();
        let expected: Vec<_> = (0..25).map(|number| format!("{client}:{number}")).collect();
        assert_eq!(own, expected.iter().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_state_is_not_changed_before_it_is_initialized() {
    let (factory, stream) = stream().await;
    let mut log = open_log(&factory, &stream).await;
    log.fetch().await.unwrap();
    assert!(log.state().is_none() && log.revision().is_none());
    for error in [
        log.update(|_, lines| lines.push("a".to_owned())).await.unwrap_err(),
        log.compact(|log| Some(log.0.clone())).await.unwrap_err(),
    ] {
        let found = (error.kind(), error.outcome());
        assert_eq!(found, (ErrorKind::NotFound, Outcome::NotApplied), "{error}");
        assert!(error.to_string().contains("initialize"), "{error}");
    }
    // An update before the initial state means nothing, and is in its way.
    log.update_unconditionally(vec!["a".to_owned()]).await.unwrap();
    let error = log.initialize(vec![]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConditionFailed, "{error}");
}

#[tokio::test]
async fn a_compaction_keeps_the_state_and_drops_the_entries_before_the_one_before() {
    let (factory, stream, [mut one, mut other]) = two().await;
    let entries = revisioned::open(&factory, &stream).await;
    assert_eq!(
        one.bytes_since_compaction().await.unwrap(),
        one.revision().unwrap().offset().0 as u64
    );
    assert_eq!(one.compact(|_| None).await.unwrap(), None);
    let mut marks = Vec::new();
    for round in 0..3 {
        append(&mut one, &format!("{round}")).await;
        let before = one.revision().unwrap().offset();
        let revision = one.compact(|log| Some(log.0.clone())).await.unwrap();
        assert_eq!(one.revision(), revision.as_ref());
        let mark = entries.mark().await.unwrap().unwrap();
        assert_eq!(mark.offset(), before, "the compaction begins at the mark");
        let oldest = entries.oldest_revision().await.unwrap();
        match marks.last() {
            None => assert_eq!(oldest.offset().0, 0, "nothing is dropped by the first one"),
            Some(last) => assert_eq!(oldest, *last),
        }
        marks.push(mark);
    }
    assert!(one.bytes_since_compaction().await.unwrap() > 0);
    let mut third = open_log(&factory, &stream).await;
    third.fetch().await.unwrap();
    // It knew only what is dropped.
    other.fetch().await.unwrap();
    for log in [&one, &other, &third] {
        assert_eq!(lines_of(log), ["0", "1", "2"]);
        assert_eq!(log.revision(), one.revision());
    }
    append(&mut other, "3").await;
    one.fetch().await.unwrap();
    assert_eq!(lines_of(&one), ["0", "1", "2", "3"]);
}

#[tokio::test]
async fn a_state_whose_entries_are_truncated_is_lost_unless_an_initial_state_follows() {
    let (factory, stream, [mut one, mut other]) = two().await;
    append(&mut one, "a").await;
    let entries = revisioned::open(&factory, &stream).await;
    entries.truncate(one.revision().unwrap()).await.unwrap();
    append(&mut one, "b").await;
    for _ in 0..2 {
        let error = other.fetch().await.unwrap_err();
        let found = (error.kind(), error.outcome());
        assert_eq!(found, (ErrorKind::Truncated, Outcome::NotApplied), "{error}");
        assert_eq!(lines_of(&other), [""; 0], "updates are never applied over a gap");
    }
    let error = other.update(|_, lines| lines.push("c".to_owned())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
    one.compact(|log| Some(log.0.clone())).await.unwrap();
    append(&mut other, "c").await;
    assert_eq!(lines_of(&other), ["a", "b", "c"]);
}

#[tokio::test]
async fn an_entry_that_is_none_of_a_state_is_refused_with_its_place_and_nothing_of_it_counts() {
    let update = StateEntry::updates(["good".into()]).unwrap();
    let cut = StateEntry::updates(["good".into(), "cut".into()]).unwrap();
    let not_text = StateEntry::updates(["good".into(), vec![0xFF].into()]).unwrap();
    let no_log = StateEntry::initial(&[0, 0, 0, 9]);
    for (bad, text) in [
        (bytes::Bytes::new(), "not one of a state"),
        (vec![0, 0, 0, 3].into(), "not one of a state"),
        (cut.slice(..cut.len() - 1), "not one of a state"),
        (not_text, "an update in the entry cannot be decoded"),
        (no_log, "the initial state in the entry cannot be decoded"),
    ] {
        let (factory, stream, [mut one, mut other]) = two().await;
        append(&mut one, "a").await;
        let entries = revisioned::open(&factory, &stream).await;
        entries.write_at(one.revision().unwrap(), bad).await.unwrap();
        entries.write(update.clone()).await.unwrap();
        let place = one.revision().unwrap().offset();
        for log in [&mut one, &mut other] {
            for _ in 0..2 {
                let error = log.fetch().await.unwrap_err();
                let found = (error.kind(), error.offset(), error.outcome());
                let expected = (ErrorKind::Corrupt, Some(place), Outcome::NotApplied);
                assert_eq!(found, expected, "{error}");
                assert!(error.to_string().contains(text), "{error}");
                assert_eq!(lines_of(log), ["a"]);
            }
        }
    }
}

#[tokio::test]
async fn an_update_that_does_not_fit_the_state_is_left_out_by_all_with_the_rest_of_its_entry() {
    let (_, _, [mut one, mut other]) = two().await;
    let lines = || ["a", "refused", "b"].map(str::to_owned);
    let error = one.update(|_, updates| updates.extend(lines())).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Corrupt, Outcome::Applied), "{error}");
    let error = other.fetch().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Corrupt, Outcome::NotApplied));
    append(&mut other, "c").await;
    one.fetch().await.unwrap();
    for log in [&one, &other] {
        assert_eq!(lines_of(log), ["a", "c"]);
    }
}
