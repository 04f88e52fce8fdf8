//! `Debug` output shows neither secrets nor the bytes of events.

#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use pravega_sdk::{
    ByteReaderConfig, ClientConfig, ClientFactory, ReaderConfig, TransactionConfig, WriteError,
    WriterConfig,
    codec::{Raw, Utf8},
    controller_client::{AccessOperation, Authorization, Credentials, DelegationToken},
    embedded::EmbeddedServer,
    tls::TlsConfig,
    types::{ScopedSegment, ScopedStream, SegmentId, StreamConfiguration},
    wire_protocol::{
        Decoder, SendBuffer, WireCommand,
        value::{Value, ValueError, to_hex},
    },
};
use uuid::Uuid;

const USER: &str = "ann";
const PASSWORD: &str = "pass:w0rd-that-is-secret";
const DATA: &str = "data-of-an-event";

/// Checks that a secret is in the output in no form that a `Debug` of text or bytes has.
#[track_caller]
fn hides(shown: &str, secret: &str) {
    let bytes = secret.as_bytes();
    let list = format!("{bytes:?}");
    let pretty = format!("{bytes:#?}");
    let inside = |text: &str| text.trim_matches(['[', ']']).trim().to_owned();
    let digest = BASE64_STANDARD.encode(secret);
    for form in [secret, &inside(&list), &inside(&pretty), &to_hex(bytes), &digest] {
        assert!(!shown.contains(form), "{form} is in {shown}");
    }
}

#[track_caller]
fn hides_all(value: &dyn std::fmt::Debug, secrets: &[&str]) {
    for secret in secrets {
        hides(&format!("{value:?}"), secret);
        hides(&format!("{value:#?}"), secret);
    }
}

#[test]
fn credentials_and_settings_do_not_show_the_password() {
    let basic = || Credentials::basic(USER, PASSWORD).unwrap();
    let encoded = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let secrets = [PASSWORD, encoded.as_str()];
    hides_all(&basic(), &secrets);
    hides_all(&Credentials::bearer(PASSWORD).unwrap(), &secrets);
    hides_all(&Authorization::new("Custom", PASSWORD).unwrap(), &secrets);
    hides_all(&DelegationToken::new(PASSWORD), &secrets);
    let function = Credentials::bearer_from(|| async { Ok::<_, WriteError>(PASSWORD.to_owned()) });
    hides_all(&function, &secrets);
    let tls = TlsConfig::new().with_client_certificate_pem("chain", &PASSWORD.to_owned().into());
    hides_all(&tls, &secrets);
    let config = ClientConfig::from_url("tcp://localhost:1").unwrap().with_credentials(basic());
    hides_all(&config, &secrets);
    hides_all(&config.settings(), &secrets);
    hides_all(&EmbeddedServer::builder().with_account(USER, PASSWORD), &secrets);
}

#[cfg(feature = "identity")]
#[test]
fn clients_of_issuers_do_not_show_their_secret() {
    use pravega_sdk::identity::{Keycloak, OpenId};

    let encoded = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let secrets = [PASSWORD, encoded.as_str()];
    let keycloak = Keycloak::new("http://localhost:1", "realm", USER, PASSWORD).unwrap();
    hides_all(&keycloak, &secrets);
    let client = OpenId::new("http://localhost:1", USER, PASSWORD).unwrap();
    hides_all(&client, &secrets);
    hides_all(&keycloak.clone().credentials().unwrap(), &secrets);
    hides_all(&client.credentials().unwrap(), &secrets);
    let config = ClientConfig::from_url("tcp://localhost:1").unwrap();
    hides_all(&config.with_keycloak(keycloak).unwrap(), &secrets);
}

#[tokio::test]
async fn clients_and_servers_show_neither_passwords_nor_tokens_nor_events() {
    let builder = EmbeddedServer::builder().with_account(USER, PASSWORD);
    let server = builder.start().await.unwrap();
    let credentials = Credentials::basic(USER, PASSWORD).unwrap();
    let config = ClientConfig::from_url(&server.url()).unwrap().with_credentials(credentials);
    let client = ClientFactory::connect_with(config).await.unwrap();
    let controller = client.controller();
    controller.create_scope(&"s".parse().unwrap()).await.unwrap();
    let stream: ScopedStream = "s/t".parse().unwrap();
    controller.create_stream(&stream, &StreamConfiguration::default()).await.unwrap();

    let writer = client.event_writer_with(&stream, Utf8, WriterConfig::default()).await.unwrap();
    writer.write("key", DATA).await.unwrap();
    writer.write("key", DATA).await.unwrap();
    let ack = writer.enqueue("key", DATA).await.unwrap();
    let mut reader = client.event_reader_with(&stream, Raw, ReaderConfig::default()).await.unwrap();
    // The second event waits in the reader.
    reader.next().await.unwrap().unwrap();
    let config = TransactionConfig::default();
    let transactions = client.transactional_writer_with(&stream, Utf8, config).await.unwrap();
    let mut transaction = transactions.begin().await.unwrap();
    transaction.write("key", DATA).await.unwrap();
    let bytes: ScopedStream = "s/bytes".parse().unwrap();
    controller.create_stream(&bytes, &StreamConfiguration::default()).await.unwrap();
    let mut byte_writer = client.byte_writer(&bytes).await.unwrap();
    byte_writer.write_bytes(Bytes::from(DATA)).await.unwrap();
    byte_writer.flush().await.unwrap();
    byte_writer.write_bytes(Bytes::from(DATA)).await.unwrap();
    let config = ByteReaderConfig::default();
    let mut byte_reader = client.byte_reader_with(&bytes, config).await.unwrap();
    byte_reader.next_bytes().await.unwrap();

    let token = client.tokens().token(&stream, AccessOperation::Write).await.unwrap();
    let segment = ScopedSegment::new(&stream, SegmentId::from(0));
    let endpoint = client.endpoints().endpoint(&segment).await.unwrap();
    let connection = client.raw_client().connection(&endpoint).await.unwrap();
    let batch = client.batch_client(&stream).await.unwrap();
    let secrets = [PASSWORD, token.expose(), DATA];
    let context = client.segment_context();
    for value in [
        &server as &dyn std::fmt::Debug,
        &client,
        controller,
        client.tokens(),
        client.endpoints(),
        client.raw_client(),
        &context,
        &connection,
        &context.pool().snapshot().await,
        &context.locate(&segment, AccessOperation::Write).await.unwrap(),
        &writer,
        &ack,
        &reader,
        &transactions,
        &transaction,
        &byte_writer,
        &byte_reader,
        &batch,
    ] {
        hides_all(value, &secrets);
    }
}

/// Builds the command called `name`, with the secret as its token and in all its payloads.
fn with_secrets(name: &str) -> WireCommand {
    let data = || Value::Bytes(Bytes::from(DATA));
    let record = || Value::Record(vec![("data".to_owned(), data())]);
    let entry = vec![("key".to_owned(), record()), ("value".to_owned(), record())];
    let candidates = [
        Value::Int(1),
        Value::Bool(false),
        Value::Uuid(Uuid::nil()),
        data(),
        Value::Text(PASSWORD.to_owned()),
        // The elements of lists that hold data.
        Value::List(vec![record()]),
        Value::List(vec![Value::Record(entry)]),
        Value::List(Vec::new()),
        record(),
        Value::Record(vec![("fromKey".to_owned(), data()), ("toKey".to_owned(), data())]),
    ];
    let names = WireCommand::field_names(name).unwrap();
    let mut choices: Vec<(String, usize)> =
        names.into_iter().map(|(field, _)| (field, 0)).collect();
    loop {
        let fields = choices.iter().map(|(field, at)| {
            let is_token = field == "delegationToken";
            let value = candidates[*at].clone();
            match value {
                // Other texts are names and messages, which are shown.
                Value::Text(_) if !is_token => (field.clone(), Value::Text("name".to_owned())),
                value => (field.clone(), value),
            }
        });
        match WireCommand::from_fields(name, fields.collect()) {
            Ok(command) => return command,
            Err(ValueError::Field { field, .. }) => {
                choices.iter_mut().find(|(name, _)| *name == field).unwrap().1 += 1;
            }
            Err(other) => panic!("{name}: {other}"),
        }
    }
}

#[test]
fn no_command_of_the_protocol_shows_its_token_or_its_payload() {
    let (mut tokens, mut payloads) = (0, 0);
    for name in WireCommand::NAMES {
        let command = with_secrets(name);
        let mut frame = SendBuffer::new();
        command.encode(&mut frame).unwrap();
        let frame = frame.to_vec();
        let holds =
            |secret: &str| frame.windows(secret.len()).any(|part| part == secret.as_bytes());
        tokens += usize::from(holds(PASSWORD));
        payloads += usize::from(holds(DATA));
        hides_all(&command, &[PASSWORD, DATA]);
        let decoded = Decoder::default().decode_frame(frame.into()).unwrap();
        hides_all(&decoded, &[PASSWORD, DATA]);
    }
    assert!(tokens >= 20 && payloads >= 15, "{tokens} commands with tokens, {payloads} with data");
}
