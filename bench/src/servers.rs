//! Compares servers: the same client runs on each of them in turn.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use pravega_sdk::{
    ClientFactory,
    controller_client::PageToken,
    types::{ScalingPolicy, Scope, ScopedStream, StreamConfiguration},
};

use crate::{
    compare::{self, Case, Client, Figures, Run},
    tool_server::{Launch, ToolServer},
};

/// Options of the command line.
#[derive(Debug)]
pub(crate) struct Options {
    /// Names and URLs of servers that are already running.
    running: Vec<(String, String)>,
    embedded: bool,
    durable: bool,
    rounds: usize,
    run: Run,
    only: String,
}

impl Options {
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Self {
            running: Vec::new(),
            embedded: false,
            durable: false,
            rounds: 3,
            run: Run::of_seconds(2.0),
            only: String::new(),
        };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            let mut value = || rest.next().with_context(|| format!("{name} needs a value"));
            match *name {
                "--embedded" => options.embedded = true,
                "--durable" => options.durable = true,
                "--only" => options.only = (*value()?).to_owned(),
                "--rounds" => options.rounds = value()?.parse()?,
                "--seconds" => options.run.seconds = value()?.parse()?,
                "--mib" => options.run.max_bytes = value()?.parse::<u64>()? << 20,
                other => {
                    let (name, url) = other
                        .split_once('=')
                        .with_context(|| format!("{other} is not NAME=URL"))?;
                    options.running.push((name.to_owned(), url.to_owned()));
                }
            }
        }
        Ok(options)
    }
}

/// Measures throughput and latency of this SDK on each server.
pub(crate) fn run(options: &Options) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut servers = options.running.clone();
    let mut kept = Vec::new();
    if options.embedded {
        kept.push(("embedded", ToolServer::start(&Launch::roomy(None))?));
    }
    if options.durable {
        kept.push(("embedded-durable", ToolServer::start(&Launch::roomy(Some(folder.path())))?));
    }
    servers.extend(kept.iter().map(|(name, server)| ((*name).to_owned(), server.url().to_owned())));
    if servers.is_empty() {
        bail!("no server is named");
    }
    let client = Client::own()?;
    print!("{:30} {:17}", "case", "metric");
    servers.iter().for_each(|(name, _)| print!(" {name:>17}"));
    println!();
    let cases = compare::cases_of_servers().into_iter();
    for case in cases.filter(|case| case.name.contains(&options.only)) {
        let mut all: BTreeMap<&str, Vec<Figures>> = BTreeMap::new();
        for round in 0..options.rounds {
            for (name, url) in compare::in_turn(&servers, round) {
                let figures = compare::measure(&client, url, &case, options.run);
                all.entry(name)
                    .or_default()
                    .push(figures.with_context(|| format!("{name} failed"))?);
            }
        }
        show(&case, &servers, &all);
    }
    Ok(())
}

fn show(case: &Case, servers: &[(String, String)], all: &BTreeMap<&str, Vec<Figures>>) {
    for metric in case.metrics {
        print!("{:30} {metric:17}", case.name);
        for (name, _) in servers {
            let rounds = all.get(name.as_str()).map_or(&[][..], Vec::as_slice);
            print!(" {:>17.1}", compare::median(rounds.iter().map(|figures| figures.get(metric))));
        }
        println!();
    }
}

/// Measures the start of the embedded server, and its memory when idle and with many streams.
pub(crate) fn size() -> Result<()> {
    let mut ready = Vec::new();
    for _ in 0..10 {
        let begun = Instant::now();
        let server = ToolServer::start(&Launch::roomy(None))?;
        ready.push(begun.elapsed());
        drop(server);
    }
    ready.sort();
    println!(
        "ready after {:?} (median of 10), {:?} at most",
        ready.get(5).copied().unwrap_or_default(),
        ready.last()
    );
    let server = ToolServer::start(&Launch::roomy(None))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async { tokio::time::sleep(Duration::from_secs(2)).await });
    show_memory("idle", &server)?;
    let begun = Instant::now();
    runtime.block_on(many_streams(server.url(), STREAMS))?;
    println!("10,000 streams of 10 segments made, listed and described in {:?}", begun.elapsed());
    show_memory("then", &server)
}

fn show_memory(when: &str, server: &ToolServer) -> Result<()> {
    let (resident, allocated) = (server.resident()?, server.allocated()?);
    println!("{when:9} {resident} KiB resident, of which no file backs {allocated}");
    Ok(())
}

const STREAMS: usize = 10_000;

/// Creates streams of ten segments, lists and describes them.
pub(crate) async fn many_streams(url: &str, streams: usize) -> Result<()> {
    let factory = ClientFactory::connect(url).await?;
    let scope = Scope::new("many")?;
    factory.controller().create_scope(&scope).await?;
    let configuration = StreamConfiguration::default().with_scaling(ScalingPolicy::fixed(10));
    let name = |number: usize| -> Result<ScopedStream> {
        Ok(ScopedStream::new(scope.clone(), format!("stream-{number}").parse()?))
    };
    for number in 0..streams {
        factory.controller().create_stream(&name(number)?, &configuration).await?;
    }
    let (mut token, mut listed) = (PageToken::start(), 0);
    loop {
        let page = factory.controller().streams_page(&scope, &token).await?;
        if page.items.is_empty() {
            break;
        }
        listed += page.items.iter().filter(|stream| !stream.stream().is_internal()).count();
        token = page.next;
    }
    anyhow::ensure!(listed == streams, "{listed} streams are listed");
    for number in 0..streams {
        let segments = factory.controller().current_segments(&name(number)?).await?;
        anyhow::ensure!(segments.len() == 10, "a stream has {} segments", segments.len());
    }
    Ok(())
}
