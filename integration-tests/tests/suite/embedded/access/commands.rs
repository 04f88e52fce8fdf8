//! Every command for a segment, with every kind of token, over sockets.

use std::time::Duration;

use pravega_sdk_client_factory::ClientFactory;
use pravega_sdk_controller_client::{AccessOperation, KeyValueTableConfiguration};
use pravega_sdk_integration_tests::harness::{
    commands::{OF_ADMINISTRATION, WRITER, command_of, with_token},
    eventually,
    raw::Client,
};
use pravega_sdk_server::{EmbeddedServer, account_line};
use pravega_sdk_types::{ErrorKind, ScopedKeyValueTable, ScopedStream};
use pravega_sdk_wire_protocol::{WireCommand, codes::TokenFailure, commands::*, event::Event};

use super::{
    super::support::{numbers, stream, write},
    client,
};

/// The commands that a token to read opens.
const READS: [&str; 8] = [
    "GetSegmentAttribute",
    "GetStreamSegmentInfo",
    "GetTableSegmentInfo",
    "ReadSegment",
    "ReadTable",
    "ReadTableEntries",
    "ReadTableEntriesDelta",
    "ReadTableKeys",
];

const LIFETIME: Duration = Duration::from_secs(60);

/// A segment, and another one of the same owner.
type Segments = [&'static str; 2];

const OF_STREAM: Segments = ["scope/stream/0.#epoch.0", "scope/stream/1.#epoch.0"];
/// Those of a table with the name of the stream.
const OF_TABLE: Segments = ["scope/stream_kvtable/0.#epoch.0", "scope/stream_kvtable/1.#epoch.0"];

/// What a store does with a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// The token is accepted; the command may have failed otherwise.
    Accepted,
    Refused(TokenFailure),
    Closed,
}

impl Answer {
    fn of(reply: Option<&WireCommand>) -> Self {
        match reply {
            None => Self::Closed,
            Some(WireCommand::AuthTokenCheckFailed(refused)) => Self::Refused(refused.error_code),
            Some(_) => Self::Accepted,
        }
    }
}

const REFUSED: Answer = Answer::Refused(TokenFailure::CheckFailed);
const EXPIRED: Answer = Answer::Refused(TokenFailure::Expired);

/// What a token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opens {
    Everything,
    Reads,
    Nothing,
    /// It did, before it expired.
    NothingAnyMore,
    /// It did, before it was revoked.
    NothingSinceRevoked,
}

impl Opens {
    fn answer_to(self, name: &str) -> Answer {
        match self {
            Self::Everything => Answer::Accepted,
            Self::Reads if READS.contains(&name) => Answer::Accepted,
            Self::Reads | Self::Nothing => REFUSED,
            // As on the Java server: the client connects again, and asks for another token.
            Self::NothingAnyMore if name == "SetupAppend" => Answer::Closed,
            Self::NothingAnyMore | Self::NothingSinceRevoked => EXPIRED,
        }
    }
}

/// Sends every command with a token, each on a connection of its own, and checks the answers.
async fn check(server: &EmbeddedServer, [segment, other]: Segments, token: &str, opens: Opens) {
    // The embedded server has no port for administration.
    for name in with_token().filter(|name| !OF_ADMINISTRATION.contains(name)) {
        let mut client = Client::to(server.store_ports()[0]).await;
        let reply = client.ask(command_of(name, segment, other, token)).await;
        let expected = opens.answer_to(name);
        let found = Answer::of(reply.as_ref());
        // A command that finds a segment of another kind may end the connection.
        let is_expected =
            found == expected || expected == Answer::Accepted && found == Answer::Closed;
        assert!(is_expected, "{name} for {segment}: {reply:?}, not {expected:?} ({opens:?})");
    }
}

async fn token(factory: &ClientFactory, name: &str, operation: AccessOperation) -> String {
    let stream: ScopedStream = format!("scope/{name}").parse().unwrap();
    let token = factory.controller().delegation_token(&stream, operation).await.unwrap();
    token.expose().to_owned()
}

/// What the two segments of the stream and of the table are.
async fn state(server: &EmbeddedServer, token: &str) -> Vec<String> {
    let mut found = Vec::new();
    let names = ["GetStreamSegmentInfo", "GetSegmentAttribute", "GetTableSegmentInfo", "ReadTable"];
    for [segment, other] in [OF_STREAM, OF_TABLE] {
        for (of, next) in [(segment, other), (other, segment)] {
            for name in names {
                let mut client = Client::to(server.store_ports()[0]).await;
                let reply = client.ask(command_of(name, of, next, token)).await;
                found.push(format!("{reply:?}"));
            }
        }
    }
    found
}

/// A server with a stream of ten events, a table with its name, and other streams, and the client
/// of an account that may do everything.
async fn start(accounts: &std::path::Path) -> (EmbeddedServer, ClientFactory, ScopedStream) {
    let server = EmbeddedServer::builder()
        .with_standing_clock()
        .with_token_lifetime(LIFETIME)
        .with_accounts_file(accounts)
        .with_account("full", "pw")
        .with_limited_account("reader", "pw", "prn::/scope:scope/*:stream,READ")
        .with_limited_account("stream", "pw", "prn::/scope:scope/stream:stream,READ_UPDATE")
        .with_limited_account("table", "pw", "prn::/scope:scope/key-value-table:stream,READ_UPDATE")
        .with_limited_account(
            "neighbour",
            "pw",
            "prn::/,READ_UPDATE;prn::/scope:scope,READ_UPDATE;\
             prn::/scope:scope/*:stream2,READ_UPDATE;prn::/scope:scope/reader-group:*,READ_UPDATE",
        )
        .start()
        .await
        .unwrap();
    let full = client(&server, "full").await;
    let stream = stream(&full, 2).await;
    write(&full, &stream, 0..10).await;
    for name in ["stream2", "other"] {
        let of: ScopedStream = format!("scope/{name}").parse().unwrap();
        full.create_stream_if_absent(&of, &Default::default()).await.unwrap();
    }
    let table: ScopedKeyValueTable = "scope/stream".parse().unwrap();
    let configuration = KeyValueTableConfiguration::new(2, 3);
    full.controller().create_key_value_table(&table, &configuration).await.unwrap();
    full.key_value_table(&table).await.unwrap().put("key", "value").await.unwrap();
    (server, full, stream)
}

#[test]
fn the_reads_are_commands_with_a_token() {
    let names: Vec<_> = with_token().collect();
    assert!(READS.iter().all(|name| names.contains(name)), "{names:?}");
    assert!(READS.is_sorted());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_is_open_to_tokens_for_its_segment_that_allow_it_and_to_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = folder.path().join("accounts");
    let gone = account_line("gone", "pw", "prn::*,READ_UPDATE");
    std::fs::write(&accounts, &gone).unwrap();
    let (server, full, stream) = start(&accounts).await;
    let (read, write) = (AccessOperation::Read, AccessOperation::ReadWrite);
    let all = token(&full, "stream", write).await;
    let before = state(&server, &all).await;

    let (signed, signature) = all.rsplit_once('.').unwrap();
    let other_first = if signature.starts_with('A') { 'B' } else { 'A' };
    for wrong in [
        String::new(),
        "nonsense".to_owned(),
        "a.b.c".to_owned(),
        signed.to_owned(),
        format!("{signed}."),
        format!("{signed}.{other_first}{}", &signature[1..]),
        format!("{all}x"),
        format!("Bearer {all}"),
        token(&full, "other", write).await,
        // Its segments have names that begin with that of the stream.
        token(&full, "stream2", write).await,
        token(&client(&server, "neighbour").await, "stream2", write).await,
    ] {
        check(&server, OF_STREAM, &wrong, Opens::Nothing).await;
        check(&server, OF_TABLE, &wrong, Opens::Nothing).await;
    }
    for user in ["reader", "neighbour"] {
        let client = client(&server, user).await;
        let asked = client.controller().delegation_token(&stream, write).await.unwrap_err();
        assert_eq!((asked.kind(), asked.attempts()), (ErrorKind::PermissionDenied, 1), "{asked}");
    }
    let of_reader = token(&client(&server, "reader").await, "stream", read).await;
    let to_read = token(&full, "stream", read).await;
    for token in [of_reader, to_read] {
        check(&server, OF_STREAM, &token, Opens::Reads).await;
        check(&server, OF_TABLE, &token, Opens::Reads).await;
    }
    // A stream and a table with one name are two.
    let of_stream = token(&client(&server, "stream").await, "stream", write).await;
    let of_table = token(&client(&server, "table").await, "stream", write).await;
    check(&server, OF_TABLE, &of_stream, Opens::Nothing).await;
    check(&server, OF_STREAM, &of_table, Opens::Nothing).await;

    // An account that is taken out keeps its token until that expires, and gets no other one.
    let of_gone = client(&server, "gone").await;
    let taken_back = token(&of_gone, "stream", write).await;
    std::fs::write(&accounts, "# no account\n").unwrap();
    let is_out = async || {
        let asked = of_gone.controller().delegation_token(&stream, write).await;
        asked.is_err_and(|error| error.kind() == ErrorKind::Unauthenticated)
    };
    eventually("the account is taken out", is_out).await;
    assert_eq!(state(&server, &taken_back).await, before);
    server.advance_clock(LIFETIME).unwrap();
    for token in [&taken_back, &all] {
        check(&server, OF_STREAM, token, Opens::NothingAnyMore).await;
        check(&server, OF_TABLE, token, Opens::NothingAnyMore).await;
    }
    let revoked = token(&full, "stream", write).await;
    server.faults().expire_tokens();
    check(&server, OF_STREAM, &revoked, Opens::NothingSinceRevoked).await;
    check(&server, OF_TABLE, &revoked, Opens::NothingSinceRevoked).await;

    let all = token(&full, "stream", write).await;
    assert_eq!(state(&server, &all).await, before, "a command that was refused changed something");
    assert_eq!(numbers(&full, &stream).await, (0..10).collect::<Vec<_>>());
    check(&server, OF_STREAM, &all, Opens::Everything).await;
    let of_table = token(&client(&server, "table").await, "stream", write).await;
    check(&server, OF_TABLE, &of_table, Opens::Everything).await;
    assert_ne!(state(&server, &all).await, before, "none of the commands changed anything");
}

fn append(number: i64) -> AppendBlockEnd {
    AppendBlockEnd {
        writer_id: WRITER,
        size_of_whole_events: 0,
        data: "event".into(),
        num_events: 1,
        last_event_number: number,
        request_id: 3,
    }
}

/// Every command that appends.
fn appends() -> [WireCommand; 4] {
    let (event_number, expected_offset, request_id) = (1, 0, 3);
    [
        AppendBlock { writer_id: WRITER, data: "block".into() }.into(),
        append(1).into(),
        ConditionalAppend {
            writer_id: WRITER,
            event_number,
            expected_offset,
            event: Event { data: "event".into() },
            request_id,
        }
        .into(),
        ConditionalBlockEnd {
            writer_id: WRITER,
            event_number,
            expected_offset,
            data: "block".into(),
            request_id,
        }
        .into(),
    ]
}

#[tokio::test]
async fn appends_that_follow_a_refused_set_up_end_the_connection_and_are_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = folder.path().join("accounts");
    std::fs::write(&accounts, "").unwrap();
    let (server, full, stream) = start(&accounts).await;
    let (read, write) = (AccessOperation::Read, AccessOperation::ReadWrite);
    let expired = token(&full, "stream", write).await;
    server.advance_clock(LIFETIME).unwrap();
    let revoked = token(&full, "stream", write).await;
    server.faults().expire_tokens();
    let all = token(&full, "stream", write).await;
    let before = state(&server, &all).await;
    let [segment, other] = OF_STREAM;
    let set_up = |token: &str| command_of("SetupAppend", segment, other, token);
    for (token, expected) in [
        (String::new(), REFUSED),
        ("a.b.c".to_owned(), REFUSED),
        (token(&full, "other", write).await, REFUSED),
        (token(&full, "stream", read).await, REFUSED),
        (expired, Answer::Closed),
        (revoked, EXPIRED),
    ] {
        for append in appends() {
            let mut client = Client::to(server.store_ports()[0]).await;
            let reply = client.ask(set_up(&token)).await;
            assert_eq!(Answer::of(reply.as_ref()), expected, "{token}: {reply:?}");
            let end = client.ask(append.clone()).await;
            assert_eq!(end, None, "{token}: {append:?}");
        }
    }
    assert_eq!(state(&server, &all).await, before);
    let mut client = Client::to(server.store_ports()[0]).await;
    let reply = client.ask(set_up(&all)).await;
    assert!(matches!(reply, Some(WireCommand::AppendSetup(_))), "{reply:?}");
    // A set-up of the same writer that is refused ends the first one.
    let reply = client.ask(command_of("SetupAppend", other, segment, "")).await;
    assert_eq!(Answer::of(reply.as_ref()), REFUSED);
    assert_eq!(client.ask(append(1)).await, None);
    assert_eq!(state(&server, &all).await, before);
    assert_eq!(numbers(&full, &stream).await, (0..10).collect::<Vec<_>>());
}
