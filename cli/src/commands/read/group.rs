//! `pravega read --group`: reading as a member of a reader group.

use std::io::Write as _;

use bytes::Bytes;
use pravega_sdk::{
    ClientFactory, ReadUntil, StreamPosition,
    codec::Raw,
    group::{GroupItem, GroupReader, GroupReaderError, GroupReaderNotice, ReaderGroup},
    types::{ErrorKind, NameError, ReaderGroupConfiguration, ReaderId, ScopedReaderGroup},
};
use uuid::Uuid;

use super::{
    arguments::{Arguments, BATCH},
    membership::Group,
    print::put,
};
use crate::{
    commands::report::created,
    context::Context,
    failure::{Failure, Result, with_causes},
    limits::Limits,
    output::{Output, closed},
    stop::Stop,
};

/// Reads events as a member of `group`.
pub(super) async fn run(group: &Group, arguments: &Arguments, context: &mut Context) -> Result<()> {
    let (client, limits) = (context.client().await?, context.limits);
    let output = &mut context.output;
    let membership = &arguments.membership;
    let group = group.of(arguments.stream.scope());
    let handle = open(&group, arguments, &client, limits, output).await?;
    check_streams(&handle, arguments).await?;
    let id = membership.reader.clone().map_or_else(new_id, Ok)?;
    let config = limits
        .group_reader(membership.lease)
        .with_assignment(membership.assignment)
        .with_hand_over(membership.hand_over);
    let mut reader = client.group_reader_with(&group, &id, Raw, config).await?;
    output.status(format_args!("reader {id} is in group {group}"));

    let outcome = read(&mut reader, arguments, output).await;
    std::io::stdout().flush().ok();
    let closed = reader.close(limits.ending()).await.map_err(Failure::from);
    match outcome {
        Ok(()) => closed,
        Err(failure) => {
            if let Err(error) = closed {
                let lease = membership.lease;
                output.status(format_args!(
                    "warning: reader {id} could not leave the group, and holds its segments for \
                     up to {lease:?}: {error}"
                ));
            }
            Err(failure)
        }
    }
}

/// Opens the group, or creates it.
async fn open(
    group: &ScopedReaderGroup,
    arguments: &Arguments,
    client: &ClientFactory,
    limits: Limits,
    output: &Output,
) -> Result<ReaderGroup> {
    let config = limits.group();
    match client.reader_group_with(group, config.clone()).await {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        opened => {
            let opened = opened?;
            let place = arguments.from.as_ref().map(|_| "--from");
            if let Some(place) = place.or(arguments.ago.map(|_| "--ago")) {
                output.status(format_args!(
                    "warning: {place} is not used: group {group} exists, and goes on where it is"
                ));
            }
            return Ok(opened);
        }
    }
    let stream = arguments.stream.clone();
    let configuration = match arguments.start()? {
        StreamPosition::Head => ReaderGroupConfiguration::new([stream]),
        start => {
            let part = client.reader_group_part(&stream, start, ReadUntil::Sealed).await?;
            ReaderGroupConfiguration::bounded([part])
        }
    };
    let configuration = configuration.map_err(|error| Failure::usage(with_causes(&error)))?;
    match client.create_reader_group_with(group, &configuration, config.clone()).await {
        // Another reader was earlier, and the stream has grown between the two.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Ok(client.reader_group_with(group, config).await?)
        }
        result => {
            let (handle, creation) = result?;
            created("group", group, creation, output)?;
            Ok(handle)
        }
    }
}

/// Refuses a group that does not read the stream.
async fn check_streams(handle: &ReaderGroup, arguments: &Arguments) -> Result<()> {
    let (configuration, stream) = (handle.configuration().await?, &arguments.stream);
    if configuration.streams().iter().any(|part| part.stream == *stream) {
        return Ok(());
    }
    let group = handle.group();
    let streams: Vec<String> =
        configuration.streams().iter().map(|part| part.stream.to_string()).collect();
    Err(Failure::usage(format_args!("group {group} does not read {stream}"))
        .with_hint(format!("it reads {}", streams.join(", "))))
}

fn new_id() -> Result<ReaderId> {
    let id = Uuid::new_v4().simple().to_string();
    let id = format!("reader-{}", id.get(..8).unwrap_or(&id)).parse();
    id.map_err(|error: NameError| Failure::other(with_causes(&error)))
}

/// Prints events until there are no more, enough are printed, or the command is stopped.
async fn read(
    reader: &mut GroupReader<Raw>,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<()> {
    let mut left = arguments.count.unwrap_or(u64::MAX);
    let mut text = Vec::new();
    let mut notices = reader.notices();
    let stop = Stop::listen_once()?;
    let closed = closed();
    tokio::pin!(closed);
    while left > 0 {
        let next = tokio::select! {
            biased;
            signal = stop.requested() => {
                let group = reader.group();
                return Err(Failure::stopped(signal, format_args!(
                    "group {group} goes on after the last event printed"
                )));
            }
            Some(notice) = notices.next() => {
                tell(&notice, output);
                continue;
            }
            next = reader.next_batch(usize::try_from(left).unwrap_or(BATCH).min(BATCH)) => next,
            () = &mut closed => return Ok(()),
        };
        let items = match next {
            None => return Ok(()),
            // The events after the truncation follow.
            Some(Err(error)) if error.kind() == ErrorKind::Truncated => {
                output.status(format_args!("warning: {}", with_causes(&error)));
                continue;
            }
            Some(items) => items,
        };
        left = left.saturating_sub(print(items, arguments, output, &mut text)?);
    }
    Ok(())
}

/// Prints items before the reader is asked for the next ones, which is when its part of a
/// checkpoint is complete. Returns the number of events.
fn print(
    items: std::result::Result<Vec<GroupItem<Bytes>>, GroupReaderError>,
    arguments: &Arguments,
    output: &mut Output,
    text: &mut Vec<u8>,
) -> Result<u64> {
    let mut events = 0;
    for item in &items? {
        match item {
            GroupItem::Event(event) => {
                put(event.as_read_event(), arguments, output.format(), text);
                events += 1;
            }
            GroupItem::Checkpoint(name) if arguments.membership.show_checkpoints => {
                output.status(format_args!("checkpoint {name}"));
            }
            GroupItem::Checkpoint(_) => {}
        }
    }
    output.raw(text)?;
    text.clear();
    std::io::stdout().flush().ok();
    Ok(events)
}

/// Tells why no events come, and when they come again.
fn tell(notice: &GroupReaderNotice, output: &Output) {
    match notice {
        GroupReaderNotice::Unavailable { error } => output.status(format_args!(
            "warning: no events until the state of the group can be read: {}",
            with_causes(error)
        )),
        GroupReaderNotice::Available => output.status("the state of the group can be read again"),
        GroupReaderNotice::LeaseRunOut => {
            output.status("warning: no events until the lease is renewed");
        }
        GroupReaderNotice::LeaseRenewed => output.status("the lease is renewed"),
        _ => {}
    }
}
