//! Delegation tokens that expire while clients write and read: no caller notices.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::{Buf as _, Bytes, BytesMut};
use bytestring::ByteString;
use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_controller_client::{
    Credentials, DelegationToken, KeyValueTableConfiguration, TokenCache,
};
use pravega_sdk_event_stream::{
    ByteReader, ByteReaderConfig, ByteWriter, ByteWriterConfig, EventReader, EventWriter,
    ReaderConfig, SegmentContext, WriterConfig, codec::Utf8,
};
use pravega_sdk_integration_tests::harness::{
    self, FAR,
    frames::{Fate, Frame, FrameProxy},
    read_all,
    through::through_with,
};
use pravega_sdk_server::EmbeddedServer;
use pravega_sdk_table_synchronizer::{KeyValueTable, TableConfig};
use pravega_sdk_types::{ScopedKeyValueTable, ScopedStream};
use pravega_sdk_wire_protocol::WireCommand;
use tokio::time::{sleep, timeout};

const LIFETIME: Duration = Duration::from_secs(60);
/// How the time of a lifetime passes. A client renews a token when a fifth of it is left.
const STEPS: [u64; 6] = [45, 3, 3, 3, 3, 3];
const ROUNDS: usize = 32;
/// In every round the tokens of five clients expire twice.
const EXPIRIES: usize = 300;
const CLIENTS: usize = 5;
/// The events of an operation.
const EVENTS: usize = 4;
/// The time between two operations of a client: the proxies keep every frame.
const PAUSE: Duration = Duration::from_millis(1);
/// What every client does before the time goes on: a call of the controller needs less.
const OPERATIONS: u64 = 3;

/// The requests of some clients at a segment store.
struct Watched {
    context: SegmentContext,
    seen: Arc<Mutex<Seen>>,
    /// The connections end with it.
    _proxy: FrameProxy,
}

#[derive(Default)]
struct Seen {
    /// The tokens that were presented with each command.
    tokens: BTreeMap<&'static str, BTreeSet<String>>,
    /// How many requests were refused for their token.
    refused: usize,
}

impl Seen {
    fn note(&mut self, command: &WireCommand) {
        let token: &ByteString = match command {
            WireCommand::SetupAppend(setup) => &setup.delegation_token,
            WireCommand::ReadSegment(read) => &read.delegation_token,
            WireCommand::UpdateTableEntries(update) => &update.delegation_token,
            WireCommand::AuthTokenCheckFailed(_) => {
                self.refused += 1;
                return;
            }
            _ => return,
        };
        self.tokens.entry(command.name()).or_default().insert(token.to_string());
    }
}

impl Watched {
    async fn start(factory: &ClientFactory, store: SocketAddr, tokens: &Arc<TokenCache>) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let noted = Arc::clone(&seen);
        let rule = move |frame: &Frame| {
            noted.lock().unwrap().note(&frame.command);
            Fate::Forward
        };
        let proxy = FrameProxy::start(store, rule).await;
        let context = through_with(factory, proxy.address(), Arc::clone(tokens));
        Self { context, seen, _proxy: proxy }
    }

    fn refused(&self) -> usize {
        self.seen.lock().unwrap().refused
    }

    /// The tokens that were presented with a command.
    fn tokens(&self, command: &str) -> BTreeSet<String> {
        self.seen.lock().unwrap().tokens.get(command).cloned().unwrap_or_default()
    }
}

/// What the clients have done so far, and whether they go on.
#[derive(Debug, Default)]
struct Work {
    done: [Cell<u64>; CLIENTS],
    is_over: Cell<bool>,
}

impl Work {
    /// Counts an operation of a client.
    fn count(&self, client: usize) {
        self.done[client].set(self.done[client].get() + 1);
    }

    /// Waits until every client has done more.
    async fn goes_on(&self) {
        let before = self.done.clone();
        let has_done = |(now, before): (&Cell<u64>, &Cell<u64>)| now.get() - before.get();
        let all = || self.done.iter().zip(&before).map(has_done).all(|done| done >= OPERATIONS);
        let waiting = async {
            while !all() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        assert!(timeout(FAR, waiting).await.is_ok(), "a client stands still: {self:?}");
    }
}

/// The clock of the server, and that of the clients' machine.
struct Clocks {
    server: EmbeddedServer,
    clients: Arc<AtomicU64>,
}

impl Clocks {
    /// Lets the tokens of all clients expire again and again: by both clocks, and by that of the
    /// server alone, as if the clients' machine had slept.
    async fn run(&self, work: &Work, clients: [&Watched; 3]) {
        for _ in 0..ROUNDS {
            let before = clients.map(Watched::refused);
            for seconds in STEPS {
                self.server.advance_clock(Duration::from_secs(seconds)).unwrap();
                self.clients.fetch_add(seconds, Ordering::SeqCst);
                work.goes_on().await;
            }
            let after = clients.map(Watched::refused);
            assert_eq!(after, before, "a token is renewed before it expires");
            self.server.advance_clock(LIFETIME + Duration::from_secs(1)).unwrap();
            work.goes_on().await;
            let refused = clients.map(Watched::refused);
            assert!((0..3).all(|client| refused[client] > after[client]), "{refused:?} {after:?}");
        }
        work.is_over.set(true);
    }
}

const END: &str = "end";

/// Returns the number of events.
async fn write_events(writer: EventWriter<Utf8>, work: &Work) -> usize {
    let mut number = 0;
    while !work.is_over.get() {
        let mut acks = Vec::new();
        for _ in 0..EVENTS {
            acks.push(writer.enqueue("key", number.to_string()).await.unwrap());
            number += 1;
        }
        for ack in acks {
            ack.await.unwrap();
        }
        work.count(0);
        sleep(PAUSE).await;
    }
    writer.write("key", END).await.unwrap();
    writer.close(FAR).await.into_result().unwrap();
    number + 1
}

/// Returns the number of events.
async fn read_events(mut reader: EventReader<Utf8>, work: &Work) -> usize {
    let mut number = 0;
    loop {
        let event = reader.next().await.unwrap().unwrap().into_event();
        number += 1;
        if event == END {
            return number;
        }
        assert_eq!(event, (number - 1).to_string());
        if number % EVENTS == 0 {
            work.count(1);
        }
    }
}

async fn write_bytes(mut writer: ByteWriter, work: &Work) {
    let mut numbers = 0_u64..;
    while !work.is_over.get() {
        let number = numbers.next().unwrap().to_be_bytes();
        writer.write_bytes(Bytes::copy_from_slice(&number)).await.unwrap();
        writer.flush().await.unwrap();
        work.count(2);
        sleep(PAUSE).await;
    }
    writer.write_bytes(Bytes::copy_from_slice(&u64::MAX.to_be_bytes())).await.unwrap();
    writer.flush().await.unwrap();
}

async fn read_bytes(mut reader: ByteReader, work: &Work) {
    let (mut numbers, mut read) = (0_u64.., BytesMut::new());
    loop {
        read.extend_from_slice(&reader.next_bytes().await.unwrap().unwrap());
        while read.len() >= 8 {
            let number = read.get_u64();
            if number == u64::MAX {
                return;
            }
            assert_eq!(number, numbers.next().unwrap());
            work.count(3);
        }
    }
}

/// Each change has the version of the one before as its condition.
async fn change_table(table: KeyValueTable, work: &Work) {
    let mut version = table.insert("key0", "0").await.unwrap();
    for number in 1.. {
        if work.is_over.get() {
            return;
        }
        version = table.put_at("key0", number.to_string(), version).await.unwrap();
        let found = table.get("key0").await.unwrap().unwrap();
        assert_eq!((found.version, &found.value[..]), (version, number.to_string().as_bytes()));
        work.count(4);
        sleep(PAUSE).await;
    }
}

/// The tokens that had expired before the last one was issued.
fn expired<'a>(tokens: impl IntoIterator<Item = &'a String>) -> usize {
    let claims = tokens.into_iter().map(|text| DelegationToken::new(text).claims().unwrap());
    let claims: Vec<_> = claims.collect();
    let last = claims.iter().map(|claims| claims.issued_at.unwrap()).max();
    claims.iter().filter(|claims| Some(claims.expires_at) <= last).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_tokens_expire_while_clients_write_and_read_and_no_caller_notices() {
    let builder = harness::builder().with_standing_clock().with_account("full", "pw");
    let server = builder.with_token_lifetime(LIFETIME).start().await.unwrap();
    let credentials = Credentials::basic("full", "pw").unwrap();
    let config = ClientConfig::from_url(&server.url()).unwrap().with_credentials(credentials);
    let factory = ClientFactory::new(config).unwrap();
    let [stream, byte_stream] =
        ["scope/events", "scope/bytes"].map(|name| name.parse::<ScopedStream>().unwrap());
    for stream in [&stream, &byte_stream] {
        factory.create_stream_if_absent(stream, &Default::default()).await.unwrap();
    }
    let name = ScopedKeyValueTable::new(stream.scope().clone(), "table".parse().unwrap());
    let configuration = KeyValueTableConfiguration::new(1, 4);
    factory.controller().create_key_value_table(&name, &configuration).await.unwrap();

    let clock = Arc::<AtomicU64>::default();
    let clients = Arc::clone(&clock);
    let now = move || SystemTime::UNIX_EPOCH + Duration::from_secs(clients.load(Ordering::SeqCst));
    let tokens = Arc::new(TokenCache::with_clock(Arc::clone(factory.controller()), now));
    let store = ([127, 0, 0, 1], server.store_ports()[0]).into();
    let events = Watched::start(&factory, store, &tokens).await;
    let bytes = Watched::start(&factory, store, &tokens).await;
    let table = Watched::start(&factory, store, &tokens).await;
    let (first, longest) = (Duration::from_millis(5), Duration::from_millis(50));
    let context = || events.context.clone();
    let config = WriterConfig::default().with_backoff(first, longest);
    let writer = EventWriter::open(context(), &stream, Utf8, config).await.unwrap();
    let config = ReaderConfig::default().with_backoff(first, longest);
    let reader = EventReader::open(context(), &stream, Utf8, config).await.unwrap();
    let context = || bytes.context.clone();
    let config = ByteWriterConfig::default().with_backoff(first, longest);
    let byte_writer = ByteWriter::open(context(), &byte_stream, config).await.unwrap();
    let config = ByteReaderConfig::default().with_backoff(first, longest);
    let byte_reader = ByteReader::open(context(), &byte_stream, config).await.unwrap();
    let config = TableConfig::default();
    let changed = KeyValueTable::open(table.context.clone(), &name, config).await.unwrap();

    let (clocks, work) = (Clocks { server, clients: clock }, Work::default());
    let (written, read, ..) = tokio::join!(
        Box::pin(write_events(writer, &work)),
        Box::pin(read_events(reader, &work)),
        Box::pin(write_bytes(byte_writer, &work)),
        Box::pin(read_bytes(byte_reader, &work)),
        Box::pin(change_table(changed, &work)),
        Box::pin(clocks.run(&work, [&events, &bytes, &table])),
    );
    assert_eq!(read, written);
    assert_eq!(read_all(&factory, &stream).await.len(), written, "each event is stored once");
    let presented = [
        events.tokens("SetupAppend"),
        events.tokens("ReadSegment"),
        bytes.tokens("SetupAppend"),
        bytes.tokens("ReadSegment"),
        table.tokens("UpdateTableEntries"),
    ];
    let each = presented.each_ref().map(expired);
    assert!(each.iter().all(|expired| *expired >= EXPIRIES / CLIENTS), "{each:?}");
    let all: BTreeSet<&String> = presented.iter().flatten().collect();
    assert!(expired(all) >= EXPIRIES, "{each:?}");
}
