//! Faults on demand.

use std::time::Duration;

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_controller_client::Credentials;
use pravega_sdk_event_stream::{EventWriter, WriterConfig, codec::Utf8};
use pravega_sdk_integration_tests::harness::{
    self, FAR, eventually,
    frames::{Fate, Frame, FrameProxy},
    through::{store_of, through},
};
use pravega_sdk_server::{Presence, Refusal};
use pravega_sdk_types::{ErrorKind, Outcome, Scope};
use pravega_sdk_wire_protocol::WireCommand;

use super::support::{connect, numbers, start, stream, write};

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_loses_or_doubles_an_event() {
    let (server, factory) = start(harness::builder().with_segment_stores(3)).await;
    let stream = stream(&factory, 4).await;
    let writing = {
        let (factory, stream) = (connect(&server).await, stream.clone());
        tokio::spawn(async move {
            for round in 0..40 {
                write(&factory, &stream, round * 100..(round + 1) * 100).await;
            }
        })
    };
    let faults = server.faults();
    for round in 0_u32..30 {
        match round % 5 {
            0 => faults.drop_connections(),
            1 => faults.drop_connection_after_answers(round % 7),
            2 => {
                for segment in 0..4 {
                    faults.move_container(
                        &format!("{stream}/{segment}.#epoch.0"),
                        (round as usize + segment) % 3,
                    );
                }
            }
            3 => {
                faults.refuse_connections(Refusal::All);
                faults.drop_connections();
                tokio::time::sleep(Duration::from_millis(30)).await;
                faults.refuse_connections(Refusal::None);
            }
            _ => {
                faults.controller(Presence::Away);
                faults.drop_connections();
                tokio::time::sleep(Duration::from_millis(30)).await;
                faults.controller(Presence::There);
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    writing.await.unwrap();
    assert_eq!(numbers(&factory, &stream).await, (0..4000).collect::<Vec<_>>());
}

#[tokio::test]
async fn answers_are_delayed_by_the_time_that_was_set() {
    let (server, factory) = start(harness::builder()).await;
    let stream = stream(&factory, 1).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    writer.write("key", "at once").await.unwrap();
    server.faults().delay_answers(Duration::from_millis(200));
    let begun = std::time::Instant::now();
    writer.write("key", "late").await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(200));
    server.faults().delay_answers(Duration::ZERO);
}

#[tokio::test]
async fn only_accounts_come_in_and_tokens_are_renewed_when_they_expire() {
    let builder = harness::builder().with_account("ann", "pass:word");
    let server = builder.start().await.unwrap();
    let stranger = ClientFactory::new(ClientConfig::from_url(&server.url()).unwrap()).unwrap();
    let scope = Scope::new("scope").unwrap();
    let refused = stranger.controller().create_scope(&scope).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unauthenticated);

    let credentials = Credentials::basic("ann", "pass:word").unwrap();
    let config = ClientConfig::from_url(&server.url()).unwrap().with_credentials(credentials);
    let factory = ClientFactory::new(config).unwrap();
    let stream = stream(&factory, 1).await;
    write(&factory, &stream, 0..10).await;
    server.faults().expire_tokens();
    write(&factory, &stream, 10..20).await;
    assert_eq!(numbers(&factory, &stream).await, (0..20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_whose_runtime_ended_with_events_in_flight_reports_their_loss_when_it_is_closed() {
    let (server, factory) = start(harness::builder()).await;
    let stream = stream(&factory, 1).await;
    let faults = server.faults();
    let url = server.url();
    let store = store_of(&factory, &stream).await;
    let proxy = FrameProxy::start(store, |_| Fate::Forward).await;
    let of_another_runtime = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let factory = ClientFactory::connect(&url).await.unwrap();
            let context = through(&factory, proxy.address());
            let config = WriterConfig::default();
            let writer = EventWriter::open(context, &stream, Utf8, config).await.unwrap();
            writer.write("key", "acknowledged").await.unwrap();
            faults.delay_answers(FAR);
            let ack = writer.enqueue("key", "in flight").await.unwrap();
            let is_append =
                |frame: &&Frame| matches!(frame.command, WireCommand::AppendBlockEnd(_));
            let appends = || proxy.seen().iter().filter(is_append).count();
            eventually("the second event is sent", async || appends() == 2).await;
            (writer, ack)
        })
    });
    let (writer, ack) = of_another_runtime.join().unwrap();
    for _ in 0..2 {
        let report = writer.close(FAR).await;
        assert_eq!((report.acknowledged, report.failed), (1, 1));
        let error = report.into_result().unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Closed, Outcome::Unknown));
    }
    assert_eq!(ack.await.unwrap_err().outcome(), Outcome::Unknown);
    server.faults().delay_answers(Duration::ZERO);
}

#[tokio::test]
async fn closing_again_reports_the_failure_that_the_first_close_reported() {
    let (server, factory) = start(harness::builder()).await;
    let stream = stream(&factory, 1).await;
    let writer = factory.event_writer(&stream, Utf8).await.unwrap();
    writer.write("key", "acknowledged").await.unwrap();
    server.faults().delay_answers(FAR);
    let ack = writer.enqueue("key", "in flight").await.unwrap();
    let mut failures = Vec::new();
    for _ in 0..2 {
        let report = writer.close(Duration::from_millis(50)).await;
        assert_eq!((report.acknowledged, report.failed), (1, 1));
        failures.push(report.into_result().unwrap_err());
    }
    assert_eq!(failures[0].to_string(), failures[1].to_string());
    assert_eq!(ack.await.unwrap_err().kind(), failures[1].kind());
    server.faults().delay_answers(Duration::ZERO);
}
