//! `pravega bytes`

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use clap::Subcommand;
use futures_util::FutureExt as _;
use indicatif::ProgressBar;
use pravega_sdk::{
    ByteWriter, ClientFactory, WriteError,
    types::{ErrorKind, Offset, ScopedStream},
};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{
    input::{Place, Places},
    progress,
};
use crate::{
    context::Context,
    failure::{Failure, Result, with_causes},
    limits::{Limits, Reading},
    output::{Format, Output, Record, closed, status},
    parse,
    signal::Signal,
    stop::Stop,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Append a file or stdin to a byte stream
    ///
    /// A byte stream has one writer at a time: if another one appends meanwhile, this one fails.
    Put {
        /// SCOPE/STREAM, with one segment
        stream: ScopedStream,
        /// File to append [default: stdin]
        #[arg(long, short, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Seal the stream afterwards
        #[arg(long)]
        seal: bool,
    },
    /// Write a byte stream to stdout, up to its current tail
    Get {
        /// SCOPE/STREAM, with one segment
        stream: ScopedStream,
        /// First offset [default: the head]
        #[arg(long, value_parser = parse::offset)]
        offset: Option<Offset>,
        /// Maximum number of bytes, with K, M, G or T for powers of 1024
        #[arg(long, value_parser = parse::bytes)]
        length: Option<u64>,
    },
    /// Follow a byte stream until it is sealed, like tail -f
    Tail {
        /// SCOPE/STREAM, with one segment
        stream: ScopedStream,
        /// Start this many bytes before the tail, with K, M, G or T for powers of 1024
        #[arg(long, value_parser = parse::bytes, default_value = "0")]
        back: u64,
    },
    /// Drop all bytes before an offset
    Truncate {
        /// SCOPE/STREAM, with one segment
        stream: ScopedStream,
        /// First offset to keep
        #[arg(value_parser = parse::offset)]
        offset: Offset,
    },
    /// Show the head and tail offsets of a byte stream
    #[command(visible_alias = "info")]
    Show {
        /// SCOPE/STREAM, with one segment
        stream: ScopedStream,
    },
}

/// Bytes read from the input at once.
const CHUNK_BYTES: usize = 1 << 20;
const STOPPING: &str = "stopping: bytes in flight end first; press Ctrl-C again to quit now";
/// Input that takes longer pauses.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) async fn run(command: Command, context: &mut Context) -> Result<()> {
    let client = context.client().await?;
    let (limits, output) = (context.limits, &mut context.output);
    match command {
        Command::Put { stream, file, seal } => {
            put(&stream, file, seal, (&client, limits), output).await
        }
        Command::Get { stream, offset, length } => {
            let mut config = limits.byte_reader(Reading::Present);
            if let Some(offset) = offset {
                config = config.with_start(offset);
            }
            let mut reader = client.byte_reader_with(&stream, config).await?;
            let end = reader.tail_offset().await?;
            let available = end.0.abs_diff(reader.offset().0);
            let left = length.unwrap_or(u64::MAX).min(available);
            copy(&stream, &mut reader, left, output).await
        }
        Command::Tail { stream, back } => {
            let at = client.byte_reader(&stream).await?;
            let (head, tail) = (at.head_offset().await?, at.tail_offset().await?);
            let start = Offset(tail.0.saturating_sub_unsigned(back).max(head.0));
            let config = limits.byte_reader(Reading::Following).with_start(start);
            let mut reader = client.byte_reader_with(&stream, config).await?;
            copy(&stream, &mut reader, u64::MAX, output).await
        }
        Command::Truncate { stream, offset } => {
            let writer = client.byte_writer(&stream).await?;
            writer.truncate(offset).await?;
            output.status(format_args!("{stream} now starts at {}", writer.head_offset().await?));
            Ok(())
        }
        Command::Show { stream } => {
            let reader = client.byte_reader(&stream).await?;
            let (head, tail) = (reader.head_offset().await?, reader.tail_offset().await?);
            output.one(
                Record::new()
                    .with("head", head.0)
                    .with("tail", tail.0)
                    .with("bytes", tail.0 - head.0),
            )
        }
    }
}

async fn put(
    stream: &ScopedStream,
    file: Option<PathBuf>,
    seal: bool,
    (client, limits): (&ClientFactory, Limits),
    output: &mut Output,
) -> Result<()> {
    let (mut input, len) = open(file.as_deref()).await?;
    let mut writer = client.byte_writer_with(stream, limits.byte_writer()).await?;
    let (began, started, progress) = (writer.offset(), Instant::now(), progress::bar(len));
    let bar = progress.clone();
    let stop = Stop::listen(move || bar.suspend(|| status(STOPPING)))?;
    let appending = async {
        let stopped = append(&mut writer, &mut *input, &stop, &progress).await?;
        if seal && stopped.is_none() {
            writer.seal().await?;
        }
        Ok::<_, Failure>((stopped, writer.offset().0 - began.0))
    };
    let appended = tokio::select! {
        biased;
        appended = appending => appended,
        signal = stop.again() => {
            let unknown = format!("it is not known how much was appended at offset {began}");
            let hint = format!("what is in the stream: pravega bytes show {stream}");
            Err(Failure::stopped(signal, unknown).with_hint(hint))
        }
    };
    progress.finish_and_clear();
    let ((stopped, bytes), seconds) = (appended?, started.elapsed().as_secs_f64());
    if output.format() == Format::Text {
        let size = indicatif::HumanBytes(bytes.unsigned_abs());
        output.status(format_args!("appended {size} at offset {began} in {seconds:.1} s"));
    } else {
        let seconds = (seconds * 1000.0).round() / 1000.0;
        output.one(
            Record::new().with("offset", began.0).with("bytes", bytes).with("seconds", seconds),
        )?;
    }
    match stopped {
        None => Ok(()),
        Some(signal) => {
            let done = Place { number: 0, end: bytes.unsigned_abs() };
            let hint = format!("the rest: {}", Places::of_bytes(file).rest(done));
            Err(Failure::stopped(signal, format_args!("{bytes} bytes are appended"))
                .with_hint(hint))
        }
    }
}

type Source = Box<dyn AsyncRead + Unpin + Send>;

/// Opens the input, whose length is known if it is a file.
async fn open(file: Option<&Path>) -> Result<(Source, Option<u64>)> {
    let Some(path) = file else { return Ok((Box::new(tokio::io::stdin()), None)) };
    let unreadable =
        |error: io::Error| Failure::usage(format!("cannot read {}: {error}", path.display()));
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let metadata = file.metadata().await.map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(Failure::usage(format!("{} is a folder", path.display())));
    }
    Ok((Box::new(file), Some(metadata.len()).filter(|_| metadata.is_file())))
}

/// Appends the input up to its end, to a signal, or to the first failure, which is found while the
/// input is waited for, too. All bytes are durable then.
async fn append(
    writer: &mut ByteWriter,
    input: &mut (impl AsyncRead + Unpin + ?Sized),
    stop: &Stop,
    progress: &ProgressBar,
) -> Result<Option<Signal>> {
    let unreadable = |error: io::Error| Failure::other(format!("cannot read the input: {error}"));
    let mut is_flushed = true;
    loop {
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
        tokio::select! {
            biased;
            signal = stop.requested() => {
                // Bytes that were read are written.
                if let Some(Ok(_)) = input.read_buf(&mut chunk).now_or_never() {
                    writer.write_bytes(chunk.freeze()).await?;
                }
                writer.flush().await?;
                return Ok(Some(signal));
            }
            read = input.read_buf(&mut chunk) => {
                if read.map_err(unreadable)? == 0 {
                    writer.flush().await?;
                    return Ok(None);
                }
            }
            flushed = flush_later(writer), if !is_flushed => {
                flushed?;
                is_flushed = true;
                continue;
            }
        }
        progress.inc(chunk.len() as u64);
        writer.write_bytes(chunk.freeze()).await?;
        is_flushed = false;
    }
}

/// Waits until all bytes are durable, or one could not be written. The next write waits for the
/// flush, so it begins only if the input pauses.
async fn flush_later(writer: &mut ByteWriter) -> std::result::Result<(), WriteError> {
    tokio::time::sleep(PAUSE).await;
    writer.flush().await
}

/// What of a range of bytes is not printed yet.
#[derive(Debug)]
struct Rest {
    /// The bytes that follow.
    left: u64,
    /// The bytes that were truncated before they were read.
    missing: u64,
}

impl Rest {
    /// Takes bytes, and cuts off those after the range.
    fn take(&mut self, bytes: &mut Bytes) {
        bytes.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= bytes.len() as u64;
    }

    /// Notes that bytes were truncated, up to a new head. The end of the range stays where it is.
    fn truncated(&mut self, asked: Offset, head: Offset) {
        let missing = head.0.abs_diff(asked.0).min(self.left);
        self.left -= missing;
        self.missing = self.missing.saturating_add(missing);
    }

    /// The outcome of the command. What it has printed is not whole if bytes are missing.
    fn outcome(&self) -> Result<()> {
        if self.missing == 0 {
            return Ok(());
        }
        let missing = self.missing;
        let text =
            format!("{missing} bytes are missing: they were truncated before they were read");
        Err(Failure::of_kind(ErrorKind::Truncated, text))
    }
}

async fn copy(
    stream: &ScopedStream,
    reader: &mut pravega_sdk::ByteReader,
    left: u64,
    output: &mut Output,
) -> Result<()> {
    let stop = Stop::listen_once()?;
    let closed = closed();
    tokio::pin!(closed);
    let mut rest = Rest { left, missing: 0 };
    while rest.left > 0 {
        let asked = reader.offset();
        let next = tokio::select! {
            biased;
            signal = stop.requested() => {
                io::stdout().flush().ok();
                let at = reader.offset();
                let failure = Failure::stopped(signal, format_args!("printed up to offset {at}"));
                return Err(failure.with_hint(format!(
                    "to go on: pravega bytes get {stream} --offset {at}"
                )));
            }
            next = reader.next_bytes() => next,
            () = &mut closed => break,
        };
        let next = match next {
            // The bytes after the truncation follow.
            Err(error) if error.kind() == ErrorKind::Truncated && asked.0 < reader.offset().0 => {
                output.status(format_args!("warning: {}", with_causes(&error)));
                rest.truncated(asked, reader.offset());
                continue;
            }
            next => next?,
        };
        let Some(mut bytes) = next else { break };
        rest.take(&mut bytes);
        output.raw(&bytes)?;
        if reader.available() == 0 {
            io::stdout().flush().ok();
        }
    }
    io::stdout().flush().ok();
    rest.outcome()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_which_bytes_are_truncated_ends_where_it_did_and_is_not_whole() {
        let mut rest = Rest { left: 100, missing: 0 };
        rest.take(&mut Bytes::from_static(&[7; 30]));
        assert!(rest.outcome().is_ok());
        rest.truncated(Offset(30), Offset(50));
        let mut bytes = Bytes::from_static(&[7; 80]);
        rest.take(&mut bytes);
        assert_eq!((bytes.len(), rest.left), (50, 0));
        let failure = rest.outcome().unwrap_err();
        assert_eq!(failure.kind(), Some(ErrorKind::Truncated));
        assert!(failure.to_string().starts_with("20 bytes are missing"), "{failure}");
        // The head is after the range.
        let mut rest = Rest { left: 10, missing: 0 };
        rest.truncated(Offset(30), Offset(50));
        assert_eq!((rest.left, rest.missing), (0, 10));
    }
}
