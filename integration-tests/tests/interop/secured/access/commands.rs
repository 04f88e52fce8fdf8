//! Every command that has a token, with tokens of all kinds.

use std::time::Duration;

use pravega_sdk_client_factory::{ClientConfig, ClientFactory};
use pravega_sdk_controller_client::{AccessOperation, Credentials};
use pravega_sdk_integration_tests::harness::{
    FAR,
    commands::{OF_ADMINISTRATION, command_of, with_token},
    through::store_of,
    unique,
};
use pravega_sdk_server::EmbeddedServer;
use pravega_sdk_types::ScopedStream;
use pravega_sdk_wire_protocol::{WireCommand, codes::TokenFailure};

use super::{
    answers::{Answers, Known, Names},
    tokens::{KEYS, OTHER_KEYS, Tokens, with_a_changed_claim, without_a_signature},
};
use crate::{
    connection::{Did, Store},
    secured::{admin, variable},
};

/// What a segment store does with a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// It handles the command, which may fail.
    LetIn,
    Refused(TokenFailure),
    Closed,
    Silent,
}

impl Answer {
    fn of(did: &Did) -> Self {
        match did {
            Did::Replied(WireCommand::AuthTokenCheckFailed(failed)) => {
                Self::Refused(failed.error_code)
            }
            Did::Replied(_) => Self::LetIn,
            Did::Closed => Self::Closed,
            Did::Nothing => Self::Silent,
        }
    }
}

/// The stream that commands are about, one beside it, and the stream with the segments of the table
/// that has the name of the first.
const STREAM: &str = "orders";
const BESIDE: &str = "returns";
const TABLE: &str = "orders_kvtable";

/// A command about segments of streams.
struct Row {
    name: String,
    command: &'static str,
    /// The stream of the segment that the store finds first.
    of: &'static str,
    /// The stream of the other segment, if the command names two.
    other: &'static str,
}

/// Every command that has a token, and those that may cross from one stream to another.
fn rows() -> Vec<Row> {
    let plain = with_token().map(|command| Row {
        name: command.to_owned(),
        command,
        of: STREAM,
        other: STREAM,
    });
    let more = |command: &'static str, what: &str, of, other| Row {
        name: format!("{command} {what}"),
        command,
        of,
        other,
    };
    plain
        .chain([
            more("MergeSegments", "into another stream", STREAM, BESIDE),
            more("MergeSegments", "from another stream", BESIDE, STREAM),
            more("MergeSegmentsBatch", "into another stream", BESIDE, STREAM),
            more("MergeSegmentsBatch", "from another stream", STREAM, BESIDE),
            more("GetTableSegmentInfo", "of a table", TABLE, TABLE),
            more("ReadTable", "of a table", TABLE, TABLE),
            more("CreateTableSegment", "of a table", TABLE, TABLE),
        ])
        .collect()
}

/// The tokens of a client, by what they are, for commands about [`STREAM`].
async fn tokens(scope: &str, clients: &Clients) -> Vec<(&'static str, Tokens)> {
    let issued = async |stream: &str, operation| {
        let stream: ScopedStream = format!("{scope}/{stream}").parse().unwrap();
        let (there, here) = tokio::join!(
            clients.there.tokens().token(&stream, operation),
            clients.here.tokens().token(&stream, operation)
        );
        Tokens { there: there.unwrap().expose().into(), here: here.unwrap().expose().into() }
    };
    let to_read = issued(STREAM, AccessOperation::Read).await;
    let to_write = issued(STREAM, AccessOperation::Write).await;
    let made = |keys, stream, seconds| Tokens::made(keys, scope, stream, seconds);
    vec![
        ("none", Tokens::same("")),
        ("a word", Tokens::same("nonsense")),
        ("three words", Tokens::same("a.b.c")),
        ("of another key", made(&OTHER_KEYS, STREAM, 500)),
        ("with a changed claim", to_read.map(with_a_changed_claim)),
        ("without a signature", to_write.map(without_a_signature)),
        ("cut", to_write.map(|token| token[..token.len() - 4].to_owned())),
        ("expired", made(&KEYS, STREAM, -1)),
        ("expired and of another stream", made(&KEYS, BESIDE, -1)),
        ("of another stream", issued(BESIDE, AccessOperation::ReadWrite).await),
        ("of a longer name", issued("orders2", AccessOperation::ReadWrite).await),
        ("of a shorter name", issued("order", AccessOperation::ReadWrite).await),
        ("to read", to_read),
        ("to write", to_write),
        ("to read and write", issued(STREAM, AccessOperation::ReadWrite).await),
        ("made by the test", made(&KEYS, STREAM, 500)),
    ]
}

const TRANSIENT: &str = "CreateTransientSegment";
/// Tokens that allow nothing on [`STREAM`] and have not expired.
const WRONG: &[&str] = &[
    "none",
    "a word",
    "three words",
    "with a changed claim",
    "without a signature",
    "cut",
    "of another stream",
    "of a longer name",
    "of a shorter name",
];
const ALLOWS: &[&str] = &["to write", "to read and write", "made by the test"];

const CHECK_FAILED: Answer = Answer::Refused(TokenFailure::CheckFailed);
const EXPIRED: Answer = Answer::Refused(TokenFailure::Expired);

const SECURE: &str = "Java's store lets a token to read change segments";
const NO_CHECK: &str = "Java's store creates such segments for every client";
const RESTART: &str = "a token of another key may be from before a restart: the client is sent for \
                       another";
const SOURCE: &str = "Java's store checks the token of one of the two segments";
const TABLES: &str = "clients of tables have the token of the table's name, which Java's store \
                      refuses";

const KNOWN: &[Known<Answer>] = &[
    Known::of(
        &[
            "CreateSegment",
            "SealSegment",
            "TruncateSegment",
            "DeleteSegment",
            "UpdateSegmentPolicy",
            "MergeSegments",
            "UpdateSegmentAttribute",
            "CreateTableSegment",
            "DeleteTableSegment",
            "UpdateTableEntries",
            "RemoveTableKeys",
        ],
        &["to read"],
        (Answer::LetIn, CHECK_FAILED),
        SECURE,
    ),
    Known::of(&[TRANSIENT], WRONG, (Answer::LetIn, CHECK_FAILED), NO_CHECK),
    Known::of(&[TRANSIENT], &["to read"], (Answer::LetIn, CHECK_FAILED), NO_CHECK),
    Known::of(
        &[TRANSIENT],
        &["expired", "expired and of another stream", "of another key"],
        (Answer::LetIn, EXPIRED),
        NO_CHECK,
    ),
    Known {
        requests: Names::AllBut(&[TRANSIENT, OF_ADMINISTRATION[0], OF_ADMINISTRATION[1]]),
        clients: Names::Only(&["of another key"]),
        there: CHECK_FAILED,
        here: EXPIRED,
        why: RESTART,
    },
    Known::of(
        &["MergeSegments into another stream"],
        &["to read", "to write", "to read and write", "made by the test"],
        (Answer::LetIn, CHECK_FAILED),
        SOURCE,
    ),
    Known::of(
        &["MergeSegments from another stream"],
        &["of another stream"],
        (Answer::LetIn, CHECK_FAILED),
        SOURCE,
    ),
    Known::of(
        &["GetTableSegmentInfo of a table", "ReadTable of a table"],
        &["to read", "to write", "to read and write", "made by the test"],
        (CHECK_FAILED, Answer::LetIn),
        TABLES,
    ),
    Known::of(&["CreateTableSegment of a table"], ALLOWS, (CHECK_FAILED, Answer::LetIn), TABLES),
];

/// What both servers said, each to the same command with a token.
fn are_alike(there: &Did, here: &Did) -> bool {
    match (there, here) {
        (Did::Replied(there), Did::Replied(here)) => {
            (there.name(), there.request_id()) == (here.name(), here.request_id())
        }
        (there, here) => there == here,
    }
}

async fn ask(store: &mut Store, command: WireCommand, patience: Duration) -> Did {
    let did = store.ask(&[command], patience).await;
    if did == Did::Closed {
        store.again().await;
    }
    did
}

/// Clients of both servers that may do everything.
struct Clients {
    there: ClientFactory,
    here: ClientFactory,
    _embedded: EmbeddedServer,
}

impl Clients {
    async fn start() -> Self {
        let password = variable("PRAVEGA_TEST_PASSWORD");
        let builder = EmbeddedServer::builder().with_account("admin", &password);
        let embedded = builder.with_token_key(KEYS.here).start().await.unwrap();
        let credentials = Credentials::basic("admin", &password).unwrap();
        let config = ClientConfig::from_url(&embedded.url()).unwrap().with_credentials(credentials);
        Self { there: admin(), here: ClientFactory::new(config).unwrap(), _embedded: embedded }
    }

    /// Connects to the segment stores that have the segments of a scope.
    async fn stores(&self, scope: &str) -> (Store, Store) {
        let stream: ScopedStream = format!("{scope}/{STREAM}").parse().unwrap();
        let store =
            async |factory| Store::connect(&store_of(factory, &stream).await.to_string()).await;
        (store(&self.there).await, store(&self.here).await)
    }
}

#[tokio::test]
async fn both_segment_stores_accept_the_same_tokens() {
    let (clients, scope) = (Clients::start().await, unique("access"));
    let (mut there, mut here) = clients.stores(&scope).await;
    let (mut answers, mut unlike) = (Answers::new(), Vec::new());
    let mut numbers = 0..;
    for (kind, token) in tokens(&scope, &clients).await {
        for Row { name, command: of_name, of, other } in rows() {
            // No segment exists, and none is named twice.
            let mut segment =
                |stream: &str| format!("{scope}/{stream}/{}.#epoch.0", numbers.next().unwrap());
            let (segment, other) = (segment(of), segment(other));
            let command = |token: &str| command_of(of_name, &segment, &other, token);
            let (theirs, ours) = tokio::join!(
                ask(&mut there, command(&token.there), FAR),
                ask(&mut here, command(&token.here), FAR)
            );
            let (real, embedded) = (Answer::of(&theirs), Answer::of(&ours));
            if real == embedded && !are_alike(&theirs, &ours) {
                unlike.push(format!("{name} {kind}: {theirs:?} there and {ours:?} here"));
            }
            answers.add(&name, kind, real, embedded);
        }
    }
    assert!(unlike.is_empty(), "{unlike:#?}");
    answers.check(KNOWN);
}

/// The commands of clients without a token, but for `Hello`. Most append, after a set-up with one.
const WITHOUT_TOKEN: [&str; 7] = [
    "KeepAlive",
    "AppendBlock",
    "AppendBlockEnd",
    "PartialEvent",
    "Padding",
    "ConditionalAppend",
    "ConditionalBlockEnd",
];

#[tokio::test]
async fn without_a_set_up_neither_segment_store_appends() {
    const QUIET: Duration = Duration::from_millis(700);
    let (clients, scope) = (Clients::start().await, unique("access"));
    let (mut there, mut here) = clients.stores(&scope).await;
    for name in WITHOUT_TOKEN {
        let command = command_of(name, "", "", "");
        let (theirs, ours) =
            tokio::join!(ask(&mut there, command.clone(), QUIET), ask(&mut here, command, QUIET));
        assert_eq!(ours, theirs, "{name}");
        let is_taken = matches!(ours, Did::Replied(_));
        assert_eq!(is_taken, name == "KeepAlive", "{name}: {ours:?}");
    }
}
