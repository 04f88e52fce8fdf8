//! `pravega group`

mod checkpoint;
mod describe;
mod reset;
mod settings;
mod watch;

use clap::Subcommand;
use pravega_sdk::{
    group::{GroupStorage, ReaderGroup, Removal},
    types::{
        BoundedCut, Checkpoint, ErrorKind, Position, ReaderGroupConfiguration, Scope,
        ScopedReaderGroup, ScopedSegment, ScopedStream, SegmentOffset, StreamCut,
    },
};

use self::settings::{Places, Settings};
use super::report::{created, deleted, list};
use crate::{
    context::Context,
    failure::{Failure, Result, with_causes},
    output::{Output, Record},
    parse,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a reader group
    #[command(after_help = CREATE_HELP)]
    Create {
        /// SCOPE/GROUP
        group: ScopedReaderGroup,
        /// Stream that it reads; repeat for several
        #[arg(
            long = "stream",
            required_unless_present = "from_checkpoint",
            conflicts_with = "from_checkpoint",
            value_name = "SCOPE/STREAM"
        )]
        streams: Vec<ScopedStream>,
        #[command(flatten)]
        places: Places,
        /// Begin with the streams and positions of a checkpoint of another group
        #[arg(
            long,
            value_name = "CHECKPOINT",
            conflicts_with_all = ["from", "until"],
            value_parser = settings::checkpoint
        )]
        from_checkpoint: Option<Checkpoint>,
        /// Where the state of the group is kept, which stays
        #[arg(long, value_enum, default_value_t)]
        store: Store,
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// List the reader groups of a scope
    #[command(visible_alias = "ls")]
    List {
        /// The scope
        #[arg(value_parser = parse::any_scope)]
        scope: Scope,
    },
    /// Show a reader group: its configuration, its readers and checkpoints, and where they are
    #[command(visible_alias = "info")]
    Describe {
        /// SCOPE/GROUP
        group: ScopedReaderGroup,
    },
    /// Take a checkpoint, and print it with the positions of all readers
    #[command(after_help = checkpoint::AFTER_HELP)]
    Checkpoint(checkpoint::Arguments),
    /// Begin a group again; its readers are out of it then, and must be opened again
    #[command(after_help = reset::AFTER_HELP)]
    Reset(reset::Arguments),
    /// Take a reader out of its group that has ended, so that others read on for it
    #[command(after_help = OFFLINE_HELP)]
    Offline {
        /// SCOPE/GROUP
        group: ScopedReaderGroup,
        /// The reader
        #[arg(required_unless_present = "dead")]
        reader: Option<String>,
        /// All readers whose leases have run out, also if no reader of the group is left that would
        /// do it; those without a lease stay
        #[arg(long, conflicts_with_all = ["reader", "position", "at"])]
        dead: bool,
        // A requirement that another option rules out is not checked, so that is named, too.
        /// How long to wait until each reader was found alive or dead; longer than the leases
        #[arg(
            long,
            value_name = "DURATION",
            value_parser = parse::some_time,
            default_value = "1m",
            requires = "dead",
            conflicts_with = "reader"
        )]
        wait: std::time::Duration,
        /// Where it was, as text [default: its last checkpoint, which counts too if it is later]
        #[arg(long, value_name = "POSITION", value_parser = position_text, conflicts_with = "at")]
        position: Option<Position>,
        /// Where it was in a segment: SCOPE/STREAM/SEGMENT=OFFSET; repeat for several
        #[arg(long, value_name = "SEGMENT=OFFSET", value_parser = segment_offset)]
        at: Vec<(ScopedSegment, SegmentOffset)>,
    },
    /// Print a stream cut of each stream: where the group goes on if all its readers end
    Cuts {
        /// SCOPE/GROUP
        group: ScopedReaderGroup,
        /// Ask the readers where they are now, and wait at most this long for their answers
        #[arg(long, value_name = "DURATION", value_parser = parse::some_time)]
        ask: Option<std::time::Duration>,
    },
    /// Print what happens to a group: segments, readers, resets, the end of its data
    Watch(watch::Arguments),
    /// Delete a reader group
    #[command(visible_alias = "rm")]
    Delete {
        /// SCOPE/GROUP
        group: ScopedReaderGroup,
    },
}

/// Where the state of a group is kept.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub(crate) enum Store {
    /// In the group's stream, as Java's clients keep it
    #[default]
    Stream,
    /// In a table; readers of Java's clients cannot join
    Table,
}

impl From<Store> for GroupStorage {
    fn from(store: Store) -> Self {
        match store {
            Store::Stream => Self::Stream,
            Store::Table => Self::Table,
        }
    }
}

const OFFLINE_HELP: &str = "\
Examples:
  pravega group offline shop/billing reader-1
  pravega group offline shop/billing reader-1 --at shop/orders/0.#epoch.0=1200
  pravega group offline shop/billing --dead";

const CREATE_HELP: &str = "\
A group that exists with the same configuration is left as it is.

Examples:
  pravega group create shop/billing --stream shop/orders
  pravega group create shop/audit --stream shop/orders --stream shop/refunds --from tail
  pravega group create shop/stock --stream shop/orders --store table
  pravega group create shop/again --from-checkpoint CHECKPOINT";

/// A position, as readers of Java's client and of this one store it.
fn position_text(text: &str) -> std::result::Result<Position, String> {
    text.parse().map_err(|error| format!("it is not the text of a position of a reader: {error}"))
}

/// `SCOPE/STREAM/SEGMENT=OFFSET`
fn segment_offset(text: &str) -> std::result::Result<(ScopedSegment, SegmentOffset), String> {
    let form = || format!("\"{text}\" is not SCOPE/STREAM/NUMBER.#epoch.EPOCH=OFFSET");
    let (segment, offset) = text.split_once('=').ok_or_else(form)?;
    let segment = segment.parse().map_err(|_| form())?;
    let offset = offset.parse().map_err(|_| form())?;
    if offset < SegmentOffset::End.to_wire() {
        return Err(format!("{offset} is not an offset; -1 is the end of a sealed segment"));
    }
    Ok((segment, SegmentOffset::from_wire(offset)))
}

pub(crate) async fn run(command: Command, context: &mut Context) -> Result<()> {
    let client = context.client().await?;
    let config = context.limits.group();
    match command {
        Command::Create { group, streams, places, from_checkpoint, store, settings } => {
            let configuration = match from_checkpoint {
                Some(checkpoint) => ReaderGroupConfiguration::from_checkpoint(&checkpoint)
                    .map_err(|error| Failure::usage(with_causes(&error)))?,
                None => places.configuration(streams, &client).await?,
            };
            let configuration = settings.apply(configuration);
            let config = config.with_storage(store.into());
            let (_, creation) =
                client.create_reader_group_with(&group, &configuration, config).await?;
            created("group", &group, creation, &context.output)
        }
        Command::List { scope } => {
            let record = |group: &ScopedReaderGroup| Record::new().with("group", group.to_string());
            list(client.reader_groups(scope), &mut context.output, record).await
        }
        Command::Describe { group } => {
            let group = client.reader_group_with(&group, config).await?;
            describe::run(&group, &mut context.output).await
        }
        Command::Checkpoint(arguments) => checkpoint::run(arguments, &client, context).await,
        Command::Reset(arguments) => reset::run(arguments, &client, context).await,
        Command::Offline { group, reader, wait, position, at, .. } => {
            let group = client.reader_group_with(&group, config).await?;
            let Some(reader) = reader else {
                let dead = group.take_out_dead(wait).await?;
                let record = |reader: &std::sync::Arc<str>| Record::new().with("reader", &**reader);
                return context.output.list(dead.iter().map(record).collect());
            };
            check_segments(&group, &reader, &at).await?;
            let position = position.or_else(|| {
                let ranges = at.iter().map(|(segment, _)| (segment.clone(), None));
                let ranges: Vec<_> = ranges.collect();
                (!ranges.is_empty()).then(|| Position::new(at, ranges))
            });
            offline(&group, &reader, position.as_ref(), &context.output).await
        }
        Command::Cuts { group, ask } => {
            let group = client.reader_group_with(&group, config).await?;
            let cuts = match ask {
                Some(wait) => group.generate_stream_cuts(wait).await?,
                None => group.stream_cuts().await?,
            };
            context.output.list(cuts.iter().map(cut_record).collect())
        }
        Command::Watch(arguments) => watch::run(arguments, &client, context).await,
        Command::Delete { group } => {
            let deletion =
                ReaderGroup::delete_by_name(&client.segment_context(), &group, &config).await?;
            deleted("group", &group, deletion, &context.output)
        }
    }
}

/// Refuses places in segments that a reader does not have: they would have no effect.
async fn check_segments(
    group: &ReaderGroup,
    reader: &str,
    at: &[(ScopedSegment, SegmentOffset)],
) -> Result<()> {
    if at.is_empty() {
        return Ok(());
    }
    let described = group.describe().await?;
    let Some(member) = described.readers.iter().find(|member| &*member.id == reader) else {
        return Ok(());
    };
    let own: Vec<_> = member.segments.iter().map(|place| place.segment.to_string()).collect();
    match at.iter().map(|(segment, _)| segment.to_string()).find(|named| !own.contains(named)) {
        None => Ok(()),
        Some(named) => Err(Failure::usage(format_args!("reader {reader} does not have {named}"))
            .with_hint(match &own[..] {
                [] => "it has no segments".to_owned(),
                own => format!("it has {}", own.join(", ")),
            })),
    }
}

async fn offline(
    group: &ReaderGroup,
    reader: &str,
    position: Option<&Position>,
    output: &Output,
) -> Result<()> {
    match group.reader_offline(reader, position).await? {
        Removal::Removed => {
            output
                .status(format_args!("reader {reader} is not in group {} any more", group.group()));
            Ok(())
        }
        Removal::NotInGroup => {
            let readers = group.online_readers().await?;
            let readers: Vec<&str> = readers.iter().map(|reader| &**reader).collect();
            let hint = match &readers[..] {
                [] => "the group has no readers".to_owned(),
                readers => format!("its readers are {}", readers.join(", ")),
            };
            let group = group.group();
            let detail = format_args!("reader {reader} is not in group {group}");
            Err(Failure::of_kind(ErrorKind::NotFound, detail).with_hint(hint))
        }
    }
}

fn cut_record(cut: &BoundedCut) -> Record {
    Record::new()
        .with("stream", cut.stream().to_string())
        .with("cut", StreamCut::from(cut.clone()).to_text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_segment_has_the_name_of_the_segment_and_an_offset() {
        let (segment, offset) = segment_offset("s/t/0.#epoch.0=42").unwrap();
        assert_eq!((segment.to_string(), offset.to_wire()), ("s/t/0.#epoch.0".to_owned(), 42));
        assert_eq!(segment_offset("s/t/0.#epoch.0=-1").unwrap().1, SegmentOffset::End);
        assert!(segment_offset("s/t/0.#epoch.0=-2").unwrap_err().contains("-2 is not an offset"));
        for text in ["", "s/t/0.#epoch.0", "0=42", "s/t/0.#epoch.0=x"] {
            assert!(segment_offset(text).unwrap_err().contains("is not SCOPE/STREAM"), "{text}");
        }
    }
}
