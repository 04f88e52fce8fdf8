//! The largest frames of all commands of a client.

use std::collections::BTreeSet;

use bytes::Bytes;
use pravega_sdk_wire_protocol::{
    CommandKind, MAX_PAYLOAD_LEN, MAX_REQUEST_LIST, MAX_STRING_LEN, TableKey, VersionRange,
    WireCommand,
    commands::{AppendBlockEnd, KeepAlive, SetupAppend},
    value::{Value, ValueError},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use uuid::Uuid;

use super::{
    super::{
        bounds::{ask, connect, create_table, frames, put},
        support::create,
    },
    Large,
};

const WRITER: Uuid = Uuid::from_u128(0xBB);
/// What is left of a frame for everything but its payload or its list.
const REST: usize = 1 << 10;
/// The bytes of a segment before a command.
const STORED: usize = 4 << 20;

/// The names of the segments in a command.
#[derive(Clone, Copy, PartialEq)]
enum Names {
    /// The segment has data.
    Existing,
    /// They are as long as a name can be on the wire.
    Long,
}

/// Every command that a client may send, each once for a segment with data and once with the
/// longest names.
pub(super) async fn all(port: u16) -> Vec<Large> {
    let mut all = Vec::new();
    for name in names() {
        for kind in [Names::Existing, Names::Long] {
            let segment = format!("largest/{name}/0.#epoch.0");
            let (what, prepared) = match kind {
                Names::Existing => (name.to_owned(), Some(prepared(port, name, &segment).await)),
                // A connection that says nothing is closed.
                Names::Long => (format!("{name}, long names"), None),
            };
            all.push(Large::new(what, async move {
                let socket = match prepared {
                    Some(socket) => socket,
                    None => connect(port).await,
                };
                send(socket, largest(name, kind, &segment)).await;
            }));
        }
    }
    all
}

/// The commands that a client may send, as the table of the protocol has them.
fn names() -> BTreeSet<&'static str> {
    let is_of_client = |name: &&str| {
        let kind = command(name, "a/b/0.#epoch.0", 1, 1).kind();
        !matches!(kind, CommandKind::Reply | CommandKind::Failure)
    };
    WireCommand::NAMES.iter().copied().filter(is_of_client).collect()
}

/// A connection on which a command has an effect: its segment has data, and is set up.
async fn prepared(port: u16, name: &str, segment: &str) -> TcpStream {
    let mut socket = connect(port).await;
    let hello = VersionRange::SUPPORTED.hello();
    ask(&mut socket, vec![hello.into()]).await;
    if name == "CreateSegment" || name == "CreateTableSegment" {
        return socket;
    }
    if name.contains("Table") {
        let entry = |number: u32| (key(number), Bytes::from_static(b"value"));
        let put = put(segment, (0..MAX_REQUEST_LIST as u32).map(entry));
        ask(&mut socket, vec![create_table(segment), put]).await;
        return socket;
    }
    let append = AppendBlockEnd {
        writer_id: WRITER,
        size_of_whole_events: 0,
        data: vec![7; STORED].into(),
        num_events: 1,
        last_event_number: 0,
        request_id: 3,
    };
    let commands = vec![create(segment).into(), set_up(segment).into(), append.into()];
    ask(&mut socket, commands).await;
    socket
}

fn set_up(segment: &str) -> SetupAppend {
    let (segment, delegation_token) = (segment.into(), "".into());
    SetupAppend { request_id: 2, writer_id: WRITER, segment, delegation_token }
}

/// Sends a command and one that every server answers, and reads until that answer or the end of the
/// connection.
async fn send(mut socket: TcpStream, command: WireCommand) {
    let all = frames([command, KeepAlive {}.into()]);
    let (mut reader, mut writer) = socket.split();
    let sending = async {
        writer.write_all(&all).await.ok();
    };
    let reading = async {
        let mut head = [0; 8];
        while reader.read_exact(&mut head).await.is_ok() {
            let [code, len] = [&head[..4], &head[4..]]
                .map(|part| i32::from_be_bytes(part.try_into().unwrap_or_default()));
            let mut rest = vec![0; len as usize];
            if reader.read_exact(&mut rest).await.is_err() || code == 100 {
                return;
            }
        }
    };
    tokio::join!(sending, reading);
}

fn key(number: u32) -> Bytes {
    number.to_be_bytes().to_vec().into()
}

fn record(fields: &[(&str, Value)]) -> Value {
    Value::Record(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

/// A command whose payload, or whose list, is as long as a frame allows.
fn largest(name: &str, names: Names, segment: &str) -> WireCommand {
    let text = match names {
        Names::Existing => segment.to_owned(),
        Names::Long => "x".repeat(MAX_STRING_LEN),
    };
    let bytes = MAX_PAYLOAD_LEN - REST - 2 * text.len();
    command(name, &text, MAX_REQUEST_LIST as u32, bytes)
}

/// The kinds of values of fields. The first that a field takes is the one that it is of.
const KINDS: usize = 13;

/// A value of a kind, with so many elements in each list, and so many bytes in each payload.
fn value_of(kind: usize, text: &str, elements: u32, bytes: usize) -> Value {
    let data = || Value::Bytes(vec![7; bytes].into());
    let short = |number| Value::Bytes(key(number));
    let versioned = |number| {
        record(&[("data", short(number)), ("keyVersion", Value::Long(TableKey::NO_VERSION))])
    };
    let list = |element: &dyn Fn(u32) -> Value| Value::List((0..elements).map(element).collect());
    match kind {
        0 => Value::Long(1),
        1 => Value::Bool(false),
        2 => Value::Uuid(WRITER),
        3 => data(),
        4 => Value::Text(text.to_owned()),
        5 => list(&|number| {
            record(&[
                ("attributeId", Value::Uuid(Uuid::from_u128(number.into()))),
                ("attributeUpdateType", Value::Int(1)),
                ("newValue", Value::Long(1)),
                ("oldValue", Value::Long(1)),
            ])
        }),
        6 => list(&|number| {
            // Entries fill the frame.
            let value = record(&[("data", Value::Bytes(vec![7; 950.min(bytes)].into()))]);
            record(&[("key", versioned(number)), ("value", value)])
        }),
        7 => list(&versioned),
        8 => list(&|number| Value::Text(format!("a/b/{number}"))),
        9 => record(&[("data", data())]),
        10 => record(&[("fromKey", short(0)), ("toKey", short(u32::MAX))]),
        // The lists of replies.
        11 => Value::List(vec![]),
        12 => record(&[("entries", Value::List(vec![]))]),
        other => panic!("there is no kind {other}"),
    }
}

/// A command with a name, so many elements in each list, and so many bytes in each payload.
fn command(name: &str, text: &str, elements: u32, bytes: usize) -> WireCommand {
    let names = WireCommand::field_names(name).unwrap();
    let mut kinds: Vec<(String, usize)> = names.into_iter().map(|(name, _)| (name, 0)).collect();
    // Which kind each field is of is found with small values.
    while let Err(error) = with_kinds(name, &kinds, "a", 1, 1) {
        let ValueError::Field { field, .. } = &error else { panic!("{name}: {error}") };
        let kind = &mut kinds.iter_mut().find(|(name, _)| name == field).unwrap().1;
        *kind += 1;
        assert!(*kind < KINDS, "{name}: {error}");
    }
    with_kinds(name, &kinds, text, elements, bytes).unwrap()
}

fn with_kinds(
    name: &str,
    kinds: &[(String, usize)],
    text: &str,
    elements: u32,
    bytes: usize,
) -> Result<WireCommand, ValueError> {
    let fields = kinds.iter().map(|(field, kind)| {
        let value = match (value_of(*kind, text, elements, bytes), field.as_str()) {
            (Value::Text(_), "delegationToken") => Value::Text(String::new()),
            (Value::Long(_), "tableSegmentOffset") => Value::Long(-1),
            (Value::Long(_), field) if field.starts_with("suggested") => {
                Value::Long(i32::MAX.into())
            }
            (Value::Long(_), "length") => Value::Long(bytes as i64),
            (value, _) => value,
        };
        (field.clone(), value)
    });
    WireCommand::from_fields(name, fields.collect())
}
