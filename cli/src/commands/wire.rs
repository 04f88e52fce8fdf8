//! `pravega wire`: single commands of the segment-store protocol.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Subcommand;
use pravega_sdk::{
    ClientFactory,
    controller_client::AccessOperation,
    segment_client::SharedConnection,
    types::{Endpoint, ErrorKind, ScopedSegment},
    wire_protocol::{CommandKind, WireCommand},
};
use pravega_sdk_wire_protocol::json::{command_from_json, fields_to_json};
use serde_json::{Map, Value};
use tokio::time::sleep;

use super::input::{End, InputArguments, Next};
use crate::{
    context::Context,
    failure::{Failure, Result},
    output::{Output, Record},
    similar::similar,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List all commands with their fields; fields in brackets are optional
    #[command(visible_alias = "ls")]
    List,
    /// Send one command and print the reply. Request id and token are filled in if not given
    Send {
        /// Command, such as GetStreamSegmentInfo
        name: String,
        /// FIELD=VALUE; bytes in hexadecimal, nested fields as JSON
        #[arg(value_name = "FIELD=VALUE")]
        fields: Vec<String>,
        /// Segment store [default: the one that serves the segment of the command]
        #[arg(long, value_name = "HOST:PORT")]
        to: Option<Endpoint>,
    },
    /// Send the commands of a script over one connection, in order, and print each reply. Each line
    /// is {"name": …, "fields": {…}}
    Script {
        /// Script file [default: stdin]
        file: Option<PathBuf>,
        /// Segment store [default: the one that serves the segment of the first command]
        #[arg(long, value_name = "HOST:PORT")]
        to: Option<Endpoint>,
    },
}

/// How long to wait for the echo of a keep-alive.
const ECHO_LIMIT: Duration = Duration::from_secs(5);

fn list(output: &mut Output) -> Result<()> {
    let field =
        |(name, is_optional): (String, bool)| if is_optional { format!("[{name}]") } else { name };
    let record = |name: &&str| {
        let fields = WireCommand::field_names(name).unwrap_or_default();
        Record::new()
            .with("command", *name)
            .with("fields", fields.into_iter().map(field).collect::<Vec<_>>())
    };
    output.list(WireCommand::NAMES.iter().map(record).collect())
}

pub(crate) async fn run(command: Command, context: &mut Context) -> Result<()> {
    match command {
        Command::List => list(&mut context.output),
        Command::Send { name, fields, to } => {
            let client = context.client().await?;
            let fields =
                fields.iter().map(|pair| read_field(pair)).collect::<Result<Map<_, _>>>()?;
            let connection = connect(&client, to, &name, &fields).await?;
            send(&client, &connection, &name, fields, &mut context.output).await
        }
        Command::Script { file, to } => {
            let client = context.client().await?;
            script(&client, file, to, &mut context.output).await
        }
    }
}

async fn script(
    client: &ClientFactory,
    file: Option<PathBuf>,
    to: Option<Endpoint>,
    output: &mut Output,
) -> Result<()> {
    let mut input = InputArguments::plain_lines(file).open()?.start_without_stop();
    let mut connection: Option<Arc<SharedConnection>> = None;
    loop {
        let next = tokio::select! {
            biased;
            next = input.next() => next,
            failure = ended(connection.as_deref()) => return Err(failure),
        };
        let lines = match next {
            Next::Events(lines) => lines,
            Next::End(End::Whole | End::Stopped(_)) => return Ok(()),
            Next::End(End::Bad(bad)) => return Err(bad.into_failure()),
            Next::End(End::Unreadable(failure)) => return Err(failure),
        };
        for line in lines.iter().filter(|line| !line.payload.trim_ascii().is_empty()) {
            let (name, fields) = read_line(&line.payload).map_err(|what| {
                Failure::invalid_input(format_args!("line {} of the script {what}", line.at.number))
            })?;
            let open = match connection.take() {
                Some(open) => open,
                None => connect(client, to.clone(), &name, &fields).await?,
            };
            send(client, &open, &name, fields, output).await?;
            connection = Some(open);
        }
    }
}

/// Splits a line of a script into the name of the command and its fields.
fn read_line(line: &[u8]) -> std::result::Result<(String, Map<String, Value>), &'static str> {
    let mut json: Map<String, Value> =
        serde_json::from_slice(line).map_err(|_| "is not a JSON object")?;
    let Some(Value::String(name)) = json.remove("name") else { return Err("has no name") };
    match json.remove("fields") {
        None => Ok((name, Map::new())),
        Some(Value::Object(fields)) => Ok((name, fields)),
        Some(_) => Err("has fields that are not an object"),
    }
}

/// Waits until the connection has ended.
async fn ended(connection: Option<&SharedConnection>) -> Failure {
    loop {
        if let Some(end) = connection.and_then(|connection| connection.end()) {
            return end.into();
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Splits `FIELD=VALUE`. `true`, `false`, arrays and objects are parsed as JSON; anything else is
/// text.
fn read_field(pair: &str) -> Result<(String, Value)> {
    let (name, text) = pair
        .split_once('=')
        .ok_or_else(|| Failure::usage(format_args!("\"{pair}\" is not FIELD=VALUE")))?;
    let value = match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        text if text.starts_with(['[', '{']) => serde_json::from_str(text)
            .map_err(|error| Failure::usage(format_args!("{name} is not JSON: {error}")))?,
        text => Value::String(text.to_owned()),
    };
    Ok((name.to_owned(), value))
}

/// The fields that name a segment, whose store the command is sent to.
const SEGMENT_FIELDS: [&str; 5] =
    ["segment", "segmentName", "target", "targetSegmentId", "parentSegment"];

fn segment_of(fields: &Map<String, Value>) -> Option<ScopedSegment> {
    SEGMENT_FIELDS.iter().find_map(|name| fields.get(*name)?.as_str()?.parse().ok())
}

async fn connect(
    client: &ClientFactory,
    to: Option<Endpoint>,
    name: &str,
    fields: &Map<String, Value>,
) -> Result<Arc<SharedConnection>> {
    if WireCommand::field_names(name).is_none() {
        let hint = match similar(name, WireCommand::NAMES) {
            Some(name) => format!("did you mean {name}? `pravega wire list` lists all commands"),
            None => "`pravega wire list` lists all commands".to_owned(),
        };
        return Err(Failure::usage(format_args!("unknown command \"{name}\"")).with_hint(hint));
    }
    let endpoint = match (to, segment_of(fields)) {
        (Some(endpoint), _) => endpoint,
        (None, Some(segment)) => client.endpoints().endpoint(&segment).await?,
        (None, None) => {
            return Err(Failure::usage(
                "the command names no segment of a stream; \
                 give the segment store with --to HOST:PORT",
            ));
        }
    };
    Ok(client.raw_client().connection(&endpoint).await?)
}

async fn send(
    client: &ClientFactory,
    connection: &SharedConnection,
    name: &str,
    mut fields: Map<String, Value>,
    output: &mut Output,
) -> Result<()> {
    let known = WireCommand::field_names(name).unwrap_or_default();
    let has = |field: &str| known.iter().any(|(known, _)| known == field);
    if has("requestId") && !fields.contains_key("requestId") {
        fields.insert("requestId".to_owned(), connection.next_id().to_string().into());
    }
    if has("delegationToken") && !fields.contains_key("delegationToken") {
        let token = match segment_of(&fields) {
            Some(segment) => {
                client.tokens().token(&segment.scoped_stream(), AccessOperation::ReadWrite).await
            }
            None => Ok(pravega_sdk::controller_client::DelegationToken::new("")),
        };
        // If no token can be had, the store decides whether it needs one.
        fields.insert(
            "delegationToken".to_owned(),
            token.map(|token| token.expose().to_owned()).unwrap_or_default().into(),
        );
    }
    let command = command_from_json(name, &fields).map_err(Failure::usage)?;
    let start = Instant::now();
    let reply = match (&command, command.kind()) {
        (WireCommand::Hello(_), _) => {
            let versions = connection.peer_versions();
            let hello = versions.hello().into();
            Some(hello)
        }
        (WireCommand::KeepAlive(_) | WireCommand::AppendBlock(_), _) | (_, CommandKind::Inside) => {
            let before = connection.counters().received;
            connection.send(command.clone())?;
            echo(connection, before, &command).await?
        }
        _ => Some(connection.exchange(command).await?),
    };
    output.status(format_args!(
        "{} answered in {:.1} ms",
        connection.endpoint(),
        start.elapsed().as_secs_f64() * 1e3
    ));
    match reply {
        Some(reply) => show(&reply, output),
        None => {
            output.status(format_args!("{name} has no reply"));
            Ok(())
        }
    }
}

/// Waits for the echo of a keep-alive. An incomplete append has no reply unless it ends the
/// connection.
async fn echo(
    connection: &SharedConnection,
    before: u64,
    command: &WireCommand,
) -> Result<Option<WireCommand>> {
    let deadline = Instant::now() + ECHO_LIMIT;
    let is_echoed = matches!(command, WireCommand::KeepAlive(_));
    loop {
        if let Some(end) = connection.end() {
            return Err(end.into());
        }
        if connection.counters().received > before {
            return Ok(Some(command.clone()));
        }
        if !is_echoed {
            sleep(Duration::from_millis(50)).await;
            return match connection.end() {
                Some(end) => Err(end.into()),
                None => Ok(None),
            };
        }
        if Instant::now() > deadline {
            return Err(Failure::of_kind(ErrorKind::Timeout, "no echo of the keep-alive"));
        }
        sleep(Duration::from_millis(1)).await;
    }
}

fn show(reply: &WireCommand, output: &mut Output) -> Result<()> {
    let mut fields = Map::new();
    fields.insert("reply".to_owned(), reply.name().into());
    if let Value::Object(known) = fields_to_json(reply.fields()) {
        fields.extend(known);
    }
    output.one(Record::from_json(fields))
}
