//! How soon the readers of a group share its segments after the last of them has joined.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use pravega_sdk::{
    ClientFactory,
    codec::Raw,
    group::{GroupReaderConfig, ReaderGroup},
    types::{ReaderGroupConfiguration, ScalingPolicy, ScopedReaderGroup, StreamConfiguration},
};
use tokio::task::JoinSet;

use crate::tool_server::{Launch, ToolServer};

/// How long it may take at most.
const LIMIT: Duration = Duration::from_secs(300);
/// The time between two looks at the group.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Options of the command line.
#[derive(Debug)]
pub(crate) struct Options {
    /// A server that is already running; else the tool's own.
    url: Option<String>,
    readers: u32,
    segments: u32,
    /// How long each reader waits before it takes segments, so that all of them share.
    delay: Duration,
}

impl Options {
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self> {
        let delay = Duration::from_secs(3);
        let mut options = Self { url: None, readers: 20, segments: 200, delay };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            let mut value = || rest.next().with_context(|| format!("{name} needs a value"));
            match *name {
                "--controller" => options.url = Some((*value()?).to_owned()),
                "--readers" => options.readers = value()?.parse()?,
                "--segments" => options.segments = value()?.parse()?,
                "--delay" => options.delay = Duration::from_secs_f64(value()?.parse()?),
                other => bail!("there is no option {other}"),
            }
        }
        Ok(options)
    }
}

/// Measures it once, and prints what it finds.
pub(crate) fn run(options: &Options) -> Result<()> {
    let own = match options.url {
        Some(_) => None,
        None => Some(ToolServer::start(&Launch::roomy(None))?),
    };
    let url = own.as_ref().map(|server| server.url().to_owned()).or_else(|| options.url.clone());
    let url = url.context("there is no server")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(settle(&url, options));
    runtime.shutdown_background();
    result
}

async fn settle(url: &str, options: &Options) -> Result<()> {
    let client = ClientFactory::connect(url).await?;
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
    let stream = format!("settle-{nanos}/stream").parse()?;
    let scaling = ScalingPolicy::fixed(options.segments);
    let configuration = StreamConfiguration::default().with_scaling(scaling);
    client.create_stream_if_absent(&stream, &configuration).await?;
    let name = ScopedReaderGroup::new(stream.scope().clone(), "group".parse()?);
    let configuration = ReaderGroupConfiguration::new([stream])?;
    let (group, _) = client.create_reader_group(&name, &configuration).await?;

    let mut joining = JoinSet::new();
    for number in 0..options.readers {
        let (client, name, id) =
            (client.clone(), name.clone(), format!("reader-{number}").parse()?);
        let config = GroupReaderConfig::default().with_initial_allocation_delay(options.delay);
        joining.spawn(async move { client.group_reader_with(&name, &id, Raw, config).await });
    }
    let begun = Instant::now();
    let mut reading = JoinSet::new();
    while let Some(joined) = joining.join_next().await {
        let mut reader = joined??;
        reading.spawn(async move {
            // The stream is empty: this shares segments until the end of the program.
            while let Some(item) = reader.next().await {
                item?;
            }
            anyhow::Ok(())
        });
    }
    let joined = Instant::now();
    println!("{} readers joined within {:.1} s", options.readers, (joined - begun).as_secs_f64());
    let mut assigned = false;
    loop {
        let (free, least, most) = shares(&group).await?;
        let after = joined.elapsed();
        if free == 0 && !assigned {
            assigned = true;
            println!(
                "every segment has a reader {:.1} s after the last joined; they have {least} to \
                 {most}",
                after.as_secs_f64()
            );
        }
        if free == 0 && most - least <= 1 {
            println!("the shares are even after {:.1} s: {least} to {most}", after.as_secs_f64());
            return Ok(());
        }
        if after > LIMIT {
            println!("the shares are not even after {LIMIT:?}: {least} to {most}, {free} free");
            return Ok(());
        }
        if let Some(ended) = reading.try_join_next() {
            ended??;
            bail!("a reader has ended");
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Returns the segments without a reader, and the fewest and the most that a reader has.
async fn shares(group: &ReaderGroup) -> Result<(usize, usize, usize)> {
    let description = group.describe().await?;
    let sizes = || description.readers.iter().map(|reader| reader.segments.len());
    let (least, most) = (sizes().min().unwrap_or(0), sizes().max().unwrap_or(0));
    Ok((description.unassigned.len(), least, most))
}
