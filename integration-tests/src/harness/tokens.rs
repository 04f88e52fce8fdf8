//! The story of a set-up with a token that has expired, for any server with accounts.

use std::time::Duration;

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_controller_client::AccessOperation;
use pravega_sdk_event_stream::{EventWriter, WriterConfig, codec::Utf8};
use pravega_sdk_types::ScopedStream;
use pravega_sdk_wire_protocol::{WireCommand, commands::SetupAppend};

use super::{
    frames::{Fate, Frame, FrameProxy, Sender},
    read_all,
    through::{store_of, through},
};

/// Requires that a writer whose token has expired without its knowledge, which the server answers
/// by closing the connection, asks for another and stores its event once.
///
/// The token in the cache of `factory` is one that the server takes for expired, or `expired` is
/// such a token: then the proxy puts it in place of the cached one, whenever that is sent.
///
/// # Panics
///
/// If the writer does not.
pub async fn a_writer_replaces_a_token_after_which_connections_are_closed(
    factory: &ClientFactory,
    stream: &ScopedStream,
    expired: Option<String>,
) {
    let cached = factory.tokens().token(stream, AccessOperation::Write).await.unwrap();
    let first = cached.expose().to_owned();
    let replaced = move |setup: &SetupAppend| {
        let delegation_token = expired.clone()?.into();
        (setup.delegation_token == first)
            .then(|| Box::new(SetupAppend { delegation_token, ..setup.clone() }.into()))
    };
    let proxy =
        FrameProxy::start(store_of(factory, stream).await, move |frame| match &frame.command {
            WireCommand::SetupAppend(setup) => replaced(setup).map_or(Fate::Forward, Fate::Replace),
            _ => Fate::Forward,
        })
        .await;
    let config = WriterConfig::default()
        .with_backoff(Duration::from_millis(5), Duration::from_millis(50))
        .with_delivery_timeout(Duration::from_secs(60));
    let context = through(factory, proxy.address());
    let writer = EventWriter::open(context, stream, Utf8, config).await.unwrap();
    let written = writer.write("key", "once").await;
    assert!(written.is_ok(), "{:?}", written.map_err(|error| (error.kind(), error.outcome())));

    let seen = proxy.seen();
    let set_ups = |frame: &&Frame| matches!(frame.command, WireCommand::SetupAppend(_));
    let closed = seen.iter().find(set_ups).unwrap().connection;
    let answers: Vec<_> = seen
        .iter()
        .filter(|frame| frame.connection == closed && frame.sender == Sender::Store)
        .map(|frame| frame.command.name())
        .collect();
    assert_eq!(answers, ["Hello"], "the server closes the connection without a word");
    let events = read_all(factory, stream).await;
    assert_eq!(events.len(), 1);
    assert!(writer.close(Duration::from_secs(60)).await.into_result().is_ok());
}
