//! `pravega demo`: writing, scaling, reading by a group and checking, on an embedded server.

use std::{
    collections::BTreeMap,
    hash::Hasher as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use pravega_sdk::{
    EventWriter, MAX_ROUTING_KEY_LEN, ReadUntil, StreamPosition,
    codec::Raw,
    embedded::{Embedded, EmbeddedServer},
    group::GroupItem,
    types::{KeyRange, ReaderGroupConfiguration, ScopedReaderGroup, ScopedStream, SegmentId},
    wire_protocol::event::MAX_EVENT_LEN,
};

use super::stream::scale;
use crate::{
    context::Context,
    failure::{Failure, Result, with_causes},
    output::{Format, Output, Record},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Text file whose lines are the events; the first word of each is its routing key [default: a
    /// built-in sample]
    file: Option<PathBuf>,
}

const STREAM: &str = "demo/lines";
const GROUP: &str = "demo/readers";
const SEGMENTS: u32 = 4;
const MORE_SEGMENTS: u32 = 6;
/// Time between looks of the readers at their group, and between checkpoints.
const INTERVAL: Duration = Duration::from_millis(100);
/// Time that a reader has for leaving the group.
const CLOSING: Duration = Duration::from_secs(10);

pub(crate) async fn run(arguments: Arguments, context: &mut Context) -> Result<()> {
    let output = &mut context.output;
    let lines = match &arguments.file {
        Some(file) => read_lines(file)?,
        None => sample(),
    };
    let bytes: usize = lines.iter().map(Bytes::len).sum();
    let begun = Instant::now();
    // Events have headers, and are in memory twice while a chunk of their segment fills up.
    let limit = (bytes as u64 + lines.len() as u64 * 8) * 2 + (64 << 20);
    let builder = EmbeddedServer::builder().with_memory_limit(limit);
    let pravega = Embedded::with(builder).await?;
    let stream = pravega.create_stream(STREAM, SEGMENTS).await?;
    output.status(format_args!(
        "started an embedded server, with stream {STREAM} of {SEGMENTS} segments"
    ));

    let writing = Instant::now();
    let writer = pravega.client().event_writer(&stream, Raw).await?;
    for (part, segments) in
        parts(&lines).into_iter().zip([Some(MORE_SEGMENTS), Some(SEGMENTS), None])
    {
        write(&writer, part).await?;
        if let Some(segments) = segments {
            // Appends in flight are not awaited: the writer moves them to the successors.
            change_scale(&pravega, &stream, segments).await?;
            output.status(format_args!("scaled to {segments} segments during writing"));
        }
    }
    writer.flush().await?;
    let wrote = writing.elapsed();
    writer.close(Duration::from_secs(10)).await.into_result()?;

    let reading = Instant::now();
    let found = read(&pravega, &stream).await?;
    let read = reading.elapsed();
    let expected = digests(lines.iter());
    if found != expected {
        return Err(Failure::other(
            "the events read are not the events written, in the order of each routing key",
        ));
    }
    show(
        output,
        &Figures {
            events: lines.len(),
            bytes,
            keys: expected.len(),
            wrote,
            read,
            took: begun.elapsed(),
        },
    )
}

struct Figures {
    events: usize,
    bytes: usize,
    keys: usize,
    wrote: Duration,
    read: Duration,
    took: Duration,
}

fn show(output: &mut Output, figures: &Figures) -> Result<()> {
    let Figures { events, bytes, keys, .. } = *figures;
    let rate = |took: Duration| (events as f64 / took.as_secs_f64().max(1e-9)) as u64;
    if output.format() == Format::Text {
        let size = indicatif::HumanBytes(bytes as u64);
        let count = indicatif::HumanCount;
        let (wrote, read) = (count(rate(figures.wrote)), count(rate(figures.read)));
        let took = figures.took.as_secs_f64();
        let text = format!(
            "wrote    {} events of {size}, {wrote} per second, across a scale-up and a scale-down\n\
             read     {} events by a group of two readers, {read} per second\n\
             checked  every event was read once, in order for each of {} keys\n\
             took     {took:.1} s in total\n",
            count(events as u64),
            count(events as u64),
            count(keys as u64),
        );
        return output.raw(text.as_bytes());
    }
    let seconds = |took: Duration| (took.as_secs_f64() * 1000.0).round() / 1000.0;
    let record = Record::new()
        .with("events", events)
        .with("bytes", bytes)
        .with("keys", keys)
        .with("write_seconds", seconds(figures.wrote))
        .with("read_seconds", seconds(figures.read))
        .with("seconds", seconds(figures.took));
    output.one(record)
}

fn read_lines(file: &Path) -> Result<Vec<Bytes>> {
    let unreadable = |error| Failure::usage(format!("cannot read {}: {error}", file.display()));
    let text = Bytes::from(std::fs::read(file).map_err(unreadable)?);
    let mut lines: Vec<Bytes> =
        text.split(|byte| *byte == b'\n').map(|line| text.slice_ref(line)).collect();
    if lines.last().is_some_and(Bytes::is_empty) {
        // No line follows the last line break.
        lines.pop();
    }
    if lines.is_empty() {
        return Err(Failure::usage(format!("{} has no lines", file.display())));
    }
    let long = lines.iter().map(|line| key(line).len());
    if let Some((at, len)) = long.enumerate().find(|(_, len)| *len > MAX_ROUTING_KEY_LEN) {
        let text = format_args!(
            "line {}: its first word, the routing key, has {len} bytes, and {MAX_ROUTING_KEY_LEN} \
             are allowed",
            at + 1
        );
        return Err(Failure::invalid_input(text));
    }
    if let Some(at) = lines.iter().position(|line| line.len() > MAX_EVENT_LEN) {
        let text = format_args!("line {} is longer than {MAX_EVENT_LEN} bytes", at + 1);
        return Err(Failure::invalid_input(text));
    }
    Ok(lines)
}

/// Orders of customers; the same in every run.
fn sample() -> Vec<Bytes> {
    const GOODS: [&str; 7] =
        ["apples", "pears", "plums", "cherries", "quinces", "medlars", "sloes"];
    let line = |number: usize| {
        let (customer, amount) = (number * 7919 % 100, number * 31 % 12 + 1);
        let goods = GOODS.get(number * 17 % GOODS.len()).copied().unwrap_or("apples");
        format!("customer-{customer:02} order {number}: {amount} {goods}").into()
    };
    (0..50_000).map(line).collect()
}

fn key(line: &[u8]) -> String {
    let word = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    String::from_utf8_lossy(word).into_owned()
}

/// Three parts of about the same length.
fn parts(lines: &[Bytes]) -> [&[Bytes]; 3] {
    let (first, rest) = lines.split_at(lines.len() / 3);
    let (second, third) = rest.split_at(rest.len() / 2);
    [first, second, third]
}

async fn write(writer: &EventWriter<Raw>, lines: &[Bytes]) -> Result<()> {
    for line in lines {
        // The flush at the end reports failures.
        drop(writer.enqueue(&key(line), line.clone()).await?);
    }
    Ok(())
}

async fn change_scale(pravega: &Embedded, stream: &ScopedStream, segments: u32) -> Result<()> {
    let controller = pravega.client().controller();
    let sealed: Vec<SegmentId> =
        controller.current_segments(stream).await?.into_iter().map(|segment| segment.id).collect();
    let (epoch, _) = scale::start(stream, &sealed, &KeyRange::equal(segments), controller).await?;
    scale::wait(stream, epoch, controller).await
}

/// For each key, the number of its events and a digest of them in order.
type Digests = BTreeMap<String, (u64, u64)>;

fn add(digests: &mut Digests, line: &[u8]) {
    let (count, digest) = digests.entry(key(line)).or_default();
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write_u64(*digest);
    hasher.write(line);
    (*count, *digest) = (*count + 1, hasher.finish());
}

fn digests<'a>(lines: impl IntoIterator<Item = &'a Bytes>) -> Digests {
    let mut digests = Digests::new();
    lines.into_iter().for_each(|line| add(&mut digests, line));
    digests
}

/// Reads all events by a group of two readers, whose segments change hands at checkpoints.
async fn read(pravega: &Embedded, stream: &ScopedStream) -> Result<Digests> {
    let client = pravega.client();
    let group: ScopedReaderGroup =
        GROUP.parse().map_err(|error| Failure::other(with_causes(&error)))?;
    let all = client.reader_group_part(stream, StreamPosition::Head, ReadUntil::Tail).await?;
    let configuration = ReaderGroupConfiguration::bounded([all])
        .map_err(|error| Failure::other(with_causes(&error)))?
        .with_refresh_interval(INTERVAL)
        .with_automatic_checkpoint_interval(Some(INTERVAL));
    client.create_reader_group(&group, &configuration).await?;
    let digests = Mutex::new(Digests::new());
    tokio::try_join!(
        Box::pin(read_as(pravega, &group, "reader-1", &digests)),
        Box::pin(read_as(pravega, &group, "reader-2", &digests)),
    )?;
    Ok(digests.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Reads events as one of the readers. Events of a key come from one reader at a time.
async fn read_as(
    pravega: &Embedded,
    group: &ScopedReaderGroup,
    id: &str,
    digests: &Mutex<Digests>,
) -> Result<()> {
    let id = id.parse().map_err(|error| Failure::other(with_causes(&error)))?;
    let mut reader = pravega.client().group_reader(group, &id, Raw).await?;
    while let Some(items) = reader.next_batch(1000).await {
        let mut digests = digests.lock().unwrap_or_else(PoisonError::into_inner);
        for event in items?.into_iter().filter_map(GroupItem::into_event) {
            add(&mut digests, event.event());
        }
    }
    Ok(reader.close(CLOSING).await?)
}
