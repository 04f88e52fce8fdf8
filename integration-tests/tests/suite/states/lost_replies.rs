//! Entries whose acknowledgements are lost, and clients that are always too late.

use std::time::Duration;

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_controller_client::Creation;
use pravega_sdk_integration_tests::harness::{
    factory,
    frames::{ConnectionNumber, Fate, Frame, FrameProxy, Sender},
    log::{LogSynchronizer, append, lines_of, open_log, open_log_with},
    new_stream,
    through::{store_of, through},
};
use pravega_sdk_table_synchronizer::{RevisionedStream, RevisionedStreamConfig, StateConfig};
use pravega_sdk_types::{ErrorKind, Outcome, ScopedStream};
use pravega_sdk_wire_protocol::{
    WireCommand,
    codes::FailureCode,
    commands::{ConditionalAppend, ErrorMessage},
};

/// The failure of a server that does not say what it did.
fn lost(request_id: i64) -> Fate {
    let (segment, message) = ("".into(), "".into());
    let error_code = FailureCode::Unspecified;
    Fate::Replace(Box::new(ErrorMessage { request_id, segment, message, error_code }.into()))
}

/// Loses the first acknowledgement.
fn first_ack() -> impl FnMut(&Frame) -> Fate {
    let mut is_lost = false;
    move |frame| match &frame.command {
        WireCommand::DataAppended(ack) if !std::mem::replace(&mut is_lost, true) => {
            lost(ack.request_id)
        }
        _ => Fate::Forward,
    }
}

/// Loses the first answer to a change of the mark.
fn first_mark() -> impl FnMut(&Frame) -> Fate {
    let mut is_lost = false;
    move |frame| match &frame.command {
        WireCommand::SegmentAttributeUpdated(reply) if !std::mem::replace(&mut is_lost, true) => {
            lost(reply.request_id)
        }
        _ => Fate::Forward,
    }
}

fn is_conditional(frame: &Frame) -> bool {
    frame.sender == Sender::Client && matches!(frame.command, WireCommand::ConditionalAppend(_))
}

/// A client of a log behind a proxy, and another one without; the log has the line `0`.
struct Story {
    factory: ClientFactory,
    stream: ScopedStream,
    log: LogSynchronizer,
    other: LogSynchronizer,
    proxy: FrameProxy,
}

impl Story {
    async fn new(config: StateConfig, rule: impl FnMut(&Frame) -> Fate + Send + 'static) -> Self {
        let factory = factory().await;
        let stream = new_stream(factory.controller(), 1).await;
        let mut other = open_log(&factory, &stream).await;
        other.initialize(vec!["0".to_owned()]).await.unwrap();
        let proxy = FrameProxy::start(store_of(&factory, &stream).await, rule).await;
        let mut log = open_log_with(through(&factory, proxy.address()), &stream, config).await;
        log.fetch().await.unwrap();
        Self { factory, stream, log, other, proxy }
    }

    async fn all(&mut self) -> &[String] {
        self.other.fetch().await.unwrap();
        lines_of(&self.other)
    }
}

#[tokio::test]
async fn an_update_whose_acknowledgement_is_lost_is_made_once() {
    let mut story = Story::new(StateConfig::default(), first_ack()).await;
    append(&mut story.log, "a").await;
    assert_eq!(lines_of(&story.log), ["0", "a"]);
    assert_eq!(story.all().await, ["0", "a"]);
    append(&mut story.other, "b").await;
    append(&mut story.log, "c").await;
    assert_eq!(lines_of(&story.log), ["0", "a", "b", "c"]);
}

#[tokio::test]
async fn an_unconditional_update_whose_acknowledgement_is_lost_is_made_once() {
    let mut story = Story::new(StateConfig::default(), first_ack()).await;
    story.log.update_unconditionally(vec!["a".to_owned()]).await.unwrap();
    assert_eq!(story.all().await, ["0", "a"]);
}

#[tokio::test]
async fn an_entry_whose_acknowledgement_is_lost_has_its_revision() {
    let mut story = Story::new(StateConfig::default(), first_ack()).await;
    let context = through(&story.factory, story.proxy.address());
    let config = RevisionedStreamConfig::default();
    let entries = RevisionedStream::open(context, &story.stream, config).await.unwrap();
    let latest = entries.latest_revision().await.unwrap();
    let entry = pravega_sdk_table_synchronizer::StateEntry::updates(["a".into()]).unwrap();
    let revision = entries.write_at(&latest, entry.clone()).await.unwrap();
    assert_eq!(entries.latest_revision().await.unwrap(), revision);
    entries.write_at(&revision, entry).await.unwrap();
    assert_eq!(story.all().await, ["0", "a", "a"]);
}

#[tokio::test]
async fn a_compaction_whose_mark_is_set_without_an_answer_is_complete() {
    let mut story = Story::new(StateConfig::default(), first_mark()).await;
    append(&mut story.log, "a").await;
    let compact = |log: &pravega_sdk_integration_tests::harness::log::Log| Some(log.0.clone());
    story.other.compact(compact).await.unwrap();
    let context = story.factory.segment_context();
    let config = RevisionedStreamConfig::default();
    let entries = RevisionedStream::open(context, &story.stream, config).await.unwrap();
    let first = entries.mark().await.unwrap().unwrap();
    append(&mut story.log, "b").await;
    let before = story.log.revision().unwrap().offset();
    story.log.compact(compact).await.unwrap().unwrap();
    assert_eq!(entries.mark().await.unwrap().unwrap().offset(), before);
    assert_eq!(entries.oldest_revision().await.unwrap(), first, "the stream is truncated");
    assert_eq!(story.all().await, ["0", "a", "b"]);
}

/// Holds the first two conditional appends.
fn two_are_held() -> impl FnMut(&Frame) -> Fate + Send + 'static {
    let mut appends = 0;
    move |frame| {
        let is_held = is_conditional(frame) && {
            appends += 1;
            appends <= 2
        };
        if is_held { Fate::Hold } else { Fate::Forward }
    }
}

#[tokio::test]
async fn an_attempt_in_doubt_is_settled_by_the_entry_of_another_client_in_its_place() {
    let Story { mut log, mut other, proxy, .. } =
        Story::new(StateConfig::default(), two_are_held()).await;
    let updating = tokio::spawn(async move {
        append(&mut log, "a").await;
        log
    });
    // The first attempt is on its way when its connection ends, and the second is held back.
    let first = proxy.wait_for("the first attempt", is_conditional).await;
    proxy.abandon(first);
    let second = proxy
        .wait_for("the second attempt", |frame| is_conditional(frame) && frame.connection != first)
        .await;
    append(&mut other, "b").await;
    proxy.release(second);
    let log = updating.await.unwrap();
    assert_eq!(lines_of(&log), ["0", "b", "a"]);
    proxy.release(first);
    other.fetch().await.unwrap();
    assert_eq!(lines_of(&other), ["0", "b", "a"]);
}

#[tokio::test]
async fn an_attempt_in_doubt_stays_so_if_another_client_wrote_the_same_in_its_place() {
    let Story { mut log, mut other, proxy, .. } =
        Story::new(StateConfig::default(), two_are_held()).await;
    let updating = tokio::spawn(async move {
        log.update(|_, lines| lines.push("same".to_owned())).await.unwrap_err()
    });
    let first = proxy.wait_for("the first attempt", is_conditional).await;
    proxy.abandon(first);
    let second = proxy
        .wait_for("the second attempt", |frame| is_conditional(frame) && frame.connection != first)
        .await;
    append(&mut other, "same").await;
    proxy.release(second);
    let error = updating.await.unwrap();
    let found = (error.kind(), error.outcome());
    assert_eq!(found, (ErrorKind::ConditionFailed, Outcome::Unknown), "{error}");
    assert!(error.to_string().contains("it is not known whether the change was made"), "{error}");
}

#[tokio::test]
async fn an_update_that_is_always_too_late_ends_after_the_allowed_number_of_conflicts() {
    // Its condition is changed on the way, to one that does not hold.
    let rule = |frame: &Frame| match &frame.command {
        WireCommand::ConditionalAppend(append) if frame.sender == Sender::Client => {
            let expected_offset = append.expected_offset + 1;
            let late = ConditionalAppend { expected_offset, ..append.clone() };
            Fate::Replace(Box::new(late.into()))
        }
        _ => Fate::Forward,
    };
    let config = StateConfig::default()
        .with_max_conflicts(100)
        .with_backoff(Duration::from_millis(1), Duration::from_millis(1));
    let mut story = Story::new(config, rule).await;
    let mut calls = 0;
    let error = story
        .log
        .update(|_, lines| {
            calls += 1;
            lines.push("late".to_owned());
        })
        .await
        .unwrap_err();
    let found = (error.kind(), error.outcome(), error.is_retryable());
    assert_eq!(found, (ErrorKind::LimitReached, Outcome::NotApplied, true), "{error}");
    assert!(error.to_string().contains("100 times"), "{error}");
    assert_eq!((calls, lines_of(&story.log)), (100, &["0".to_owned()][..]));
    assert_eq!(story.all().await, ["0"]);
}

#[tokio::test]
async fn a_call_ends_when_its_time_is_over_and_reports_what_may_have_been_written() {
    let rule = |frame: &Frame| match frame.command {
        WireCommand::DataAppended(_) => Fate::Lose,
        _ => Fate::Forward,
    };
    let config = StateConfig::default().with_timeout(Duration::from_millis(500));
    let mut story = Story::new(config, rule).await;
    let error = story.log.update(|_, lines| lines.push("a".to_owned())).await.unwrap_err();
    let found = (error.kind(), error.outcome(), error.is_retryable());
    assert_eq!(found, (ErrorKind::Timeout, Outcome::Unknown, true), "{error}");
    assert!(story.proxy.seen().iter().any(|frame| frame.connection == ConnectionNumber(0)));
    // The copy is still a state of the stream, and goes on.
    story.log.fetch().await.unwrap();
    let found = lines_of(&story.log).to_vec();
    assert_eq!(story.all().await, found);
}

/// A store checks a condition against what is not durable yet, and what it does not show.
#[tokio::test]
async fn a_refused_initial_state_waits_for_the_one_that_is_not_shown_yet() {
    let factory = factory().await;
    let stream = new_stream(factory.controller(), 1).await;
    let rule = |frame: &Frame| match &frame.command {
        WireCommand::ConditionalAppend(append) if frame.sender == Sender::Client => {
            let refused = ConditionalAppend { expected_offset: 1 << 20, ..append.clone() };
            Fate::Replace(Box::new(refused.into()))
        }
        _ => Fate::Forward,
    };
    let proxy = FrameProxy::start(store_of(&factory, &stream).await, rule).await;
    let context = through(&factory, proxy.address());
    let mut log = open_log_with(context, &stream, StateConfig::default()).await;
    let initializing = tokio::spawn(async move {
        let creation = log.initialize(vec!["late".to_owned()]).await;
        (creation, log)
    });
    let is_refusal =
        |frame: &Frame| matches!(frame.command, WireCommand::ConditionalCheckFailed(_));
    proxy.wait_for("the refusal", is_refusal).await;
    // It has looked, and found nothing.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut other = open_log(&factory, &stream).await;
    other.initialize(vec!["first".to_owned()]).await.unwrap();
    let (creation, log) = initializing.await.unwrap();
    assert_eq!(creation.unwrap(), Creation::AlreadyExisted);
    assert_eq!(lines_of(&log), ["first"]);
}
