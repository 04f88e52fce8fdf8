//! Changes whose replies are lost: what the client does, and what it reports.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pravega_sdk_controller_client::Deletion;
use pravega_sdk_integration_tests::harness::{
    factory,
    frames::{Fate, Frame, FrameProxy, Sender},
    through::{store_of, through},
};
use pravega_sdk_table_synchronizer::{
    Condition, Entry, Put, Removal, TableConfig, TableError, TableKind, TableSegment, Values,
};
use pravega_sdk_types::{ErrorKind, Outcome};
use pravega_sdk_wire_protocol::{WireCommand, codes::FailureCode, commands::ErrorMessage};

use super::segments::new_table;

/// The failure of a server that does not say what it did.
fn lost(request_id: i64) -> Fate {
    let (segment, message) = ("".into(), "".into());
    let error_code = FailureCode::Unspecified;
    Fate::Replace(Box::new(ErrorMessage { request_id, segment, message, error_code }.into()))
}

/// Loses the first reply to a change.
fn first_reply() -> impl FnMut(&Frame) -> Fate {
    let mut is_lost = false;
    move |frame| {
        let id = match &frame.command {
            WireCommand::TableEntriesUpdated(reply) => reply.request_id,
            WireCommand::TableKeysRemoved(reply) => reply.request_id,
            WireCommand::SegmentDeleted(reply) => reply.request_id,
            _ => return Fate::Forward,
        };
        if std::mem::replace(&mut is_lost, true) { Fate::Forward } else { lost(id) }
    }
}

struct Story {
    /// The client whose replies are lost.
    table: TableSegment,
    /// Another client of the table.
    other: TableSegment,
    proxy: FrameProxy,
}

impl Story {
    async fn new(values: Values, rule: impl FnMut(&Frame) -> Fate + Send + 'static) -> Self {
        let factory = factory().await;
        let name = new_table(&factory).await;
        let config = TableConfig::default().with_values(values);
        let (other, _) = TableSegment::create(
            factory.segment_context(),
            &name,
            0.into(),
            TableKind::Hash,
            TableConfig::default(),
        )
        .await
        .unwrap();
        let store = store_of(&factory, &name.segment_stream()).await;
        let proxy = FrameProxy::start(store, rule).await;
        let context = through(&factory, proxy.address());
        let table = TableSegment::open(context, &name, 0.into(), config).await.unwrap();
        Self { table, other, proxy }
    }

    /// The value and version of the key `k`.
    async fn entry(&self) -> Option<Entry> {
        self.other.get("k").await.unwrap()
    }

    fn changes_sent(&self) -> usize {
        let is_change = |frame: &&Frame| {
            frame.sender == Sender::Client
                && matches!(
                    frame.command,
                    WireCommand::UpdateTableEntries(_)
                        | WireCommand::RemoveTableKeys(_)
                        | WireCommand::DeleteTableSegment(_)
                )
        };
        self.proxy.seen().iter().filter(is_change).count()
    }
}

#[track_caller]
fn is_unknown(error: &TableError) {
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    let text = error.to_string();
    assert!(text.contains("it is not known whether the change was made"), "{text}");
}

#[tokio::test]
async fn a_put_without_a_version_is_not_sent_again_and_its_outcome_is_unknown() {
    for condition in [Condition::Any, Condition::Absent] {
        let story = Story::new(Values::MayRepeat, first_reply()).await;
        let error = story.table.put([Put::new("k", "v").when(condition)]).await.unwrap_err();
        is_unknown(&error);
        assert_eq!((story.changes_sent(), error.attempts()), (1, 1));
        assert!(story.entry().await.is_some(), "it was put");
    }
}

#[tokio::test]
async fn a_put_of_a_unique_value_is_found() {
    for condition in [Condition::Any, Condition::Absent] {
        let story = Story::new(Values::Unique, first_reply()).await;
        let versions = story.table.put([Put::new("k", "v").when(condition)]).await.unwrap();
        assert_eq!(story.entry().await.unwrap().version, versions[0]);
        assert_eq!(story.changes_sent(), 1);
    }
}

#[tokio::test]
async fn a_put_at_a_version_is_sent_again_and_made_once() {
    // The request is lost, not the reply.
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let rule = move |frame: &Frame| match &frame.command {
        WireCommand::UpdateTableEntries(put) if count.fetch_add(1, Ordering::SeqCst) == 0 => {
            let (request_id, segment) = (put.request_id, "nowhere".into());
            // The store answers that there is no such segment, and that answer is replaced.
            let mut other = put.clone();
            (other.request_id, other.segment) = (request_id, segment);
            Fate::Replace(Box::new(other.into()))
        }
        WireCommand::NoSuchSegment(reply) if reply.segment == "nowhere" => lost(reply.request_id),
        _ => Fate::Forward,
    };
    let story = Story::new(Values::MayRepeat, rule).await;
    let first = story.other.put([Put::new("k", "1")]).await.unwrap()[0];
    let second = story.table.put([Put::new("k", "2").when(first)]).await.unwrap()[0];
    let entry = story.entry().await.unwrap();
    assert_eq!((&entry.value[..], entry.version), (&b"2"[..], second));
    assert_eq!(sent.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_put_at_a_version_that_may_have_been_made_by_another_client_is_unknown() {
    let story = Story::new(Values::MayRepeat, first_reply()).await;
    let first = story.other.put([Put::new("k", "1")]).await.unwrap()[0];
    let error = story.table.put([Put::new("k", "2").when(first)]).await.unwrap_err();
    is_unknown(&error);
    assert_eq!((error.kind(), story.changes_sent()), (ErrorKind::ConditionFailed, 2));
    assert_eq!(error.attempts(), 2);
    let unique = Story::new(Values::Unique, first_reply()).await;
    let first = unique.other.put([Put::new("k", "1")]).await.unwrap()[0];
    let second = unique.table.put([Put::new("k", "2").when(first)]).await.unwrap()[0];
    assert_eq!(unique.entry().await.unwrap().version, second);
}

#[tokio::test]
async fn a_key_that_kept_its_version_shows_that_nothing_was_put() {
    // Each change of the client is refused by the store, and the first refusal is lost.
    let mut is_lost = false;
    let rule = move |frame: &Frame| match &frame.command {
        WireCommand::TableKeyBadVersion(reply) if !std::mem::replace(&mut is_lost, true) => {
            lost(reply.request_id)
        }
        _ => Fate::Forward,
    };
    let story = Story::new(Values::MayRepeat, rule).await;
    let versions = story.other.put([Put::new("k", "1"), Put::new("m", "1")]).await.unwrap();
    story.other.put([Put::new("m", "2")]).await.unwrap();
    let stale = [Put::new("k", "x").when(versions[0]), Put::new("m", "x").when(versions[1])];
    let error = story.table.put(stale).await.unwrap_err();
    let found = (error.kind(), error.outcome());
    assert_eq!(found, (ErrorKind::ConditionFailed, Outcome::NotApplied), "{error}");
}

#[tokio::test]
async fn a_removal_at_a_version_is_sent_again_and_its_absence_proves_nothing() {
    let story = Story::new(Values::Unique, first_reply()).await;
    let first = story.other.put([Put::new("k", "1")]).await.unwrap()[0];
    let error = story.table.remove([Removal::new("k").when(first)]).await.unwrap_err();
    is_unknown(&error);
    assert_eq!((story.changes_sent(), story.entry().await), (2, None));
}

#[tokio::test]
async fn a_deletion_whose_reply_is_lost_is_found_out_and_not_sent_again() {
    let story = Story::new(Values::MayRepeat, first_reply()).await;
    assert_eq!(story.table.delete().await.unwrap(), Deletion::Deleted);
    assert_eq!(story.changes_sent(), 1);
}

#[tokio::test]
async fn a_change_that_is_never_answered_ends_by_its_deadline() {
    let rule = |frame: &Frame| match frame.command {
        WireCommand::TableEntriesUpdated(_) => Fate::Lose,
        _ => Fate::Forward,
    };
    let story = Story::new(Values::MayRepeat, rule).await;
    let config = TableConfig::default().with_timeout(Duration::from_millis(300));
    let hasty = story.table.clone().with_config(config);
    let error = hasty.put([Put::new("k", "v")]).await.unwrap_err();
    is_unknown(&error);
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
}
