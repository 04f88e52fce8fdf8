//! `pravega bytes`

use std::{io::Write as _, path::PathBuf, time::Instant};

use bytes::BytesMut;
use clap::Subcommand;
use pravega_sdk::{
    ByteReaderConfig, ClientFactory,
    types::{Offset, ScopedStream},
};
use tokio::io::AsyncReadExt as _;

use super::progress;
use crate::{
    context::Context,
    failure::{Failure, Result},
    output::{Format, Output, Record},
    parse,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Append a file or stdin to a byte stream
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
        #[arg(long, value_parser = parse::bytes)]
        offset: Option<u64>,
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
        #[arg(value_parser = parse::bytes)]
        offset: u64,
    },
    /// Show the head and tail offsets of a byte stream
    Show {
        /// SCOPE/STREAM, with one segment
        stream: ScopedStream,
    },
}

/// Bytes read from the input at once.
const CHUNK_BYTES: usize = 1 << 20;

pub(crate) async fn run(command: Command, context: &mut Context) -> Result<()> {
    let client = context.client().await?;
    let output = &mut context.output;
    match command {
        Command::Put { stream, file, seal } => put(&stream, file, seal, &client, output).await,
        Command::Get { stream, offset, length } => {
            let mut config = ByteReaderConfig::default();
            if let Some(offset) = offset {
                config = config.with_start(Offset(i64::try_from(offset).unwrap_or(i64::MAX)));
            }
            let mut reader = client.byte_reader_with(&stream, config).await?;
            let end = reader.tail_offset().await?;
            let available = end.0.abs_diff(reader.offset().0);
            copy(&mut reader, length.unwrap_or(u64::MAX).min(available), output).await
        }
        Command::Tail { stream, back } => {
            let at = client.byte_reader(&stream).await?;
            let (head, tail) = (at.head_offset().await?, at.tail_offset().await?);
            let start = Offset(tail.0.saturating_sub_unsigned(back).max(head.0));
            let mut reader = client
                .byte_reader_with(&stream, ByteReaderConfig::default().with_start(start))
                .await?;
            copy(&mut reader, u64::MAX, output).await
        }
        Command::Truncate { stream, offset } => {
            let writer = client.byte_writer(&stream).await?;
            writer.truncate(Offset(i64::try_from(offset).unwrap_or(i64::MAX))).await?;
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
    client: &ClientFactory,
    output: &mut Output,
) -> Result<()> {
    let unreadable =
        |error: std::io::Error| Failure::usage(format!("cannot read the input: {error}"));
    let (mut input, len): (Box<dyn tokio::io::AsyncRead + Unpin>, _) = match file {
        None => (Box::new(tokio::io::stdin()), None),
        Some(path) => {
            let named = |error| Failure::usage(format!("cannot read {}: {error}", path.display()));
            let file = tokio::fs::File::open(&path).await.map_err(named)?;
            let metadata = file.metadata().await.map_err(named)?;
            if metadata.is_dir() {
                return Err(Failure::usage(format!("{} is a folder", path.display())));
            }
            (Box::new(file), Some(metadata.len()).filter(|_| metadata.is_file()))
        }
    };
    let mut writer = client.byte_writer(stream).await?;
    let (began, started, progress) = (writer.offset(), Instant::now(), progress::bar(len));
    loop {
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
        if input.read_buf(&mut chunk).await.map_err(unreadable)? == 0 {
            break;
        }
        progress.inc(chunk.len() as u64);
        writer.write_bytes(chunk.freeze()).await?;
    }
    writer.flush().await?;
    if seal {
        writer.seal().await?;
    }
    progress.finish_and_clear();
    let (bytes, seconds) = (writer.offset().0 - began.0, started.elapsed().as_secs_f64());
    if output.format() == Format::Text {
        let size = indicatif::HumanBytes(bytes.unsigned_abs());
        output.status(format_args!("appended {size} at offset {began} in {seconds:.1} s"));
        return Ok(());
    }
    let seconds = (seconds * 1000.0).round() / 1000.0;
    output.one(Record::new().with("offset", began.0).with("bytes", bytes).with("seconds", seconds))
}

async fn copy(
    reader: &mut pravega_sdk::ByteReader,
    mut left: u64,
    output: &mut Output,
) -> Result<()> {
    while left > 0
        && let Some(mut bytes) = reader.next_bytes().await?
    {
        bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        left -= bytes.len() as u64;
        output.raw(&bytes)?;
        if reader.available() == 0 {
            std::io::stdout().flush().ok();
        }
    }
    std::io::stdout().flush().ok();
    Ok(())
}
