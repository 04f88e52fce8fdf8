//! `Debug` output shows neither secrets nor the bytes of events.

#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{error::Error, fmt::Debug};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures_util::StreamExt as _;
use pravega_sdk::{
    BatchClient, ByteReader, ByteReaderConfig, ByteWriter, ClientConfig, ClientFactory, Commit,
    EventReader, EventWriter, ReaderConfig, Transaction, TransactionConfig, TransactionalWriter,
    WriteError, WriterConfig,
    codec::{Raw, Utf8},
    controller_client::{
        AccessOperation, Authorization, ControllerClient, ControllerConfig, Credentials,
        DelegationToken, KeyValueTableConfiguration, TokenCache,
    },
    embedded::{Embedded, EmbeddedServer, Faults, ServerBuilder},
    event_stream::SegmentContext,
    group::{GroupReader, ReaderGroup},
    index::{Fields, IndexReader, IndexRecords, IndexWriter},
    segment_client::{
        RawClient, StoreConfig, StoreConnection, StoreDialer, StorePool,
        attributes::SegmentAttributes,
        machine::{Location, Token},
    },
    table_synchronizer::{
        Entries, Entry, Following, KeyValueEntry, KeyValueItems, KeyValueTable, Keys, Revision,
        RevisionedStream, SharedState, StateCodecs, StateSynchronizer, TableDeltas, TableItems,
        TableSegment, TableSynchronizer, TypedTable,
        recipes::{Counter, Election, LeaseConfig, Lock, LockGuard, Members, SharedMap},
    },
    tls::TlsConfig,
    types::{
        Endpoint, Offset, ReaderGroupConfiguration, ScopedKeyValueTable, ScopedSegment,
        ScopedStream, SegmentId, StreamConfiguration,
    },
    wire_protocol::{
        Decoder, SendBuffer, WireCommand,
        commands::SealSegment,
        value::{Value, ValueError, to_hex},
    },
};
use uuid::Uuid;

const USER: &str = "ann";
const PASSWORD: &str = "pass:w0rd-that-is-secret";
const DATA: &str = "data-of-an-event";

/// Checks that a secret is in the output in no form that a `Debug` of text or bytes has.
#[track_caller]
fn is_hidden(shown: &str, secret: &str) {
    let bytes = secret.as_bytes();
    let list = format!("{bytes:?}");
    let pretty = format!("{bytes:#?}");
    let inside = |text: &str| text.trim_matches(['[', ']']).trim().to_owned();
    let digest = BASE64_STANDARD.encode(secret);
    for form in [secret, &inside(&list), &inside(&pretty), &to_hex(bytes), &digest] {
        assert!(!shown.contains(form), "{form} is in {shown}");
    }
}

/// Checks that a value shows none of the secrets. Each public type that holds one has a row, which
/// names it: `cargo xtask tidy` requires that.
#[track_caller]
fn hides<T: Debug + ?Sized>(value: &T, secrets: &[&str]) {
    for secret in secrets {
        is_hidden(&format!("{value:?}"), secret);
        is_hidden(&format!("{value:#?}"), secret);
    }
}

#[tokio::test]
async fn credentials_and_settings_do_not_show_the_password() {
    let basic = || Credentials::basic(USER, PASSWORD).unwrap();
    let encoded = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let secrets = &[PASSWORD, encoded.as_str()];
    hides::<Credentials>(&basic(), secrets);
    hides(&Credentials::bearer(PASSWORD).unwrap(), secrets);
    hides::<Authorization>(&Authorization::new("Custom", PASSWORD).unwrap(), secrets);
    hides::<DelegationToken>(&DelegationToken::new(PASSWORD), secrets);
    let function = Credentials::bearer_from(|| async { Ok::<_, WriteError>(PASSWORD.to_owned()) });
    hides(&function, secrets);
    let token = Token(PASSWORD.into());
    hides::<Token>(&token, secrets);
    let endpoint: Endpoint = "localhost:1".parse().unwrap();
    hides::<Location>(&Location { endpoint, token }, secrets);
    let tls = TlsConfig::new().with_client_certificate_pem("chain", &PASSWORD.to_owned().into());
    hides::<TlsConfig>(&tls, secrets);

    let config = ClientConfig::from_url("tcp://localhost:1").unwrap().with_credentials(basic());
    hides::<ClientConfig>(&config.clone().with_controller_tls(tls.clone()), secrets);
    hides(&config.settings(), secrets);
    let config = ControllerConfig::new("tls://localhost:1".parse().unwrap());
    let config = config.with_credentials(basic()).with_tls(Some(tls.clone()));
    hides::<ControllerConfig>(&config, secrets);
    hides::<ControllerClient>(&ControllerClient::new(config.with_tls(None)).unwrap(), secrets);
    let config = StoreConfig::default().with_tls(Some(tls));
    hides::<StoreConfig>(&config, secrets);
    hides::<StoreDialer>(&StoreDialer::new(config.clone()), secrets);
    hides::<StorePool>(&StorePool::new(StoreDialer::new(config)), secrets);

    let builder = EmbeddedServer::builder().with_account(USER, PASSWORD);
    hides::<ServerBuilder>(&builder.with_token_key(PASSWORD.repeat(2).as_bytes()), secrets);
}

#[cfg(feature = "identity")]
#[test]
fn clients_of_issuers_do_not_show_their_secret() {
    use pravega_sdk::identity::{Keycloak, OpenId};

    let encoded = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let secrets = &[PASSWORD, encoded.as_str()];
    let keycloak = Keycloak::new("http://localhost:1", "realm", USER, PASSWORD).unwrap();
    hides::<Keycloak>(&keycloak, secrets);
    let client = OpenId::new("http://localhost:1", USER, PASSWORD).unwrap();
    hides::<OpenId>(&client, secrets);
    hides(&keycloak.clone().credentials().unwrap(), secrets);
    hides(&client.credentials().unwrap(), secrets);
    let config = ClientConfig::from_url("tcp://localhost:1").unwrap();
    hides(&config.with_keycloak(keycloak).unwrap(), secrets);
}

/// A server with an account, and a client of it.
async fn start() -> (EmbeddedServer, ClientFactory) {
    let builder = EmbeddedServer::builder().with_account(USER, PASSWORD);
    let server = builder.start().await.unwrap();
    let credentials = Credentials::basic(USER, PASSWORD).unwrap();
    let config = ClientConfig::from_url(&server.url()).unwrap().with_credentials(credentials);
    (server, ClientFactory::connect_with(config).await.unwrap())
}

/// Creates a stream of one segment.
async fn new_stream(client: &ClientFactory, name: &str) -> ScopedStream {
    let stream = name.parse().unwrap();
    client.create_stream_if_absent(&stream, &StreamConfiguration::default()).await.unwrap();
    stream
}

#[tokio::test]
async fn clients_and_servers_show_neither_passwords_nor_tokens() {
    let (server, client) = start().await;
    let stream = new_stream(&client, "s/t").await;
    let token = client.tokens().token(&stream, AccessOperation::Write).await.unwrap();
    let secrets = &[PASSWORD, token.expose()];
    let segment = ScopedSegment::new(&stream, SegmentId::from(0));
    let endpoint = client.endpoints().endpoint(&segment).await.unwrap();
    let connection = client.raw_client().connection(&endpoint).await.unwrap();
    let builder = EmbeddedServer::builder().with_account(USER, PASSWORD);
    hides::<Embedded>(&Embedded::with(builder).await.unwrap(), secrets);
    hides::<EmbeddedServer>(&server, secrets);
    hides::<Faults>(&server.faults(), secrets);
    hides::<ClientFactory>(&client, secrets);
    hides(client.controller(), secrets);
    hides::<TokenCache>(client.tokens(), secrets);
    hides(client.endpoints(), secrets);
    hides::<RawClient>(client.raw_client(), secrets);
    hides(&connection, secrets);
    let connection = StoreDialer::new(StoreConfig::default()).connect(&endpoint).await.unwrap();
    hides::<StoreConnection>(&connection, secrets);
    let context = client.segment_context();
    hides::<SegmentContext>(&context, secrets);
    hides(&context.pool().snapshot().await, secrets);
    hides(&context.locate(&segment, AccessOperation::Write).await.unwrap(), secrets);
    hides::<SegmentAttributes>(&client.segment_attributes(segment), secrets);
}

#[tokio::test]
async fn readers_and_writers_show_neither_passwords_nor_tokens_nor_events() {
    let (_server, client) = start().await;
    let stream = new_stream(&client, "s/t").await;
    let token = client.tokens().token(&stream, AccessOperation::Write).await.unwrap();
    let secrets = &[PASSWORD, token.expose(), DATA];
    let writer = client.event_writer_with(&stream, Utf8, WriterConfig::default()).await.unwrap();
    writer.write("key", DATA).await.unwrap();
    writer.write("key", DATA).await.unwrap();
    let ack = writer.enqueue("key", DATA).await.unwrap();
    hides::<EventWriter<Utf8>>(&writer, secrets);
    hides(&ack, secrets);
    let mut reader = client.event_reader_with(&stream, Raw, ReaderConfig::default()).await.unwrap();
    // The second event waits in the reader.
    reader.next().await.unwrap().unwrap();
    hides::<EventReader<Raw>>(&reader, secrets);
    let config = TransactionConfig::default();
    let transactions = client.transactional_writer_with(&stream, Utf8, config).await.unwrap();
    let mut transaction = transactions.begin().await.unwrap();
    transaction.write("key", DATA).await.unwrap();
    hides::<TransactionalWriter<Utf8>>(&transactions, secrets);
    hides::<Transaction<Utf8>>(&transaction, secrets);
    hides::<Commit>(&transaction.commit().await.unwrap(), secrets);
    hides::<BatchClient>(&client.batch_client(&stream).await.unwrap(), secrets);

    let group = "s/group".parse().unwrap();
    let configuration = ReaderGroupConfiguration::new([stream]).unwrap();
    let (handle, _) = client.create_reader_group(&group, &configuration).await.unwrap();
    let mut reader = client.group_reader(&group, &"one".parse().unwrap(), Utf8).await.unwrap();
    reader.next().await.unwrap().unwrap();
    hides::<ReaderGroup>(&handle, secrets);
    hides::<GroupReader<Utf8>>(&reader, secrets);
}

#[tokio::test]
async fn readers_and_writers_of_bytes_and_records_do_not_show_them() {
    let (_server, client) = start().await;
    let bytes = new_stream(&client, "s/bytes").await;
    let secrets = &[PASSWORD, DATA];
    let mut writer = client.byte_writer(&bytes).await.unwrap();
    writer.write_bytes(Bytes::from(DATA)).await.unwrap();
    writer.flush().await.unwrap();
    writer.write_bytes(Bytes::from(DATA)).await.unwrap();
    hides::<ByteWriter>(&writer, secrets);
    let config = ByteReaderConfig::default();
    let mut reader = client.byte_reader_with(&bytes, config).await.unwrap();
    reader.next_bytes().await.unwrap();
    hides::<ByteReader>(&reader, secrets);

    struct Number(u64);
    impl Fields for Number {
        fn fields(&self) -> Vec<(&'static str, u64)> {
            vec![("number", self.0)]
        }
    }
    let stream = new_stream(&client, "s/index").await;
    let mut writer = client.index_writer(&stream).await.unwrap();
    writer.append(&Number(1), DATA.as_bytes()).await.unwrap();
    writer.append(&Number(2), DATA.as_bytes()).await.unwrap();
    hides::<IndexWriter>(&writer, secrets);
    writer.flush().await.unwrap();
    let reader = client.index_reader(&stream).await.unwrap();
    hides::<IndexReader>(&reader, secrets);
    let mut records = reader.read(Offset(0), None).await.unwrap();
    records.next().await.unwrap().unwrap();
    hides::<IndexRecords>(&records, secrets);

    let revisions = new_stream(&client, "s/revisions").await;
    let entries = client.revisioned_stream(&revisions).await.unwrap();
    entries.write(Bytes::from(DATA)).await.unwrap();
    entries.write(Bytes::from(DATA)).await.unwrap();
    hides::<RevisionedStream>(&entries, secrets);
    let oldest = entries.oldest_revision().await.unwrap();
    let mut entries = entries.entries(&oldest).await.unwrap();
    entries.next().await.unwrap().unwrap();
    hides::<Entries>(&entries, secrets);
}

#[tokio::test]
async fn tables_do_not_show_their_values() {
    let (_server, client) = start().await;
    let secrets = &[PASSWORD, DATA];
    client.controller().create_scope(&"s".parse().unwrap()).await.unwrap();
    let name: ScopedKeyValueTable = "s/table".parse().unwrap();
    let configuration = KeyValueTableConfiguration::new(1, 4);
    client.controller().create_key_value_table(&name, &configuration).await.unwrap();
    let table = client.key_value_table(&name).await.unwrap();
    for key in ["pear", "plum"] {
        table.put(key, DATA).await.unwrap();
    }
    hides::<KeyValueTable>(&table, secrets);
    let mut entries = table.entries(&Keys::prefix("p")).unwrap();
    entries.next().await.unwrap().unwrap();
    hides::<KeyValueItems<KeyValueEntry>>(&entries, secrets);
    let name: ScopedKeyValueTable = "s/agreed".parse().unwrap();
    let mut agreed = client.table_synchronizer(&name, Utf8, Utf8).await.unwrap();
    agreed.update(|changes| changes.put("key", DATA)).await.unwrap();
    hides::<TableSynchronizer<Utf8, Utf8>>(&agreed, secrets);
    let segment = client.table_segment(&name, 0.into()).await.unwrap();
    hides::<TableSegment>(&segment, secrets);
    let mut entries = segment.entries();
    entries.next().await.unwrap().unwrap();
    hides::<TableItems<Entry>>(&entries, secrets);
}

#[tokio::test]
async fn what_is_built_on_tables_shows_neither_their_values_nor_secrets() {
    let (_server, client) = start().await;
    let secrets = &[PASSWORD, DATA];
    client.controller().create_scope(&"s".parse().unwrap()).await.unwrap();
    let name: ScopedKeyValueTable = "s/agreed".parse().unwrap();
    let mut map = SharedMap::new(client.table_synchronizer(&name, Utf8, Utf8).await.unwrap());
    map.insert("key", DATA).await.unwrap();
    hides::<SharedMap<Utf8, Utf8>>(&map, secrets);
    let table = async || client.table_synchronizer(&name, Raw, Raw).await.unwrap();
    let mut counter = Counter::new(table().await, "count");
    counter.add(1).await.unwrap();
    hides::<Counter>(&counter, secrets);
    let config = || LeaseConfig::default().with_name("one");
    let mut lock = Lock::new(table().await, "lock", config());
    let guard = lock.try_acquire().await.unwrap().unwrap();
    hides::<LockGuard<'_>>(&guard, secrets);
    drop(guard);
    hides::<Lock>(&lock, secrets);
    let mut election = Election::new(table().await, "leader", config());
    election.round().await.unwrap();
    hides::<Election>(&election, secrets);
    let mut members = Members::new(table().await, "members/", config());
    members.round().await.unwrap();
    hides::<Members>(&members, secrets);
    let segment = client.table_segment(&name, 0.into()).await.unwrap();
    let mut deltas = segment.deltas(Offset(0), Following::UntilEnd);
    deltas.next().await.unwrap().unwrap();
    hides::<TableDeltas>(&deltas, secrets);

    let name: ScopedKeyValueTable = "s/table".parse().unwrap();
    let configuration = KeyValueTableConfiguration::new(1, 4);
    client.controller().create_key_value_table(&name, &configuration).await.unwrap();
    let typed = client.key_value_table(&name).await.unwrap().with_codecs(Utf8, Utf8);
    typed.insert("pear", DATA).await.unwrap();
    hides::<TypedTable<Utf8, Utf8>>(&typed, secrets);
}

/// The texts of a state.
struct Texts(Vec<String>);

impl SharedState for Texts {
    type Initial = String;
    type Update = String;

    fn create(first: String, _: &Revision) -> Self {
        Self(vec![first])
    }

    fn apply(&mut self, text: String, _: &Revision) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.push(text);
        Ok(())
    }
}

#[tokio::test]
async fn states_on_which_clients_agree_are_not_shown() {
    let (_server, client) = start().await;
    let secrets = &[PASSWORD, DATA];
    let stream = new_stream(&client, "s/state").await;
    let mut state: StateSynchronizer<Texts, _> =
        client.state_synchronizer(&stream, StateCodecs::new(Utf8, Utf8)).await.unwrap();
    hides::<StateSynchronizer<_, _>>(&state, secrets);
    state.initialize(DATA.to_owned()).await.unwrap();
    state.update(|_, updates| updates.push(DATA.to_owned())).await.unwrap();
    assert_eq!(state.state().unwrap().0, [DATA, DATA]);
    hides::<StateSynchronizer<_, _>>(&state, secrets);
}

#[cfg(feature = "embedded-jwt")]
#[test]
fn accounts_of_signed_tokens_show_neither_keys_nor_passwords_of_addresses() {
    use pravega_sdk::embedded::JwtAccounts;

    let url = format!("https://{USER}:{PASSWORD}@localhost:1/realms/r");
    for accounts in [
        // A key that should not be there.
        JwtAccounts::with_key_set(
            &format!(r#"{{"keys":[{{"kty":"oct","k":"{PASSWORD}"}}]}}"#),
            "a",
        ),
        JwtAccounts::with_key_set(PASSWORD, "audience"),
        JwtAccounts::with_key_set_url(&url, "audience"),
        JwtAccounts::of_realm(&url, "audience"),
    ] {
        let accounts = accounts.with_user(USER, "prn::*,READ");
        hides::<JwtAccounts>(&accounts, &[PASSWORD]);
        let builder = EmbeddedServer::builder().with_jwt_accounts(accounts);
        hides::<ServerBuilder>(&builder, &[PASSWORD]);
    }
}

#[cfg(feature = "embedded-tls")]
#[test]
fn tls_of_a_server_shows_where_its_key_is_and_not_the_key() {
    use pravega_sdk::embedded::ServerTls;

    let folder = std::env::temp_dir().join(format!("pravega-sdk-secrets-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (certificate, key) = (folder.join("server.crt"), folder.join("server.key"));
    std::fs::write(&key, PASSWORD).unwrap();
    let tls = ServerTls::with_files(certificate, &key);
    hides::<ServerTls>(&tls, &[PASSWORD]);
    assert!(format!("{tls:?}").contains("server.key"));
    hides::<ServerBuilder>(&EmbeddedServer::builder().with_tls(tls), &[PASSWORD]);
    std::fs::remove_dir_all(folder).unwrap();
}

/// Checks that a failure and its causes show none of the secrets, in any form.
#[track_caller]
fn fails_without<T>(call: Result<T, impl Error + 'static>, secrets: &[&str]) {
    let Err(error) = call else { panic!("it is allowed") };
    let (mut cause, mut count): (Option<&(dyn Error + 'static)>, u32) = (Some(&error), 0);
    while let Some(shown) = cause {
        hides(shown, secrets);
        secrets.iter().for_each(|secret| is_hidden(&shown.to_string(), secret));
        cause = shown.source();
        count += 1;
    }
    assert!(count < 20, "{error}");
}

#[tokio::test]
async fn errors_and_their_causes_show_neither_credentials_nor_tokens_nor_data() {
    let rules = "prn::/scope:s,READ;prn::/scope:s/stream:t,READ;prn::/scope:s/reader-group:g,READ";
    let builder = EmbeddedServer::builder()
        .with_account("root", "pw")
        .with_limited_account(USER, PASSWORD, rules);
    let server = builder.start().await.unwrap();
    let of = |user: &str, password: &str| {
        let credentials = Credentials::basic(user, password).unwrap();
        ClientConfig::from_url(&server.url()).unwrap().with_credentials(credentials)
    };
    let root = ClientFactory::new(of("root", "pw")).unwrap();
    let stream = new_stream(&root, "s/t").await;
    let table: ScopedKeyValueTable = "s/table".parse().unwrap();
    let configuration = KeyValueTableConfiguration::new(1, 4);
    root.controller().create_key_value_table(&table, &configuration).await.unwrap();

    let client = ClientFactory::new(of(USER, PASSWORD)).unwrap();
    let token = client.controller().delegation_token(&stream, AccessOperation::Read).await.unwrap();
    let encoded = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let secrets = &[PASSWORD, encoded.as_str(), token.expose(), DATA];
    // The stores refuse a token, with the command that has it in the error.
    let segment = ScopedSegment::new(&stream, SegmentId::from(0));
    let endpoint = client.endpoints().endpoint(&segment).await.unwrap();
    let seal = SealSegment {
        request_id: 0,
        segment: segment.to_string().into(),
        delegation_token: token.expose().into(),
    };
    fails_without(client.raw_client().request(&endpoint, seal).await, secrets);
    fails_without(client.controller().seal_stream(&stream).await, secrets);
    match client.event_writer(&stream, Utf8).await {
        Ok(writer) => fails_without(writer.write("key", DATA).await, secrets),
        refused => fails_without(refused, secrets),
    }
    match client.byte_writer(&stream).await {
        Ok(mut writer) => {
            writer.write_bytes(Bytes::from(DATA)).await.ok();
            fails_without(writer.flush().await, secrets);
        }
        refused => fails_without(refused, secrets),
    }
    let transactions = client.transactional_writer(&stream, Utf8).await;
    match transactions {
        Ok(writer) => fails_without(writer.begin().await, secrets),
        refused => fails_without(refused, secrets),
    }
    fails_without(client.revisioned_stream(&stream).await.unwrap().write(DATA).await, secrets);
    let state = client.state_synchronizer(&stream, StateCodecs::new(Utf8, Utf8)).await;
    let mut state: StateSynchronizer<Texts, _> = state.unwrap();
    fails_without(state.initialize(DATA.to_owned()).await, secrets);
    fails_without(client.key_value_table(&table).await, secrets);
    fails_without(client.table_synchronizer(&table, Utf8, Utf8).await, secrets);
    let other = "s/other".parse().unwrap();
    fails_without(client.reader_group(&other).await, secrets);
    fails_without(client.group_reader(&other, &"one".parse().unwrap(), Utf8).await, secrets);

    // A password that no account has.
    let stranger = of("stranger", PASSWORD);
    let encoded = BASE64_STANDARD.encode(format!("stranger:{PASSWORD}"));
    let secrets = &[PASSWORD, encoded.as_str()];
    fails_without(ClientFactory::connect_with(stranger.clone()).await, secrets);
    let stranger = ClientFactory::new(stranger).unwrap();
    fails_without(stranger.event_writer(&stream, Utf8).await, secrets);
    fails_without(stranger.event_reader(&stream, Utf8).await, secrets);
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
    let mut has_token = 0;
    for name in WireCommand::NAMES {
        let fields = WireCommand::field_names(name).unwrap();
        has_token += usize::from(fields.iter().any(|(field, _)| field == "delegationToken"));
        let command = with_secrets(name);
        let mut frame = SendBuffer::new();
        command.encode(&mut frame).unwrap();
        let frame = frame.to_vec();
        let holds =
            |secret: &str| frame.windows(secret.len()).any(|part| part == secret.as_bytes());
        tokens += usize::from(holds(PASSWORD));
        payloads += usize::from(holds(DATA));
        hides(&command, &[PASSWORD, DATA]);
        let decoded = Decoder::default().decode_frame(frame.into()).unwrap();
        hides(&decoded, &[PASSWORD, DATA]);
    }
    assert_eq!(tokens, has_token, "each that has a token was built with one");
    assert!(payloads >= 15, "{payloads} commands with data");
}
